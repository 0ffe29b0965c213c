//! What a node's log must be, worked out from the operations that its replica asked for.
//!
//! The shadow never reads the disk. It knows what was asked for, what was reported durable, and so
//! what a restart may find: everything durable, then any prefix of the rest, and nothing else.

use std::collections::{BTreeMap, VecDeque};

use election::Ticket;
use wal::{HardState, Op};

use super::checkers::{Checked, Violation, violated};

/// One entry, as far as comparisons go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) term: u64,
    pub(crate) checksum: u32,
}

/// An entry that the log knows it cannot read.
pub(crate) const HOLE: Mark = Mark { term: 0, checksum: 0 };

/// What a disk may have done to a log, beside losing what was not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Harm {
    None,
    /// What was not synced may be garbage: what it was, and whether there was more, may be unknown.
    Garbled,
    /// Anything may be.
    Damaged,
}

/// A log and its hard state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Image {
    /// Entry `i` stands at `i - 1`.
    pub(crate) entries: Vec<Mark>,
    pub(crate) hard_state: HardState,
    /// There may have been more: the log says that it does not know.
    pub(crate) is_end_unknown: bool,
    /// Which node is which disk; the first word counts.
    pub(crate) bindings: BTreeMap<u64, u128>,
}

/// The shadow of one node's log.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    /// After every operation asked for.
    pub(crate) asked: Image,
    /// After every operation reported durable.
    pub(crate) durable: Image,
    /// Asked for and not reported durable.
    pending: VecDeque<(Ticket, Change)>,
    /// Entries that were cut: where damage took the cut with it, they are there again.
    cut: BTreeMap<u64, Vec<Mark>>,
    newest: Ticket,
}

#[derive(Clone, Debug)]
enum Change {
    Append(Mark),
    Repair(u64, Mark),
    EndUnknown(bool),
    TruncateAfter(u64),
    HardState(HardState),
    Bind(u64, u128),
}

impl Image {
    /// The index of the last entry.
    pub(crate) fn last(&self) -> u64 {
        u64::try_from(self.entries.len()).expect("a length fits 64 bits")
    }

    /// The entry at `index`, if there is one that can be read.
    pub(crate) fn at(&self, index: u64) -> Option<Mark> {
        self.place(index).filter(|mark| *mark != HOLE)
    }

    fn place(&self, index: u64) -> Option<Mark> {
        let slot = usize::try_from(index.checked_sub(1)?).expect("an index fits memory");
        self.entries.get(slot).copied()
    }

    /// Can everything be read?
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_end_unknown && !self.entries.contains(&HOLE)
    }

    /// Is it this log, but for what it knows to be lost? Where that may be the end, what was cut may have
    /// come back.
    fn is_remains_of(&self, whole: &Self, cut: &BTreeMap<u64, Vec<Mark>>) -> bool {
        let same = |(mark, index): (&Mark, u64)| {
            let was_cut = || cut.get(&index).is_some_and(|marks| marks.contains(mark));
            *mark == HOLE || whole.place(index) == Some(*mark) || self.is_end_unknown && was_cut()
        };
        self.entries.iter().zip(1..).all(same)
            && (self.last() == whole.last() || self.is_end_unknown)
    }

    /// Is it this log, but for what it cannot read beyond `durable`, and for a doubt about the end?
    fn is_garbled_of(&self, whole: &Self, durable: u64) -> bool {
        let same = |((&mark, &was), index): ((&Mark, &Mark), u64)| {
            mark == was || mark == HOLE && index > durable
        };
        self.last() == whole.last()
            && self.entries.iter().zip(&whole.entries).zip(1..).all(same)
            && self.is_end_unknown >= whole.is_end_unknown
            && self.bindings == whole.bindings
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(mark) => self.entries.push(*mark),
            Change::Repair(index, mark) => {
                let slot = usize::try_from(*index - 1).expect("an index fits memory");
                self.entries[slot] = *mark;
            }
            Change::EndUnknown(is_unknown) => self.is_end_unknown = *is_unknown,
            Change::TruncateAfter(last) => {
                self.entries.truncate(usize::try_from(*last).expect("an index fits memory"));
            }
            Change::HardState(state) => self.hard_state = *state,
            Change::Bind(node, store) => {
                self.bindings.entry(*node).or_insert(*store);
            }
        }
    }
}

impl Shadow {
    /// The replica asks for `op`. Entries follow the last one, terms never go back, and a vote is
    /// never changed within its term.
    pub(crate) fn ask(&mut self, ticket: Ticket, op: &Op) -> Checked {
        if ticket.0 != self.newest.0 + 1 {
            return violated(format!("ticket {} follows {}", ticket.0, self.newest.0));
        }
        self.newest = ticket;
        match op {
            Op::Append(entries) => {
                for (next, entry) in (self.asked.last() + 1..).zip(entries) {
                    if entry.index != next || !entry.is_intact() {
                        return violated(format!("entry {} is appended at {next}", entry.index));
                    }
                    let mark = Mark { term: entry.term, checksum: entry.checksum };
                    self.change(ticket, Change::Append(mark));
                }
            }
            Op::TruncateAfter(last) => {
                for index in last + 1..=self.asked.last() {
                    self.cut.entry(index).or_default().extend(self.asked.at(index));
                }
                self.change(ticket, Change::TruncateAfter(*last));
            }
            Op::HardState(state) => {
                check_step(self.asked.hard_state, *state)?;
                self.change(ticket, Change::HardState(*state));
            }
            Op::Bind { node, store } => self.change(ticket, Change::Bind(*node, *store)),
            Op::Repair(entry) => {
                let mark = Mark { term: entry.term, checksum: entry.checksum };
                let found = self.asked.place(entry.index);
                if !entry.is_intact() || found != Some(HOLE) && found != Some(mark) {
                    return violated(format!("{mark:?} repairs {found:?} at {}", entry.index));
                }
                self.change(ticket, Change::Repair(entry.index, mark));
            }
            Op::Doubt => self.change(ticket, Change::EndUnknown(true)),
            Op::Settle => self.change(ticket, Change::EndUnknown(false)),
        }
        Ok(())
    }

    fn change(&mut self, ticket: Ticket, change: Change) {
        self.asked.apply(&change);
        self.pending.push_back((ticket, change));
    }

    /// Everything up to `ticket` is reported durable.
    pub(crate) fn settle(&mut self, ticket: Ticket) {
        while self.pending.front().is_some_and(|(pending, _)| *pending <= ticket) {
            if let Some((_, change)) = self.pending.pop_front() {
                self.durable.apply(&change);
            }
        }
    }

    /// The log was closed: everything asked for is durable.
    pub(crate) fn settle_all(&mut self) {
        self.settle(self.newest);
    }

    /// A restart found `recovered`: everything durable and a prefix of the rest, to the entry, for
    /// the log may divide an operation. Term and vote may be further on than the entries, for they
    /// have a file of their own. Returns how many changes are lost. Tickets begin anew.
    pub(crate) fn restart(&mut self, recovered: Image, harm: Harm) -> Result<usize, Violation> {
        let mut image = self.durable.clone();
        let mut kept = 0;
        while !self.may_find((&image, kept), &recovered, harm) {
            let Some((_, change)) = self.pending.get(kept) else {
                return Err(self.mismatch(&recovered));
            };
            image.apply(change);
            kept += 1;
        }
        let lost = self.pending.len() - kept;
        self.asked = recovered.clone();
        self.durable = recovered;
        self.pending.clear();
        self.newest = Ticket(0);
        Ok(lost)
    }

    /// Is `found` what `image` says, but for a hard state that was asked for after it?
    fn may_find(&self, (image, kept): (&Image, usize), found: &Image, harm: Harm) -> bool {
        let is_found = |change: &Change| matches!(change, Change::HardState(state) if *state == found.hard_state);
        let is_same = image.entries == found.entries
            && image.is_end_unknown == found.is_end_unknown
            && image.bindings == found.bindings;
        let may_be = match harm {
            Harm::None => false,
            Harm::Garbled => found.is_garbled_of(image, self.durable.last()),
            Harm::Damaged => found.is_remains_of(image, &self.cut),
        };
        (is_same || may_be)
            && (image.hard_state == found.hard_state
                || self.pending.iter().skip(kept).any(|(_, change)| is_found(change)))
    }

    fn mismatch(&self, recovered: &Image) -> Violation {
        let Image { hard_state: durable, .. } = self.durable;
        Violation(format!(
            "recovery found {} entries, {:?} unread, end unknown {}, and {:?}; durable were {} and \
             {durable:?}, asked for {} and {:?}",
            recovered.last(),
            (1..=recovered.last()).filter(|&at| recovered.at(at).is_none()).collect::<Vec<_>>(),
            recovered.is_end_unknown,
            recovered.hard_state,
            self.durable.last(),
            self.asked.last(),
            self.asked.hard_state,
        ))
    }
}

fn check_step(old: HardState, new: HardState) -> Checked {
    if new.term < old.term {
        return violated(format!("the term goes back from {} to {}", old.term, new.term));
    }
    if new.term == old.term && old.voted_for.is_some() && new.voted_for != old.voted_for {
        return violated(format!("the vote of term {} changes", new.term));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
