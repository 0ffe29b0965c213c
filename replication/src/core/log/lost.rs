//! What the log holds and cannot read.
//!
//! What always holds: this account and the log's own are changed by the same operations in the same
//! order; `possible_last` is no lower than anything that this disk ever acknowledged, or than anything of
//! it that can have been committed where all voters were asked.

use election::{EntryId, Index, Term, Ticket};
use wal::{Entry, FAULTY_RANGES_MAX, Faulty, FaultyKind, FaultyRange};

use super::{Log, id};
use crate::ClusterConfig;

impl Log {
    pub(crate) const fn faulty(&self) -> &Faulty {
        &self.faulty
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.faulty.is_empty()
    }

    /// The last entry that the log may have held: nobody is elected over its head (research trap 13).
    pub(crate) fn possible_last(&self) -> EntryId {
        let last = self.last;
        if self.faulty.is_empty() {
            return last;
        }
        if let Some(loss_max) = self.loss_max.filter(|_| self.is_end_in_doubt()) {
            return self.readable_last().max(loss_max);
        }
        if self.faulty.is_end_in_doubt() {
            return last.max(EntryId { term: self.doubt_term, index: Index(u64::MAX) });
        }
        let term = self.faulty.get(last.index.0).map_or(last.term, |lost| Term(lost.term_max));
        EntryId { term, ..last }
    }

    /// The last entry that can be read.
    pub(crate) fn readable_last(&self) -> EntryId {
        let mut index = self.last.index;
        while let Some(lost) = self.faulty.get(index.0) {
            index = Index(lost.first - 1);
        }
        EntryId { term: self.run_term(index), index }
    }

    /// Is the last entry lost, or may there have been later ones?
    pub(crate) fn is_end_lost(&self) -> bool {
        self.faulty.is_end_in_doubt() || self.faulty.get(self.last.index.0).is_some()
    }

    /// And may it be that nothing of that was ever acknowledged?
    pub(crate) fn is_end_in_doubt(&self) -> bool {
        let readable = self.readable_last().index.0;
        let is_sure =
            |lost: &FaultyRange| lost.first > readable && lost.kind == FaultyKind::Corrupt;
        self.is_end_lost() && !self.faulty.list().iter().any(is_sure)
    }

    /// The newest term in which what is lost can have been acknowledged.
    pub(crate) const fn doubt_term(&self) -> Term {
        self.doubt_term
    }

    /// Nothing newer than this entry can have been committed of what the end lost.
    pub(crate) fn bound_loss(&mut self, newest: EntryId) {
        self.loss_max = Some(newest);
    }

    /// Up to here the log says what it holds: no entry of an unknown term ends it.
    pub(crate) fn sure_end(&self) -> Index {
        let mut end = self.last.index;
        while let Some(lost) = self.faulty.get(end.0).filter(|lost| lost.term().is_none()) {
            end = Index(lost.first - 1);
        }
        end
    }

    /// Everything above `index` can be read, up to here.
    pub(crate) fn readable_from(&self, index: Index) -> Index {
        let lost = self.faulty.next_from(index.0 + 1);
        lost.map_or(self.last.index, |lost| Index(lost.first.max(index.0 + 1) - 1))
    }

    /// The first entry at or above the end of a faulty range whose term is known for certain: in a log
    /// that holds it all that is below is the same.
    pub(crate) fn anchor(&self, lost: &FaultyRange) -> Option<EntryId> {
        let mut lost = *lost;
        while lost.term().is_none() {
            match self.faulty.get(lost.last + 1) {
                Some(next) => lost = *next,
                None => return self.id_of(Index(lost.last + 1)),
            }
        }
        self.id_of(Index(lost.last))
    }

    /// Does it hold another entry than this one in its place, known or lost?
    pub(crate) fn contradicts(&self, told: EntryId) -> bool {
        match self.faulty.get(told.index.0) {
            Some(lost) => !(lost.term_min..=lost.term_max).contains(&told.term.0),
            None => self.term_of(told.index).is_some_and(|term| term != told.term),
        }
    }

    /// May this entry be put where one was lost? A place that would divide a range waits when there are
    /// many ranges: it is repaired from an end of its range.
    pub(crate) fn can_repair(&self, entry: &Entry) -> bool {
        let Ok(()) = self.faulty.admits(entry.index, entry.term) else { return false };
        let divides = self
            .faulty
            .get(entry.index)
            .is_some_and(|lost| lost.first < entry.index && entry.index < lost.last);
        !divides || self.faulty.list().len() < FAULTY_RANGES_MAX / 2
    }

    /// This entry is there again once `ticket` is durable. Says whether the configurations changed.
    pub(crate) fn repair(
        &mut self,
        ticket: Ticket,
        entry: &Entry,
        config: Option<ClusterConfig>,
    ) -> bool {
        let EntryId { term, index } = id(entry);
        let lost_up_to = self.faulty.get(index.0).map_or(index.0, |lost| lost.last);
        self.faulty.repair(index.0, term.0);
        if self.run_term(index) != term {
            let at = self.runs.partition_point(|(start, _)| *start <= index);
            match at.checked_sub(1).and_then(|before| self.runs.get_mut(before)) {
                Some(run) if run.0 == index => run.1 = term,
                Some(_) | None => self.runs.insert(at, (index, term)),
            }
            self.runs.dedup_by_key(|run| run.1);
            if self.last.index.0 <= lost_up_to {
                self.last.term = term;
            }
        }
        self.durable = self.durable.min(Index(index.0 - 1));
        self.unsynced.push_back((ticket, self.last.index));
        let Some(config) = config else { return false };
        let before = self.config_index();
        self.configs.retain(|(at, _)| *at != index);
        let at = self.configs.partition_point(|(at, _)| *at < index);
        self.configs.insert(at, (index, config));
        self.config_index() != before
    }

    /// More was found to be faulty. Says whether any of it is news.
    pub(crate) fn lose(&mut self, found: &FaultyRange) -> bool {
        let Some(term) = found.term().filter(|_| found.kind != FaultyKind::EndUnknown) else {
            return false;
        };
        let (mut next, last) = (found.first.max(1), found.last.min(self.last.index.0));
        let mut is_news = false;
        while next <= last {
            let end = match self.faulty.next_from(next) {
                Some(known) if known.contains(next) => {
                    next = known.last + 1;
                    continue;
                }
                Some(known) => last.min(known.first - 1),
                None => last,
            };
            // What was found may have been overwritten since.
            let terms = [next, end].map(|index| self.run_term(Index(index)).0);
            if terms == [term, term] {
                self.faulty.mark(FaultyRange { first: next, last: end, ..*found });
                self.loss_max = None;
                is_news = true;
            }
            next = end + 1;
        }
        is_news
    }

    /// More may have been acknowledged than the log holds, in this term at the latest.
    pub(crate) fn doubt(&mut self, term: Term) {
        self.faulty.doubt_end(self.last.index.0 + 1, self.last.term.0);
        self.doubt_term = self.doubt_term.max(term);
        self.loss_max = None;
    }

    pub(crate) fn settle(&mut self) {
        self.faulty.settle();
    }
}
