//! What a replica knows of its log without reading it: identities, configurations, what is durable,
//! and the most recent entries themselves.
//!
//! What always holds:
//! - indexes are dense from `first` to `last`; terms never fall along them;
//! - the configuration in force is the last one in the log, committed or not;
//! - a faulty entry counts as held, and its term is told only where it is known for certain;
//! - the tail is the contiguous end of the log, and holds everything that is not yet durable;
//! - `durable` is a fold over the operations whose tickets are durable, never over indexes: an
//!   index written, cut and written again counts when the second writing is durable (trap 9).

use std::collections::VecDeque;

use election::{EntryId, Index, Term, Ticket};
use wal::{Entry, Faulty, FaultyRange};

use crate::{ClusterConfig, ENTRY_OVERHEAD_BYTES};

mod lost;

#[derive(Debug)]
pub(crate) struct Log {
    first: Index,
    last: EntryId,
    /// First index and term of each run, ascending in both. Where a faulty entry's term is not known it
    /// counts as of the lowest that it can have.
    runs: Vec<(Index, Term)>,
    /// The genesis at index 0, and the configuration entries after it.
    configs: Vec<(Index, ClusterConfig)>,
    faulty: Faulty,
    /// What the end may have lost is of no later term.
    doubt_term: Term,
    /// And of it nothing beyond this entry was committed, if that is known.
    loss_max: Option<EntryId>,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    durable: Index,
    /// Appends that are not durable yet: the ticket, and the last index it writes.
    unsynced: VecDeque<(Ticket, Index)>,
}

/// What an entry counts against a bound in bytes.
pub(crate) fn size_bytes(entry: &Entry) -> usize {
    entry.payload.len() + ENTRY_OVERHEAD_BYTES
}

pub(crate) fn id(entry: &Entry) -> EntryId {
    EntryId { term: Term(entry.term), index: Index(entry.index) }
}

impl Log {
    /// A log as it was found at the start: all of it durable, none of it in memory.
    pub(crate) fn new(
        first: Index,
        last: EntryId,
        runs: Vec<(Index, Term)>,
        configs: Vec<(Index, ClusterConfig)>,
        tail_bytes_max: usize,
    ) -> Self {
        assert!(first >= Index(1), "the first entry has index 1");
        assert!(!configs.is_empty(), "the genesis is a configuration");
        assert!(runs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "terms rise along the log");
        assert_eq!(runs.last().map_or(Term(0), |run| run.1), last.term, "the last run is the last");
        Self {
            first,
            last,
            runs,
            configs,
            faulty: Faulty::default(),
            doubt_term: Term(0),
            loss_max: None,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
            durable: last.index,
            unsynced: VecDeque::new(),
        }
    }

    /// The same log, with this much of it faulty, in a node that has seen no later term than this one.
    pub(crate) fn with_faulty(mut self, ranges: Vec<FaultyRange>, term: Term) -> Self {
        for range in ranges {
            self.faulty.mark(range);
        }
        self.doubt_term = term;
        self
    }

    pub(crate) const fn first(&self) -> Index {
        self.first
    }

    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) const fn durable(&self) -> Index {
        self.durable
    }

    pub(crate) fn config(&self) -> &ClusterConfig {
        &self.configs[self.configs.len() - 1].1
    }

    /// Every configuration in the log, the genesis first.
    pub(crate) fn configs(&self) -> impl DoubleEndedIterator<Item = &(Index, ClusterConfig)> {
        self.configs.iter()
    }

    /// The configuration in force where `index` is the last entry, and where it stands.
    pub(crate) fn config_at(&self, index: Index) -> (Index, &ClusterConfig) {
        let above = self.configs.partition_point(|(at, _)| *at <= index);
        let (at, config) = &self.configs[above.max(1) - 1];
        (*at, config)
    }

    pub(crate) fn config_index(&self) -> Index {
        self.configs[self.configs.len() - 1].0
    }

    /// The term at an index, unless it is above the end, no longer known, or lost.
    pub(crate) fn term_of(&self, index: Index) -> Option<Term> {
        if index == Index(0) {
            return Some(Term(0));
        }
        if index < self.first || index > self.last.index {
            return None;
        }
        match self.faulty.get(index.0) {
            Some(range) => range.term().map(Term),
            None => Some(self.run_term(index)),
        }
    }

    /// The lowest term that the entry at an index can have.
    fn run_term(&self, index: Index) -> Term {
        let run = self.runs.partition_point(|(start, _)| *start <= index);
        self.runs[..run].last().map_or(Term(0), |(_, term)| *term)
    }

    pub(crate) fn id_of(&self, index: Index) -> Option<EntryId> {
        self.term_of(index).map(|term| EntryId { term, index })
    }

    pub(crate) fn holds(&self, id: EntryId) -> bool {
        self.term_of(id.index) == Some(id.term)
    }

    /// The last entry at or below `at.index` whose term is not above `at.term`: nothing between the
    /// two can match (Raft §5.3, fast back-up).
    pub(crate) fn last_not_above(&self, at: EntryId) -> EntryId {
        let mut index = at.index.min(self.last.index);
        loop {
            let run =
                self.runs.partition_point(|(start, term)| *start <= index && *term <= at.term);
            let Some((_, term)) = self.runs[..run].last() else { return EntryId::default() };
            let end = self.runs.get(run).map_or(index, |(next, _)| Index(next.0 - 1).min(index));
            match self.faulty.get(end.0) {
                Some(lost) if lost.term().is_none() => index = Index(lost.first - 1),
                Some(_) | None => return EntryId { term: *term, index: end },
            }
        }
    }

    /// Append entries that `ticket` makes durable, and the configurations among them.
    pub(crate) fn append(
        &mut self,
        ticket: Ticket,
        entries: impl IntoIterator<Item = Entry>,
        configs: Vec<(Index, ClusterConfig)>,
    ) {
        for entry in entries {
            let id = id(&entry);
            assert_eq!(id.index, self.last.index.next(), "indexes are dense");
            assert!(id.term >= self.last.term && id.term > Term(0), "terms never fall");
            if id.term > self.last.term {
                self.runs.push((id.index, id.term));
            }
            self.last = id;
            self.tail_bytes += size_bytes(&entry);
            self.tail.push_back(entry);
        }
        self.configs.extend(configs);
        self.unsynced.push_back((ticket, self.last.index));
        self.trim_tail();
    }

    /// Drop all entries above `index`. Says whether a configuration went with them.
    pub(crate) fn truncate_after(&mut self, index: Index) -> bool {
        assert!(index < self.last.index, "a truncation takes something away");
        assert!(index.next() >= self.first, "what is no longer known is not cut");
        self.last = EntryId { term: self.run_term(index), index };
        self.faulty.truncate_after(index.0);
        self.runs.retain(|(start, _)| *start <= index);
        while let Some(entry) = self.tail.pop_back_if(|entry| entry.index > index.0) {
            self.tail_bytes -= size_bytes(&entry);
        }
        self.durable = self.durable.min(index);
        for (_, end) in &mut self.unsynced {
            *end = (*end).min(index);
        }
        let configs = self.configs.len();
        self.configs.retain(|(at, _)| *at <= index);
        self.configs.len() < configs
    }

    /// Everything up to `ticket` is durable.
    pub(crate) fn durable_up_to(&mut self, ticket: Ticket) {
        while let Some((_, end)) = self.unsynced.pop_front_if(|(written, _)| *written <= ticket) {
            self.durable = self.durable.max(end);
        }
        assert!(self.durable <= self.last.index, "what is durable is in the log");
        self.trim_tail();
    }

    /// Entries from `index` on, unless that one is not in memory, or there is none.
    pub(crate) fn recent(&self, index: Index) -> Option<impl Iterator<Item = &Entry> + Clone> {
        let skip = usize::try_from(index.0.checked_sub(self.tail.front()?.index)?).ok()?;
        (skip < self.tail.len()).then(|| self.tail.range(skip..))
    }

    /// The first index that is in memory; the one after the end when none is.
    pub(crate) fn recent_first(&self) -> Index {
        self.tail.front().map_or_else(|| self.last.index.next(), |entry| Index(entry.index))
    }

    fn trim_tail(&mut self) {
        while self.tail_bytes > self.tail_bytes_max {
            let durable = self.durable;
            let Some(entry) = self.tail.pop_front_if(|entry| entry.index <= durable.0) else {
                return;
            };
            self.tail_bytes -= size_bytes(&entry);
        }
    }
}
