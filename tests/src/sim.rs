//! The simulator: real `Replica`, `wal` and `chat` on a virtual clock, network and disk.
//!
//! It stands in for the driver, the transport, the clock and the disk, and for nothing else. One
//! seed is one history: no thread, no real clock and no hash order is in it, and every draw comes
//! from one generator. `cargo sim --seed N --trace` shows a seed event by event.

pub mod disk;

mod batch;
mod calls;
mod checkers;
mod clock;
mod driver;
mod faults;
mod history;
mod ledger;
mod mix;
mod network;
mod node;
pub(crate) mod panics;
pub(crate) mod rng;
mod shadow;
mod trace;
mod workload;
mod world;

use std::{collections::BTreeMap, fmt};

pub use batch::{Batch, Totals};

/// How seeds are run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// That many nodes instead of what the seed draws.
    pub nodes: Option<u64>,
    /// Print every event.
    pub prints: bool,
    /// Plant a bug.
    pub mutant: Option<Mutant>,
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which seed.
    pub seed: u64,
    /// Virtual microseconds lived through.
    pub virtual_us: u64,
    /// Faults that struck, messages not counted.
    pub faults: u64,
    /// Client operations acknowledged.
    pub operations: u64,
    /// A hash over every event.
    pub hash: u64,
    /// How often what should happen sometimes did.
    pub counters: BTreeMap<&'static str, u64>,
    /// The broken law, if one was.
    pub violation: Option<String>,
    /// The last events before it.
    pub tail: Vec<String>,
    /// The flags that run the seed again in the same way.
    pub flags: String,
}

/// A bug that can be planted; none in a build without the feature `mutants`.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    #[cfg(feature = "mutants")]
    planted: replication::Mutant,
    #[cfg(not(feature = "mutants"))]
    none: std::convert::Infallible,
}

/// Live through one seed.
#[must_use]
pub fn run_seed(seed: u64, options: &Options) -> Report {
    world::live(seed, options)
}

impl fmt::Display for Report {
    /// The broken law, what led to it, and how to see it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            return write!(f, "seed {} kept every law", self.seed);
        };
        writeln!(f, "seed {} broke a law: {violation}", self.seed)?;
        for line in &self.tail {
            writeln!(f, "  {line}")?;
        }
        write!(f, "  replay: cargo sim --seed {}{} --trace", self.seed, self.flags)
    }
}

impl Options {
    /// The command-line flags that set these.
    pub(crate) fn as_flags(&self) -> String {
        let nodes = self.nodes.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
        let mutant = self.mutant.map(|mutant| format!(" --mutant {}", mutant.name()));
        format!("{nodes}{}", mutant.unwrap_or_default())
    }
}

#[cfg(feature = "mutants")]
impl Mutant {
    const ALL: [replication::Mutant; 3] = [
        replication::Mutant::AckBeforeFsync,
        replication::Mutant::CommitOlderTermByCounting,
        replication::Mutant::VoteNotDurable,
    ];

    /// The bug of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|planted| Self { planted }).find(|mutant| mutant.name() == name)
    }

    /// The names of all.
    #[must_use]
    pub fn names() -> Vec<String> {
        Self::ALL.into_iter().map(|planted| Self { planted }.name()).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{:?}", self.planted)
    }

    pub(crate) fn plant(self, replica: &mut replication::Replica) {
        replica.plant(self.planted);
    }
}

#[cfg(not(feature = "mutants"))]
impl Mutant {
    /// The bug of this name: there is none in this build.
    #[must_use]
    pub const fn named(_name: &str) -> Option<Self> {
        None
    }

    /// The names of all: none in this build.
    #[must_use]
    pub const fn names() -> [&'static str; 0] {
        []
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.none {}
    }

    pub(crate) const fn plant(self, _replica: &mut replication::Replica) {
        match self.none {}
    }
}
