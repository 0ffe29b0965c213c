//! What a log must hold after any crash: everything acknowledged, and after that a part of what was
//! submitted, in order, with nothing missing between.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use wal::{Entry, EntryKind, Error, HardState, Identity, Log, Op, Options, Recovery, Vote};

use crate::sim::disk::SimDisk;

/// Whose log it is.
pub const IDENTITY: Identity = Identity { cluster: 0xc1, node: 3, store: 0x5709e };

/// The smallest segments, so that histories rotate.
#[must_use]
pub fn small() -> Options {
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
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// The same for places in memory.
    ///
    /// # Panics
    /// Never.
    pub fn place(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a size")
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    /// From index 1 on.
    pub entries: Vec<Entry>,
    /// Term and vote.
    pub hard_state: HardState,
    /// Which node is which disk.
    pub bindings: BTreeMap<u64, u128>,
}

impl Contents {
    /// What it holds once this is done.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(entries) => self.entries.extend(entries.iter().cloned()),
            Op::TruncateAfter(index) => self.entries.retain(|entry| entry.index <= *index),
            Op::HardState(state) => self.hard_state = *state,
            Op::Bind { node, store } => {
                self.bindings.entry(*node).or_insert(*store);
            }
            // They give back what was there, or say that there may have been more.
            Op::Repair(_) | Op::Doubt | Op::Settle => {}
        }
    }

    /// What an open log holds, every entry read and every summary checked against the entries.
    ///
    /// # Panics
    /// When the log contradicts itself.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn try_of(log: &Log, recovery: &Recovery) -> Result<Self, Error> {
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
        assert!(configs.eq(&recovery.configs), "the configurations are those among the entries");
        assert_eq!(log.reader().term_of(last_index), Some(last_term));
        Ok(Self { entries, hard_state: recovery.hard_state, bindings: recovery.bindings.clone() })
    }

    /// The same of a disk that does not fail.
    ///
    /// # Panics
    /// When the log contradicts itself, or something cannot be read.
    #[must_use]
    pub fn of(log: &Log, recovery: &Recovery) -> Self {
        Self::try_of(log, recovery).expect("what was recovered can be read")
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HardState { term, voted_for } = self.hard_state;
        write!(f, "term {term}, vote {:?}, bound ", voted_for.map(|vote| vote.node))?;
        write!(f, "{:?}, entries", self.bindings.keys().collect::<Vec<_>>())?;
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| {
            write!(f, " {}@{}:{:08x}", entry.index, entry.term, entry.checksum)
        })
    }
}

/// Draws operations, remembers them, and judges what comes back.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// After everything acknowledged.
    acknowledged: Contents,
    acknowledged_ticket: u64,
    /// After everything acknowledged before the newest acknowledgement, and what that was for.
    before: Contents,
    since: Vec<Op>,
    /// After every record that was ever acknowledged.
    past: Vec<Contents>,
    /// Submitted after everything acknowledged, one record each.
    submitted: Vec<(u64, Op)>,
    /// After everything submitted.
    newest: Contents,
    last_ticket: u64,
    /// Counts acknowledgements and recoveries.
    version: u64,
}

impl Model {
    /// Of a log that is yet to be made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Draw an operation and stage it.
    pub fn stage(&mut self, log: &mut Log, random: &mut Random) {
        let op = self.draw(random, 6000);
        self.submit(log, op);
    }

    /// Draw an operation, with payloads below so many bytes and mostly much below.
    pub fn draw(&self, random: &mut Random, payload_max: u64) -> Op {
        let (last, term) = self.last();
        match random.below(10) {
            0 => Op::HardState(self.draw_hard_state(random)),
            1 => Op::Bind { node: random.below(9), store: u128::from(random.draw()) },
            2 => Op::TruncateAfter(last.saturating_sub(random.below(8))),
            _ => {
                let count = random.below(4);
                let entries =
                    (1..=count).map(|i| draw_entry((last + i, term), random, payload_max));
                Op::Append(entries.collect())
            }
        }
    }

    /// The last index, and the term that the next entry may have.
    #[must_use]
    pub fn last(&self) -> (u64, u64) {
        let last = self.newest.entries.last().map_or((0, 0), |last| (last.index, last.term));
        (last.0, self.newest.hard_state.term.max(last.1))
    }

    /// Remember an operation and stage it.
    pub fn submit(&mut self, log: &mut Log, op: Op) {
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
            | Op::Doubt
            | Op::Settle => {
                self.submitted.push((self.last_ticket, op.clone()));
            }
        }
        self.newest.apply(&op);
        log.stage(self.last_ticket, op);
    }

    fn draw_hard_state(&self, random: &mut Random) -> HardState {
        let old = self.newest.hard_state;
        let vote = Vote { node: random.below(5), store: u128::from(random.draw()) };
        match random.below(3) {
            0 if old.voted_for.is_none() => HardState { term: old.term, voted_for: Some(vote) },
            1 => HardState { term: old.term + 1, voted_for: None },
            _ => HardState { term: old.term + 1, voted_for: Some(vote) },
        }
    }

    /// The log called this ticket durable.
    ///
    /// # Panics
    /// When it called a later one durable before.
    pub fn acknowledge(&mut self, ticket: u64) {
        assert!(ticket >= self.acknowledged_ticket, "what is durable stays so");
        self.acknowledged_ticket = ticket;
        let count = self.submitted.iter().take_while(|(of, _)| *of <= ticket).count();
        let acknowledged: Vec<Op> = self.submitted.drain(..count).map(|(_, op)| op).collect();
        // What wrote nothing leaves what was written before it the newest on the disk.
        if acknowledged.iter().any(|op| *op != Op::Append(Vec::new())) {
            self.version += 1;
            self.before = self.acknowledged.clone();
            self.past.extend(after_each(&self.before, acknowledged.iter()));
            acknowledged.iter().for_each(|op| self.acknowledged.apply(op));
            self.since = acknowledged;
        }
    }

    /// The log was closed in order: everything is durable.
    pub fn acknowledge_all(&mut self) {
        self.acknowledge(self.last_ticket);
    }

    /// A disk that was right stays right as long as this does not change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Everything that the log may hold now: what was acknowledged, and after that a part of what was
    /// submitted.
    #[must_use]
    pub fn candidates(&self) -> Vec<Contents> {
        after_each(&self.acknowledged, self.submitted.iter().map(|(_, op)| op))
    }

    /// What it may hold beside when the disk loses what was acknowledged last and nothing else tells:
    /// what was acknowledged before, and a part of that. Term and vote are told by the vote file.
    #[must_use]
    pub fn untold(&self) -> Vec<Contents> {
        let mut untold = after_each(&self.before, self.since.iter());
        untold.retain(|contents| contents.hard_state == self.acknowledged.hard_state);
        untold
    }

    /// Everything that the log was ever known to hold, in order.
    #[must_use]
    pub fn past(&self) -> &[Contents] {
        &self.past
    }

    /// The log was opened after a crash: is this something that it may hold? Go on from there.
    ///
    /// # Panics
    /// When it is not.
    pub fn recover(&mut self, found: Contents) {
        let mut way = self.candidates();
        // The last one: what was truncated again on the way to it was in the log too.
        let end = way.iter().rposition(|candidate| *candidate == found).unwrap_or_else(|| {
            panic!("{found}\nis not {}\nand a part of {:?}", self.acknowledged, self.submitted)
        });
        way.truncate(end + 1);
        let mut past = std::mem::take(&mut self.past);
        past.append(&mut way);
        *self = Self {
            acknowledged: found.clone(),
            before: found.clone(),
            newest: found,
            version: self.version + 1,
            past,
            ..Self::new()
        };
    }

    /// Nothing was lost: the log was closed.
    ///
    /// # Panics
    /// When something was.
    pub fn expect_all(&self, found: &Contents) {
        assert_eq!(*found, self.newest);
    }
}

fn after_each<'a>(first: &Contents, ops: impl Iterator<Item = &'a Op>) -> Vec<Contents> {
    let mut all = vec![first.clone()];
    let mut newest = first.clone();
    for op in ops {
        newest.apply(op);
        all.push(newest.clone());
    }
    all
}

fn draw_entry((index, term): (u64, u64), random: &mut Random, payload_max: u64) -> Entry {
    let len = match random.below(8) {
        0 => 0,
        1 => random.below(payload_max),
        _ => random.below(200),
    };
    let payload: Vec<u8> = match random.below(4) {
        // Zeros are what a lost sector looks like.
        0 => (0..len).map(|_| 0).collect(),
        _ => (0..len).map(|_| random.draw().to_le_bytes()[0]).collect(),
    };
    let kind = if random.below(20) == 0 { EntryKind::Config } else { EntryKind::Command };
    Entry::new(index, term, kind, Bytes::from(payload))
}

/// Make the log, if need be, and open it.
///
/// # Errors
/// As the log says.
pub fn open(disk: &SimDisk, options: &Options) -> Result<(Log, Recovery), Error> {
    let io = disk.io();
    if !Log::exists(&io)? {
        Log::create(&io, IDENTITY, options)?;
    }
    Log::open(Arc::clone(&io), options.clone())
}
