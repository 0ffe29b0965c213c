//! Reading again what was written long ago, so that damage is found while it can be mended.
//!
//! ```text
//! pass: | sealed | sealed | ... | sealed | active |        the active one is left to its writer
//!         step step step ...
//! ```
//!
//! What always holds: one step reads about as much as it was allowed and then stands where the next goes
//! on; it reads by `pread` and past the cache, which of a mapped segment still holds what has rotted on
//! the disk, and a disk error is an answer and not the end of the process (research F6); it holds no lock while it reads and writes nothing; what
//! damage took is faulty from then on, and what lies around it reads; it has no clock: whoever calls it
//! says how fast; what it keeps in memory is one batch and a bounded list.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{collections::BTreeSet, fmt, io, path::PathBuf, sync::Arc};

use crate::{
    Damage, Reader,
    batch::{BatchKind, Frame, Frames, HEADER_BYTES, Header, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    footer,
    salvage::salvage,
    segment::{DATA_OFFSET, Segment},
    view::Shared,
};

/// Findings that are remembered, so that each is told once; of more, none is told.
pub const FINDINGS_MAX: usize = 4096;
/// So much is read at a time, or one batch.
const READ_BYTES: u64 = 128 * 1024;
const SECTOR: u64 = SECTOR_BYTES as u64;

/// A walk through all sealed segments of a log, over and over.
#[derive(Debug)]
pub struct Scrub {
    shared: Arc<Shared>,
    /// Which of the segments in use is next.
    number: usize,
    place: Option<Place>,
    /// Segment and place of what was told.
    told: BTreeSet<(u64, u64)>,
}

/// What one step did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScrubStep {
    /// Bytes read; 0 when no segment is sealed.
    pub read_bytes: u64,
    /// What was found and not told before.
    pub findings: Vec<Finding>,
    /// Some of it may have come from the cache and not from the disk: the file system lets nobody past it.
    pub is_cached: bool,
    /// The last sealed segment was read to its end; the next step begins at the first.
    pub is_pass_over: bool,
}

/// A faulty place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Which file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub damage: Damage,
    /// The first and the last entry that the log lost there, if it lost any: they are
    /// [faulty](Reader::faulty) from now on.
    pub entries: Option<(u64, u64)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.path.display(), self.offset, self.damage)?;
        match self.entries {
            Some((first, last)) if first == last => write!(f, " (entry {first})"),
            Some((first, last)) => write!(f, " (entries {first} to {last})"),
            None => Ok(()),
        }
    }
}

impl Scrub {
    /// Of the log that this reader reads, from its first segment on.
    #[must_use]
    pub fn new(reader: &Reader) -> Self {
        let shared = Arc::clone(reader.shared());
        Self { shared, number: 0, place: None, told: BTreeSet::new() }
    }

    /// Read about `budget_bytes` more: at least one batch, and no further than to the end of the pass.
    pub fn step(&mut self, budget_bytes: u64) -> ScrubStep {
        let mut seen = Seen::default();
        let mut is_pass_over = false;
        while seen.read_bytes < budget_bytes.max(1) && !is_pass_over {
            let next = self.place.take().or_else(|| self.next_place());
            let Some(place) = next else {
                is_pass_over = self.number > 0;
                self.number = 0;
                break;
            };
            match place.advance(&mut seen) {
                Some(place) => self.place = Some(place),
                None => self.number = self.number.saturating_add(1),
            }
        }
        let Seen { read_bytes, is_cached, found } = seen;
        let findings = found.into_iter().filter_map(|found| self.take_in(found)).collect();
        ScrubStep { read_bytes, findings, is_cached, is_pass_over }
    }

    /// What is new is told, and what it took is lost.
    fn take_in(&mut self, found: Found) -> Option<Finding> {
        let Found { segment, offset, damage, entries } = found;
        if self.told.len() >= FINDINGS_MAX || !self.told.insert((segment.id, offset)) {
            return None;
        }
        if damage == Damage::Unreadable {
            segment.distrust();
        }
        let lose = |(first, last)| self.shared.lock().lose(&segment, first, last);
        let entries = entries.into_iter().filter_map(lose);
        let entries = entries.reduce(|all, lost| (all.0.min(lost.0), all.1.max(lost.1)));
        Some(Finding { path: segment.path.clone(), offset, damage, entries })
    }

    /// The beginning of the next sealed segment.
    fn next_place(&self) -> Option<Place> {
        let (segment, next) = {
            let view = self.shared.lock();
            let mut used = view.used.iter().skip(self.number);
            used.next().cloned().zip(used.next().cloned())?
        };
        let start = next.read(DATA_OFFSET, SECTOR_BYTES).ok();
        let start = start.and_then(|bytes| Header::decode(&bytes, next.seed, DATA_OFFSET).ok());
        Some(Place::first_of(segment, start.map(|header| header.seq)))
    }
}

/// Everything that is wrong with a segment in use, and where; `next_seq` is the first batch of the next one.
/// Of the last, which tells nobody where it ends, only what the disk cannot read.
pub(crate) fn walk(segment: &Arc<Segment>, next_seq: Option<u64>) -> Vec<(u64, Damage)> {
    let mut seen = Seen::default();
    let mut place = Some(Place::first_of(Arc::clone(segment), next_seq));
    while let Some(now) = place {
        place = now.advance(&mut seen);
    }
    let found = seen.found.into_iter().map(|found| (found.offset, found.damage));
    found.filter(|(_, damage)| next_seq.is_some() || *damage == Damage::Unreadable).collect()
}

/// What one step saw.
#[derive(Debug, Default)]
struct Seen {
    read_bytes: u64,
    is_cached: bool,
    found: Vec<Found>,
}

impl Seen {
    /// What was tried counts, so that a disk that answers errors does not make a step endless.
    fn read(&mut self, segment: &Segment, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_bytes = self.read_bytes.saturating_add(len_u64(buffer.len()));
        self.is_cached |= !segment.file.read_from_disk(buffer, offset)?;
        Ok(())
    }
}

#[derive(Debug)]
struct Found {
    segment: Arc<Segment>,
    offset: u64,
    damage: Damage,
    /// What may have been there, ascending; not all of it need be in force, or in this segment.
    entries: Vec<(u64, u64)>,
}

/// Where in a segment the walk stands.
#[derive(Debug)]
struct Place {
    segment: Arc<Segment>,
    /// The first batch of the next segment, which tells where this one ends.
    next_seq: Option<u64>,
    offset: u64,
    /// The last batch with a good header.
    before: Option<Before>,
    /// Where the next batch was expected, when it was not there.
    gap: Option<(u64, Damage)>,
    window: Window,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    seq: u64,
    chain: u32,
    last_index: u64,
}

impl Place {
    fn first_of(segment: Arc<Segment>, next_seq: Option<u64>) -> Self {
        let (offset, window) = (DATA_OFFSET, Window::default());
        Self { segment, next_seq, offset, before: None, gap: None, window }
    }

    /// One batch further, or one sector where there is none; nothing is left at the segment's end.
    fn advance(mut self, seen: &mut Seen) -> Option<Self> {
        if self.is_over() {
            self.end(seen);
            return None;
        }
        let (offset, seed) = (self.offset, self.segment.seed);
        let sector = self.read(offset, SECTOR_BYTES, seen);
        let found = sector.map(|bytes| {
            let crc = Header::crc_of(bytes).unwrap_or_default();
            (crc, Header::decode(bytes, seed, offset))
        });
        match found {
            Ok((crc, Ok(header))) if self.fits(&header) => self.check(&header, crc, seen),
            Ok(_) => self.skip(Damage::Header),
            Err(_) => self.skip(Damage::Unreadable),
        }
        Some(self)
    }

    /// Everything that belongs here was read, or there is nowhere left to look.
    fn is_over(&self) -> bool {
        let last_seq = self.before.map(|before| before.seq);
        let is_last = self
            .next_seq
            .is_some_and(|next| last_seq.is_some_and(|seq| seq.saturating_add(1) >= next));
        is_last || self.offset.saturating_add(SECTOR) > self.segment.data_end
    }

    fn fits(&self, header: &Header) -> bool {
        let is_new = self.before.is_none_or(|before| header.seq > before.seq);
        let is_ours = self.next_seq.is_none_or(|next| header.seq < next);
        is_new
            && is_ours
            && header.batch_bytes() <= self.segment.data_end.saturating_sub(self.offset)
    }

    /// No batch begins here.
    fn skip(&mut self, damage: Damage) {
        let is_first = |gap: (u64, Damage)| damage == Damage::Unreadable && gap.1 != damage;
        if self.gap.is_none_or(is_first) {
            self.gap = Some((self.offset, damage));
        }
        self.offset = self.offset.saturating_add(SECTOR);
    }

    /// A batch with a good header.
    fn check(&mut self, header: &Header, crc: u32, seen: &mut Seen) {
        let follows = match self.before {
            Some(before) => {
                header.seq == before.seq.saturating_add(1) && header.previous_crc == before.chain
            }
            None => header.kind == BatchKind::SegmentStart,
        };
        if !follows {
            let (offset, damage) = self.gap.unwrap_or((self.offset, Damage::OutOfSequence));
            self.report(offset, damage, header.first_index.saturating_sub(1), seen);
        }
        self.gap = None;
        if let Some((damage, entries)) = self.body_fault(header, seen) {
            seen.found.push(self.found(self.offset, damage, entries));
        }
        self.before = Some(Before { seq: header.seq, chain: crc, last_index: header.last_index });
        self.offset = self.offset.saturating_add(header.batch_bytes());
    }

    /// What is wrong with the body of the batch that begins here, and the entries that it cost: who looks
    /// for one whose own checksum holds still finds it.
    fn body_fault(
        &mut self,
        header: &Header,
        seen: &mut Seen,
    ) -> Option<(Damage, Vec<(u64, u64)>)> {
        let (offset, seed) = (self.offset, self.segment.seed);
        let Ok(batch) = self.read(offset, to_usize(header.batch_bytes()), seen) else {
            return Some((Damage::Unreadable, lost(header, &[])));
        };
        let body = batch.get(HEADER_BYTES..).unwrap_or_default();
        let frames = body.get(..to_usize(u64::from(header.body_len))).unwrap_or_default();
        let damage = if !header.body_holds(body, seed, offset) {
            Damage::Acknowledged
        } else if Frames::new(frames, seed, offset).any(|frame| frame.is_err()) {
            Damage::Contents
        } else {
            return None;
        };
        Some((damage, lost(header, &salvage(frames, seed, offset))))
    }

    /// The segment ends here: is that all it should hold?
    fn end(&mut self, seen: &mut Seen) {
        let last_seq = self.before.map(|before| before.seq);
        let is_all = match (self.next_seq, last_seq) {
            (Some(next), Some(last)) => last.saturating_add(1) == next,
            (Some(_), None) => false,
            // What should be here nobody knows; that the next segment cannot say is found there.
            (None, _) => self.gap.is_none_or(|gap| gap.1 != Damage::Unreadable),
        };
        if let Some((offset, damage)) = self.gap.take().filter(|_| !is_all) {
            self.report(offset, damage, u64::MAX, seen);
        }
        if is_all && self.segment.has_footer() && !self.footer_holds(seen) {
            seen.found.push(self.found(self.segment.data_end, Damage::Footer, Vec::new()));
        }
    }

    /// Does the footer say what was read?
    fn footer_holds(&self, seen: &mut Seen) -> bool {
        let (_, summary) = footer::look(&self.segment, |offset, len| {
            let mut bytes = vec![0; len];
            seen.read(&self.segment, &mut bytes, offset).ok().map(|()| bytes)
        });
        summary.is_some_and(|summary| {
            let last = self.before.map(|before| (before.seq, before.chain, before.last_index));
            last == Some((summary.last_seq, summary.chain, summary.last.0))
                && summary.end == self.offset
        })
    }

    /// Batches are missing up to the one that decides the entry after `last`.
    fn report(&mut self, offset: u64, damage: Damage, last: u64, seen: &mut Seen) {
        let first = self.before.map_or(1, |before| before.last_index.saturating_add(1));
        let entries = (first <= last).then_some((first, last));
        seen.found.push(self.found(offset, damage, entries.into_iter().collect()));
    }

    fn found(&self, offset: u64, damage: Damage, entries: Vec<(u64, u64)>) -> Found {
        Found { segment: Arc::clone(&self.segment), offset, damage, entries }
    }

    fn read(&mut self, offset: u64, len: usize, seen: &mut Seen) -> io::Result<&[u8]> {
        self.window.at(&self.segment, offset, len, seen)
    }
}

/// The entries of a batch, without those that were saved of it.
fn lost(header: &Header, saved: &[(u64, Frame<'_>)]) -> Vec<(u64, u64)> {
    let (mut next, last) = (header.first_index, header.last_index);
    let mut lost = Vec::new();
    for (_, frame) in saved {
        if let Frame::Entry { index, .. } = *frame
            && (next..=last).contains(&index)
        {
            if next < index {
                lost.push((next, index.saturating_sub(1)));
            }
            next = index.saturating_add(1);
        }
    }
    if next <= last {
        lost.push((next, last));
    }
    lost
}

/// A piece of a segment.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// `len` bytes at `offset`, which lie below the data end.
    fn at(
        &mut self,
        segment: &Segment,
        offset: u64,
        len: usize,
        seen: &mut Seen,
    ) -> io::Result<&[u8]> {
        let end = offset.saturating_add(len_u64(len));
        if offset < self.start || end > self.start.saturating_add(len_u64(self.bytes.len())) {
            let left = segment.data_end.saturating_sub(offset);
            let ahead = to_usize(left.min(READ_BYTES.max(len_u64(len))));
            // One bad sector must not hide its neighbours.
            let read = self.fill(segment, offset, ahead, seen);
            read.or_else(|_error| self.fill(segment, offset, len, seen))?;
        }
        let from = to_usize(offset.saturating_sub(self.start));
        let bytes = self.bytes.get(from..from.saturating_add(len));
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn fill(
        &mut self,
        segment: &Segment,
        offset: u64,
        len: usize,
        seen: &mut Seen,
    ) -> io::Result<()> {
        self.start = offset;
        self.bytes.resize(len, 0);
        let read = seen.read(segment, &mut self.bytes, offset);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::{Entry, EntryKind, Identity, Io, Log, Op, Options, RealIo};

    #[test]
    fn beyond_the_bound_nothing_more_is_told_or_kept() {
        let dir = tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(RealIo::new(dir.path()).unwrap());
        let options = Options { spare_segments: 0, ..Options::default() };
        Log::create(&io, Identity { cluster: 1, node: 1, store: 1 }, &options).unwrap();
        let (mut log, _) = Log::open(io, options).unwrap();
        log.stage(1, Op::Append(vec![Entry::new(1, 1, EntryKind::NoOp, "".into())]));
        log.write().unwrap();
        let segment = log.shared().lock().used.first().cloned().unwrap();
        let mut scrub = Scrub::new(&log.reader());
        let mut take_in = |offset| {
            let segment = Arc::clone(&segment);
            scrub.take_in(Found { segment, offset, damage: Damage::Header, entries: Vec::new() })
        };
        for offset in 0..len_u64(FINDINGS_MAX) {
            assert!(take_in(offset).is_some());
        }
        assert_eq!(take_in(len_u64(FINDINGS_MAX)), None);
        assert_eq!(scrub.told.len(), FINDINGS_MAX);
    }
}
