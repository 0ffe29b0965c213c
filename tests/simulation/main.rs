//! The simulator as a test: kept seeds, fresh seeds, and one seed in two processes.
//!
//! `cargo sim --seeds N` runs more of the same; `cargo consensus-mutants` proves that it can fail.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod determinism;
mod seeds;
