//! The chatctl program, built with the tests that use it, so that it is always the current one.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatctl::main()
}
