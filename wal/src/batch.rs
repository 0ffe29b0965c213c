//! Batches and frames to bytes and back: pure and total.
//!
//! ```text
//! | header 80 | frame | frame | ... | filler |      a whole number of sectors
//! ```
//!
//! What always holds: a batch starts on a sector and shares none; its header lies in one sector, so
//! that a crash leaves all of it or nothing; every checksum is seeded with the segment and the
//! position, so that a stale or misdirected batch never passes; no input makes decoding panic or
//! allocate. Field tables: `FORMAT.md`.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;

use crate::{
    Entry, EntryKind, FaultyRange, HardState, Vote,
    aligned::Aligned,
    codec::{Cursor, len_u32, len_u64, put},
    entry::{checksum_of, content_checksum},
    payload::{FAULTY_BYTES, VOTE_BYTES, decode_faulty, decode_vote, encode_faulty, encode_vote},
};

/// The unit that a disk writes whole or not at all (research F12).
pub(crate) const SECTOR_BYTES: usize = 512;
/// Size of a batch header.
pub(crate) const HEADER_BYTES: usize = 80;
/// Size of a frame without its payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// From here on its own checksum covers a frame: index, term, payload.
const CONTENT_AT: usize = 16;

const MAGIC: [u8; 4] = *b"WBAT";
const HEADER_WORDS: u8 = 10;
/// No batch has this number or a higher one, so that counting on never overflows.
pub(crate) const SEQ_END: u64 = 1 << 63;
/// The one flag of a batch.
const END_IN_DOUBT: u16 = 1;
/// Fills the last sector. Not zero, so that a lost sector shows.
const FILLER: u8 = 0xA5;
/// Frames begin on a multiple of this.
pub(crate) const FRAME_ALIGN: usize = 8;
/// Frame types from here on may be skipped by a reader that does not know them.
const SKIPPABLE: u8 = 128;

const _: () = assert!(HEADER_BYTES <= SECTOR_BYTES);
const _: () = assert!(HEADER_BYTES == HEADER_WORDS as usize * 8);

const TYPE_ENTRY: u8 = 1;
const TYPE_HARD_STATE: u8 = 2;
const TYPE_TRUNCATE_AFTER: u8 = 3;
const TYPE_BIND: u8 = 7;
const TYPE_REPAIRED: u8 = 8;
const TYPE_FAULTY: u8 = 9;
const TYPE_SETTLED: u8 = 10;

/// What a batch is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum BatchKind {
    /// Operations.
    Data = 1,
    /// The first of a segment: hard state and bindings again.
    SegmentStart = 2,
    /// The last of a run that ended in order.
    Clean = 5,
}

/// A batch header, without what is the same in all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: BatchKind,
    /// Dense over the whole log, from 1.
    pub(crate) seq: u64,
    /// The newest batch known to be synced when this one was written.
    pub(crate) durable_seq: u64,
    /// The first index that it decides: below it the log is as before, from it on every entry lies in
    /// this batch.
    pub(crate) first_index: u64,
    /// The log's last entry once this batch is applied.
    pub(crate) last_index: u64,
    /// That entry's term.
    pub(crate) last_term: u64,
    pub(crate) frame_count: u32,
    /// Length of the frames, without the filler.
    pub(crate) body_len: u32,
    pub(crate) epoch: u32,
    /// The header checksum of the batch before.
    pub(crate) previous_crc: u32,
    /// Over frames and filler.
    pub(crate) body_crc: u32,
    /// How many sectors after the first are all zero: one more on disk and a write was lost.
    pub(crate) zero_sectors: u32,
    pub(crate) counts: Counts,
    /// After this batch the end is in doubt: see [`FaultyKind`](crate::FaultyKind).
    pub(crate) end_in_doubt: bool,
}

/// What tells, of a run of lost batches, whether they did anything but append.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Truncations in the log so far, wrapping.
    pub(crate) truncations: u16,
    /// Nodes bound so far.
    pub(crate) bindings: u16,
}

/// The header fields that the encoder cannot know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) kind: BatchKind,
    pub(crate) seq: u64,
    pub(crate) durable_seq: u64,
    pub(crate) first_index: u64,
    pub(crate) last_index: u64,
    pub(crate) last_term: u64,
    pub(crate) epoch: u32,
    pub(crate) previous_crc: u32,
    pub(crate) counts: Counts,
    pub(crate) end_in_doubt: bool,
}

/// What a frame holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Record {
    Entry(Entry),
    HardState(HardState),
    TruncateAfter(u64),
    Bind { node: u64, store: u128 },
    Repaired(Entry),
    Faulty(FaultyRange),
    Settled,
}

/// A decoded frame that borrows its payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Frame<'a> {
    Entry {
        index: u64,
        term: u64,
        kind: EntryKind,
        checksum: u32,
        payload: &'a [u8],
    },
    HardState(HardState),
    TruncateAfter(u64),
    Bind {
        node: u64,
        store: u128,
    },
    /// An entry once more, in the place of one that was lost.
    Repaired {
        index: u64,
        term: u64,
        kind: EntryKind,
        checksum: u32,
        payload: &'a [u8],
    },
    Faulty(FaultyRange),
    Settled,
    /// Of a later version, and not needed to understand the rest.
    Skipped,
}

/// Why bytes are no batch or no frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The checksum or the magic is wrong, or there are too few bytes.
    Checksum,
    /// The checksum holds but the contents make no sense.
    Contents,
    /// The checksum holds but a later version wrote it.
    Version,
}

/// The segment's part of every checksum in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seed(pub(crate) u32);

impl Seed {
    pub(crate) fn crc(self, offset: u64, parts: &[&[u8]]) -> u32 {
        let mut hasher = self.hasher();
        hasher.update(&offset.to_le_bytes());
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// The checksum of a frame: over its position, its length, its type and the checksum of what is in it.
    fn frame_crc(self, offset: u64, head: &[u8; CONTENT_AT]) -> u32 {
        // In one piece: a checksum over few bytes costs by the call.
        let [l0, l1, l2, l3, _, _, _, _, rest @ ..] = head;
        let mut covered = [0; 20];
        put(&mut covered, 0, &offset.to_le_bytes());
        put(&mut covered, 8, &[*l0, *l1, *l2, *l3]);
        put(&mut covered, 12, rest);
        let mut hasher = self.hasher();
        hasher.update(&covered);
        hasher.finalize()
    }

    fn hasher(self) -> crc32fast::Hasher {
        crc32fast::Hasher::new_with_initial(self.0)
    }
}

impl Record {
    /// Size of the frame in bytes.
    pub(crate) fn frame_bytes(&self) -> usize {
        let payload = match self {
            Self::Entry(entry) | Self::Repaired(entry) => entry.payload.len(),
            Self::HardState(state) if state.voted_for.is_some() => VOTE_BYTES,
            Self::HardState(_) | Self::TruncateAfter(_) | Self::Settled => 0,
            Self::Bind { .. } => VOTE_BYTES,
            Self::Faulty(_) => FAULTY_BYTES,
        };
        frame_bytes(payload)
    }
}

/// Size of a frame with this payload.
#[expect(clippy::arithmetic_side_effects, reason = "a slice is at most isize::MAX bytes long")]
pub(crate) const fn frame_bytes(payload_bytes: usize) -> usize {
    FRAME_HEADER_BYTES + payload_bytes.next_multiple_of(FRAME_ALIGN)
}

/// Size of a batch on disk, filler included, whose frames take `body_bytes`.
#[expect(clippy::arithmetic_side_effects, reason = "bounded by a segment")]
pub(crate) const fn batch_bytes(body_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).next_multiple_of(SECTOR_BYTES)
}

impl Header {
    /// Size of the batch on disk, filler included.
    pub(crate) fn batch_bytes(&self) -> u64 {
        len_u64(HEADER_BYTES)
            .saturating_add(u64::from(self.body_len))
            .next_multiple_of(len_u64(SECTOR_BYTES))
    }

    /// Does a header seem to begin here?
    pub(crate) fn is_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Decode the header at `offset` of a segment. Everything in it can be trusted: its checksum holds.
    pub(crate) fn decode(bytes: &[u8], seed: Seed, offset: u64) -> Result<Self, Fault> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Fault::Checksum)?;
        let (covered, crc) = header.split_last_chunk::<4>().ok_or(Fault::Checksum)?;
        if !header.starts_with(&MAGIC) || u32::from_le_bytes(*crc) != seed.crc(offset, &[covered]) {
            return Err(Fault::Checksum);
        }
        let header = decode_fields(covered).ok_or(Fault::Version)?;
        if header.seq < SEQ_END { Ok(header) } else { Err(Fault::Contents) }
    }

    /// The checksum of the encoded header, to which the next batch is chained.
    pub(crate) fn crc_of(encoded: &[u8]) -> Option<u32> {
        let header = encoded.first_chunk::<HEADER_BYTES>()?;
        header.last_chunk().map(|crc| u32::from_le_bytes(*crc))
    }

    /// Does the body checksum hold? `body` is everything after the header up to the end of the last sector.
    pub(crate) fn body_holds(&self, body: &[u8], seed: Seed, offset: u64) -> bool {
        self.body_crc == seed.crc(body_offset(offset), &[body])
    }
}

/// Where the body of the batch at this offset begins.
pub(crate) const fn body_offset(batch_offset: u64) -> u64 {
    batch_offset.saturating_add(HEADER_BYTES as u64)
}

/// `None` when a later version wrote it.
fn decode_fields(covered: &[u8]) -> Option<Header> {
    let mut cursor = Cursor::new(covered);
    cursor.bytes(MAGIC.len())?;
    let kind = match cursor.u8()? {
        1 => BatchKind::Data,
        2 => BatchKind::SegmentStart,
        5 => BatchKind::Clean,
        _ => return None,
    };
    let words = cursor.u8()?;
    let flags = cursor.u16()?;
    if words != HEADER_WORDS || flags & !END_IN_DOUBT != 0 {
        return None;
    }
    let seq = cursor.u64()?;
    let durable_seq = cursor.u64()?;
    let first_index = cursor.u64()?;
    let last_term = cursor.u64()?;
    let frame_count = cursor.u32()?;
    let body_len = cursor.u32()?;
    let epoch = cursor.u32()?;
    let previous_crc = cursor.u32()?;
    let body_crc = cursor.u32()?;
    let zero_sectors = cursor.u32()?;
    let last_index = cursor.u64()?;
    let counts = Counts { truncations: cursor.u16()?, bindings: cursor.u16()? };
    Some(Header {
        kind,
        seq,
        durable_seq,
        first_index,
        last_index,
        last_term,
        frame_count,
        body_len,
        epoch,
        previous_crc,
        body_crc,
        zero_sectors,
        counts,
        end_in_doubt: flags == END_IN_DOUBT,
    })
}

/// Builds one batch in a reused buffer.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    buffer: Aligned,
    frame_count: u32,
}

impl Encoder {
    /// Forget the last batch.
    pub(crate) fn begin(&mut self) {
        self.buffer.begin();
        self.buffer.resize(HEADER_BYTES, 0);
        self.frame_count = 0;
    }

    /// Add a frame to the batch at `batch_offset`; returns the frame's offset in the segment.
    #[expect(clippy::arithmetic_side_effects, reason = "bounded by a segment")]
    pub(crate) fn push(&mut self, record: &Record, seed: Seed, batch_offset: u64) -> u64 {
        let start = self.buffer.len();
        let offset = batch_offset + len_u64(start);
        // An entry has brought its checksum: who makes it or takes it in has gone through its bytes.
        let (kind, subkind, checksum, index, term) = match record {
            Record::Entry(entry) => {
                (TYPE_ENTRY, entry.kind as u8, Some(entry.checksum), entry.index, entry.term)
            }
            Record::HardState(state) => (TYPE_HARD_STATE, 0, None, 0, state.term),
            Record::TruncateAfter(index) => (TYPE_TRUNCATE_AFTER, 0, None, *index, 0),
            Record::Bind { .. } => (TYPE_BIND, 0, None, 0, 0),
            Record::Repaired(entry) => {
                (TYPE_REPAIRED, entry.kind as u8, Some(entry.checksum), entry.index, entry.term)
            }
            Record::Faulty(range) => (TYPE_FAULTY, 0, None, range.first, range.term_min),
            Record::Settled => (TYPE_SETTLED, 0, None, 0, 0),
        };
        let fixed = match record {
            Record::HardState(HardState { voted_for: Some(voted), .. }) => {
                Some(encode_vote(voted.node, voted.store))
            }
            Record::Bind { node, store } => Some(encode_vote(*node, *store)),
            Record::Faulty(range) => Some(encode_faulty(range)),
            Record::Entry(_)
            | Record::HardState(_)
            | Record::TruncateAfter(_)
            | Record::Repaired(_)
            | Record::Settled => None,
        };
        let payload: &[u8] = match (record, &fixed) {
            (Record::Entry(entry) | Record::Repaired(entry), _) => &entry.payload,
            (_, Some(fixed)) => fixed,
            (_, None) => &[],
        };
        let checksum = checksum.unwrap_or_else(|| content_checksum(subkind, index, term, payload));
        let mut head = [0; FRAME_HEADER_BYTES];
        put(&mut head, 0, &len_u32(payload.len()).to_le_bytes());
        put(&mut head, 8, &[kind, subkind, 0, 0]);
        put(&mut head, 12, &checksum.to_le_bytes());
        put(&mut head, 16, &index.to_le_bytes());
        put(&mut head, 24, &term.to_le_bytes());
        let crc = head.first_chunk().map_or(0, |head| seed.frame_crc(offset, head));
        put(&mut head, 4, &crc.to_le_bytes());
        self.buffer.extend(&head);
        self.buffer.extend(payload);
        self.buffer.resize(start + frame_bytes(payload.len()), 0);
        self.frame_count += 1;
        offset
    }

    /// Finish the batch at `offset`; returns its bytes and its header's checksum.
    pub(crate) fn finish(&mut self, place: Place, seed: Seed, offset: u64) -> (&[u8], u32) {
        let body_len = len_u32(self.buffer.len().saturating_sub(HEADER_BYTES));
        self.buffer.resize(self.buffer.len().next_multiple_of(SECTOR_BYTES), FILLER);
        let (head, body) = self.buffer.as_mut_slice().split_at_mut(HEADER_BYTES);
        let body: &[u8] = body;
        let body_crc = seed.crc(body_offset(offset), &[body]);
        let zero_sectors = zero_sectors(body);
        put(head, 0, &MAGIC);
        let flags = if place.end_in_doubt { END_IN_DOUBT } else { 0 };
        put(head, 4, &[place.kind as u8, HEADER_WORDS]);
        put(head, 6, &flags.to_le_bytes());
        put(head, 8, &place.seq.to_le_bytes());
        put(head, 16, &place.durable_seq.to_le_bytes());
        put(head, 24, &place.first_index.to_le_bytes());
        put(head, 32, &place.last_term.to_le_bytes());
        put(head, 40, &self.frame_count.to_le_bytes());
        put(head, 44, &body_len.to_le_bytes());
        put(head, 48, &place.epoch.to_le_bytes());
        put(head, 52, &place.previous_crc.to_le_bytes());
        put(head, 56, &body_crc.to_le_bytes());
        put(head, 60, &zero_sectors.to_le_bytes());
        put(head, 64, &place.last_index.to_le_bytes());
        put(head, 72, &place.counts.truncations.to_le_bytes());
        put(head, 74, &place.counts.bindings.to_le_bytes());
        let header_crc =
            head.split_last_chunk::<4>().map_or(0, |(covered, _)| seed.crc(offset, &[covered]));
        put(head, 76, &header_crc.to_le_bytes());
        (self.buffer.as_slice(), header_crc)
    }
}

/// How many sectors after a batch's first are all zero. `body` begins right after the header.
pub(crate) fn zero_sectors(body: &[u8]) -> u32 {
    let beyond_first = body.get(SECTOR_BYTES.saturating_sub(HEADER_BYTES)..).unwrap_or_default();
    len_u32(beyond_first.chunks(SECTOR_BYTES).filter(|sector| is_zero(sector)).count())
}

/// Are all bytes zero?
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
    bytes.chunks(SECTOR_BYTES).all(|chunk| ZEROS.starts_with(chunk))
}

/// The frames of a batch body, each with its offset in the segment.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
    offset: u64,
    seed: Seed,
}

impl<'a> Frames<'a> {
    /// `body` without the filler, of the batch at `batch_offset`.
    pub(crate) const fn new(body: &'a [u8], seed: Seed, batch_offset: u64) -> Self {
        Self { rest: body, offset: body_offset(batch_offset), seed }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<(u64, Frame<'a>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        match Frame::decode(self.rest, self.seed, offset) {
            Ok((frame, size)) => {
                self.rest = self.rest.get(size..).unwrap_or_default();
                self.offset = offset.saturating_add(len_u64(size));
                Some(Ok((offset, frame)))
            }
            Err(fault) => {
                self.rest = &[];
                Some(Err(fault))
            }
        }
    }
}

/// What stands at a place where a frame may begin, unchecked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Peeked {
    /// Set when it looks like an entry.
    pub(crate) entry_index: Option<u64>,
    /// Where the next frame may begin.
    pub(crate) next_offset: u64,
}

/// Look at what begins at `offset`: a frame, the header of the next batch, or the filler of this one. The
/// latter two are no length that a frame can have.
pub(crate) fn peek(bytes: &[u8], offset: u64) -> Option<Peeked> {
    let mut cursor = Cursor::new(bytes.first_chunk::<FRAME_HEADER_BYTES>()?);
    let (len, _) = cursor.u32().zip(cursor.u32())?;
    if len == u32::from_le_bytes(MAGIC) {
        return Some(Peeked { entry_index: None, next_offset: body_offset(offset) });
    }
    if len == u32::from_le_bytes([FILLER; 4]) {
        let next_offset = offset.saturating_add(1).next_multiple_of(len_u64(SECTOR_BYTES));
        return Some(Peeked { entry_index: None, next_offset });
    }
    let kind = cursor.u8()?;
    cursor.bytes(7)?;
    let entry_index = (cursor.u64()?, kind == TYPE_ENTRY);
    Some(Peeked {
        entry_index: entry_index.1.then_some(entry_index.0),
        next_offset: offset.saturating_add(len_u64(frame_bytes(usize::try_from(len).ok()?))),
    })
}

impl<'a> Frame<'a> {
    /// The size of the frame that `bytes` seem to begin with, unchecked.
    pub(crate) fn size(bytes: &[u8]) -> Option<usize> {
        Some(frame_bytes(usize::try_from(Cursor::new(bytes).u32()?).ok()?))
    }

    /// Decode the frame at the start of `bytes`, which lies at `offset` of its segment; returns it and its
    /// size.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8], seed: Seed, offset: u64) -> Result<(Self, usize), Fault> {
        let (head, content) = bytes.split_first_chunk().ok_or(Fault::Checksum)?;
        let mut cursor = Cursor::new(head);
        let (len, crc) = cursor.u32().zip(cursor.u32()).ok_or(Fault::Checksum)?;
        if crc != seed.frame_crc(offset, head) {
            return Err(Fault::Checksum);
        }
        let len = usize::try_from(len).map_err(|_large| Fault::Checksum)?;
        let (kind, subkind) = cursor.u8().zip(cursor.u8()).ok_or(Fault::Checksum)?;
        cursor.u16().ok_or(Fault::Checksum)?;
        let checksum = cursor.u32().ok_or(Fault::Checksum)?;
        let content_len = len.checked_add(FRAME_HEADER_BYTES - CONTENT_AT);
        let content = content_len.and_then(|len| content.get(..len)).ok_or(Fault::Checksum)?;
        if checksum != checksum_of(subkind, &[content]) {
            return Err(Fault::Checksum);
        }
        let frame = Self::decode_content((kind, subkind, checksum), content)?;
        Ok((frame, frame_bytes(len)))
    }

    #[inline]
    fn decode_content(
        (kind, subkind, checksum): (u8, u8, u32),
        content: &'a [u8],
    ) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(content);
        let (index, term) = cursor.u64().zip(cursor.u64()).ok_or(Fault::Contents)?;
        let payload = cursor.rest();
        match kind {
            TYPE_ENTRY => {
                let kind = EntryKind::from_u8(subkind).ok_or(Fault::Version)?;
                Ok(Self::Entry { index, term, kind, checksum, payload })
            }
            TYPE_HARD_STATE if payload.is_empty() => {
                Ok(Self::HardState(HardState { term, voted_for: None }))
            }
            TYPE_HARD_STATE => {
                let (node, store) = decode_vote(payload).ok_or(Fault::Contents)?;
                Ok(Self::HardState(HardState { term, voted_for: Some(Vote { node, store }) }))
            }
            TYPE_TRUNCATE_AFTER if payload.is_empty() => Ok(Self::TruncateAfter(index)),
            TYPE_TRUNCATE_AFTER => Err(Fault::Contents),
            TYPE_BIND => {
                let (node, store) = decode_vote(payload).ok_or(Fault::Contents)?;
                Ok(Self::Bind { node, store })
            }
            TYPE_REPAIRED => {
                let kind = EntryKind::from_u8(subkind).ok_or(Fault::Version)?;
                Ok(Self::Repaired { index, term, kind, checksum, payload })
            }
            TYPE_FAULTY => {
                decode_faulty(index, term, payload).map(Self::Faulty).ok_or(Fault::Contents)
            }
            TYPE_SETTLED if payload.is_empty() => Ok(Self::Settled),
            TYPE_SETTLED => Err(Fault::Contents),
            SKIPPABLE.. => Ok(Self::Skipped),
            _ => Err(Fault::Version),
        }
    }

    /// The entry in this frame, if it holds one; its payload shares `window`, of which the frame is a part.
    #[inline]
    pub(crate) fn to_entry(self, window: &Bytes) -> Option<Entry> {
        match self {
            Self::Entry { index, term, kind, checksum, payload }
            | Self::Repaired { index, term, kind, checksum, payload } => {
                Some(Entry { index, term, kind, checksum, payload: window.slice_ref(payload) })
            }
            Self::HardState(_)
            | Self::TruncateAfter(_)
            | Self::Bind { .. }
            | Self::Faulty(_)
            | Self::Settled
            | Self::Skipped => None,
        }
    }
}
