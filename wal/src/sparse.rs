//! The sparse index of a segment, as readers use it: in the footer of a sealed one, a block at a time, or
//! rebuilt in memory when that has rotted or can no longer be read.
//!
//! What always holds: entries ascend in index and in offset; between one and the next only frames now in
//! force, or none of the entries asked for, are passed; what is used of a footer has passed its checksum
//! since it was read.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::OnceLock;

use bytes::Bytes;

use crate::{
    batch::{Frame, Frames, HEADER_BYTES, Header, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    error::Error,
    positions::Places,
    seal::{SPARSE_BYTES, STRIDE_BYTES, Sparse, Trailer, sparse_at, sparse_count},
    segment::{DATA_OFFSET, Segment},
    window::Window,
};

/// So much is read at a time to rebuild it, or one batch.
const READ_BYTES: usize = 256 * 1024;
/// So many entries of a footer are read at a time.
const BLOCK_ENTRIES: usize = 64;

/// What is kept in memory of a footer's index.
#[derive(Debug, Default)]
pub(crate) struct SparseIndex {
    blocks: Vec<Block>,
    last_seq: u64,
    /// In place of the footer's, once that is of no use.
    rebuilt: OnceLock<Vec<Sparse>>,
}

/// A part of it that is read at once.
#[derive(Debug)]
struct Block {
    /// The index of its first entry.
    first: u64,
    offset: u64,
    len: usize,
    crc: u32,
}

/// A part of a segment in which entries lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    /// Its number in the sparse index.
    number: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The first entry that lies beyond.
    pub(crate) next_index: u64,
}

/// The index in the footer has gone bad since it was looked at.
struct Gone;

/// Finds the strides of one segment.
#[derive(Debug)]
pub(crate) struct Strides<'a> {
    segment: &'a Segment,
    /// None where it is the footer's.
    sparse: Option<&'a [Sparse]>,
    /// The block that was used last.
    number: usize,
    block: Bytes,
}

impl SparseIndex {
    /// Look at the one in the footer.
    pub(crate) fn load(trailer: &Trailer, segment: &Segment) -> Result<Self, Error> {
        let last_seq = trailer.last_seq();
        let found = segment.read(segment.data_end, trailer.index_len());
        let Some(bytes) = found.ok().filter(|bytes| trailer.index_holds(bytes, segment.area()))
        else {
            let rebuilt = rebuild(segment, last_seq)?.into();
            return Ok(Self { blocks: Vec::new(), last_seq, rebuilt });
        };
        let mut offset = segment.data_end;
        let block = |bytes: &[u8]| {
            let first = sparse_at(bytes, 0)?.index;
            let (at, len, crc) = (offset, bytes.len(), crc32fast::hash(bytes));
            offset = offset.saturating_add(len_u64(len));
            Some(Block { first, offset: at, len, crc })
        };
        let blocks = bytes.chunks(BLOCK_ENTRIES.saturating_mul(SPARSE_BYTES));
        let blocks = blocks.map_while(block).collect();
        Ok(Self { blocks, last_seq, rebuilt: OnceLock::new() })
    }
}

impl<'a> Strides<'a> {
    /// Of a run in this segment.
    pub(crate) fn of(segment: &'a Segment, places: &'a Places) -> Result<Self, Error> {
        let sparse = match places {
            Places::Dense(_) => Some(&[][..]),
            Places::Sparse(sparse) => Some(sparse.as_slice()),
            Places::Footer => segment.index()?.rebuilt.get().map(Vec::as_slice),
        };
        Ok(Self { segment, sparse, number: usize::MAX, block: Bytes::new() })
    }

    /// The one in which an entry lies.
    pub(crate) fn find(&mut self, index: u64) -> Result<Option<Stride>, Error> {
        if let Ok(stride) = self.number_of(index).and_then(|number| self.stride(number)) {
            return Ok(stride);
        }
        let footer = self.segment.index()?;
        let again = rebuild(self.segment, footer.last_seq)?;
        self.sparse = Some(footer.rebuilt.get_or_init(|| again));
        Ok(self.number_of(index).and_then(|number| self.stride(number)).unwrap_or_default())
    }

    /// The one after this.
    pub(crate) fn after(&mut self, stride: Stride) -> Result<Option<Stride>, Error> {
        let next = self.stride(stride.number.saturating_add(1));
        next.or_else(|Gone| self.find(stride.next_index))
    }

    fn stride(&mut self, number: usize) -> Result<Option<Stride>, Gone> {
        let Some(here) = self.get(number)? else { return Ok(None) };
        let next = self.get(number.saturating_add(1))?;
        let to = next.map_or(self.segment.data_end, |next| u64::from(next.offset));
        let next_index = next.map_or(u64::MAX, |next| next.index);
        Ok(Some(Stride { number, from: u64::from(here.offset), to, next_index }))
    }

    /// The last entry of the index that is not beyond this one; else the first.
    fn number_of(&mut self, index: u64) -> Result<usize, Gone> {
        if let Some(list) = self.sparse {
            return Ok(list.partition_point(|sparse| sparse.index <= index).saturating_sub(1));
        }
        let blocks = &self.segment.index().map_err(|_error| Gone)?.blocks;
        let block = blocks.partition_point(|block| block.first <= index).saturating_sub(1);
        let bytes = self.block(block)?;
        let (mut low, mut high) = (0, sparse_count(bytes));
        while low < high {
            let middle = low.midpoint(high);
            if sparse_at(bytes, middle).is_some_and(|sparse| sparse.index <= index) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let before = block.saturating_mul(BLOCK_ENTRIES);
        Ok(before.saturating_add(low).saturating_sub(1))
    }

    fn get(&mut self, number: usize) -> Result<Option<Sparse>, Gone> {
        match self.sparse {
            Some(list) => Ok(list.get(number).copied()),
            None => Ok(sparse_at(self.block(number / BLOCK_ENTRIES)?, number % BLOCK_ENTRIES)),
        }
    }

    /// A block of the footer's; nothing beyond the last.
    fn block(&mut self, number: usize) -> Result<&[u8], Gone> {
        if number != self.number {
            let index = self.segment.index().map_err(|_error| Gone)?;
            let Some(block) = index.blocks.get(number) else { return Ok(&[]) };
            let bytes = self.segment.bytes(block.offset, block.len).map_err(|_error| Gone)?;
            if crc32fast::hash(&bytes) != block.crc {
                return Err(Gone);
            }
            (self.number, self.block) = (number, bytes);
        }
        Ok(&self.block)
    }
}

/// From the batches that can be read; what lies in others is found by looking for it.
fn rebuild(segment: &Segment, last_seq: u64) -> Result<Vec<Sparse>, Error> {
    let mut window = Window::of(segment);
    let mut rebuilt = Rebuilt::default();
    // Batch and truncations so far, as the newest good header says.
    let mut known = (0_u64, 0_u16);
    let mut next_offset = DATA_OFFSET;
    while next_offset < segment.data_end {
        let offset = next_offset;
        cover(&mut window, offset, SECTOR_BYTES)?;
        let sector = window.at(offset, SECTOR_BYTES).unwrap_or_default();
        let Ok(header) = Header::decode(sector, segment.seed, offset) else {
            next_offset = offset.saturating_add(len_u64(SECTOR_BYTES));
            continue;
        };
        next_offset = offset.saturating_add(header.batch_bytes());
        let frames_end = HEADER_BYTES.saturating_add(to_usize(u64::from(header.body_len)));
        cover(&mut window, offset, frames_end)?;
        let bytes = window.at(offset, frames_end).unwrap_or_default();
        let frames = bytes.get(HEADER_BYTES..).unwrap_or_default();
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
    Ok(if known.0 == last_seq { rebuilt.index } else { Vec::new() })
}

/// What cannot be read is not covered: it is as good as what fails its checksum.
fn cover(window: &mut Window<'_>, offset: u64, len: usize) -> Result<(), Error> {
    match window.cover(offset, len, READ_BYTES) {
        Ok(()) | Err(Error::Damaged { .. }) => Ok(()),
        Err(error) => Err(error),
    }
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
