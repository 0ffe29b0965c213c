//! Our log beside okaywal, raft-engine and a plain loop: the same work, in turn, in one run.
//!
//! What always holds: an append counts when it is durable; every log starts on a zeroed file that is large
//! enough; the payloads of a batch differ, so that nothing is gained by compressing them. `writers` are
//! threads that block; `tasks` are as many appends under way from one thread, which only ours offers.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml`, with `-- append` or `-- stored` for one half.

mod okay;
mod ours;
mod raft;
mod stored;

use std::{
    env,
    fs::{self, File},
    io,
    path::Path,
};

use anyhow::Result;
use benches::{
    Bound,
    filled::Fill,
    is_full_run, median, say, say_against,
    wal::{Figures, Limit, WORKLOADS, Workload, run_raw},
};

use crate::{
    okay::Okay,
    ours::{Ours, Tasks},
    raft::Raft,
};

/// Rounds of each workload: the median of so many is quoted.
const ROUNDS: usize = 9;
/// In memory: what is left there of an append is its processor time.
const TMPFS: &str = "/dev/shm";

/// A log under test.
trait System {
    fn name(&self) -> &'static str;
    /// Put a fresh log in `dir` through a workload.
    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures>;
    /// Make a log in `dir`, fill it, stop it in order.
    fn fill(&self, dir: &Path, fill: Fill) -> Result<()>;
    fn open(&self, dir: &Path) -> Result<Box<dyn Stored>>;
    /// Can it read everything back once it is open?
    fn reads_all(&self) -> bool {
        true
    }
}

/// A log that was filled and is open.
trait Stored {
    /// Bytes of payload, every checksum checked.
    fn read_all(&self, fill: Fill) -> Result<usize>;
    /// Bytes of payload of one entry.
    fn read_one(&self, index: u64) -> Result<usize>;
    fn close(self: Box<Self>) -> Result<()>;
}

/// The plain loop.
struct Raw;

impl System for Raw {
    fn name(&self) -> &'static str {
        "raw loop"
    }

    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures> {
        run_raw(dir, workload, limit, workload.append_bytes())
    }

    fn fill(&self, _dir: &Path, _fill: Fill) -> Result<()> {
        anyhow::bail!("nothing is read back from a plain loop")
    }

    fn open(&self, _dir: &Path) -> Result<Box<dyn Stored>> {
        anyhow::bail!("nothing is read back from a plain loop")
    }
}

/// What ours should reach of the raw loop, okaywal and raft-engine, by workload.
const BOUNDS: [[Option<f64>; 3]; WORKLOADS.len()] = [
    [Some(0.95), None, None],
    [Some(0.95), None, None],
    [Some(0.95), Some(1.0), Some(1.6)],
    [Some(0.9), Some(1.15), Some(1.4)],
    [None, None, Some(1.3)],
    [None, None, Some(1.3)],
];
/// Processor time of an entry of one of 64 writers, in microseconds.
const CPU_US_MAX: f64 = 7.0;

fn main() -> Result<()> {
    let rounds = if is_full_run() { ROUNDS } else { 1 };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let asked: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |half: &str| asked.is_empty() || asked.iter().any(|one| one == half);
    if is_asked("append") {
        let limit = Limit::new(is_full_run());
        for (workload, bounds) in WORKLOADS.into_iter().zip(BOUNDS) {
            appends(dir.path(), workload, limit, rounds, bounds)?;
        }
        let in_memory = tempfile::tempdir_in(TMPFS)?;
        say("\non tmpfs, where nothing is flushed");
        appends(in_memory.path(), WORKLOADS[0], limit, rounds, [None; 3])?;
    }
    if is_asked("stored") {
        stored::compare(dir.path(), &[&Ours, &Okay, &Raft], rounds)?;
    }
    Ok(())
}

fn appends(
    dir: &Path,
    workload: Workload,
    limit: Limit,
    rounds: usize,
    bounds: [Option<f64>; 3],
) -> Result<()> {
    let mut systems: Vec<&dyn System> = vec![&Raw, &Okay, &Raft, &Ours];
    if workload.writers > 1 {
        systems.push(&Tasks);
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); systems.len()];
    for round in 0..rounds {
        // Nobody is always the first.
        for turn in 0..systems.len() {
            let at = (turn + round) % systems.len();
            let fresh = tempfile::tempdir_in(dir)?;
            figures[at].push(systems[at].run(fresh.path(), workload, limit)?);
        }
    }
    say(&format!("\n{:<26} entries/s   p50/p99 us   CPU us/entry", workload.name));
    let of = |at: usize, value: fn(&Figures) -> f64| {
        median(&figures[at].iter().map(value).collect::<Vec<_>>())
    };
    for (at, system) in systems.iter().enumerate() {
        say(&format!(
            "{:<26} {:>9.0} {:>6.0}/{:<6.0} {:>12.2}",
            system.name(),
            of(at, |figures| figures.per_second),
            of(at, |figures| figures.p50_us),
            of(at, |figures| figures.p99_us),
            of(at, |figures| figures.cpu_us),
        ));
    }
    for ours in 3..systems.len() {
        for (peer, bound) in bounds.into_iter().enumerate() {
            let pairs = figures[ours].iter().zip(&figures[peer]);
            let ratios: Vec<_> =
                pairs.map(|(ours, peer)| ours.per_second / peer.per_second).collect();
            let name = format!("{} / {}", systems[ours].name(), systems[peer].name());
            match bound {
                Some(bound) => say_against(&name, median(&ratios), Bound::AtLeast(bound), ""),
                None => say(&format!("{name:<26} {:>10.2}", median(&ratios))),
            }
        }
        if workload.writers > 1 {
            let name = format!("{} CPU us", systems[ours].name());
            say_against(&name, of(ours, |figures| figures.cpu_us), Bound::AtMost(CPU_US_MAX), "");
        }
    }
    Ok(())
}

/// What was prepared is on the disk before the clock runs.
fn sync_files(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        File::open(file?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}
