//! Fuzz targets: every parser of bytes that may come from a disk, a peer or a client.
//!
//! What always holds: a target is a function of its bytes alone; whatever they are it neither panics
//! nor takes memory beyond its bound. `cargo fuzz-all` drives the targets with coverage (libFuzzer);
//! `cargo test` runs the corpus and a fixed number of mutations of it through the same functions.

mod format;
mod mutate;
#[cfg(feature = "node-parsers")]
mod node;
mod parsers;
mod wal_files;
mod wal_ops;

pub use self::{format::put_right, mutate::mutate};
use crate::crash::Allocations;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus: `tests/fuzz/corpus/NAME`.
    pub name: &'static str,
    /// Judges these bytes, says whether they were taken; panics when something is wrong.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to begin with, made by the real encoders.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The largest single allocation for an input of this many bytes.
    pub allocation_max: fn(usize) -> usize,
    /// How many mutations `cargo test` tries.
    pub rounds: usize,
}

impl Target {
    /// Judge these bytes, and what memory they take where [`Allocations`] is the allocator. Says whether they
    /// were taken.
    ///
    /// # Panics
    /// When they break the target.
    #[must_use]
    pub fn judge(&self, input: &[u8]) -> bool {
        let (is_taken, largest) = Allocations::largest(|| (self.run)(input));
        let bound = (self.allocation_max)(input.len());
        let len = input.len();
        assert!(largest <= bound, "{largest} bytes at once for {len} of input, at most {bound}");
        is_taken
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    wal_files::TARGET,
    wal_ops::TARGET,
    parsers::WIRE,
    parsers::COMMAND,
    parsers::CLUSTER_CONFIG,
    parsers::NAMES,
    #[cfg(feature = "node-parsers")]
    node::TOML,
    #[cfg(feature = "node-parsers")]
    node::GENESIS,
    #[cfg(feature = "node-parsers")]
    node::CLIENT_JSON,
    #[cfg(feature = "node-parsers")]
    node::CLIENT_QUERIES,
    #[cfg(feature = "node-parsers")]
    node::CLIENT_HEADERS,
];
