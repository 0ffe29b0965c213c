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
mod damage;
mod driver;
mod faults;
mod history;
mod ledger;
mod levels;
mod linear;
mod members;
mod mix;
mod network;
mod node;
pub(crate) mod panics;
mod rare;
pub(crate) mod rng;
mod shadow;
mod shrink;
mod space;
mod tick;
mod trace;
mod trouble;
mod workload;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use batch::{Batch, Totals};
pub use mix::Fault;
pub use shrink::shrink;

/// How seeds are run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// That many nodes instead of what the seed draws.
    pub nodes: Option<u64>,
    /// That many clients instead of what the seed draws.
    pub clients: Option<u64>,
    /// Faults that do not strike.
    pub without: BTreeSet<Fault>,
    /// Heal after so many virtual milliseconds, and do not ask whether much has happened by then.
    pub storm_ms: Option<u64>,
    /// Print every event.
    pub prints: bool,
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which seed.
    pub seed: u64,
    /// Nodes that it began with.
    pub nodes: u64,
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
        let mut flags = String::new();
        let numbers =
            [("nodes", self.nodes), ("clients", self.clients), ("storm-ms", self.storm_ms)];
        for (name, number) in numbers {
            flags += &number.map(|number| format!(" --{name} {number}")).unwrap_or_default();
        }
        let without: Vec<&str> = self.without.iter().map(|fault| fault.name()).collect();
        if !without.is_empty() {
            flags += &format!(" --without {}", without.join(","));
        }
        flags
    }
}
