//! The node program, built with the tests that kill it, so that it is always the current one.
//!
//! With [`LEVEL`] in its environment it plays the build of another feature level.

use std::{env, process::ExitCode};

use tests::cluster::LEVEL;

fn main() -> ExitCode {
    match env::var(LEVEL).ok().and_then(|level| level.parse().ok()) {
        Some(level) => node::main_at(level),
        None => node::main(),
    }
}
