//! The log as its owner and its readers see it together, in memory: what is in line, the newest
//! entries, and where each older one lies.
//!
//! What always holds: an entry that is not yet written is in the tail; a position is used
//! only below the tail, where it is that of the entry now in force; what is read under one lock is one
//! history. The lock is held for memory work only, never for I/O.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Entry, Error, FAULTY_RANGES_MAX, FaultyKind, FaultyRange, HardState, Op, RepairError,
    batch::{FRAME_HEADER_BYTES, Record},
    codec::{len_u64, to_usize},
    commit::Signals,
    faulty::Faulty,
    fetch::{Piece, entry_bytes},
    positions::Positions,
    segment::Segment,
    terms::Terms,
};

/// The view and its lock.
#[derive(Debug)]
pub(crate) struct Shared {
    view: Mutex<View>,
    /// Signalled when the writer thread has something to do.
    pub(crate) changed: Condvar,
}

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        Self { view: Mutex::new(view), changed: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, View> {
        // A panic under the lock is a broken assertion in a caller's thread, before anything changed.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let go of the lock until `changed` is signalled (or for no reason).
    pub(crate) fn wait<'a>(&self, view: MutexGuard<'a, View>) -> MutexGuard<'a, View> {
        self.changed.wait(view).unwrap_or_else(PoisonError::into_inner)
    }
}

/// May `new` follow `old`? A term never goes back, and a vote is given once in a term.
pub(crate) fn may_follow(old: HardState, new: HardState) -> bool {
    new.term > old.term
        || (new.term == old.term && (old.voted_for.is_none() || new.voted_for == old.voted_for))
}

/// Something in line to be written.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The newest ticket that is complete once this is written.
    pub(crate) ticket: u64,
    /// None for an operation that writes nothing.
    pub(crate) record: Option<Record>,
}

impl Pending {
    fn frame_bytes(&self) -> usize {
        self.record.as_ref().map_or(0, Record::frame_bytes)
    }
}

#[derive(Debug)]
struct Cached {
    entry: Entry,
    /// Its place in the line.
    number: u64,
}

/// The bounds that the view keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewBounds {
    pub(crate) tail_cache_bytes: usize,
    pub(crate) entry_bytes_max: usize,
}

/// What owner and readers share.
#[derive(Debug)]
pub(crate) struct View {
    /// A write or sync failed: nothing can be trusted any more.
    pub(crate) poisoned: bool,
    /// What it was, for those who wait.
    failure: Option<Error>,
    /// What else the writer thread is told.
    pub(crate) signals: Signals,
    pub(crate) terms: Terms,
    bounds: ViewBounds,
    hard_state: HardState,
    pub(crate) positions: Positions,
    /// The segments in use, in the order of their batches. All but the last are full.
    pub(crate) used: Vec<Arc<Segment>>,
    /// How many are made ahead.
    pub(crate) spares: usize,
    tail: VecDeque<Cached>,
    tail_bytes: usize,
    /// What readers found faulty and the writer was not told.
    found: Faulty,
    /// Repaired entries that are not yet written.
    repairs: BTreeMap<u64, Cached>,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    last_ticket: u64,
    /// How many times the line was begun to be written, wrapping.
    round: u32,
    /// How many records were ever put in line, and written.
    staged: u64,
    written: u64,
}

/// Where to find a range of entries: first on disk, then in memory.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) on_disk: Vec<Piece>,
    pub(crate) in_memory: Vec<Entry>,
}

impl View {
    pub(crate) fn new(
        bounds: ViewBounds,
        terms: Terms,
        hard_state: HardState,
        positions: Positions,
    ) -> Self {
        Self {
            poisoned: false,
            failure: None,
            signals: Signals::default(),
            terms,
            bounds,
            hard_state,
            positions,
            used: Vec::new(),
            spares: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            found: Faulty::default(),
            repairs: BTreeMap::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            last_ticket: 0,
            round: 0,
            staged: 0,
            written: 0,
        }
    }

    /// Put `op` in line; readers see it from now on.
    pub(crate) fn stage(&mut self, ticket: u64, op: Op) {
        if !matches!(op, Op::Append(_)) {
            self.take_ticket(ticket);
        }
        match op {
            Op::Append(entries) => self.stage_entries(ticket, entries.into_iter()),
            Op::TruncateAfter(index) => {
                self.terms.truncate_after(index);
                self.found.truncate_after(index);
                self.repairs.split_off(&index.saturating_add(1));
                while self.tail.back().is_some_and(|cached| cached.entry.index > index) {
                    let cached = self.tail.pop_back().expect("there is a last one");
                    self.tail_bytes -= entry_bytes(&cached.entry);
                }
                self.push(ticket, Record::TruncateAfter(index));
            }
            Op::HardState(state) => {
                assert!(
                    may_follow(self.hard_state, state),
                    "{state:?} cannot follow {:?}",
                    self.hard_state
                );
                self.hard_state = state;
                self.push(ticket, Record::HardState(state));
            }
            Op::Bind { node, store } => self.push(ticket, Record::Bind { node, store }),
            Op::Repair(entry) if self.is_readable(entry.index, entry.term) => {
                self.pending.push_back(Pending { ticket, record: None });
            }
            Op::Repair(entry) => {
                let admitted = self.can_repair(&entry);
                assert!(admitted.is_ok(), "an entry that cannot repair the log: {admitted:?}");
                self.terms.repair(entry.index, entry.term);
                self.found.repair(entry.index, entry.term);
                let cached = Cached { entry: entry.clone(), number: self.staged + 1 };
                self.repairs.insert(entry.index, cached);
                self.push(ticket, Record::Repaired(entry));
            }
            Op::Doubt => {
                let (last, term) = self.terms.last;
                self.terms.faulty.doubt_end(last.saturating_add(1), term);
                let in_doubt = self.terms.faulty.list().pop();
                self.push(ticket, Record::Faulty(in_doubt.expect("a doubt was just noted")));
            }
            Op::Settle => {
                self.terms.faulty.settle();
                self.push(ticket, Record::Settled);
            }
        }
    }

    /// [`Op::Append`].
    pub(crate) fn stage_entries(
        &mut self,
        ticket: u64,
        entries: impl ExactSizeIterator<Item = Entry>,
    ) {
        let before = self.take_ticket(ticket);
        let last = entries.len().checked_sub(1);
        if last.is_none() {
            self.pending.push_back(Pending { ticket, record: None });
        }
        for (i, entry) in entries.enumerate() {
            self.append(entry, if Some(i) == last { ticket } else { before });
        }
    }

    /// Returns the ticket before.
    fn take_ticket(&mut self, ticket: u64) -> u64 {
        let before = self.last_ticket;
        assert!(ticket > 0, "tickets count from 1");
        assert!(before == 0 || ticket == before + 1, "ticket {ticket} is out of order");
        self.last_ticket = ticket;
        before
    }

    /// Is there an entry of this term, and not faulty?
    fn is_readable(&self, index: u64, term: u64) -> bool {
        self.terms.faulty.get(index).is_none() && self.terms.term_of(index) == Some(term)
    }

    /// May this entry take the place of a lost one?
    pub(crate) fn can_repair(&self, entry: &Entry) -> Result<(), RepairError> {
        let index = entry.index;
        self.terms.faulty.admits(index, entry.term)?;
        if entry.payload.len() > self.bounds.entry_bytes_max {
            return Err(RepairError::TooLarge { index });
        }
        if entry.is_intact() { Ok(()) } else { Err(RepairError::Damaged { index }) }
    }

    /// The entry at `index` was read as a part of `piece` and is damaged. None when it is not in force any
    /// more, or no more ranges can be listed.
    pub(crate) fn found_faulty(&mut self, index: u64, piece: &Piece) -> Option<FaultyRange> {
        let is_older = self.tail.front().is_none_or(|cached| index < cached.entry.index);
        let in_force =
            is_older && !self.repairs.contains_key(&index) && self.positions.is_in(index, piece);
        let term = self.terms.term_of(index)?;
        let kind = FaultyKind::Corrupt;
        let range = FaultyRange { first: index, last: index, term_min: term, term_max: term, kind };
        if !in_force || self.terms.faulty.list().len() >= FAULTY_RANGES_MAX {
            return None;
        }
        self.terms.faulty.mark(range);
        self.found.mark(range);
        Some(range)
    }

    /// Damage in `segment` took what it holds of `first..=last`. Returns the first and last entry lost, if
    /// any was in force. However many they are, the lock is held for a few steps for each run of one term.
    pub(crate) fn lose(
        &mut self,
        segment: &Arc<Segment>,
        first: u64,
        last: u64,
    ) -> Option<(u64, u64)> {
        // What is still in memory is not lost.
        let on_disk = self.tail.front().map_or(u64::MAX, |cached| cached.entry.index - 1);
        let last = last.min(self.terms.last.0).min(on_disk);
        let mut lost: Option<(u64, u64)> = None;
        for (first, last) in self.positions.in_segment(segment, first, last) {
            let mut next = first;
            while next <= last {
                let Some(end) = self.lose_from(next, last) else { return lost };
                if !self.repairs.contains_key(&next) {
                    lost = Some((lost.map_or(next, |lost| lost.0), end));
                }
                next = end + 1;
            }
        }
        lost
    }

    /// Entries from `first` on up to the one that comes back, `last` at most, are lost or not, all alike. None
    /// when no more ranges can be listed.
    fn lose_from(&mut self, first: u64, last: u64) -> Option<u64> {
        let (term, run_last) = self.terms.run_of(first);
        let mut last = last.min(run_last);
        match self.repairs.range(first..=last).next() {
            Some((&index, _)) if index == first => return Some(first),
            Some((&index, _)) => last = index - 1,
            None => {}
        }
        match self.terms.faulty.next_from(first) {
            Some(range) if range.contains(first) => return Some(last.min(range.last)),
            Some(range) => last = last.min(range.first - 1),
            None => {}
        }
        if self.terms.faulty.list().len() >= FAULTY_RANGES_MAX {
            return None;
        }
        let kind = FaultyKind::Corrupt;
        let range = FaultyRange { first, last, term_min: term, term_max: term, kind };
        self.terms.faulty.mark(range);
        self.found.mark(range);
        Some(last)
    }

    /// What was found faulty since the last call, if it can be listed beside `listed` ranges, each of which
    /// a repair in line may divide; else it waits.
    pub(crate) fn take_found(&mut self, listed: usize) -> Vec<FaultyRange> {
        let found = self.found.list();
        if found.is_empty() {
            return found;
        }
        let is_repair = |pending: &&Pending| matches!(pending.record, Some(Record::Repaired(_)));
        let repairs = self.pending.iter().filter(is_repair).count();
        if listed + repairs + found.len() > FAULTY_RANGES_MAX {
            return Vec::new();
        }
        self.found = Faulty::default();
        found
    }

    fn append(&mut self, entry: Entry, ticket: u64) {
        assert!(
            self.terms.admits(entry.index, entry.term),
            "entry {} of term {} cannot follow {:?}",
            entry.index,
            entry.term,
            self.terms.last
        );
        assert!(entry.payload.len() <= self.bounds.entry_bytes_max, "an entry exceeds its bound");
        // Who makes an entry makes its checksum, and who takes one in from elsewhere checks it: see `Op`.
        debug_assert!(entry.is_intact(), "entry {} fails its checksum", entry.index);
        self.terms.push(entry.index, entry.term);
        self.tail_bytes += entry_bytes(&entry);
        self.tail.push_back(Cached { entry: entry.clone(), number: self.staged + 1 });
        self.push(ticket, Record::Entry(entry));
    }

    fn push(&mut self, ticket: u64, record: Record) {
        self.staged += 1;
        self.pending_bytes += record.frame_bytes();
        self.pending.push_back(Pending { ticket, record: Some(record) });
    }

    /// A write or sync failed, for the first time or as it always will from then on.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.poisoned = true;
        self.failure.get_or_insert_with(|| error.again());
    }

    /// Why nothing goes on.
    pub(crate) fn failure(&self) -> Error {
        self.failure.as_ref().map_or(Error::Poisoned, Error::again)
    }

    pub(crate) const fn last_ticket(&self) -> u64 {
        self.last_ticket
    }

    pub(crate) const fn round(&self) -> u32 {
        self.round
    }

    /// What is in line now belongs to a new round: how much is it?
    pub(crate) fn begin_round(&mut self) -> usize {
        self.round = self.round.wrapping_add(1);
        self.pending.len()
    }

    /// Is there anything for the writer thread?
    pub(crate) fn is_work(&self) -> bool {
        !self.pending.is_empty() || self.signals.end.is_some() || self.signals.done.is_some()
    }

    pub(crate) const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The size of the next frame in line; 0 when nothing is, or it writes nothing.
    fn next_frame_bytes(&self) -> usize {
        self.pending.front().map_or(0, Pending::frame_bytes)
    }

    /// Move what is first in line to `taken`, which is empty: up to `bytes_max` and `count_max`, and one
    /// in any case that fits `room`. If none does, the size of its frame comes back.
    pub(crate) fn take(
        &mut self,
        room: usize,
        (bytes_max, count_max): (usize, usize),
        taken: &mut VecDeque<Pending>,
    ) -> Result<(), usize> {
        let first = self.next_frame_bytes();
        if first > room {
            return Err(first);
        }
        let bytes_max = bytes_max.min(room);
        if self.pending.len() <= count_max && self.pending_bytes <= bytes_max {
            self.pending_bytes = 0;
            std::mem::swap(&mut self.pending, taken);
            return Ok(());
        }
        let mut bytes = 0;
        let fits = |pending: &&Pending| {
            bytes += pending.frame_bytes();
            bytes <= bytes_max
        };
        let count = self.pending.iter().take(count_max).take_while(fits).count().max(1);
        taken.extend(self.pending.drain(..count));
        self.pending_bytes -= taken.iter().map(Pending::frame_bytes).sum::<usize>();
        Ok(())
    }

    /// The records of a batch are in `segment`, at these offsets.
    pub(crate) fn written(&mut self, records: &[Pending], offsets: &[u64], segment: &Arc<Segment>) {
        let records = records.iter().filter_map(|pending| pending.record.as_ref());
        for (record, &offset) in records.zip(offsets) {
            self.written += 1;
            match record {
                Record::Entry(entry) => self.positions.push(segment, entry.index, offset),
                Record::TruncateAfter(index) => self.positions.truncate_after(*index),
                Record::Repaired(entry) => {
                    self.positions.repair(segment, entry.index, offset);
                    let in_memory = self.repairs.get(&entry.index);
                    if in_memory.is_some_and(|cached| cached.number == self.written) {
                        self.repairs.remove(&entry.index);
                    }
                }
                Record::HardState(_)
                | Record::Bind { .. }
                | Record::Faulty(_)
                | Record::Settled => {}
            }
        }
        while self.tail_bytes > self.bounds.tail_cache_bytes
            && self.tail.front().is_some_and(|cached| cached.number <= self.written)
        {
            let cached = self.tail.pop_front().expect("there is a first one");
            self.tail_bytes -= entry_bytes(&cached.entry);
        }
    }

    /// Where `first..=last` are, as far as `bytes_max` can reach and up to the first that is faulty; that
    /// range, when it begins with one.
    pub(crate) fn plan(
        &self,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Plan, FaultyRange> {
        let mut plan = Plan::default();
        let count_max = bytes_max / FRAME_HEADER_BYTES + 1;
        let mut last =
            last.min(self.terms.last.0).min(first.saturating_add(len_u64(count_max) - 1));
        if first == 0 || first > last {
            return Ok(plan);
        }
        match self.terms.faulty.next_from(first) {
            Some(range) if range.contains(first) => return Err(*range),
            Some(range) => last = last.min(range.first - 1),
            None => {}
        }
        // A repair on its way to the disk divides the answer.
        if let Some((&index, cached)) = self.repairs.range(first..=last).next() {
            if index == first {
                plan.in_memory.push(cached.entry.clone());
                return Ok(plan);
            }
            last = index - 1;
        }
        let tail_first = self.tail.front().map_or(u64::MAX, |cached| cached.entry.index);
        if first < tail_first {
            let last = last.min(tail_first - 1);
            plan.on_disk = self.positions.pieces(first, last);
        }
        if last >= tail_first {
            let skipped = to_usize(first.max(tail_first) - tail_first);
            let wanted = to_usize(last - first.max(tail_first) + 1);
            let cached = self.tail.range(skipped..).take(wanted);
            plan.in_memory.extend(cached.map(|cached| cached.entry.clone()));
        }
        Ok(plan)
    }
}
