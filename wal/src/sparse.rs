//! The sparse index of a sealed segment, as readers use it: in the mapped footer, or rebuilt in memory
//! when that has rotted.
//!
//! What always holds: entries ascend in index and in offset; between one and the next only frames now in
//! force, or none of the entries asked for, are passed.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;

use crate::{
    batch::{Frame, Frames, HEADER_BYTES, Header, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    seal::{STRIDE_BYTES, Sparse, Trailer, sparse_at, sparse_count},
    segment::{DATA_OFFSET, Segment},
};

/// One segment's.
#[derive(Debug)]
pub(crate) enum SparseIndex {
    /// Encoded, a part of the map.
    Footer(Bytes),
    Memory(Vec<Sparse>),
}

impl Default for SparseIndex {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl SparseIndex {
    /// What the footer has, if it is still as it was written; else from the batches.
    pub(crate) fn load(trailer: &Trailer, map: &Bytes, segment: &Segment) -> Self {
        let from = to_usize(segment.data_end);
        match map.get(from..from.saturating_add(trailer.index_len())) {
            Some(bytes) if trailer.index_holds(bytes, segment.area()) => {
                Self::Footer(map.slice_ref(bytes))
            }
            Some(_) | None => Self::Memory(rebuild(map, segment, trailer.last_seq())),
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Footer(bytes) => sparse_count(bytes),
            Self::Memory(index) => index.len(),
        }
    }

    pub(crate) fn get(&self, number: usize) -> Option<Sparse> {
        match self {
            Self::Footer(bytes) => sparse_at(bytes, number),
            Self::Memory(index) => index.get(number).copied(),
        }
    }
}

/// From the batches that can be read; what lies in others is found by looking for it.
fn rebuild(map: &[u8], segment: &Segment, last_seq: u64) -> Vec<Sparse> {
    let mut rebuilt = Rebuilt::default();
    // Batch and truncations so far, as the newest good header says.
    let mut known = (0_u64, 0_u16);
    let mut next_offset = DATA_OFFSET;
    while next_offset < segment.data_end {
        let offset = next_offset;
        let bytes = map.get(to_usize(offset)..to_usize(segment.data_end)).unwrap_or_default();
        let Ok(header) = Header::decode(bytes, segment.seed, offset) else {
            next_offset = offset.saturating_add(len_u64(SECTOR_BYTES));
            continue;
        };
        next_offset = offset.saturating_add(header.batch_bytes());
        let frames_end = HEADER_BYTES.saturating_add(to_usize(u64::from(header.body_len)));
        let frames = bytes.get(HEADER_BYTES..frames_end).unwrap_or_default();
        let frames = || Frames::new(frames, segment.seed, offset).map_while(Result::ok);
        let own = frames().filter(|(_, frame)| matches!(frame, Frame::TruncateAfter(_))).count();
        let lost = header.counts.truncations.wrapping_sub(known.1);
        if header.seq != known.0.wrapping_add(1) && usize::from(lost) != own {
            // What was truncated in the batches between, nobody knows: better not found than outdated.
            rebuilt = Rebuilt::default();
        }
        let known_seq = known.0;
        known = (header.seq, header.counts.truncations);
        let is_whole = frames().count() == to_usize(u64::from(header.frame_count));
        let body = offset.saturating_add(len_u64(HEADER_BYTES));
        if !is_whole && lost > 0 {
            // Which of its entries it truncated itself is not known: none is found.
            rebuilt.due = 0;
            rebuilt.entry(header.first_index, header.last_term, next_offset);
            rebuilt.next = header.last_index.saturating_add(1);
            continue;
        }
        if header.first_index < rebuilt.next || header.seq != known_seq.wrapping_add(1) {
            // Whatever can be read of it or was lost before, what it replaces is not in force.
            rebuilt.entry(header.first_index, header.last_term, body);
        }
        for (at, frame) in frames() {
            match frame {
                Frame::Entry { index, term, .. } => rebuilt.entry(index, term, at),
                Frame::TruncateAfter(index) if index.saturating_add(1) < rebuilt.next => {
                    rebuilt.entry(index.saturating_add(1), header.last_term, at);
                }
                Frame::TruncateAfter(_)
                | Frame::HardState(_)
                | Frame::Bind { .. }
                | Frame::Repaired { .. }
                | Frame::Faulty(_)
                | Frame::Settled
                | Frame::Skipped => {}
            }
        }
        // Also of those that cannot be read.
        rebuilt.next = header.last_index.saturating_add(1);
    }
    // What the last batches truncated, if they are lost, nobody knows either.
    if known.0 == last_seq { rebuilt.index } else { Vec::new() }
}

#[derive(Debug, Default)]
struct Rebuilt {
    index: Vec<Sparse>,
    /// The entry that should come next.
    next: u64,
    /// The offset from which on an entry is due.
    due: u32,
}

impl Rebuilt {
    fn entry(&mut self, index: u64, term: u64, offset: u64) {
        let Ok(offset) = u32::try_from(offset) else { return };
        self.truncate_after(index.saturating_sub(1));
        if offset >= self.due || index != self.next {
            self.index.push(Sparse { index, term, offset });
            self.due = offset.saturating_add(STRIDE_BYTES);
        }
        self.next = index.saturating_add(1);
    }

    fn truncate_after(&mut self, index: u64) {
        if self.next > index.saturating_add(1) {
            while self.index.last().is_some_and(|last| last.index > index) {
                self.index.pop();
            }
            self.due = 0;
        }
    }
}
