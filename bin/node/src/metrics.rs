//! What a node measures of itself, and its text for a Prometheus server.
//!
//! One [`Metrics`] is made when the node starts; each part is handed its own share of it. Counters
//! and histograms are written where things happen. Gauges of what somebody else holds anyway are
//! read when the text is asked for, or with the report that the driver makes of itself.
//!
//! What always holds:
//! - every name begins with `holdfast_`, every unit is a base unit and ends the name;
//! - a label has few values, known beforehand: a route's pattern, never a path; a peer's number;
//!   no name, text, token or address of anybody;
//! - measuring takes no lock that is held while something waits, and fails nothing.

mod clients;
mod core;
mod disk;
mod fold;
mod process;
mod recent;

use std::sync::Arc;

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::process::Process;
pub(crate) use self::{
    clients::{Clients, InUse, Open},
    core::{Core, Waiting},
    disk::{Disk, TimedIo},
    fold::Folding,
    recent::Recent,
};

/// The media type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that a node measures. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    process: Process,
    /// The log's files.
    pub(crate) disk: Disk,
    /// Consensus and the driver.
    pub(crate) core: Core,
    /// The fold.
    pub(crate) fold: Folding,
    /// The client API.
    pub(crate) clients: Clients,
}

impl Metrics {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("holdfast");
        let process = Process::register(&mut registry);
        let disk = Disk::register(&mut registry);
        let core = Core::register(&mut registry);
        let fold = Folding::register(&mut registry);
        let clients = Clients::register(&mut registry);
        Self { registry: Arc::new(registry), process, disk, core, fold, clients }
    }

    /// All of it, in the text form of `OpenMetrics`.
    pub(crate) fn text(&self) -> String {
        self.process.sample();
        self.disk.sample();
        let mut text = String::new();
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string does not fail; half a text would be taken for the whole.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

/// A number that goes up and down.
type Level = Gauge<u64, std::sync::atomic::AtomicU64>;
/// A number of seconds that goes up and down.
type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn level(registry: &mut Registry, name: &str, help: &str) -> Level {
    let level = Level::default();
    registry.register(name, help, level.clone());
    level
}

fn bytes(registry: &mut Registry, name: &str, help: &str) -> Level {
    let level = Level::default();
    registry.register_with_unit(name, help, Unit::Bytes, level.clone());
    level
}

fn seconds(registry: &mut Registry, name: &str, help: &str, bounds: &[f64]) -> Histogram {
    let histogram = Histogram::new(bounds.iter().copied());
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// From a tenth of a millisecond to what nobody waits for.
const SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// A count as a histogram takes it. Above 2^53 its last digits are lost, which no one would see.
#[expect(clippy::cast_precision_loss, reason = "a histogram takes nothing else")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// A count as a gauge shows it.
fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
