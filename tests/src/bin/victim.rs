//! The node program, built with the tests that kill it, so that it is always the current one.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::main()
}
