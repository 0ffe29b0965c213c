//! The seal footer: what opening and reading need of a full segment, so that nobody has to scan it.
//!
//! ```text
//! data end                                            capacity
//! | sparse index | zeros | summary | trailer 64 |
//! ```
//!
//! What always holds: it says nothing that the batches do not say, so it can be thrown away and made
//! again; all of it is under checksums seeded with segment and position; no input makes decoding panic
//! or allocate more than the input. When it may be believed is decided in `recovery/fast.rs`.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    HardState, Vote,
    batch::{Counts, Seed},
    codec::{Cursor, len_u32, len_u64, to_usize},
};

/// Size of the trailer, which is the end of the file.
pub(crate) const TRAILER_BYTES: usize = 64;
/// A sparse entry is made when the last one is this far behind.
pub(crate) const STRIDE_BYTES: u32 = 4096;

const MAGIC: [u8; 8] = *b"HFWALSEL";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
/// Size of an entry of the sparse index.
pub(crate) const SPARSE_BYTES: usize = 24;
const RUN_BYTES: usize = 16;
const NOTE_BYTES: usize = 4;

/// A segment in short, as of its last batch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Summary {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Where the last batch ends.
    pub(crate) end: u64,
    /// The first index that the segment decides: below it the log is as before.
    pub(crate) first_index: u64,
    /// Index and term of the log's last entry.
    pub(crate) last: (u64, u64),
    pub(crate) hard_state: HardState,
    /// The header checksum of the last batch.
    pub(crate) chain: u32,
    /// The last batch's epoch.
    pub(crate) epoch: u32,
    pub(crate) counts: Counts,
    /// Where terms begin among the entries from `first_index` on: (first index, term), ascending.
    pub(crate) term_runs: Vec<(u64, u64)>,
    /// Where the frames lie that opening has to read: configurations still in the log, and what else
    /// is neither an entry nor in this summary; ascending.
    pub(crate) notes: Vec<u32>,
}

/// What a footer needs to know of a segment beside what its last batch says, gathered as it is written
/// or read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Gathered {
    pub(crate) first_seq: u64,
    pub(crate) first_index: u64,
    /// Index and offset of each configuration; 0 and offset of other notes.
    notes: Vec<(u64, u32)>,
    /// It tells of damage. Then it is read whole each time.
    pub(crate) tells_of_damage: bool,
}

/// An entry and where its frame lies. From there the frames that follow can be walked up to the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sparse {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) offset: u32,
}

/// The end of the file: what is before it, and how much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Trailer {
    summary_len: u32,
    summary_crc: u32,
    index_len: u32,
    index_crc: u32,
    last_seq: u64,
}

/// Where a footer goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Area {
    pub(crate) seed: Seed,
    /// Where the footer area begins.
    pub(crate) data_end: u64,
    /// Where it ends, and the file.
    pub(crate) capacity: u64,
}

/// An encoded footer: two pieces and their places.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) index: Vec<u8>,
    pub(crate) index_at: u64,
    /// Summary and trailer.
    pub(crate) tail: Vec<u8>,
    pub(crate) tail_at: u64,
    pub(crate) trailer: Trailer,
}

/// The footer's bytes; none when they do not fit.
pub(crate) fn encode(summary: &Summary, index: &[Sparse], area: Area) -> Option<Encoded> {
    let mut index_bytes = Vec::with_capacity(index.len().saturating_mul(SPARSE_BYTES));
    for sparse in index {
        index_bytes.extend_from_slice(&sparse.index.to_le_bytes());
        index_bytes.extend_from_slice(&sparse.term.to_le_bytes());
        index_bytes.extend_from_slice(&sparse.offset.to_le_bytes());
        index_bytes.extend_from_slice(&[0; 4]);
    }
    let mut tail = encode_summary(summary);
    let trailer = Trailer {
        summary_len: len_u32(tail.len()),
        summary_crc: 0,
        index_len: len_u32(index_bytes.len()),
        index_crc: area.seed.crc(area.data_end, &[&index_bytes]),
        last_seq: summary.last_seq,
    };
    if !trailer.fits(area) {
        return None;
    }
    let tail_at = trailer.summary_at(area);
    let trailer = Trailer { summary_crc: area.seed.crc(tail_at, &[&tail]), ..trailer };
    tail.extend_from_slice(&trailer.encode(area));
    Some(Encoded { index: index_bytes, index_at: area.data_end, tail, tail_at, trailer })
}

fn encode_summary(summary: &Summary) -> Vec<u8> {
    let vote = summary.hard_state.voted_for;
    let mut bytes = Vec::new();
    let longs = [
        summary.first_seq,
        summary.last_seq,
        summary.end,
        summary.first_index,
        summary.last.0,
        summary.last.1,
        summary.hard_state.term,
        vote.map_or(0, |vote| vote.node),
    ];
    for long in longs {
        bytes.extend_from_slice(&long.to_le_bytes());
    }
    bytes.extend_from_slice(&vote.map_or(0, |vote| vote.store).to_le_bytes());
    bytes.extend_from_slice(&u32::from(vote.is_some()).to_le_bytes());
    bytes.extend_from_slice(&summary.chain.to_le_bytes());
    bytes.extend_from_slice(&summary.epoch.to_le_bytes());
    bytes.extend_from_slice(&summary.counts.truncations.to_le_bytes());
    bytes.extend_from_slice(&summary.counts.bindings.to_le_bytes());
    bytes.extend_from_slice(&len_u32(summary.term_runs.len()).to_le_bytes());
    bytes.extend_from_slice(&len_u32(summary.notes.len()).to_le_bytes());
    for (index, term) in &summary.term_runs {
        bytes.extend_from_slice(&index.to_le_bytes());
        bytes.extend_from_slice(&term.to_le_bytes());
    }
    for note in &summary.notes {
        bytes.extend_from_slice(&note.to_le_bytes());
    }
    bytes
}

impl Gathered {
    /// A segment that begins with this batch, in a log whose next entry is this.
    pub(crate) const fn begin(first_seq: u64, next_index: u64) -> Self {
        let notes = Vec::new();
        Self { first_seq, first_index: next_index, notes, tells_of_damage: false }
    }

    /// The configuration `index` lies at `offset`.
    pub(crate) fn config(&mut self, index: u64, offset: u64) {
        let offset = u32::try_from(offset).expect("a segment is at most 1 GiB");
        self.notes.push((index, offset));
    }

    /// Something else that opening has to read lies at `offset`.
    pub(crate) fn note(&mut self, offset: u64) {
        self.config(0, offset);
    }

    /// Entries above `index` are no longer in the log.
    pub(crate) fn truncate_after(&mut self, index: u64) {
        self.first_index = self.first_index.min(index.saturating_add(1));
        self.notes.retain(|note| note.0 <= index);
    }

    pub(crate) fn offsets(&self) -> Vec<u32> {
        self.notes.iter().map(|note| note.1).collect()
    }
}

impl Summary {
    /// The term of an entry that lies in the segment.
    pub(crate) fn term_of(&self, index: u64) -> u64 {
        let runs_up_to = self.term_runs.partition_point(|run| run.0 <= index);
        runs_up_to.checked_sub(1).and_then(|run| self.term_runs.get(run)).map_or(0, |run| run.1)
    }

    /// Decode the summary that this trailer, at the end of this area, stands for.
    pub(crate) fn decode(bytes: &[u8], trailer: &Trailer, area: Area) -> Option<Self> {
        let holds = bytes.len() == trailer.summary_len()
            && area.seed.crc(trailer.summary_at(area), &[bytes]) == trailer.summary_crc;
        if !holds {
            return None;
        }
        let mut cursor = Cursor::new(bytes);
        let (first_seq, last_seq) = cursor.u64().zip(cursor.u64())?;
        let (end, first_index) = cursor.u64().zip(cursor.u64())?;
        let last = cursor.u64().zip(cursor.u64())?;
        let (term, node) = cursor.u64().zip(cursor.u64())?;
        let store = cursor.u128()?;
        let voted_for = (cursor.u32()? != 0).then_some(Vote { node, store });
        let (chain, epoch) = cursor.u32().zip(cursor.u32())?;
        let counts = Counts { truncations: cursor.u16()?, bindings: cursor.u16()? };
        let (runs, notes) = cursor.u32().zip(cursor.u32())?;
        let (runs, notes) = (to_usize(u64::from(runs)), to_usize(u64::from(notes)));
        // Taken before anything is allocated, so what is allocated is as long as the input at most.
        let mut run_bytes = Cursor::new(cursor.bytes(runs.checked_mul(RUN_BYTES)?)?);
        let mut note_bytes = Cursor::new(cursor.bytes(notes.checked_mul(NOTE_BYTES)?)?);
        let summary = Self {
            first_seq,
            last_seq,
            end,
            first_index,
            last,
            hard_state: HardState { term, voted_for },
            chain,
            epoch,
            counts,
            term_runs: (0..runs).map_while(|_| run_bytes.u64().zip(run_bytes.u64())).collect(),
            notes: (0..notes).map_while(|_| note_bytes.u32()).collect(),
        };
        (cursor.is_empty() && summary.last_seq == trailer.last_seq).then_some(summary)
    }
}

impl Trailer {
    /// The last batch of the segment.
    pub(crate) const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Decode the last bytes of a file; none when they are no trailer that this version knows.
    pub(crate) fn decode(bytes: &[u8], area: Area) -> Option<Self> {
        let bytes = bytes.first_chunk::<TRAILER_BYTES>()?;
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        if area.seed.crc(trailer_at(area), &[covered]) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut cursor = Cursor::new(covered);
        let is_known = cursor.array()? == MAGIC && cursor.u16()? == MAJOR;
        cursor.bytes(6)?;
        let (summary_len, summary_crc) = cursor.u32().zip(cursor.u32())?;
        let (index_len, index_crc) = cursor.u32().zip(cursor.u32())?;
        let last_seq = cursor.u64()?;
        let trailer = Self { summary_len, summary_crc, index_len, index_crc, last_seq };
        (is_known && trailer.fits(area)).then_some(trailer)
    }

    fn encode(&self, area: Area) -> [u8; TRAILER_BYTES] {
        let mut bytes = Vec::with_capacity(TRAILER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&MAJOR.to_le_bytes());
        bytes.extend_from_slice(&MINOR.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for short in [self.summary_len, self.summary_crc, self.index_len, self.index_crc] {
            bytes.extend_from_slice(&short.to_le_bytes());
        }
        bytes.extend_from_slice(&self.last_seq.to_le_bytes());
        bytes.resize(TRAILER_BYTES.saturating_sub(4), 0);
        let crc = area.seed.crc(trailer_at(area), &[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.try_into().expect("a trailer has its size")
    }

    fn fits(&self, area: Area) -> bool {
        let needed = u64::from(self.summary_len)
            .saturating_add(u64::from(self.index_len))
            .saturating_add(len_u64(TRAILER_BYTES));
        needed <= area.capacity.saturating_sub(area.data_end)
    }

    pub(crate) fn summary_len(&self) -> usize {
        to_usize(u64::from(self.summary_len))
    }

    pub(crate) fn summary_at(&self, area: Area) -> u64 {
        trailer_at(area).saturating_sub(u64::from(self.summary_len))
    }

    pub(crate) fn index_len(&self) -> usize {
        to_usize(u64::from(self.index_len))
    }

    /// Are these the bytes of the sparse index?
    pub(crate) fn index_holds(&self, bytes: &[u8], area: Area) -> bool {
        bytes.len() == self.index_len() && area.seed.crc(area.data_end, &[bytes]) == self.index_crc
    }
}

fn trailer_at(area: Area) -> u64 {
    area.capacity.saturating_sub(len_u64(TRAILER_BYTES))
}

/// How many entries an encoded sparse index has.
pub(crate) const fn sparse_count(bytes: &[u8]) -> usize {
    bytes.len() / SPARSE_BYTES
}

/// The entry number `at` of an encoded sparse index.
pub(crate) fn sparse_at(bytes: &[u8], at: usize) -> Option<Sparse> {
    let mut cursor = Cursor::new(bytes.get(at.checked_mul(SPARSE_BYTES)?..)?);
    let (index, term) = cursor.u64().zip(cursor.u64())?;
    Some(Sparse { index, term, offset: cursor.u32()? })
}
