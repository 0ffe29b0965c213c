//! The node program, built with the benchmarks that run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::main()
}
