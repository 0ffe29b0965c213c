//! The log on a real disk, under real processes.
//!
//! - `faults`: a failed write or sync ends the process, and a restart loses nothing acknowledged
//! - `full`: a disk that fills up is told of in time, and got over
//! - `killed`: `kill -9` at any moment loses nothing acknowledged
//! - `rot`: what goes bad on the disk under the page cache is found

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod faults;
mod full;
mod killed;
mod rot;

use std::path::Path;

/// The program that appends.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kill9"))
}
