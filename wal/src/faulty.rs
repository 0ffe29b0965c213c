//! What the log is known to have lost: which indexes, of which terms, and whether its end is in doubt.
//!
//! What always holds: ranges are ascending and disjoint; a faulty index is never taken for one that the
//! log does not hold (research F16); a range ends by repair, truncation or, for the end, by being
//! settled, and in no other way.

/// How many ranges can be faulty at once: a segment start lists them all.
pub const FAULTY_RANGES_MAX: usize = 256;

/// Entries that the log held and cannot read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FaultyRange {
    /// The first index.
    pub first: u64,
    /// The last index; [`u64::MAX`] when the end is unknown.
    pub last: u64,
    /// No entry in it has a lower term.
    pub term_min: u64,
    /// No entry in it has a higher term.
    pub term_max: u64,
    /// What is known of it.
    pub kind: FaultyKind,
}

/// What is known of a faulty range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum FaultyKind {
    /// It was acknowledged.
    Corrupt = 1,
    /// It may have been acknowledged.
    Suspect = 2,
    /// From `first` on there may have been acknowledged entries, nobody knows how many. What the log
    /// holds there now was written later.
    EndUnknown = 3,
}

/// Why an entry cannot repair the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RepairError {
    /// The entry at this index can be read, or the log holds none.
    #[error("entry {index} is not faulty")]
    NotFaulty {
        /// Which index.
        index: u64,
    },
    /// What was lost was of another term.
    #[error("entry {index} of term {term} is not the one lost: that was of term {min} to {max}")]
    OtherTerm {
        /// Which index.
        index: u64,
        /// The term of the entry offered.
        term: u64,
        /// The lowest term that the lost one can have.
        min: u64,
        /// The highest.
        max: u64,
    },
    /// The entry's checksum does not hold.
    #[error("entry {index} fails its checksum")]
    Damaged {
        /// Which index.
        index: u64,
    },
    /// The entry is larger than the log takes.
    #[error("entry {index} exceeds the bound of an entry")]
    TooLarge {
        /// Which index.
        index: u64,
    },
    /// It would leave more faulty ranges than can be listed: repair from an end of a range.
    #[error("entry {index} would divide a range, and no more than 256 can be listed")]
    TooManyRanges {
        /// Which index.
        index: u64,
    },
}

impl FaultyKind {
    pub(crate) const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Corrupt),
            2 => Some(Self::Suspect),
            3 => Some(Self::EndUnknown),
            _ => None,
        }
    }
}

impl FaultyRange {
    /// Does it hold this index?
    #[must_use]
    pub const fn contains(&self, index: u64) -> bool {
        self.first <= index && index <= self.last
    }

    /// The term of every entry in it, if that is known.
    #[must_use]
    pub const fn term(&self) -> Option<u64> {
        if self.term_min == self.term_max { Some(self.term_min) } else { None }
    }
}

/// All that is faulty. Whoever decides what is written to a log keeps one of his own, beside the log's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faulty {
    /// Within the log.
    ranges: Vec<FaultyRange>,
    /// From where on the end is in doubt.
    end: Option<FaultyRange>,
}

impl Faulty {
    /// Everything, as it is reported and listed in a segment start.
    #[must_use]
    pub fn list(&self) -> Vec<FaultyRange> {
        self.ranges.iter().chain(&self.end).copied().collect()
    }

    /// Can everything be read, and is the end where it seems to be?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.end.is_none()
    }

    /// May there have been more than the log holds?
    #[must_use]
    pub const fn is_end_in_doubt(&self) -> bool {
        self.end.is_some()
    }

    /// More than a segment start can list.
    pub(crate) fn is_beyond_bound(&self) -> bool {
        self.ranges.len() + usize::from(self.end.is_some()) > FAULTY_RANGES_MAX
    }

    /// The range that this index lies in.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<&FaultyRange> {
        self.next_from(index).filter(|range| range.contains(index))
    }

    /// The first range that ends at `index` or later.
    #[must_use]
    pub fn next_from(&self, index: u64) -> Option<&FaultyRange> {
        self.ranges.get(self.ranges.partition_point(|range| range.last < index))
    }

    /// Add a range; where it meets another it takes its place.
    ///
    /// # Panics
    /// When it is none: its end before its beginning, or its highest term below its lowest.
    pub fn mark(&mut self, new: FaultyRange) {
        assert!(new.first <= new.last && new.term_min <= new.term_max, "{new:?} is a range");
        if new.kind == FaultyKind::EndUnknown {
            self.doubt_end(new.first, new.term_min);
            return;
        }
        let old = std::mem::take(&mut self.ranges);
        let parts = old.iter().flat_map(|range| {
            let before =
                FaultyRange { last: range.last.min(new.first.saturating_sub(1)), ..*range };
            let after =
                FaultyRange { first: range.first.max(new.last.saturating_add(1)), ..*range };
            [before, after]
        });
        let mut ranges: Vec<_> = parts.filter(|part| part.first <= part.last).collect();
        ranges.push(new);
        ranges.sort_unstable_by_key(|range| range.first);
        for range in ranges {
            match self.ranges.last_mut() {
                Some(last)
                    if last.last.checked_add(1) == Some(range.first)
                        && last.kind == range.kind
                        && last.term().is_some()
                        && last.term() == range.term() =>
                {
                    last.last = range.last;
                }
                Some(_) | None => self.ranges.push(range),
            }
        }
    }

    /// From `first` on, entries of `term_min` or later may be lost.
    pub fn doubt_end(&mut self, first: u64, term_min: u64) {
        let (first, term_min) = match self.end {
            Some(end) => (first.min(end.first), term_min.min(end.term_min)),
            None => (first, term_min),
        };
        self.end = Some(FaultyRange {
            first,
            last: u64::MAX,
            term_min,
            term_max: u64::MAX,
            kind: FaultyKind::EndUnknown,
        });
    }

    /// The doubt about the end is over.
    pub const fn settle(&mut self) {
        self.end = None;
    }

    /// The entry at `index`, of this term, is there again.
    pub fn repair(&mut self, index: u64, term: u64) {
        let Some(at) = self.ranges.iter().position(|range| range.contains(index)) else { return };
        let range = self.ranges.remove(at);
        let before = FaultyRange {
            last: index.saturating_sub(1),
            term_max: term.min(range.term_max),
            ..range
        };
        let after = FaultyRange {
            first: index.saturating_add(1),
            term_min: term.max(range.term_min),
            ..range
        };
        let parts = [before, after].into_iter().filter(|part| part.first <= part.last);
        self.ranges.splice(at..at, parts);
    }

    /// Nothing above `index` is in the log any more.
    pub fn truncate_after(&mut self, index: u64) {
        self.ranges.retain(|range| range.first <= index);
        if let Some(range) = self.ranges.last_mut() {
            range.last = range.last.min(index);
        }
        if let Some(end) = &mut self.end {
            end.first = end.first.min(index.saturating_add(1));
        }
    }

    /// May an entry of this index and term take a faulty one's place?
    ///
    /// # Errors
    /// When nothing is faulty there, something else was, or it would divide one range too many.
    pub fn admits(&self, index: u64, term: u64) -> Result<(), RepairError> {
        let range = self.get(index).ok_or(RepairError::NotFaulty { index })?;
        if !(range.term_min..=range.term_max).contains(&term) {
            let (min, max) = (range.term_min, range.term_max);
            return Err(RepairError::OtherTerm { index, term, min, max });
        }
        let divides = range.first < index && index < range.last;
        if divides && self.list().len() >= FAULTY_RANGES_MAX {
            return Err(RepairError::TooManyRanges { index });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64, term_min: u64, term_max: u64) -> FaultyRange {
        FaultyRange { first, last, term_min, term_max, kind: FaultyKind::Corrupt }
    }

    fn of(ranges: &[FaultyRange]) -> Faulty {
        let mut faulty = Faulty::default();
        for range in ranges {
            faulty.mark(*range);
        }
        faulty
    }

    #[test]
    fn ranges_stay_ascending_and_disjoint_and_the_newer_one_wins() {
        let mut faulty = of(&[range(10, 20, 1, 3), range(1, 4, 1, 1), range(5, 5, 1, 1)]);
        assert_eq!(faulty.list(), [range(1, 5, 1, 1), range(10, 20, 1, 3)]);
        let suspect = FaultyRange { kind: FaultyKind::Suspect, ..range(4, 12, 1, 2) };
        faulty.mark(suspect);
        assert_eq!(faulty.list(), [range(1, 3, 1, 1), suspect, range(13, 20, 1, 3)]);
        assert_eq!(faulty.get(12), Some(&suspect));
        assert_eq!(faulty.get(21), None);
        faulty.mark(range(14, 15, 2, 2));
        assert_eq!(
            faulty.list()[2..],
            [range(13, 13, 1, 3), range(14, 15, 2, 2), range(16, 20, 1, 3)]
        );
    }

    /// F16: what is asked of an entry that takes a lost one's place.
    #[test]
    fn a_repair_divides_a_range_and_narrows_the_terms_on_both_sides() {
        let mut faulty = of(&[range(10, 20, 1, 5)]);
        assert_eq!(faulty.admits(9, 1), Err(RepairError::NotFaulty { index: 9 }));
        let other = RepairError::OtherTerm { index: 15, term: 6, min: 1, max: 5 };
        assert_eq!(faulty.admits(15, 6), Err(other));
        assert_eq!(faulty.admits(15, 3), Ok(()));
        faulty.repair(15, 3);
        assert_eq!(faulty.list(), [range(10, 14, 1, 3), range(16, 20, 3, 5)]);
        faulty.truncate_after(12);
        assert_eq!(faulty.list(), [range(10, 12, 1, 3)]);
        for index in 10..=12 {
            faulty.repair(index, 1);
        }
        assert!(faulty.is_empty());
    }

    #[test]
    fn the_doubt_about_the_end_outlives_truncations_and_ends_when_settled() {
        let mut faulty = Faulty::default();
        faulty.doubt_end(10, 3);
        assert_eq!(faulty.get(10), None, "nothing that the log holds is in doubt");
        faulty.truncate_after(5);
        assert_eq!(faulty.list().first().map(|end| (end.first, end.last)), Some((6, u64::MAX)));
        faulty.settle();
        assert!(faulty.is_empty());
    }

    /// 256 ranges can be listed, and a repair never makes one more.
    #[test]
    fn a_repair_that_would_divide_one_range_too_many_is_refused() {
        let mut faulty = Faulty::default();
        for n in 1..=len_u64() {
            faulty.mark(range(n * 10, n * 10 + 5, 1, 1));
        }
        assert!(!faulty.is_beyond_bound());
        assert_eq!(faulty.admits(12, 1), Err(RepairError::TooManyRanges { index: 12 }));
        assert_eq!(faulty.admits(10, 1), Ok(()));
        faulty.mark(range(1, 1, 1, 1));
        assert!(faulty.is_beyond_bound());
    }

    fn len_u64() -> u64 {
        u64::try_from(FAULTY_RANGES_MAX).unwrap()
    }
}
