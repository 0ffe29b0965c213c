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
    positions::Positions,
    seal::{Gathered, Summary},
    segment::Segment,
    view::{Terms, may_follow},
};

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
            counts: self.counts()?,
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
            && self.terms.last == (header.last_index, header.last_term)
            && self.counts() == Some(header.counts);
        if !holds {
            return Err(Fault::Contents);
        }
        self.seq = header.seq;
        self.chain = header_crc;
        self.epoch = header.epoch;
        self.is_clean = header.kind == BatchKind::Clean;
        Ok(())
    }

    /// As the header of the newest batch has them; none with more bindings than any log has.
    fn counts(&self) -> Option<Counts> {
        let bindings = u16::try_from(self.bindings.len()).ok()?;
        Some(Counts { truncations: self.truncations, bindings })
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
            }
            Frame::TruncateAfter(index) => {
                self.truncations = self.truncations.wrapping_add(1);
                self.terms.truncate_after(index);
                self.positions.truncate_after(index);
                self.gathered.truncate_after(index);
                while self.configs.last().is_some_and(|config| config.index > index) {
                    self.configs.pop();
                }
            }
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
