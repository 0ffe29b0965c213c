//! The test kit.

pub mod sim;
#[cfg(feature = "processes")]
pub mod cluster;
#[cfg(feature = "processes")]
pub mod conversation;
