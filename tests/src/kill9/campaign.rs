//! Many histories, several at once, and what they came to together.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{End, History, Round};

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The child.
    pub program: PathBuf,
    /// Where the directories are made; they go when nothing was wrong with them.
    pub dir: PathBuf,
    /// One history each.
    pub seeds: Range<u64>,
    /// Rounds of a history.
    pub rounds: u64,
    /// A child may also end because the disk is full.
    pub may_be_full: bool,
    /// That many histories at once.
    pub jobs: usize,
}

/// What the rounds came to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many were run.
    pub rounds: u64,
    /// Operations acknowledged.
    pub acknowledged: u64,
    /// How often what should happen sometimes did.
    pub counters: BTreeMap<String, u64>,
    /// The broken promises.
    pub violations: Vec<String>,
}

impl Campaign {
    /// Run all; `progress` hears the totals after each history.
    ///
    /// # Panics
    /// When a directory cannot be made or removed, or a child cannot be started.
    pub fn run(&self, progress: impl Fn(&Totals) + Sync) -> Totals {
        let next = AtomicU64::new(self.seeds.start);
        let totals = Mutex::new(Totals::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if !self.seeds.contains(&seed) {
                            return;
                        }
                        self.history(seed, &totals);
                        progress(&totals.lock().expect("nothing panics here"));
                    }
                });
            }
        });
        totals.into_inner().expect("nothing panics here")
    }

    fn history(&self, seed: u64, totals: &Mutex<Totals>) {
        let dir = self.dir.join(format!("seed-{seed}"));
        let mut history = History::new(&self.program, dir.clone(), seed)
            .on_a_disk_that_may_be_full(self.may_be_full);
        for round in 0..self.rounds {
            let result = history.round(round);
            let mut totals = totals.lock().expect("nothing panics here");
            totals.rounds += 1;
            match result {
                Ok(round) => totals.take(&round),
                Err(violation) => {
                    totals.violations.push(violation);
                    return;
                }
            }
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("a directory of ours can be removed");
        }
    }
}

impl Totals {
    fn take(&mut self, round: &Round) {
        self.acknowledged += round.acknowledged;
        let mut count = |what: String| *self.counters.entry(what).or_insert(0) += 1;
        match round.end {
            End::Killed => count(format!("killed while {:?}", round.phase)),
            End::Finished => count("ended before it was killed".to_owned()),
            End::Failed(_) => count(format!("disk full while {:?}", round.phase)),
        }
        if round.beyond > 0 {
            count("more was found than acknowledged".to_owned());
        }
        let verdict = round.tail.split(' ').next().unwrap_or_default();
        count(format!("end of the log: {verdict}"));
    }
}
