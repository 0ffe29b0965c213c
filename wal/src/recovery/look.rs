//! Looking at the sectors of a segment: a large piece at a time, and only at those that are not zero.

use std::path::Path;

use crate::{
    batch::{Header, SECTOR_BYTES, is_zero},
    codec::{len_u64, to_usize},
    error::{Damage, Error},
    segment::{self, DATA_OFFSET, START_BYTES_MAX, Segment},
    verdict::Beyond,
};

/// How much is read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What lies beyond a place where a batch should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Look {
    pub(super) beyond: Beyond,
    /// Where the next good header is, and of which batch.
    pub(super) next_header: Option<(u64, u64)>,
    /// The newest batch that a good header there knows to be durable.
    pub(super) durable_seq: u64,
    /// The newest epoch of a good header there.
    pub(super) epoch: u32,
    /// A good header there is of a batch that cannot be there.
    pub(super) strays: bool,
    /// The end of the last sector that is not zero, the place itself included.
    pub(super) end: Option<u64>,
}

impl Look {
    pub(super) const NOTHING: Self = Self {
        beyond: Beyond::Zeros,
        next_header: None,
        durable_seq: 0,
        epoch: 0,
        strays: false,
        end: None,
    };

    /// Look from `place`, where batch `seq` should be, up to `to`.
    pub(super) fn at(
        chunks: &mut Chunks<'_>,
        place: u64,
        to: u64,
        seq: u64,
    ) -> Result<Self, Error> {
        let mut look = Self::NOTHING;
        let seed = chunks.segment.seed;
        visit_sectors(chunks, place, to, &mut |offset, sector| {
            look.end = Some(offset + len_u64(SECTOR_BYTES));
            if offset == place {
                return;
            }
            let beyond = match Header::decode(sector, seed, offset) {
                Ok(header) => {
                    look.next_header = look.next_header.or(Some((offset, header.seq)));
                    look.durable_seq = look.durable_seq.max(header.durable_seq);
                    look.epoch = look.epoch.max(header.epoch);
                    // Each batch takes a sector at least.
                    let batches_max = (offset - place) / len_u64(SECTOR_BYTES);
                    look.strays |= header.seq <= seq || header.seq - seq > batches_max;
                    if header.durable_seq >= seq { Beyond::Durable } else { Beyond::Batch }
                }
                Err(_) => Beyond::Remains,
            };
            look.beyond = look.beyond.max(beyond);
        })?;
        Ok(look)
    }
}

/// The number of a batch in a segment whose start cannot be read, if there is one.
pub(super) fn batch_in(segment: &Segment) -> Result<Option<u64>, Error> {
    let mut chunks = Chunks::of_start(segment);
    let end = chunks.end;
    if Look::at(&mut chunks, DATA_OFFSET, end, 0)?.end.is_none() {
        return Ok(None);
    }
    let mut chunks = Chunks::new(segment);
    let look = Look::at(&mut chunks, DATA_OFFSET, segment.data_end, 0)?;
    let Some((offset, _)) = look.next_header else { return Ok(None) };
    let header = Header::decode(chunks.at(offset, SECTOR_BYTES)?, segment.seed, offset);
    Ok(header.ok().map(|header| header.seq).filter(|seq| *seq > 1))
}

/// Call `visit` for each sector of `from..to` that is not zero.
pub(super) fn visit_sectors(
    chunks: &mut Chunks<'_>,
    from: u64,
    to: u64,
    visit: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), Error> {
    let mut offset = from;
    while offset < to {
        let len = (to - offset).min(len_u64(CHUNK_BYTES));
        let bytes = chunks.at(offset, to_usize(len))?;
        for (at, sector) in (offset..).step_by(SECTOR_BYTES).zip(bytes.chunks(SECTOR_BYTES)) {
            if !is_zero(sector) {
                visit(at, sector);
            }
        }
        offset += len;
    }
    Ok(())
}

/// Reads a segment from front to back, a large piece at a time.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    pub(super) segment: &'a Segment,
    /// Nothing beyond is asked for.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
    pub(super) read_bytes: u64,
}

impl<'a> Chunks<'a> {
    pub(super) const fn new(segment: &'a Segment) -> Self {
        Self { segment, end: segment.data_end, start: 0, bytes: Vec::new(), read_bytes: 0 }
    }

    /// Of a segment of which nobody knows whether it is in use: its start and what may follow that before it
    /// is durable.
    pub(super) fn of_start(segment: &'a Segment) -> Self {
        let end = segment.data_end.min(DATA_OFFSET + len_u64(START_BYTES_MAX + SECTOR_BYTES));
        Self { end, ..Self::new(segment) }
    }

    /// `len` bytes at `offset`, which lie within the segment.
    pub(super) fn at(&mut self, offset: u64, len: usize) -> Result<&[u8], Error> {
        let end = offset + len_u64(len);
        assert!(end <= self.end, "reads stay within the segment");
        if offset < self.start || end > self.start + len_u64(self.bytes.len()) {
            let wanted = len_u64(len.max(CHUNK_BYTES)).min(self.end - offset);
            // All at once: what the system reads ahead would be dropped again.
            self.segment.ask_disk(offset..self.end)?;
            self.bytes = self.segment.read(offset, to_usize(wanted))?;
            self.start = offset;
            self.read_bytes += wanted;
        }
        let from = to_usize(offset - self.start);
        Ok(&self.bytes[from..from + len])
    }
}

/// Damage that is not within the data of a segment.
pub(super) fn damaged(path: &Path, offset: u64, damage: Damage) -> Error {
    Error::Damaged { path: path.to_path_buf(), offset, damage }
}

/// A segment holds what only a later version understands.
pub(super) fn newer_version(segment: &Segment) -> Error {
    let path = segment.path.clone();
    Error::Version { path, found: segment::FORMAT_MAJOR + 1, supported: segment::FORMAT_MAJOR }
}
