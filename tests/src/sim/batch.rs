//! Many seeds at once, one thread each, and what they came to together.
//!
//! The result depends on the seeds alone: however many run at once, reports are taken in order.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Options, Report, run_seed};

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In this order.
    pub seeds: Vec<u64>,
    /// That many at once.
    pub jobs: usize,
    /// Stop at the first that breaks a law.
    pub stops_early: bool,
    /// How each is run.
    pub options: Options,
}

/// What the seeds of a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many were run.
    pub seeds: u64,
    /// Virtual microseconds lived through.
    pub virtual_us: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Client operations acknowledged.
    pub operations: u64,
    /// A hash over the traces of all.
    pub hash: u64,
    /// How often what should happen sometimes did.
    pub counters: BTreeMap<&'static str, u64>,
    /// The seeds that broke a law.
    pub violations: Vec<Report>,
}

impl Batch {
    /// These seeds, as many at once as there are processors.
    #[must_use]
    pub fn new(seeds: impl IntoIterator<Item = u64>, options: Options) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { seeds: seeds.into_iter().collect(), jobs, stops_early: false, options }
    }

    /// Run them.
    ///
    /// # Panics
    /// Never: a panic in a seed is a broken law, and is reported as one.
    #[must_use]
    pub fn run(&self) -> Totals {
        let next = AtomicU64::new(0);
        let stop_after = AtomicU64::new(u64::MAX);
        let reports = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some((place, report)) = self.run_next(&next, &stop_after) {
                        reports.lock().expect("nothing panics here").insert(place, report);
                    }
                });
            }
        });
        let last = stop_after.into_inner();
        let mut totals = Totals::default();
        for (_, report) in reports.into_inner().expect("nothing panics here").range(..=last) {
            totals.take(report);
        }
        totals
    }

    fn run_next(&self, next: &AtomicU64, stop_after: &AtomicU64) -> Option<(u64, Report)> {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let seed = *self.seeds.get(usize::try_from(place).expect("a place in a list"))?;
        if place > stop_after.load(Ordering::Relaxed) {
            return None;
        }
        let report = run_seed(seed, &self.options);
        if self.stops_early && report.violation.is_some() {
            stop_after.fetch_min(place, Ordering::Relaxed);
        }
        Some((place, report))
    }
}

impl Totals {
    fn take(&mut self, report: &Report) {
        self.seeds += 1;
        self.virtual_us += report.virtual_us;
        self.faults += report.faults;
        self.operations += report.operations;
        self.hash = self.hash.rotate_left(1) ^ report.hash;
        for (&what, &times) in &report.counters {
            *self.counters.entry(what).or_insert(0) += times;
        }
        if report.violation.is_some() {
            self.violations.push(report.clone());
        }
    }
}
