//! Where the entries of the log lie on disk.
//!
//! What always holds: runs ascend and do not overlap; the entries of a run are those now in force; an
//! entry not in a run is not on disk, or not readable there. Every entry of the active segment has its
//! offset in memory, of a sealed one only one in about 4 KiB has, in the footer and not in memory.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    codec::to_usize,
    fetch::Piece,
    seal::{STRIDE_BYTES, Sparse},
    segment::Segment,
};

/// Consecutive entries in one segment.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) segment: Arc<Segment>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) places: Places,
}

/// How the entries of a run are found.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    /// Where the frame of `first + i` lies.
    Dense(Arc<Vec<u32>>),
    /// Where some lie, the first one among them.
    Sparse(Arc<Vec<Sparse>>),
    /// The same, in the segment's footer.
    Footer,
}

impl Run {
    fn of_one(segment: &Arc<Segment>, index: u64, offset: u64) -> Self {
        let places = Places::Dense(Arc::new(vec![to_u32(offset)]));
        Self { segment: Arc::clone(segment), first: index, last: index, places }
    }

    /// A part of it, for a reader. What is still added to is copied: the reader holds up nobody.
    pub(crate) fn part(&self, first: u64, last: u64) -> Self {
        let places = match &self.places {
            Places::Dense(offsets) => {
                let from = to_usize(first - self.first);
                let count = to_usize(last - first + 1);
                let offsets = offsets.iter().skip(from).take(count).copied();
                Places::Dense(Arc::new(offsets.collect()))
            }
            Places::Sparse(_) | Places::Footer => self.places.clone(),
        };
        let first = if matches!(places, Places::Dense(_)) { first } else { self.first };
        Self { segment: Arc::clone(&self.segment), first, last, places }
    }

    /// Do both find the entry at `index` in the same way?
    fn is_same(&self, other: &Self, index: u64) -> bool {
        let at = |run: &Self, offsets: &[u32]| {
            let at = to_usize(index.checked_sub(run.first)?);
            offsets.get(at).copied()
        };
        let same_places = match (&self.places, &other.places) {
            (Places::Dense(these), Places::Dense(those)) => at(self, these) == at(other, those),
            (Places::Sparse(these), Places::Sparse(those)) => Arc::ptr_eq(these, those),
            (Places::Footer, Places::Footer) => true,
            (Places::Dense(_) | Places::Sparse(_) | Places::Footer, _) => false,
        };
        same_places && Arc::ptr_eq(&self.segment, &other.segment)
    }
}

fn to_u32(offset: u64) -> u32 {
    u32::try_from(offset).expect("a segment is at most 1 GiB")
}

/// Where entries lie on disk.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    runs: Vec<Run>,
    /// Entries that were lost and written again: the newest place of each, a run of its own.
    repaired: BTreeMap<u64, Run>,
    /// What comes next does not lie right behind the last run.
    is_cut: bool,
}

impl Positions {
    /// The entry after the last, or one beyond a gap, lies there.
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, index: u64, offset: u64) {
        if let Some(run) = self.runs.last_mut() {
            assert!(index > run.last, "positions ascend");
            if let Places::Dense(offsets) = &mut run.places
                && Arc::ptr_eq(&run.segment, segment)
                && index == run.last + 1
                && !self.is_cut
            {
                let offsets = Arc::get_mut(offsets).expect("readers take a copy");
                offsets.push(to_u32(offset));
                run.last = index;
                return;
            }
        }
        self.push_run(Run::of_one(segment, index, offset));
        self.is_cut = false;
    }

    /// The entries after the last lie there.
    pub(crate) fn push_run(&mut self, run: Run) {
        assert!(self.runs.last().is_none_or(|last| run.first > last.last), "positions ascend");
        self.is_cut = true;
        if run.first <= run.last {
            self.runs.push(run);
        }
    }

    /// The lost entry at `index` is there again.
    pub(crate) fn repair(&mut self, segment: &Arc<Segment>, index: u64, offset: u64) {
        self.repaired.insert(index, Run::of_one(segment, index, offset));
    }

    /// Is the entry at `index` where this piece has it?
    pub(crate) fn is_in(&self, index: u64, piece: &Piece) -> bool {
        let after = self.runs.partition_point(|run| run.last < index);
        let run = self.repaired.get(&index).or_else(|| self.runs.get(after));
        run.is_some_and(|run| run.first <= index && run.is_same(piece.run(), index))
    }

    /// Forget every entry above `index`.
    pub(crate) fn truncate_after(&mut self, index: u64) {
        self.repaired.split_off(&index.saturating_add(1));
        // Also when none is known above it: damage may have hidden one whose frame is good, and a walk to
        // the entry that replaces it would meet that first.
        self.is_cut = true;
        while self.runs.last().is_some_and(|run| run.first > index) {
            self.runs.pop();
        }
        if let Some(run) = self.runs.last_mut().filter(|run| run.last > index) {
            run.last = index;
        }
    }

    /// The runs in this segment, which are the last.
    pub(crate) fn runs_in(&self, segment: &Arc<Segment>) -> Vec<Run> {
        let is_here = |run: &&Run| Arc::ptr_eq(&run.segment, segment);
        let start = self.runs.len() - self.runs.iter().rev().take_while(is_here).count();
        self.runs.get(start..).unwrap_or_default().to_vec()
    }

    /// From now on the entries of this segment are found like this.
    pub(crate) fn replace(&mut self, segment: &Arc<Segment>, places: &Places) {
        for run in &mut self.runs {
            if Arc::ptr_eq(&run.segment, segment) {
                run.places = places.clone();
            }
        }
    }

    /// Where `first..=last` are, none of which is lost.
    pub(crate) fn pieces(&self, first: u64, last: u64) -> Vec<Piece> {
        let (mut pieces, mut next) = (Vec::new(), first);
        for (&index, run) in self.repaired.range(first..=last) {
            pieces.extend(self.pieces_of_runs(next, index - 1));
            pieces.push(Piece::new(run, index, index));
            next = index + 1;
        }
        pieces.extend(self.pieces_of_runs(next, last));
        let count: u64 = pieces.iter().map(Piece::count).sum();
        assert_eq!(count, last - first + 1, "every written entry has a position");
        pieces
    }

    /// What of `first..=last` lies in this segment, each part dense, ascending.
    pub(crate) fn in_segment(
        &self,
        segment: &Arc<Segment>,
        first: u64,
        last: u64,
    ) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let start = self.runs.partition_point(|run| run.last < first);
        for run in self.runs.iter().skip(start).take_while(|run| run.first <= last) {
            let (mut next, last) = (first.max(run.first), last.min(run.last));
            if !Arc::ptr_eq(&run.segment, segment) || next > last {
                continue;
            }
            for (&index, _) in self.repaired.range(next..=last) {
                parts.push((next, index - 1));
                next = index + 1;
            }
            parts.push((next, last));
        }
        if first <= last {
            let repaired = self.repaired.range(first..=last);
            let here = repaired.filter(|(_, run)| Arc::ptr_eq(&run.segment, segment));
            parts.extend(here.map(|(&index, _)| (index, index)));
        }
        parts.retain(|(first, last)| first <= last);
        parts.sort_unstable();
        parts
    }

    fn pieces_of_runs(&self, first: u64, last: u64) -> impl Iterator<Item = Piece> {
        let start = self.runs.partition_point(|run| run.last < first);
        let runs = self.runs.iter().skip(start);
        let runs = runs.take_while(move |run| first <= last && run.first <= last);
        runs.map(move |run| Piece::new(run, first.max(run.first), last.min(run.last)))
    }
}

/// The sparse index of a segment with these runs: the first of each run, since frames of entries no
/// longer in force may lie before it, and then one about every 4 KiB.
pub(crate) fn sparse_index(runs: &[Run], term_of: impl Fn(u64) -> u64) -> Vec<Sparse> {
    let mut index = Vec::new();
    for run in runs {
        match &run.places {
            Places::Dense(offsets) => {
                let count = to_usize(run.last - run.first + 1);
                let mut due = 0;
                for (at, &offset) in (run.first..).zip(offsets.iter().take(count)) {
                    if offset >= due {
                        index.push(Sparse { index: at, term: term_of(at), offset });
                        due = offset.saturating_add(STRIDE_BYTES);
                    }
                }
            }
            Places::Sparse(sparse) => {
                let kept =
                    sparse.iter().filter(|sparse| (run.first..=run.last).contains(&sparse.index));
                index.extend(kept.copied());
            }
            // It is sealed already.
            Places::Footer => {}
        }
    }
    debug_assert!(index.is_sorted_by_key(|sparse| (sparse.index, sparse.offset)), "it ascends");
    index
}
