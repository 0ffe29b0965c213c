//! Many histories on several threads, until so many states were judged.
//!
//! Each history is explored alone, so its violations depend on its seed and on nothing else; how many
//! histories it takes is the only thing that the number of threads may change.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    explore::{Explorer, Violation},
    history::History,
};

/// After so many violations there is nothing more to learn.
const VIOLATIONS_MAX: usize = 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first seed; the others follow.
    pub first_seed: u64,
    /// Judge at least this many states.
    pub states: u64,
    /// Threads.
    pub jobs: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Histories explored.
    pub histories: u64,
    /// States judged, all different within their history.
    pub states: u64,
    /// States that were met again.
    pub repeated: u64,
    /// How many were what.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// The broken laws.
    pub violations: Vec<Violation>,
}

impl Batch {
    /// Run it; `progress` is told after each history.
    pub fn run(&self, progress: &(dyn Fn(&Totals) + Sync)) -> Totals {
        let next = AtomicU64::new(self.first_seed);
        let totals = Mutex::new(Totals::default());
        let lock = || totals.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = || {
            let totals = lock();
            totals.states >= self.states || totals.violations.len() >= VIOLATIONS_MAX
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while !is_done() {
                        let history = History::new(next.fetch_add(1, Ordering::Relaxed));
                        let mut explorer = Explorer::new(&history);
                        let result = explorer.run();
                        let mut totals = lock();
                        totals.take(&explorer, result.err());
                        progress(&totals);
                    }
                });
            }
        });
        totals.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn take(&mut self, explorer: &Explorer<'_>, violation: Option<Violation>) {
        self.histories += 1;
        self.states += explorer.states;
        self.repeated += explorer.repeated;
        for (&verdict, &count) in &explorer.verdicts {
            *self.verdicts.entry(verdict).or_insert(0) += count;
        }
        self.violations.extend(violation);
    }
}
