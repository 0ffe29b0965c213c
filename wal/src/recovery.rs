//! Opening a log: read every batch, then judge what lies beyond the last good one.
//!
//! What always holds: nothing is changed before everything was read and judged; what is cut was never
//! acknowledged (research F16); anything else stops with an error and leaves every byte as it is; a
//! crash at any step leaves a log that opens to the same contents. It needs no free space.
//! How each place is judged: `verdict`.

mod fast;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use self::fast::{Footer, Proof};
use crate::{
    Entry, FaultyRange, HardState, Identity,
    batch::{BatchKind, Fault, HEADER_BYTES, Header, SECTOR_BYTES, is_zero, zero_sectors},
    codec::{len_u64, to_usize},
    error::{Damage, Error},
    io::Io,
    log::upkeep::FooterJob,
    manifest::{MANIFEST, Manifest},
    replay::Replay,
    segment::{self, DATA_OFFSET, START_BYTES_MAX, Segment},
    verdict::{self, Beyond, Evidence, HeaderSeen, Verdict},
    view::may_follow,
    vote::{VOTE, VoteState},
};

/// How much is read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What was found at the end of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TailVerdict {
    /// Stopped in order: nothing can be missing.
    Stopped,
    /// A crash, with nothing written beyond the last batch.
    CleanEnd,
    /// A crash in the middle of a write that was never acknowledged: cut off.
    Torn {
        /// Bytes that were zeroed, in whole sectors.
        cut_bytes: u64,
    },
}

/// What the log holds, found when it was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// Whose log it is. The caller compares it with its configuration.
    pub identity: Identity,
    /// Term and vote.
    pub hard_state: HardState,
    /// Node number to disk.
    pub bindings: BTreeMap<u64, u128>,
    /// The first index that the log can hold: 1.
    pub first_index: u64,
    /// Index and term of the last entry; (0, 0) when there is none.
    pub last: (u64, u64),
    /// Where each term begins: (first index, term), ascending.
    pub term_runs: Vec<(u64, u64)>,
    /// Every configuration entry in the log, ascending.
    pub configs: Vec<Entry>,
    /// What the log holds and cannot read, ascending; [`FaultyKind::EndUnknown`](crate::FaultyKind) comes
    /// last.
    pub faulty: Vec<FaultyRange>,
    /// What was found at the end.
    pub tail: TailVerdict,
    /// How often this log has been opened, this time included.
    pub epoch: u32,
    /// Bytes read to find all this.
    pub scanned_bytes: u64,
}

impl Recovery {
    /// Can everything be read that the log is to hold?
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.faulty.is_empty()
    }
}

/// What recovery hands to the log.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) replay: Replay,
    pub(crate) tail: TailVerdict,
    pub(crate) scanned_bytes: u64,
    /// The segment that was written last and where its next batch goes; none in a fresh log.
    pub(crate) active: Option<(Arc<Segment>, u64)>,
    /// Segments in use, in the order of their batches.
    pub(crate) used: Vec<Arc<Segment>>,
    /// Segments not yet used.
    pub(crate) ready: Vec<Arc<Segment>>,
    /// Full segments without a footer that can be used, oldest first.
    pub(crate) unsealed: Vec<FooterJob>,
    /// First batch of each segment in use, by segment number.
    pub(crate) first_seqs: BTreeMap<u64, u64>,
}

/// What is made of seal footers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Footers {
    /// They stand for their segments where they can be believed.
    Used,
    /// Every batch is read.
    Ignored,
}

/// Read, judge, cut.
pub(crate) fn recover(
    io: &dyn Io,
    manifest: &Manifest,
    vote: &VoteState,
    footers: Footers,
) -> Result<Recovered, Error> {
    let mut scan = Scan::open(io, manifest)?;
    scan.walk(footers)?;
    let tail = scan.judge(vote, io)?;
    for cut in &scan.cuts {
        cut.apply()?;
    }
    let Scan { replay, scanned_bytes, active, unsealed, segments, first_seqs, .. } = scan;
    let (mut used, ready): (Vec<_>, _) =
        segments.into_iter().partition(|segment| first_seqs.contains_key(&segment.id));
    used.sort_unstable_by_key(|segment| first_seqs.get(&segment.id));
    Ok(Recovered { replay, tail, scanned_bytes, active, used, ready, unsealed, first_seqs })
}

/// Files that look like segments and that the manifest does not list: left by a crash while one was
/// being made. One with a batch in it is none of these, and the manifest is wrong.
pub(crate) fn orphans(io: &dyn Io, manifest: &Manifest) -> Result<Vec<u64>, Error> {
    let listed: BTreeSet<u64> = manifest.segments.iter().map(|segment| segment.id).collect();
    let names = io.list().map_err(Error::io("list", &io.path("")))?;
    let mut orphans = Vec::new();
    for id in names.iter().filter_map(|name| segment::id_of(name)) {
        if listed.contains(&id) {
            continue;
        }
        if let Some(damage) = unlisted_batch(io, id)? {
            return Err(damage);
        }
        orphans.push(id);
    }
    Ok(orphans)
}

/// A batch in a segment that no manifest lists, as the error that it is.
pub(crate) fn unlisted_batch(io: &dyn Io, id: u64) -> Result<Option<Error>, Error> {
    let Some(segment) = segment::open_unlisted(io, id)? else { return Ok(None) };
    let mut found = None;
    let mut visit = |offset, sector: &[u8]| {
        if found.is_none() && Header::decode(sector, segment.seed, offset).is_ok() {
            found = Some(segment.damaged(offset, Damage::Unlisted));
        }
    };
    visit_sectors(&mut Chunks::new(&segment), DATA_OFFSET, segment.data_end, &mut visit)?;
    Ok(found)
}

/// Sectors to be zeroed.
#[derive(Debug)]
struct Cut {
    segment: Arc<Segment>,
    from: u64,
    to: u64,
}

impl Cut {
    fn apply(&self) -> Result<(), Error> {
        let Self { segment, from, to } = self;
        let failed = Error::io("cut the torn end of", &segment.path);
        segment.file.write_at(&vec![0; to_usize(to - from)], *from).map_err(&failed)?;
        segment.file.sync_data().map_err(&failed)
    }
}

/// A segment that seems to be in use.
#[derive(Debug)]
struct Used {
    segment: Arc<Segment>,
    /// Its first batch, if it is whole.
    start: Option<Header>,
}

/// Why the walk through the batches ended where it did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// No header here, or no more room.
    NoHeader,
    /// A good header that does not follow.
    OutOfSequence,
    /// A header that follows, with a body that fails.
    Body { zero_sectors_lost: bool },
}

#[derive(Debug)]
struct Scan<'a> {
    manifest: &'a Manifest,
    replay: Replay,
    scanned_bytes: u64,
    segments: Vec<Arc<Segment>>,
    active: Option<(Arc<Segment>, u64)>,
    /// It was opened by its footer.
    has_footer: bool,
    unsealed: Vec<FooterJob>,
    first_seqs: BTreeMap<u64, u64>,
    /// Where the walk ended and why.
    stop: Option<(Arc<Segment>, u64, Stop)>,
    cuts: Vec<Cut>,
}

impl<'a> Scan<'a> {
    fn open(io: &dyn Io, manifest: &'a Manifest) -> Result<Self, Error> {
        let newest_known = manifest.segments.iter().map(|segment| segment.first_seq).max();
        let mut segments = Vec::new();
        for listed in &manifest.segments {
            let segment = Segment::open(io, &manifest.identity, listed)?;
            // Those before the newest that is known to be in use were synced and sealed; of the others a
            // dead process may have left writes in the cache (research F2, F3).
            if listed.first_seq == 0 || Some(listed.first_seq) == newest_known {
                segment.file.sync_data().map_err(Error::io("sync", &segment.path))?;
                let dropped = segment.file.drop_cache();
                dropped.map_err(Error::io("drop the cache of", &segment.path))?;
            }
            segments.push(Arc::new(segment));
        }
        Ok(Self {
            manifest,
            replay: Replay::default(),
            scanned_bytes: 0,
            segments,
            active: None,
            has_footer: false,
            unsealed: Vec::new(),
            first_seqs: BTreeMap::new(),
            stop: None,
            cuts: Vec::new(),
        })
    }

    /// Apply every batch, segment by segment in the order of their first batches.
    fn walk(&mut self, footers: Footers) -> Result<(), Error> {
        let used = self.used()?;
        let mut nexts = used.values().map(|used| used.start.as_ref()).skip(1);
        for (&seq, Used { segment, start }) in &used {
            let next = nexts.next();
            if seq != self.replay.seq + 1 {
                // Some batch before this segment is missing: the evidence in it decides.
                break;
            }
            let full = self.unsealed();
            let proof = match next {
                _ if footers == Footers::Ignored => None,
                Some(next) => next.map(Proof::Next),
                None => Some(Proof::Stopped(self.manifest.epoch)),
            };
            let footer = start.as_ref().zip(proof).and_then(|(start, proof)| {
                Footer::read(segment, start, &self.replay, proof)?.apply(&mut self.replay, segment)
            });
            self.has_footer = footer.is_some();
            let end = match footer {
                Some(end) => {
                    self.stop = Some((Arc::clone(segment), end, Stop::NoHeader));
                    end
                }
                None => {
                    let gathered = self.replay.begin_segment();
                    let end = self.walk_segment(segment)?;
                    if end == DATA_OFFSET {
                        self.replay.gathered = gathered;
                        break;
                    }
                    end
                }
            };
            self.first_seqs.insert(segment.id, seq);
            self.active = Some((Arc::clone(segment), end));
            self.unsealed.extend(full);
        }
        Ok(())
    }

    /// The segments that seem to be in use, by their first batches.
    fn used(&self) -> Result<BTreeMap<u64, Used>, Error> {
        let mut used = BTreeMap::new();
        for (segment, listed) in self.segments.iter().zip(&self.manifest.segments) {
            let bytes = segment.read(DATA_OFFSET, SECTOR_BYTES)?;
            match Header::decode(&bytes, segment.seed, DATA_OFFSET) {
                Ok(header) if header.kind == BatchKind::SegmentStart => {
                    let start = fast::start_of(segment)?;
                    used.insert(header.seq, Used { segment: Arc::clone(segment), start });
                }
                Err(Fault::Version) => return Err(self.newer_version(segment)),
                Ok(_) | Err(_) if listed.first_seq > 0 => {
                    return Err(segment.damaged(DATA_OFFSET, Damage::Acknowledged));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(used)
    }

    /// The segment read last, as a full one.
    fn unsealed(&self) -> Option<FooterJob> {
        let (segment, end) = self.active.as_ref().filter(|_| !self.has_footer)?;
        let summary = self.replay.summary(*end)?;
        let runs = self.replay.positions.runs_in(segment);
        let is_whole =
            !self.replay.gathered.tells_of_damage && self.replay.terms.faulty.list().is_empty();
        Some(FooterJob { segment: Arc::clone(segment), summary, runs, is_whole })
    }

    /// Apply the batches of one segment; returns where the next one would begin.
    fn walk_segment(&mut self, segment: &Arc<Segment>) -> Result<u64, Error> {
        let mut chunks = Chunks::new(segment);
        let mut offset = DATA_OFFSET;
        let stop = loop {
            if offset + len_u64(SECTOR_BYTES) > segment.data_end {
                break Stop::NoHeader;
            }
            let sector = chunks.at(offset, SECTOR_BYTES)?;
            let header = match Header::decode(sector, segment.seed, offset) {
                Ok(header) => header,
                Err(Fault::Version) => return Err(self.newer_version(segment)),
                Err(Fault::Checksum | Fault::Contents) => break Stop::NoHeader,
            };
            let header_crc = Header::crc_of(sector).unwrap_or_default();
            let size = header.batch_bytes();
            if size > segment.data_end - offset {
                return Err(segment.damaged(offset, Damage::Contents));
            }
            let starts = header.kind == BatchKind::SegmentStart;
            if !self.replay.admits(&header) || starts != (offset == DATA_OFFSET) {
                break Stop::OutOfSequence;
            }
            let batch = chunks.at(offset, to_usize(size))?;
            let body = batch.get(HEADER_BYTES..).unwrap_or_default();
            if !header.body_holds(body, segment.seed, offset) {
                let zero_sectors_lost = zero_sectors(body) > header.zero_sectors;
                break Stop::Body { zero_sectors_lost };
            }
            let applied = self.replay.apply(&header, header_crc, body, (segment, offset));
            applied.map_err(|fault| match fault {
                Fault::Version => self.newer_version(segment),
                Fault::Checksum | Fault::Contents => segment.damaged(offset, Damage::Contents),
            })?;
            offset += size;
        };
        self.scanned_bytes += chunks.read_bytes;
        self.stop = Some((Arc::clone(segment), offset, stop));
        Ok(offset)
    }

    fn newer_version(&self, segment: &Segment) -> Error {
        let path = segment.path.clone();
        Error::Version { path, found: segment::FORMAT_MAJOR + 1, supported: segment::FORMAT_MAJOR }
    }

    /// Judge every place where the next batch could be, and find what is to be cut.
    fn judge(&mut self, vote: &VoteState, io: &dyn Io) -> Result<TailVerdict, Error> {
        let damaged = |path, offset, damage| Err(Error::Damaged { path, offset, damage });
        let next = self.replay.seq + 1;
        let stopped = self.replay.is_clean && self.replay.epoch == self.manifest.epoch;
        let ledger_knows = vote.durable_seq.max(self.manifest.durable_seq) >= next;
        let places = if stopped { Vec::new() } else { self.places()? };
        let known = places.iter().any(|place| place.beyond == Beyond::Durable);
        let (path, offset) = self.end(io);
        let nothing = Place {
            at: (path.clone(), offset),
            header: HeaderSeen::NoRoom,
            sector_lost: false,
            beyond: Beyond::Zeros,
        };
        let epoch_above = self.replay.epoch > self.manifest.epoch;
        for Place { at, header, sector_lost, beyond } in places.into_iter().chain([nothing]) {
            let evidence = Evidence {
                header,
                body_holds: false,
                sector_lost,
                beyond: if known { Beyond::Durable } else { beyond },
                ledger_knows,
                stopped,
                epoch_above,
                rebuilt: false,
                missing: false,
            };
            let (path, offset) = at;
            match verdict::judge(&evidence) {
                Verdict::Whole | Verdict::Stopped | Verdict::CleanEnd | Verdict::Torn => {}
                Verdict::Refused(Damage::Stale) => {
                    return damaged(io.path(MANIFEST.name), 0, Damage::Stale);
                }
                Verdict::Refused(damage) => return damaged(path, offset, damage),
                Verdict::Corrupt if known => return damaged(path, offset, Damage::Acknowledged),
                Verdict::Suspect => return damaged(path, offset, Damage::Suspect),
                Verdict::Corrupt | Verdict::EndUnknown if ledger_knows => {
                    return damaged(path, offset, Damage::LostTail);
                }
                Verdict::Corrupt | Verdict::EndUnknown => {
                    return damaged(path, offset, Damage::Suspect);
                }
            }
        }
        // The vote file is written after the log, so it knows nothing newer.
        if !may_follow(vote.hard_state, self.replay.hard_state) {
            return damaged(io.path(VOTE.name), 0, Damage::LostTail);
        }
        let cut_bytes = self.cuts.iter().map(|cut| cut.to - cut.from).sum();
        Ok(match cut_bytes {
            0 if stopped => TailVerdict::Stopped,
            0 => TailVerdict::CleanEnd,
            _ => TailVerdict::Torn { cut_bytes },
        })
    }

    /// Where the next batch should be.
    fn end(&self, io: &dyn Io) -> (PathBuf, u64) {
        match (&self.stop, self.segments.first()) {
            (Some((segment, offset, _)), _) => (segment.path.clone(), *offset),
            (None, Some(segment)) => (segment.path.clone(), DATA_OFFSET),
            (None, None) => (io.path(MANIFEST.name), 0),
        }
    }

    /// Look at everything beyond the last good batch: the rest of the active segment, and the start of
    /// each unused one (the rest of it is written only after that is durable).
    fn places(&mut self) -> Result<Vec<Place>, Error> {
        let active = self.active.clone();
        let active_id = active.as_ref().map(|(segment, _)| segment.id);
        let unused = self.segments.iter().filter(|segment| {
            Some(segment.id) != active_id && !self.first_seqs.contains_key(&segment.id)
        });
        let unused = unused.map(|segment| {
            let end = segment.data_end.min(DATA_OFFSET + len_u64(START_BYTES_MAX));
            (Arc::clone(segment), DATA_OFFSET, end)
        });
        let active =
            active.map(|(segment, offset)| (Arc::clone(&segment), offset, segment.data_end));
        let ranges: Vec<_> = active.into_iter().chain(unused).collect();
        ranges.into_iter().map(|(segment, from, to)| self.look(&segment, from, to)).collect()
    }

    /// Look at one place and what lies beyond it in the segment.
    fn look(&mut self, segment: &Arc<Segment>, from: u64, to: u64) -> Result<Place, Error> {
        let mut place = Place {
            at: (segment.path.clone(), from),
            header: if from < to { HeaderSeen::Zero } else { HeaderSeen::NoRoom },
            sector_lost: false,
            beyond: Beyond::Zeros,
        };
        if let Some((stopped_in, offset, stop)) = &self.stop
            && stopped_in.id == segment.id
            && *offset == from
        {
            place.sector_lost = *stop == Stop::Body { zero_sectors_lost: true };
        }
        let next = self.replay.seq + 1;
        let (mut first, mut last) = (None, from);
        let mut visit = |offset, sector: &[u8]| {
            first = first.or(Some(offset));
            last = offset + len_u64(SECTOR_BYTES);
            let seen = Header::decode(sector, segment.seed, offset);
            match seen {
                Ok(header) if header.durable_seq >= next => place.beyond = Beyond::Durable,
                Ok(header) if header.seq < next => place.header = HeaderSeen::Strays,
                Ok(header) if offset == from && header.seq == next => {
                    let follows = self.replay.admits(&header);
                    place.header = if follows { HeaderSeen::Follows } else { HeaderSeen::Strays };
                }
                Ok(_) if offset == from => place.header = HeaderSeen::Strays,
                Err(_) if offset == from => place.header = HeaderSeen::Bad,
                Ok(_) if place.beyond != Beyond::Durable => place.beyond = Beyond::Batch,
                Err(_) if place.beyond == Beyond::Zeros => place.beyond = Beyond::Remains,
                Ok(_) | Err(_) => {}
            }
        };
        let mut chunks = Chunks::new(segment);
        visit_sectors(&mut chunks, from, to, &mut visit)?;
        self.scanned_bytes += chunks.read_bytes;
        if let Some(from) = first {
            self.cuts.push(Cut { segment: Arc::clone(segment), from, to: last });
        }
        Ok(place)
    }
}

/// What was found where the next batch could be.
#[derive(Debug)]
struct Place {
    at: (PathBuf, u64),
    header: HeaderSeen,
    sector_lost: bool,
    beyond: Beyond,
}

/// Call `visit` for each sector of `from..to` that is not zero.
fn visit_sectors(
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
struct Chunks<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: Vec<u8>,
    read_bytes: u64,
}

impl<'a> Chunks<'a> {
    const fn new(segment: &'a Segment) -> Self {
        Self { segment, start: 0, bytes: Vec::new(), read_bytes: 0 }
    }

    /// `len` bytes at `offset`, which lie within the segment.
    fn at(&mut self, offset: u64, len: usize) -> Result<&[u8], Error> {
        let end = offset + len_u64(len);
        assert!(end <= self.segment.data_end, "reads stay within the segment");
        if offset < self.start || end > self.start + len_u64(self.bytes.len()) {
            let wanted = len_u64(len.max(CHUNK_BYTES)).min(self.segment.data_end - offset);
            self.bytes = self.segment.read(offset, to_usize(wanted))?;
            self.start = offset;
            self.read_bytes += wanted;
        }
        let from = to_usize(offset - self.start);
        Ok(&self.bytes[from..from + len])
    }
}
