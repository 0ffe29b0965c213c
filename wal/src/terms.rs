//! Of which terms the entries of a log are, and which of them are faulty.
//!
//! What always holds: terms never fall along the log; a faulty entry counts as held.

use crate::{FaultyKind, FaultyRange, faulty::Faulty};

/// Where terms begin, the last entry, and what of all that is faulty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Terms {
    /// (first index, term), ascending. A faulty entry of an unknown term counts as of the term before it.
    pub(crate) runs: Vec<(u64, u64)>,
    pub(crate) faulty: Faulty,
    /// Index and term of the last entry; (0, 0) when there is none.
    pub(crate) last: (u64, u64),
}

impl Terms {
    /// May an entry with this index and term follow?
    pub(crate) const fn admits(&self, index: u64, term: u64) -> bool {
        index == self.last.0 + 1 && term >= self.last.1
    }

    pub(crate) fn push(&mut self, index: u64, term: u64) {
        if self.runs.is_empty() || term != self.last.1 {
            self.runs.push((index, term));
        }
        self.last = (index, term);
    }

    pub(crate) fn truncate_after(&mut self, index: u64) {
        self.faulty.truncate_after(index);
        if index >= self.last.0 {
            return;
        }
        while self.runs.last().is_some_and(|run| run.0 > index) {
            self.runs.pop();
        }
        self.last = (index, self.runs.last().map_or(0, |run| run.1));
    }

    /// Entries up to `last` follow and cannot be read; that one is of `last_term`, and none of those
    /// before it is of a later one.
    pub(crate) fn push_lost(&mut self, last: (u64, u64), kind: FaultyKind) {
        let (first, term_min) = (self.last.0 + 1, self.last.1);
        let range = FaultyRange { first, last: last.0, term_min, term_max: last.1, kind };
        self.faulty.mark(range);
        if first < last.0 {
            self.push(first, term_min);
        }
        if term_min != last.1 {
            self.faulty.mark(FaultyRange { first: last.0, term_min: last.1, ..range });
        }
        self.push(last.0, last.1);
    }

    /// Entries up to `last` follow and cannot be read; none is of a term after `term_max`.
    pub(crate) fn push_lost_within(&mut self, last: u64, term_max: u64, kind: FaultyKind) {
        let (first, term_min) = (self.last.0 + 1, self.last.1);
        self.faulty.mark(FaultyRange { first, last, term_min, term_max, kind });
        self.push(first, term_min);
        self.last.0 = last;
    }

    /// The last entry is of this term, which was known only within bounds.
    pub(crate) fn learn_last(&mut self, term: u64) -> bool {
        let index = self.last.0;
        let Some(range) = self.faulty.get(index).copied() else { return self.last.1 == term };
        if !(range.term_min..=range.term_max).contains(&term) {
            return false;
        }
        self.repair(index, term);
        self.faulty.mark(FaultyRange {
            first: index,
            last: index,
            term_min: term,
            term_max: term,
            ..range
        });
        true
    }

    /// The entry at `index`, which was faulty, is of this term and there again.
    pub(crate) fn repair(&mut self, index: u64, term: u64) {
        let lost_up_to = self.faulty.get(index).map_or(index, |range| range.last);
        self.faulty.repair(index, term);
        if self.term_of_any(index) == term {
            return;
        }
        // Up to the next entry that is known, every term was taken for that before it.
        let at = self.runs.partition_point(|run| run.0 <= index);
        match at.checked_sub(1).and_then(|before| self.runs.get_mut(before)) {
            Some(run) if run.0 == index => run.1 = term,
            Some(_) | None => self.runs.insert(at, (index, term)),
        }
        self.runs.dedup_by_key(|run| run.1);
        if self.last.0 <= lost_up_to {
            self.last.1 = term;
        }
    }

    /// Where terms begin among the entries from `first` on.
    pub(crate) fn runs_from(&self, first: u64) -> Vec<(u64, u64)> {
        let begun = (first <= self.last.0).then(|| (first, self.term_of_any(first)));
        let later = self.runs.iter().copied().filter(|run| run.0 > first);
        begun.into_iter().chain(later).collect()
    }

    /// The term of an entry; 0 at index 0, none beyond the end or when it was lost and is not known.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        match self.faulty.get(index) {
            Some(range) => range.term(),
            None => (index <= self.last.0).then(|| self.term_of_any(index)),
        }
    }

    /// The term of an entry, faulty or not, and the last entry up to which none is of a later one.
    pub(crate) fn run_of(&self, index: u64) -> (u64, u64) {
        let next = self.runs.get(self.runs.partition_point(|run| run.0 <= index));
        (self.term_of_any(index), next.map_or(self.last.0, |next| next.0 - 1))
    }

    fn term_of_any(&self, index: u64) -> u64 {
        let runs_up_to = self.runs.partition_point(|run| run.0 <= index);
        runs_up_to.checked_sub(1).and_then(|run| self.runs.get(run)).map_or(0, |run| run.1)
    }
}
