//! What a log must hold after any crash: everything acknowledged, and after that a part of what was
//! submitted, in order, with nothing missing between.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, HardState, Identity, Log, Op, Options, Recovery, Vote};

pub(crate) const IDENTITY: Identity = Identity { cluster: 0xc1, node: 3, store: 0x5709e };

/// The smallest segments, so that histories rotate.
pub(crate) fn small() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        small_segment_bytes: 64 * 1024,
        spare_segments: 1,
        entry_bytes_max: 8 * 1024,
        batch_bytes_max: 16 * 1024,
        queue_bytes_max: 1024 * 1024,
        tail_cache_bytes: 4 * 1024,
    }
}

/// `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Contents {
    pub(crate) entries: Vec<Entry>,
    pub(crate) hard_state: HardState,
    pub(crate) bindings: BTreeMap<u64, u128>,
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
            // They give back what was there.
            Op::Repair(_) | Op::Settle => {}
        }
    }

    /// What an open log holds, every entry read and every summary checked against the entries.
    pub(crate) fn of(log: &Log, recovery: &Recovery) -> Self {
        Self::try_of(log, recovery).unwrap()
    }

    /// The same on a disk that may fail.
    pub(crate) fn try_of(log: &Log, recovery: &Recovery) -> Result<Self, Error> {
        let (last_index, last_term) = recovery.last;
        let entries = log.reader().read(1, u64::MAX, usize::MAX)?;
        assert_eq!(entries.last().map_or((0, 0), |last| (last.index, last.term)), recovery.last);
        assert_eq!(entries.len() as u64, last_index);
        assert!(entries.iter().zip(1..).all(|(entry, index)| entry.index == index));
        assert!(entries.iter().all(Entry::is_intact));
        let mut runs: Vec<_> = entries.iter().map(|entry| (entry.index, entry.term)).collect();
        runs.dedup_by_key(|run| run.1);
        assert_eq!(runs, recovery.term_runs);
        let configs = entries.iter().filter(|entry| entry.kind == EntryKind::Config);
        assert_eq!(configs.cloned().collect::<Vec<_>>(), recovery.configs);
        assert_eq!(log.reader().term_of(last_index), Some(last_term));
        let bindings = recovery.bindings.clone();
        Ok(Self { entries, hard_state: recovery.hard_state, bindings })
    }
}

/// Draws operations, remembers them, and judges what comes back.
#[derive(Debug)]
pub(crate) struct Model {
    /// After everything acknowledged.
    acknowledged: Contents,
    acknowledged_ticket: u64,
    /// Submitted after that, one record each.
    submitted: Vec<(u64, Op)>,
    /// After everything submitted.
    newest: Contents,
    last_ticket: u64,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            acknowledged: Contents::default(),
            acknowledged_ticket: 0,
            submitted: Vec::new(),
            newest: Contents::default(),
            last_ticket: 0,
        }
    }

    /// Draw an operation and stage it.
    pub(crate) fn stage(&mut self, log: &mut Log, random: &mut Random) {
        let last = self.newest.entries.last().map_or((0, 0), |last| (last.index, last.term));
        let term = self.newest.hard_state.term.max(last.1);
        let op = match random.below(10) {
            0 => Op::HardState(self.draw_hard_state(random)),
            1 => Op::Bind { node: random.below(9), store: u128::from(random.next()) },
            2 => Op::TruncateAfter(last.0.saturating_sub(random.below(8))),
            _ => {
                let count = random.below(4);
                let entries = (1..=count).map(|i| draw_entry(last.0 + i, term, random));
                Op::Append(entries.collect())
            }
        };
        self.last_ticket += 1;
        match &op {
            // Entries of one operation may be divided between batches, and so by a crash.
            Op::Append(entries) if !entries.is_empty() => {
                let before = self.last_ticket - 1;
                let last = entries.len() - 1;
                for (i, entry) in entries.iter().enumerate() {
                    let ticket = if i == last { self.last_ticket } else { before };
                    self.submitted.push((ticket, Op::Append(vec![entry.clone()])));
                }
            }
            Op::Append(_)
            | Op::TruncateAfter(_)
            | Op::HardState(_)
            | Op::Bind { .. }
            | Op::Repair(_)
            | Op::Settle => {
                self.submitted.push((self.last_ticket, op.clone()));
            }
        }
        self.newest.apply(&op);
        log.stage(self.last_ticket, op);
    }

    fn draw_hard_state(&self, random: &mut Random) -> HardState {
        let old = self.newest.hard_state;
        let vote = Vote { node: random.below(5), store: u128::from(random.next()) };
        match random.below(3) {
            0 if old.voted_for.is_none() => HardState { term: old.term, voted_for: Some(vote) },
            1 => HardState { term: old.term + 1, voted_for: None },
            _ => HardState { term: old.term + 1, voted_for: Some(vote) },
        }
    }

    /// The log called this ticket durable.
    pub(crate) fn acknowledge(&mut self, ticket: u64) {
        assert!(ticket >= self.acknowledged_ticket);
        self.acknowledged_ticket = ticket;
        let count = self.submitted.iter().take_while(|(of, _)| *of <= ticket).count();
        for (_, op) in self.submitted.drain(..count) {
            self.acknowledged.apply(&op);
        }
    }

    /// The log was opened after a crash: is this something that it may hold? Go on from there.
    pub(crate) fn recover(&mut self, found: Contents) {
        let mut candidate = self.acknowledged.clone();
        let mut submitted = self.submitted.iter();
        while candidate != found {
            let Some((_, op)) = submitted.next() else {
                panic!(
                    "{found:?}\nis not {:?}\nand a part of {:?}",
                    self.acknowledged, self.submitted
                );
            };
            candidate.apply(op);
        }
        *self = Self { acknowledged: found.clone(), newest: found, ..Self::new() };
    }

    /// Nothing was lost: the log was closed.
    pub(crate) fn expect_all(&self, found: &Contents) {
        assert_eq!(*found, self.newest);
    }
}

fn draw_entry(index: u64, term: u64, random: &mut Random) -> Entry {
    let len = match random.below(8) {
        0 => 0,
        1 => random.below(6000),
        _ => random.below(200),
    };
    let fill = random.below(4);
    let payload: Vec<u8> = match fill {
        // Zeros are what a lost sector looks like.
        0 => vec![0; usize::try_from(len).unwrap()],
        _ => (0..len).map(|_| random.next().to_le_bytes()[0]).collect(),
    };
    let kind = if random.below(20) == 0 { EntryKind::Config } else { EntryKind::Command };
    Entry::new(index, term, kind, Bytes::from(payload))
}

/// Make the log, if need be, and open it.
pub(crate) fn open(disk: &SimDisk, options: &Options) -> Result<(Log, Recovery), Error> {
    let io = disk.io();
    if !Log::exists(&io)? {
        Log::create(&io, IDENTITY, options)?;
    }
    Log::open(Arc::clone(&io), options.clone())
}
