//! Any sequence of operations, crashes and failures, against the simplest model of a log.
//!
//! What always holds: after every opening the log holds everything acknowledged, and after that a part
//! of what was submitted, in order.

use wal::{Entry, EntryKind, HardState, Log, Op, Vote};

use super::Target;
use crate::{
    crash::{Contents, Model, open, small},
    sim::disk::SimDisk,
};

pub(super) const TARGET: Target = Target {
    name: "wal_ops",
    run: |input| run(input),
    seeds,
    allocation_max: |_| 4 << 20,
    rounds: 1_500,
};

const STEPS_MAX: usize = 400;

/// A log and what it must hold.
struct Life {
    disk: SimDisk,
    log: Option<Log>,
    model: Model,
}

/// Every sequence is one that may be.
fn run(input: &[u8]) -> bool {
    let disk = SimDisk::new(input.len() as u64);
    let mut life = Life { disk, log: None, model: Model::new() };
    life.reopen();
    let mut bytes = input.iter().copied();
    for _ in 0..STEPS_MAX {
        let (Some(what), more) = (bytes.next(), bytes.next().unwrap_or(0)) else { break };
        life.step(what, more);
    }
    life.log = None;
    life.disk.crash();
    life.reopen();
    true
}

impl Life {
    fn step(&mut self, what: u8, more: u8) {
        match what % 16 {
            0..=4 => self.append(more),
            5 => {
                let (last, _) = self.model.last();
                self.submit(Op::TruncateAfter(last.saturating_sub(u64::from(more % 16))));
            }
            6 => {
                let term = self.model.last().1 + 1;
                let vote = Vote { node: u64::from(more % 5), store: u128::from(more) };
                let voted_for = (more & 1 == 1).then_some(vote);
                self.submit(Op::HardState(HardState { term, voted_for }));
            }
            7 => self.submit(Op::Bind { node: u64::from(more % 8), store: u128::from(more) }),
            8 => self.attempt(Log::write),
            9 | 10 => {
                self.attempt(Log::write);
                self.sync();
            }
            11 => self.attempt(Log::upkeep),
            12 => match more % 4 {
                0 => self.disk.cut_power_after(u64::from(more >> 2)),
                1 => self.disk.fail_sync_after(u64::from(more >> 2)),
                2 => self.disk.fail_write_after(u64::from(more >> 2)),
                _ => self.disk.clear_faults(),
            },
            13 => {
                self.log = None;
                self.disk.crash();
                self.reopen();
            }
            14 => {
                self.log = None;
                self.disk.kill();
                self.reopen();
            }
            _ => self.close(),
        }
    }

    fn append(&mut self, more: u8) {
        let (last, term) = self.model.last();
        let len = [0, 1, 100, 400, 500, 1500, 4000, 8000][usize::from(more % 8)];
        let kind = if more & 64 == 0 { EntryKind::Command } else { EntryKind::Config };
        let fill = if more & 32 == 0 { 0 } else { more };
        let count = u64::from(more >> 3 & 3);
        let entries = (1..=count).map(|n| Entry::new(last + n, term, kind, vec![fill; len].into()));
        self.submit(Op::Append(entries.collect()));
    }

    fn submit(&mut self, op: Op) {
        if let Some(log) = &mut self.log {
            self.model.submit(log, op);
        }
    }

    /// A call that fails ends the process.
    fn attempt(&mut self, call: fn(&mut Log) -> Result<(), wal::Error>) {
        if self.log.as_mut().is_some_and(|log| call(log).is_err()) {
            self.log = None;
        }
    }

    fn sync(&mut self) {
        let Some(log) = &mut self.log else { return };
        match log.sync() {
            Ok(ticket) => self.model.acknowledge(ticket),
            Err(_) => self.log = None,
        }
    }

    fn close(&mut self) {
        let Some(log) = self.log.take() else { return };
        if log.close().is_ok() {
            self.model.acknowledge_all();
        }
        self.disk.crash();
        self.reopen();
    }

    /// The next process: what it finds is what may be there.
    fn reopen(&mut self) {
        self.disk.clear_faults();
        let (log, recovery) = open(&self.disk, &small()).expect("a crash is no damage");
        assert!(recovery.is_whole(), "{:?}", recovery.faulty);
        self.model.recover(Contents::of(&log, &recovery));
        self.log = Some(log);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let write_and_sync = [0, 0x2d, 9, 0];
    let rotate: Vec<u8> = [0, 0x3f, 8, 0, 9, 0].repeat(12);
    vec![
        write_and_sync.repeat(8),
        [&write_and_sync.repeat(4)[..], &[5, 3, 0, 0x2d, 8, 0, 13, 0]].concat(),
        [&rotate[..], &[11, 0], &rotate[..], &[13, 0], &rotate[..], &[15, 0]].concat(),
        [&rotate[..], &[12, 0x21], &rotate[..], &[14, 0], &rotate[..]].concat(),
        [&[6, 1, 7, 2, 10, 0, 12, 0x10][..], &rotate[..], &[13, 0, 6, 3, 10, 0, 14, 0]].concat(),
    ]
}
