//! Any sequence of operations, crashes and failures, against the simplest model of a log.
//!
//! What always holds: after every opening the log holds everything acknowledged, and after that a part
//! of what was submitted, in order.

use std::collections::BTreeMap;

use wal::{Entry, EntryKind, HardState, Identity, Log, Op, Options, Vote};

use super::Target;
use crate::sim::disk::SimDisk;

pub(super) const TARGET: Target = Target {
    name: "wal_ops",
    run: |input| run(input),
    seeds,
    allocation_max: |_| 4 << 20,
    rounds: 1_500,
};

const IDENTITY: Identity = Identity { cluster: 7, node: 2, store: 0xfeed };
const STEPS_MAX: usize = 400;

fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        small_segment_bytes: 64 * 1024,
        spare_segments: 1,
        entry_bytes_max: 8 * 1024,
        batch_bytes_max: 16 * 1024,
        tail_cache_bytes: 4 * 1024,
        ..Options::default()
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Contents {
    entries: Vec<Entry>,
    hard_state: HardState,
    bindings: BTreeMap<u64, u128>,
}

impl Contents {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(entries) => self.entries.extend(entries.iter().cloned()),
            Op::TruncateAfter(index) => self.entries.retain(|entry| entry.index <= *index),
            Op::HardState(state) => self.hard_state = *state,
            Op::Bind { node, store } => {
                self.bindings.entry(*node).or_insert(*store);
            }
            Op::Repair(_) | Op::Settle => unreachable!("nothing here is damaged"),
        }
    }

    fn last(&self) -> (u64, u64) {
        self.entries.last().map_or((0, 0), |last| (last.index, last.term))
    }
}

/// A log and what it must hold.
struct Life {
    disk: SimDisk,
    log: Option<Log>,
    acknowledged: Contents,
    newest: Contents,
    /// Submitted and not acknowledged: one record each, with its ticket.
    submitted: Vec<(u64, Op)>,
    ticket: u64,
}

fn run(input: &[u8]) {
    let mut life = Life {
        disk: SimDisk::new(input.len() as u64),
        log: None,
        acknowledged: Contents::default(),
        newest: Contents::default(),
        submitted: Vec::new(),
        ticket: 0,
    };
    life.reopen();
    let mut bytes = input.iter().copied();
    for _ in 0..STEPS_MAX {
        let (Some(what), more) = (bytes.next(), bytes.next().unwrap_or(0)) else { break };
        life.step(what, more);
    }
    life.disk.clear_faults();
    life.log = None;
    life.disk.crash();
    life.reopen();
}

impl Life {
    fn step(&mut self, what: u8, more: u8) {
        match what % 16 {
            0..=4 => self.append(more),
            5 => {
                let last = self.newest.last().0;
                self.submit(Op::TruncateAfter(last.saturating_sub(u64::from(more % 16))));
            }
            6 => {
                let term = self.newest.hard_state.term + 1;
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
        let (last, term) = self.newest.last();
        let term = term.max(self.newest.hard_state.term);
        let len = [0, 1, 100, 400, 500, 1500, 4000, 8000][usize::from(more % 8)];
        let kind = if more & 64 == 0 { EntryKind::Command } else { EntryKind::Config };
        let fill = if more & 32 == 0 { 0 } else { more };
        let count = u64::from(more >> 3 & 3);
        let entries = (1..=count).map(|n| Entry::new(last + n, term, kind, vec![fill; len].into()));
        self.submit(Op::Append(entries.collect()));
    }

    fn submit(&mut self, op: Op) {
        let Some(log) = &mut self.log else { return };
        self.ticket += 1;
        match &op {
            // Entries of one operation may be divided between batches, and so by a crash.
            Op::Append(entries) => {
                for (n, entry) in (1..).zip(entries) {
                    let is_last = n == entries.len();
                    let ticket = if is_last { self.ticket } else { self.ticket - 1 };
                    self.submitted.push((ticket, Op::Append(vec![entry.clone()])));
                }
            }
            Op::TruncateAfter(_)
            | Op::HardState(_)
            | Op::Bind { .. }
            | Op::Repair(_)
            | Op::Settle => self.submitted.push((self.ticket, op.clone())),
        }
        self.newest.apply(&op);
        log.stage(self.ticket, op);
    }

    /// A call that fails ends the process.
    fn attempt(&mut self, call: fn(&mut Log) -> Result<(), wal::Error>) {
        if self.log.as_mut().is_some_and(|log| call(log).is_err()) {
            self.log = None;
        }
    }

    fn sync(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Ok(ticket) = log.sync() else {
            self.log = None;
            return;
        };
        let count = self.submitted.iter().take_while(|(of, _)| *of <= ticket).count();
        for (_, op) in self.submitted.drain(..count) {
            self.acknowledged.apply(&op);
        }
    }

    fn close(&mut self) {
        let Some(log) = self.log.take() else { return };
        if log.close().is_ok() {
            self.acknowledged = self.newest.clone();
            self.submitted.clear();
        }
        self.disk.crash();
        self.reopen();
    }

    /// The next process: what it finds is what may be there.
    fn reopen(&mut self) {
        self.disk.clear_faults();
        let io = self.disk.io();
        if !Log::exists(&io).expect("the disk is well") {
            Log::create(&io, IDENTITY, &options()).expect("the disk is well");
        }
        let (log, recovery) = Log::open(io, options()).expect("a crash is no damage");
        assert!(recovery.is_whole(), "{:?}", recovery.faulty);
        let found = Contents {
            entries: log.reader().read(1, u64::MAX, usize::MAX).expect("the disk is well"),
            hard_state: recovery.hard_state,
            bindings: recovery.bindings,
        };
        assert_eq!(found.last(), recovery.last);
        let mut candidate = self.acknowledged.clone();
        let mut submitted = self.submitted.iter();
        while candidate != found {
            let next = submitted.next();
            candidate.apply(&next.unwrap_or_else(|| panic!("{found:?} was never to be")).1);
        }
        self.acknowledged.clone_from(&found);
        self.newest = found;
        self.submitted.clear();
        self.ticket = 0;
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
