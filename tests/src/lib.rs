//! The test kit.

pub mod sim;
