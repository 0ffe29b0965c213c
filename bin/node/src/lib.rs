//! One Holdfast node.
