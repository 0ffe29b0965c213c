//! The fold: how long it holds the state, and how much it has done.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

use super::{Level, count, counter, level, seconds};

/// From what one entry takes to what readers would notice.
const HELD_SECONDS: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05,
    0.25,
];

/// What the fold tells.
#[derive(Clone, Debug)]
pub(crate) struct Folding {
    batch: Histogram,
    entries: Counter,
    accounts: Level,
    sessions: Level,
    conversations: Level,
}

impl Folding {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Time for which readers of the state waited for a batch of entries to be folded";
        Self {
            batch: seconds(registry, "fold_batch_duration", help, &HELD_SECONDS),
            entries: counter(registry, "fold_entries", "Entries folded"),
            accounts: level(registry, "accounts", "Accounts, deleted ones included"),
            sessions: level(registry, "sessions", "Sessions that have not been ended"),
            conversations: level(registry, "conversations", "Channels and pairs of people"),
        }
    }

    /// So many entries were folded under one lock.
    pub(crate) fn folded(&self, entries: usize, held: Duration) {
        self.batch.observe(held.as_secs_f64());
        self.entries.inc_by(count(entries));
    }

    /// How much there is now.
    pub(crate) fn holds(&self, census: chat::Census) {
        self.accounts.set(count(census.accounts));
        self.sessions.set(count(census.sessions));
        self.conversations.set(count(census.conversations));
    }
}
