//! The simulator: real nodes on a virtual clock, network and disk.

pub mod disk;
