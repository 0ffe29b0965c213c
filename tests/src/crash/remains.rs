//! What a damaged log still gives: everything around what it has lost.

use std::{collections::BTreeMap, fmt};

use wal::{Entry, Error, FaultyKind, FaultyRange, HardState, Log, Recovery};

use super::model::Contents;

/// What can be read of a log, and what it says it cannot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Remains {
    entries: BTreeMap<u64, Entry>,
    last: u64,
    faulty: Vec<FaultyRange>,
    hard_state: HardState,
    bindings: BTreeMap<u64, u128>,
}

impl Remains {
    /// Read every entry on its own: each is there, or said to be faulty.
    ///
    /// # Panics
    /// When the log contradicts itself.
    pub(super) fn read(log: &Log, recovery: &Recovery) -> Result<Self, Error> {
        let reader = log.reader();
        let (last, _) = recovery.last;
        let mut entries = BTreeMap::new();
        for index in 1..=last {
            match reader.entry(index) {
                Ok(Some(entry)) => {
                    assert!(entry.index == index && entry.is_intact(), "entry {index} is another");
                    entries.insert(index, entry);
                }
                Ok(None) => panic!("entry {index} of {last} is called absent"),
                Err(Error::Faulty { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let faulty = reader.faulty();
        for known in &recovery.faulty {
            let still = faulty.iter().any(|now| now.first <= known.first && known.last <= now.last);
            assert!(still, "{known:?} was faulty, and is no more");
        }
        for index in 1..=last {
            let is_faulty = faulty.iter().any(|range| covers(range, index));
            assert_ne!(is_faulty, entries.contains_key(&index), "entry {index} of {last}");
        }
        let bindings = recovery.bindings.clone();
        Ok(Self { entries, last, faulty, hard_state: recovery.hard_state, bindings })
    }

    /// Is it unknown what was lost at the end?
    pub(super) fn has_doubt(&self) -> bool {
        self.faulty.iter().any(|range| range.kind == FaultyKind::EndUnknown)
    }

    /// What can be read.
    pub(super) fn as_contents(&self) -> Contents {
        let entries = self.entries.values().cloned().collect();
        Contents { entries, hard_state: self.hard_state, bindings: self.bindings.clone() }
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Is this index said to be faulty?
    pub(super) fn lost(&self, index: u64) -> bool {
        index <= self.last && self.faulty.iter().any(|range| covers(range, index))
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.faulty.is_empty()
    }

    /// Could this be what is left of `whole`? Term, vote and bindings are never lost.
    pub(super) fn are_of(&self, whole: &Contents) -> bool {
        let at = |index: u64| {
            let place = usize::try_from(index.checked_sub(1)?).ok()?;
            whole.entries.get(place)
        };
        let whole_last = whole.entries.len() as u64;
        let doubt = self.faulty.iter().find(|range| range.kind == FaultyKind::EndUnknown);
        let ends_right = match doubt {
            Some(range) => whole_last >= self.last && range.first <= whole_last + 1,
            None => whole_last == self.last,
        };
        let terms_hold = self.faulty.iter().all(|range| {
            let indexes = range.first..=range.last.min(whole_last);
            let mut lost = indexes.filter_map(at);
            lost.all(|entry| (range.term_min..=range.term_max).contains(&entry.term))
        });
        ends_right
            && terms_hold
            && self.hard_state == whole.hard_state
            && self.bindings == whole.bindings
            && self.entries.iter().all(|(&index, entry)| at(index) == Some(entry))
    }

    pub(super) fn verdict(&self) -> &'static str {
        let has = |kind| self.faulty.iter().any(|range| range.kind == kind);
        if has(FaultyKind::EndUnknown) {
            "faulty: end unknown"
        } else if has(FaultyKind::Suspect) {
            "faulty: suspect"
        } else {
            "faulty: corrupt"
        }
    }
}

fn covers(range: &FaultyRange, index: u64) -> bool {
    range.kind != FaultyKind::EndUnknown && range.contains(index)
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HardState { term, voted_for } = self.hard_state;
        write!(f, "term {term}, vote {:?}, bound ", voted_for.map(|vote| vote.node))?;
        write!(f, "{:?}, entries", self.bindings.keys().collect::<Vec<_>>())?;
        for (index, entry) in &self.entries {
            write!(f, " {index}@{}:{:08x}", entry.term, entry.checksum)?;
        }
        let Self { last, faulty, .. } = self;
        write!(f, " of {last}, faulty {faulty:?}")
    }
}
