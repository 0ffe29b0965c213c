//! The test kit.

#[cfg(feature = "processes")]
pub mod browser;
#[cfg(feature = "processes")]
pub mod cluster;
#[cfg(feature = "processes")]
pub mod conversation;
pub mod crash;
#[cfg(feature = "processes")]
pub mod failover;
pub mod fuzz;
pub mod kill9;
pub mod mark;
pub mod model;
pub mod mutation;
pub mod sim;
pub mod small_disk;
pub mod trace;
