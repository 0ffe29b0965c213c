//! The simulator as a test: kept seeds, fresh seeds, one seed in two processes, and planted bugs.
//!
//! `cargo sim --seeds N` runs more of the same.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod determinism;
mod mutants;
mod seeds;
