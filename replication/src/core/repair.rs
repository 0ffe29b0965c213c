//! Repair of a damaged log from the other nodes (research/wal.md §3.6; traps 11 to 14, 17, 37).
//!
//! A lost entry is put back from any log that provably held the same one. Two logs that hold one entry
//! of the same index and term are the same below it (log matching), so the asker names an *anchor*, the
//! first entry at or above the lost ones whose term it knows, and takes only from who holds that too. An
//! end of unknown terms has no anchor: what stands there the leader's appends say
//! (`super::follower`).
//!
//! ```text
//!   asker                                              any member, the leader first
//!     |-- Mend { first..=last, anchor } ------------------------>|
//!     |<- Mended { holds: true, entries } -----------------------|  put back, whatever the order
//!     |<- Mended { holds: false, end } (the leader of the term) -|  the anchor was never committed: cut
//!     |<- Mended { end } (the leader) ---------------------------|  what lies beyond never was either
//! ```
//!
//! What always holds:
//! - while anything is faulty, or the end in doubt, this node does not stand for election and votes for
//!   no log that ends before the last entry that it may have lost;
//! - a faulty entry is repaired by the same entry, or cut because the leader of a term that this disk
//!   remembers has another one there or none: never dropped for being unreadable;
//! - the doubt about the end is over only when this log equals that of such a leader up to an end that
//!   was asked for in this life, after an entry of that term was committed;
//! - entries that cannot be read are shown to nobody as committed.

use std::collections::{BTreeMap, BTreeSet};

use election::{EntryId, Index, Micros, NodeId, Term, VoterId};
use wal::{Entry, EntryKind, FaultyRange};

use super::{
    Core, electorate,
    leader::fitting,
    log::{Log, id},
};
use crate::{ClusterConfig, Effect, Effects, FetchId, Halt, Message, Now, Room};

#[derive(Debug, Default)]
pub(crate) struct Repair {
    asked: Option<Asked>,
    /// Not before.
    ask_at: Micros,
    /// Where to look for the next range to ask for.
    from: u64,
    /// How often all ranges were asked for: who is asked when there is no leader.
    turn: usize,
    /// Who could not give a range that was asked for.
    refused: BTreeMap<(u64, u64), BTreeSet<NodeId>>,
    /// The leader of this term said that its log ended here.
    end: Option<(Term, Index)>,
    /// Questions of others that wait for the disk.
    served: BTreeMap<NodeId, Served>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    name: u64,
    to: NodeId,
    since: Micros,
    anchor: EntryId,
    first: u64,
    last: u64,
}

/// A question that is being answered.
#[derive(Clone, Copy, Debug)]
struct Served {
    fetch: FetchId,
    name: u64,
    anchor: EntryId,
    first: Index,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) term: Term,
    pub(crate) end: Option<Index>,
    pub(crate) holds: bool,
    pub(crate) entries: Vec<Entry>,
}

impl Core {
    /// When to ask, or to ask another one.
    pub(crate) fn repair_deadline(&self) -> Option<Micros> {
        let is_due = !self.log.is_whole() && self.electorate.voters() != [self.me.node];
        let asked = self.repair.asked.map(|asked| asked.since.plus(self.timing.answer));
        is_due.then(|| asked.unwrap_or(self.repair.ask_at))
    }

    /// More of the log was found to be faulty.
    pub(crate) fn damaged(&mut self, now: Now, ranges: &[FaultyRange]) {
        let mut is_news = false;
        for range in ranges {
            is_news |= self.log.lose(range);
        }
        if !is_news {
            return;
        }
        // Whatever was answered was not about this.
        (self.repair.asked, self.repair.end) = (None, None);
        self.repair.refused.clear();
        self.repair.ask_at = now.monotonic;
    }

    /// Ask for what is lost, one question at a time.
    pub(crate) fn ask_for_repair(&mut self, now: Now, effects: &mut Effects) {
        if self.repair_deadline().is_none_or(|due| now.monotonic < due) {
            return;
        }
        if self.repair.asked.take().is_some() {
            self.repair.turn += 1;
        }
        self.repair.ask_at = now.monotonic.plus(self.timing.append_retry);
        let Some(to) = self.repairer() else { return };
        let (first, last, anchor) = self.wanted().unwrap_or_else(|| (1, 0, EntryId::default()));
        let name = self.name();
        self.repair.asked = Some(Asked { name, to, since: now.monotonic, anchor, first, last });
        let (first, last) = (Index(first), Index(last));
        let message = Message::Mend { id: name, first, last, anchor };
        self.send(to, message, self.tickets.hard_state, effects);
    }

    /// The leader, or else each of the voters in turn.
    fn repairer(&self) -> Option<NodeId> {
        let is_other = |node: &NodeId| *node != self.me.node && self.is_connected(*node);
        let leader = self.leader.filter(|_| self.repair.turn.is_multiple_of(2));
        let voters = self.electorate.voters();
        let turns = voters.iter().cycle().skip(self.repair.turn % voters.len().max(1));
        leader.filter(is_other).or_else(|| turns.copied().take(voters.len()).find(is_other))
    }

    /// The next range that has an anchor.
    fn wanted(&mut self) -> Option<(u64, u64, EntryId)> {
        let from = self.repair.from;
        let ranges = self.log.faulty().list();
        let anchored = |range: &FaultyRange| {
            let anchor = (range.last != u64::MAX).then(|| self.log.anchor(range)).flatten()?;
            Some((range.first, range.last, anchor))
        };
        let later = ranges.iter().filter(|range| range.first >= from).find_map(anchored);
        if later.is_none() {
            self.repair.from = 0;
        }
        later.or_else(|| ranges.iter().find_map(anchored))
    }

    /// Somebody cannot read its log.
    pub(crate) fn on_mend(
        &mut self,
        from: VoterId,
        name: u64,
        (first, last, anchor): (Index, Index, EntryId),
        effects: &mut Effects,
    ) {
        let mut first = first.max(Index(1));
        while let Some(lost) = self.log.faulty().get(first.0) {
            first = Index(lost.last.saturating_add(1));
        }
        let last = last.min(anchor.index).min(self.log.readable_from(Index(first.0 - 1)));
        let served = Served { fetch: FetchId(self.fetches + 1), name, anchor, first };
        if !self.log.holds(anchor) || first > last {
            return self.answer_mend(from.node, served, Vec::new(), effects);
        }
        if let Some(recent) = self.log.recent(first) {
            let wanted = recent.take_while(|entry| entry.index <= last.0);
            let count = fitting(wanted.clone(), &self.limits);
            let entries = wanted.take(count).cloned().collect();
            return self.answer_mend(from.node, served, entries, effects);
        }
        self.fetches += 1;
        self.repair.served.insert(from.node, served);
        let bytes_max = u32::try_from(self.limits.append_bytes_max).unwrap_or(u32::MAX);
        effects.push(Effect::Fetch { fetch: served.fetch, first, last, bytes_max });
    }

    /// Were these entries read for somebody's repair?
    pub(crate) fn on_fetched_for_repair(
        &mut self,
        fetch: FetchId,
        entries: &mut Vec<Entry>,
        effects: &mut Effects,
    ) -> bool {
        let mut served = self.repair.served.iter();
        let Some((&to, &served)) = served.find(|(_, served)| served.fetch == fetch) else {
            return false;
        };
        self.repair.served.remove(&to);
        let mut entries = std::mem::take(entries);
        entries.truncate(fitting(entries.iter(), &self.limits));
        let expected = (served.first.0..)
            .zip(&entries)
            .all(|(index, entry)| entry.index == index && self.log.holds(id(entry)));
        if !expected {
            entries.clear();
        }
        self.answer_mend(to, served, entries, effects);
        true
    }

    fn answer_mend(&self, to: NodeId, served: Served, entries: Vec<Entry>, effects: &mut Effects) {
        let Served { name, anchor, first, .. } = served;
        let holds = self.log.holds(anchor);
        let end = self.lead.is_some().then(|| self.log.last().index);
        let entries = if holds { entries } else { Vec::new() };
        let message = Message::Mended { id: name, term: self.term, end, holds, first, entries };
        self.send(to, message, self.tickets.hard_state, effects);
    }

    pub(crate) fn on_mended(
        &mut self,
        now: Now,
        from: VoterId,
        answer: Answer,
        effects: &mut Effects,
    ) {
        let is_it = |asked: &mut Asked| asked.name == answer.id && asked.to == from.node;
        let Some(Asked { anchor, first, last, .. }) = self.repair.asked.take_if(is_it) else {
            return;
        };
        let end = answer.end.filter(|_| {
            answer.term == self.term && self.leader == Some(from.node) && self.lead.is_none()
        });
        if let Some(end) = end {
            self.repair.end = Some((self.term, end));
        }
        let before = self.log.faulty().clone();
        let has_none = answer.entries.is_empty();
        if answer.holds {
            self.put_back(now, anchor, answer.entries, effects);
        } else if end.is_some() && self.log.holds(anchor) {
            // It leads the term that this disk remembers, and so holds whatever is committed.
            if anchor.index <= self.commit {
                return self.halt(Halt::Diverged { at: anchor.index }, effects);
            }
            self.truncate_after(now, Index(anchor.index.0 - 1), effects);
        }
        self.settle_if_sure(now, effects);
        if *self.log.faulty() == before {
            // Others may have what this one has not.
            if has_none && first <= last {
                self.repair.refused.entry((first, last)).or_default().insert(from.node);
            }
            self.repair.from = last.saturating_add(1);
            self.repair.turn += 1;
            self.repair.ask_at = now.monotonic.plus(self.timing.append_retry);
        } else {
            self.repair.refused.clear();
            self.repair.ask_at = now.monotonic;
            self.show_repaired(effects);
        }
    }

    /// Who had nothing of this range.
    pub(super) fn refused(&self, range: &FaultyRange) -> impl Iterator<Item = NodeId> {
        self.repair.refused.get(&(range.first, range.last)).into_iter().flatten().copied()
    }

    /// Entries of a log that holds `anchor`.
    fn put_back(&mut self, now: Now, anchor: EntryId, entries: Vec<Entry>, effects: &mut Effects) {
        if !self.log.holds(anchor) || self.room == Room::None {
            return;
        }
        for entry in entries {
            if Index(entry.index) <= anchor.index && entry.is_intact() {
                self.repair_one(now, entry, effects);
            }
        }
    }

    /// Put one entry in its place, if it can stand there.
    pub(super) fn repair_one(&mut self, now: Now, entry: Entry, effects: &mut Effects) {
        let config = match entry.kind {
            EntryKind::Config => match ClusterConfig::decode(&entry.payload) {
                Ok(config) if electorate(&config).is_ok() => Some(config),
                Ok(_) | Err(_) => return,
            },
            EntryKind::Command | EntryKind::NoOp => None,
        };
        if !self.log.can_repair(&entry) {
            return;
        }
        let ticket = self.persist(now, wal::Op::Repair(entry.clone()), effects);
        if self.log.repair(ticket, &entry, config) {
            self.config_changed(effects);
        }
    }

    /// The leader, which must not count on what was lost, may count on it again; and so may the fold.
    pub(super) fn show_repaired(&mut self, effects: &mut Effects) {
        self.show_commit(effects);
        if let Some(leader) = self.leader.filter(|_| self.lead.is_none()) {
            let matched = self.verified.min(self.log.readable_from(self.commit));
            let message = Message::Appended { term: self.term, matched };
            self.send(leader, message, self.tickets.issued, effects);
        }
    }

    /// Is what is still in doubt provably beyond everything committed?
    pub(super) fn settle_if_sure(&mut self, now: Now, effects: &mut Effects) {
        if self.log.is_whole() || self.lead.is_some() || self.leader.is_none() {
            return;
        }
        let said = self.repair.end.filter(|(term, _)| *term == self.term);
        let Some((_, end)) = said.filter(|(_, end)| *end <= self.verified) else { return };
        let own_committed = self.log.term_of(self.commit) == Some(self.term);
        if !own_committed || self.log.readable_from(Index(0)) < end {
            return;
        }
        let readable = self.log.readable_from(Index(0));
        if readable < self.log.last().index && readable >= self.verified {
            self.truncate_after(now, readable, effects);
        }
        if self.log.faulty().is_end_in_doubt()
            && self.log.readable_from(Index(0)) == self.last().index
        {
            self.persist(now, wal::Op::Settle, effects);
            self.log.settle();
        }
    }

    /// The leader counts on more than this log holds (research trap 37): say so, and never vote on the
    /// strength of what is left.
    pub(super) fn check_counted(
        &mut self,
        now: Now,
        leader: VoterId,
        matched: Index,
        effects: &mut Effects,
    ) {
        let end = self.log.sure_end();
        if matched <= end {
            return;
        }
        if matched > self.log.last().index && !self.log.faulty().is_end_in_doubt() {
            self.persist(now, wal::Op::Doubt, effects);
            self.log.doubt(self.term);
            self.repair.ask_at = now.monotonic;
        }
        let message = Message::Regressed { term: self.term, matched, end };
        self.send(leader.node, message, self.tickets.issued, effects);
    }

    /// A voter lost what it had acknowledged: it counts for nothing until it holds that again.
    pub(crate) fn on_regressed(&mut self, from: VoterId, matched: Index, end: Index) {
        let last = self.log.last().index;
        let Some(lead) = &mut self.lead else { return };
        let Some(progress) = lead.peers.get_mut(&from.node) else { return };
        if progress.acted == Some(from.store) && end < matched {
            progress.regressed(matched, end.min(last));
        }
    }

    /// Is anything lost, or may it be? Then others lead: what it cannot read it cannot give.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.log.is_whole()
    }
}

/// What an entry of the leader is to the log that it is appended to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    /// It is there.
    Held,
    /// It is what was lost there, or stands in its stead.
    Mends,
    /// Another one is there, or none.
    Differs,
    /// Something was lost there, and something that is known stands behind it: whether that is the
    /// leader's has to be asked first, or two histories would meet in one log.
    Unsure,
}

impl Log {
    /// What is this entry here, in a log that equals the leader's up to `verified` and up to the entry
    /// before this one?
    pub(super) fn fit(&self, entry: &Entry, verified: Index, may_write: bool) -> Fit {
        let told = id(entry);
        let Some(lost) = self.faulty().get(entry.index) else {
            let is_held = told.index <= verified || self.holds(told);
            return if is_held { Fit::Held } else { Fit::Differs };
        };
        if self.contradicts(told) {
            return Fit::Differs;
        }
        let is_same = told.index <= verified || lost.term().is_some();
        if !is_same && (self.anchor(lost).is_some() || !may_write) {
            return Fit::Unsure;
        }
        if may_write && self.can_repair(entry) { Fit::Mends } else { Fit::Held }
    }
}
