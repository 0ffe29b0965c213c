//! The log on a real disk, under real processes.
//!
//! - `killed`: `kill -9` at any moment loses nothing acknowledged

mod killed;

use std::path::Path;

/// The program that appends.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kill9"))
}
