//! The contents of the log, rebuilt batch by batch at opening.
//!
//! What always holds: only what could have been staged is accepted, so whatever comes out could have
//! been there before the crash.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    Entry, EntryKind, FaultyKind, HardState,
    batch::{BatchKind, Counts, Fault, Frame, Frames, Header},
    codec::to_usize,
    error::Damage,
    positions::Positions,
    seal::{Gathered, Summary},
    segment::Segment,
    terms::Terms,
    view::may_follow,
};

/// The good frames of a damaged batch, each with its offset.
#[derive(Debug)]
pub(crate) struct Saved<'a> {
    pub(crate) frames: Vec<(u64, Frame<'a>)>,
    /// Where the batch lies.
    pub(crate) segment: &'a Arc<Segment>,
}

/// What the batches so far amount to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) terms: Terms,
    pub(crate) hard_state: HardState,
    pub(crate) bindings: BTreeMap<u64, u128>,
    pub(crate) configs: Vec<Entry>,
    pub(crate) positions: Positions,
    /// Of the segment being read.
    pub(crate) gathered: Gathered,
    /// Truncations so far, wrapping.
    pub(crate) truncations: u16,
    /// The newest batch, 0 when there is none.
    pub(crate) seq: u64,
    /// Its header checksum.
    pub(crate) chain: u32,
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Does it say that the run ended in order?
    pub(crate) is_clean: bool,
    /// Batches just before the next one are lost.
    in_gap: bool,
    /// A term or vote may have been lost, and none was read since.
    pub(crate) hard_state_unsure: bool,
    /// A binding was lost, and they were not repeated since.
    pub(crate) bindings_unsure: bool,
}

impl Replay {
    /// What comes next is in another segment; returns what was gathered of the one before.
    pub(crate) fn begin_segment(&mut self) -> Gathered {
        let (seq, last) = (self.seq.saturating_add(1), self.terms.last.0);
        std::mem::replace(&mut self.gathered, Gathered::begin(seq, last.saturating_add(1)))
    }

    /// What the footer of the segment being read would say if it ended at `end`.
    pub(crate) fn summary(&self, end: u64) -> Option<Summary> {
        Some(Summary {
            first_seq: self.gathered.first_seq,
            last_seq: self.seq,
            end,
            first_index: self.gathered.first_index,
            last: self.terms.last,
            hard_state: self.hard_state,
            chain: self.chain,
            epoch: self.epoch,
            counts: Counts {
                truncations: self.truncations,
                bindings: u16::try_from(self.bindings.len()).ok()?,
            },
            term_runs: self.terms.runs_from(self.gathered.first_index),
            notes: self.gathered.offsets(),
        })
    }

    /// Does this header follow the batch before it?
    pub(crate) fn admits(&self, header: &Header) -> bool {
        Some(header.seq) == self.seq.checked_add(1)
            && header.previous_crc == self.chain
            && header.durable_seq <= self.seq
            && header.epoch >= self.epoch
    }

    /// Apply a batch whose checksums hold and which follows. On an error the log is damaged and `self` of
    /// no use.
    pub(crate) fn apply(
        &mut self,
        header: &Header,
        header_crc: u32,
        body: &[u8],
        (segment, offset): (&Arc<Segment>, u64),
    ) -> Result<(), Fault> {
        let frames = body.get(..to_usize(u64::from(header.body_len))).ok_or(Fault::Contents)?;
        let mut count: u32 = 0;
        if header.kind == BatchKind::SegmentStart && self.bindings_unsure {
            // It repeats them all.
            self.bindings.clear();
            self.bindings_unsure = false;
        }
        let mut first_index = self.terms.last.0.saturating_add(1);
        for frame in Frames::new(frames, segment.seed, offset) {
            let (offset, frame) = frame?;
            if let Frame::TruncateAfter(index) = frame {
                first_index = first_index.min(index.saturating_add(1));
            }
            self.apply_frame(frame, segment, offset)?;
            count = count.saturating_add(1);
        }
        let holds = count == header.frame_count
            && first_index == header.first_index
            && self.terms.last.0 == header.last_index
            && self.terms.learn_last(header.last_term)
            && self.truncations == header.counts.truncations
            && self.terms.faulty.is_end_in_doubt() == header.end_in_doubt;
        if !holds || self.terms.faulty.is_beyond_bound() {
            return Err(Fault::Contents);
        }
        self.follow(header, header_crc).ok_or(Fault::Contents)
    }

    /// This batch is the newest now. None when it does not know the bindings that are known.
    fn follow(&mut self, header: &Header, header_crc: u32) -> Option<()> {
        let bindings_match = usize::from(header.counts.bindings) == self.bindings.len();
        if !bindings_match && !self.bindings_unsure {
            return None;
        }
        self.bindings_unsure = !bindings_match;
        self.in_gap = false;
        self.seq = header.seq;
        self.chain = header_crc;
        self.epoch = header.epoch;
        self.is_clean = header.kind == BatchKind::Clean;
        Some(())
    }

    /// Go on with the batch of this header: those before it are lost. Everything they may have held is
    /// faulty, of this kind. False when that has no bound.
    pub(crate) fn skip_to(&mut self, header: &Header, kind: FaultyKind) -> bool {
        let (Some(before), Some(seq)) =
            (header.first_index.checked_sub(1), header.seq.checked_sub(1))
        else {
            return false;
        };
        let follows = seq > self.seq && header.epoch >= self.epoch && header.durable_seq <= seq;
        if !follows || header.last_term < self.terms.last.1 {
            return false;
        }
        self.learn_doubt(header);
        if before > self.terms.last.0 {
            if header.last_index == before {
                self.terms.push_lost((before, header.last_term), kind);
            } else {
                self.terms.push_lost_within(before, header.last_term, kind);
            }
        }
        (self.seq, self.chain) = (seq, header.previous_crc);
        self.in_gap = true;
        self.gathered.tells_of_damage = true;
        self.hard_state_unsure = true;
        self.bindings_unsure |= usize::from(header.counts.bindings) != self.bindings.len();
        !self.terms.faulty.is_beyond_bound()
    }

    /// Go on after a batch that follows and whose body fails its checksum. What it held and what cannot be
    /// saved of it is faulty, of this kind. False when that has no bound.
    pub(crate) fn bridge(
        &mut self,
        header: &Header,
        header_crc: u32,
        kind: FaultyKind,
        saved: &Saved<'_>,
    ) -> bool {
        let truncates = header.counts.truncations != self.truncations;
        let is_complete = to_usize(header.frame_count.into()) == saved.frames.len();
        let lacks_records = !is_complete && !self.lacks_entries_only(header, saved);
        let binds = usize::from(header.counts.bindings) != self.bindings.len();
        self.bindings_unsure |= lacks_records && binds;
        self.learn_doubt(header);
        let next = self.terms.last.0.saturating_add(1);
        // Of a batch after lost ones nobody knows which truncations are its own.
        let has_bound = if truncates { !self.in_gap } else { header.first_index == next };
        if !has_bound || header.first_index == 0 || header.first_index > next {
            return false;
        }
        if truncates {
            self.truncate_after(header.first_index.saturating_sub(1));
            self.truncations = header.counts.truncations;
        }
        self.gathered.tells_of_damage = true;
        self.save(header, kind, saved, truncates);
        self.hard_state_unsure |= lacks_records;
        if header.last_index < self.terms.last.0 || !self.lose_up_to(header, kind) {
            return false;
        }
        self.follow(header, header_crc).is_some() && !self.terms.faulty.is_beyond_bound()
    }

    /// What was lost before this batch's end may have told of a doubt about the end, or ended it: its header
    /// says how it stood.
    fn learn_doubt(&mut self, header: &Header) {
        let (last, last_term) = self.terms.last;
        if header.end_in_doubt {
            self.terms.faulty.doubt_end(last.saturating_add(1), last_term);
        } else {
            self.terms.faulty.settle();
        }
    }

    /// Batches before this one are lost, and they or this one truncated something.
    pub(crate) const fn may_lack_truncation(&self, header: &Header) -> bool {
        self.in_gap && header.counts.truncations != self.truncations
    }

    /// Can it be told that of this damaged batch nothing is lost but entries?
    pub(crate) fn lacks_entries_only(&self, header: &Header, saved: &Saved<'_>) -> bool {
        let is_entry = |saved: &&(u64, Frame<'_>)| matches!(saved.1, Frame::Entry { .. });
        let entries = saved.frames.iter().filter(is_entry).count();
        let held = header.last_index.saturating_sub(header.first_index).saturating_add(1);
        let lost = to_usize(u64::from(header.frame_count)).checked_sub(saved.frames.len());
        header.counts.truncations == self.truncations
            && header.last_index >= header.first_index
            && lost == to_usize(held).checked_sub(entries)
    }

    /// What it is called when the next batch cannot be built on.
    pub(crate) fn unbounded(&self) -> Damage {
        if self.terms.faulty.is_beyond_bound() {
            Damage::TooMuch
        } else if self.in_gap {
            Damage::Unbounded
        } else {
            Damage::Contents
        }
    }

    /// Apply the frames that could be saved.
    fn save(&mut self, header: &Header, kind: FaultyKind, saved: &Saved<'_>, truncates: bool) {
        for &(offset, frame) in &saved.frames {
            if let Frame::Entry { index, term, .. } = frame {
                let (last, last_term) = self.terms.last;
                let fits = index > last && index <= header.last_index;
                // Which of two entries of one index was the later one is not known.
                if truncates || !fits || !(last_term..=header.last_term).contains(&term) {
                    continue;
                }
                if index.checked_sub(1) != Some(last) {
                    self.terms.push_lost_within(index.saturating_sub(1), term, kind);
                }
            }
            if !matches!(frame, Frame::TruncateAfter(_)) {
                // A record that may not follow is as good as lost.
                _ = self.apply_frame(frame, saved.segment, offset);
            }
        }
    }

    /// What a damaged batch held beyond what could be saved.
    fn lose_up_to(&mut self, header: &Header, kind: FaultyKind) -> bool {
        let end = (header.last_index, header.last_term);
        if header.last_index == self.terms.last.0 {
            return self.terms.learn_last(header.last_term);
        }
        if header.last_term < self.terms.last.1 {
            return false;
        }
        self.terms.push_lost(end, kind);
        true
    }

    /// It was faulty when it was repaired, and may not seem so now.
    fn may_be_repaired(&self, index: u64, term: u64) -> bool {
        let is_inside = (1..=self.terms.last.0).contains(&index);
        is_inside
            && match self.terms.faulty.get(index) {
                Some(range) => (range.term_min..=range.term_max).contains(&term),
                None => self.terms.term_of(index) == Some(term),
            }
    }

    fn truncate_after(&mut self, index: u64) {
        self.terms.truncate_after(index);
        self.positions.truncate_after(index);
        self.gathered.truncate_after(index);
        while self.configs.last().is_some_and(|config| config.index > index) {
            self.configs.pop();
        }
    }

    fn apply_frame(
        &mut self,
        frame: Frame<'_>,
        segment: &Arc<Segment>,
        offset: u64,
    ) -> Result<(), Fault> {
        self.gathered.tells_of_damage |=
            matches!(frame, Frame::Repaired { .. } | Frame::Faulty(_) | Frame::Settled);
        match frame {
            Frame::Entry { index, term, kind, checksum, payload } => {
                if !self.terms.admits(index, term) {
                    return Err(Fault::Contents);
                }
                self.terms.push(index, term);
                self.positions.push(segment, index, offset);
                if kind == EntryKind::Config {
                    self.gathered.config(index, offset);
                    let payload = Bytes::copy_from_slice(payload);
                    self.configs.push(Entry { index, term, kind, checksum, payload });
                }
            }
            Frame::HardState(state) => {
                if !may_follow(self.hard_state, state) {
                    return Err(Fault::Contents);
                }
                self.hard_state = state;
                self.hard_state_unsure = false;
            }
            Frame::TruncateAfter(index) => {
                self.truncations = self.truncations.wrapping_add(1);
                self.truncate_after(index);
            }
            // Another one of this node may have come before it, and the first one stays.
            Frame::Bind { .. } if self.bindings_unsure => {}
            Frame::Bind { node, store } => {
                if !self.bindings.contains_key(&node) {
                    self.gathered.note(offset);
                }
                self.bindings.entry(node).or_insert(store);
            }
            Frame::Repaired { index, term, kind, checksum, payload } => {
                if !self.may_be_repaired(index, term) {
                    return Err(Fault::Contents);
                }
                self.terms.repair(index, term);
                self.positions.repair(segment, index, offset);
                if kind == EntryKind::Config {
                    let payload = Bytes::copy_from_slice(payload);
                    self.configs.retain(|config| config.index != index);
                    let at = self.configs.partition_point(|config| config.index < index);
                    self.configs.insert(at, Entry { index, term, kind, checksum, payload });
                }
            }
            Frame::Faulty(range) => {
                let is_end = range.kind == FaultyKind::EndUnknown;
                if !is_end && range.last > self.terms.last.0 {
                    return Err(Fault::Contents);
                }
                self.terms.faulty.mark(range);
                if self.terms.faulty.is_beyond_bound() {
                    return Err(Fault::Contents);
                }
            }
            Frame::Settled => self.terms.faulty.settle(),
            Frame::Skipped => {}
        }
        Ok(())
    }
}
