//! The walk through all batches, and past what is damaged.
//!
//! ```text
//! good header, good body        the batch counts
//! good header, bad body         what cannot be saved of it is faulty; the chain goes on
//! bad header, good one beyond   what lies between is faulty, if nothing but appends can be missing
//! bad header, nothing beyond    the end is unknown
//! ```
//!
//! What always holds: nothing is written; every place is judged by `verdict`; what is not read is
//! faulty, or its loss has no bound and the walk stops with an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    Footers, Found,
    fast::{Footer, Proof},
    look::{Chunks, Look, damaged, newer_version},
    used::{self, Gathering, Used},
};
use crate::{
    FaultyKind,
    batch::{BatchKind, Fault, HEADER_BYTES, Header, SECTOR_BYTES, is_zero, zero_sectors},
    codec::{len_u64, to_usize},
    error::{Damage, Error},
    io::Io,
    log::upkeep::FooterJob,
    manifest::{Listed, MANIFEST, Manifest, SET_ASIDE},
    replay::{Replay, Saved},
    salvage::salvage,
    segment::{DATA_OFFSET, START_BYTES_MAX, Segment},
    verdict::{self, Beyond, Evidence, HeaderSeen, Verdict},
    vote::VOTE,
};

/// How many damaged places are remembered for messages.
const FOUND_MAX: usize = 64;

/// Sectors to be zeroed.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) segment: Arc<Segment>,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What is known of the segment in use after one.
#[derive(Clone, Copy, Debug)]
struct Next {
    seq: u64,
    start: Option<Header>,
    is_whole: bool,
}

#[derive(Debug)]
pub(super) struct Scan<'a> {
    io: &'a dyn Io,
    manifest: &'a Manifest,
    /// The newest batch that manifest or vote file know to be durable.
    ledger_seq: u64,
    pub(super) replay: Replay,
    pub(super) scanned_bytes: u64,
    segments: Vec<(Arc<Segment>, Listed)>,
    /// Listed and cannot be opened.
    lost: Vec<(Listed, PathBuf)>,
    pub(super) active: Option<(Arc<Segment>, u64)>,
    /// It was opened by its footer.
    has_footer: bool,
    pub(super) unsealed: Vec<FooterJob>,
    pub(super) first_seqs: BTreeMap<u64, u64>,
    pub(super) found: Vec<Found>,
    /// The numbers of segments with damage in them.
    damaged: BTreeSet<u64>,
    /// Those of which an opening before took a fresh segment's start in place.
    superseded: BTreeSet<u64>,
    /// Batches before the next good header are lost.
    gap: Option<FaultyKind>,
    pub(super) cuts: Vec<Cut>,
    pub(super) end_unknown: bool,
    pub(super) stopped: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn open(
        io: &'a dyn Io,
        manifest: &'a Manifest,
        ledger_seq: u64,
    ) -> Result<Self, Error> {
        let mut scan = Self {
            io,
            manifest,
            ledger_seq,
            replay: Replay::default(),
            scanned_bytes: 0,
            segments: Vec::new(),
            lost: Vec::new(),
            active: None,
            has_footer: false,
            unsealed: Vec::new(),
            first_seqs: BTreeMap::new(),
            found: Vec::new(),
            damaged: BTreeSet::new(),
            superseded: BTreeSet::new(),
            gap: None,
            cuts: Vec::new(),
            end_unknown: false,
            stopped: false,
        };
        let listed = manifest.segments.iter().filter(|listed| listed.first_seq != SET_ASIDE);
        let newest_known = listed.clone().map(|listed| listed.first_seq).max();
        for listed in listed {
            let Some(mut segment) = scan.open_segment(listed)? else { continue };
            // Those before the newest that is known to be in use were synced and sealed; of the others a
            // dead process may have left writes in the cache (research F2, F3).
            if listed.first_seq == 0 || Some(listed.first_seq) == newest_known {
                segment.doubt()?;
            }
            scan.segments.push((Arc::new(segment), *listed));
        }
        Ok(scan)
    }

    /// Segments that are listed and not in use: those that can be, and the numbers of those that something
    /// is in.
    pub(super) fn unused(&self) -> (Vec<Arc<Segment>>, Vec<u64>) {
        let is_void = |listed: &Listed| listed.first_seq == 0 || listed.first_seq > self.replay.seq;
        let lost = self
            .lost
            .iter()
            .filter(|(listed, _)| is_void(listed) || self.superseded.contains(&listed.id));
        let mut set_aside: Vec<_> = lost.map(|(listed, _)| listed.id).collect();
        let mut ready = Vec::new();
        for (segment, _) in &self.segments {
            if self.first_seqs.contains_key(&segment.id) {
                continue;
            }
            let is_cut = self.cuts.iter().any(|cut| cut.segment.id == segment.id);
            let is_over = self.superseded.contains(&segment.id);
            if is_over || self.damaged.contains(&segment.id) || (is_cut && !self.found.is_empty()) {
                set_aside.push(segment.id);
            } else {
                ready.push(Arc::clone(segment));
            }
        }
        (ready, set_aside)
    }

    /// The segments in use that can be read, in the order of their batches.
    pub(super) fn used_segments(&self) -> Vec<Arc<Segment>> {
        let is_used = |segment: &&Arc<Segment>| self.first_seqs.contains_key(&segment.id);
        let segments = self.segments.iter().map(|(segment, _)| segment);
        let mut used: Vec<_> = segments.filter(is_used).map(Arc::clone).collect();
        used.sort_unstable_by_key(|segment| self.first_seqs.get(&segment.id));
        used
    }

    /// Is the segment damaged that was written last?
    pub(super) fn is_active_damaged(&self) -> bool {
        self.active.as_ref().is_none_or(|(segment, _)| self.damaged.contains(&segment.id))
    }

    fn open_segment(&mut self, listed: &Listed) -> Result<Option<Segment>, Error> {
        let identity = &self.manifest.identity;
        match Segment::open(self.io, identity, listed) {
            Ok(segment) => Ok(Some(segment)),
            // The manifest says what the header did.
            Err(Error::Damaged { path, offset, damage: damage @ Damage::Header }) => {
                self.damaged.insert(listed.id);
                self.note(path, offset, damage);
                Segment::open_unread(self.io, identity, listed).map(Some)
            }
            Err(Error::Damaged {
                path,
                offset,
                damage: damage @ (Damage::FileMissing | Damage::FileShort),
            }) => {
                self.note(path.clone(), offset, damage);
                self.lost.push((*listed, path));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, path: PathBuf, offset: u64, damage: Damage) {
        if self.found.len() < FOUND_MAX {
            self.found.push(Found { path, offset, damage });
        }
    }

    /// Apply every batch, segment by segment in the order of their first batches, and judge every place
    /// where the next one could be.
    pub(super) fn walk(&mut self, footers: Footers) -> Result<(), Error> {
        let Gathering { used, superseded } = used::gather(self.io, &self.segments, &self.lost)?;
        self.superseded = superseded;
        let mut nexts = used.iter().skip(1);
        for (&seq, this) in &used {
            let next = nexts.next().map(|(seq, next)| Next {
                seq: *seq,
                start: next.start,
                is_whole: next.is_start_whole,
            });
            if seq <= self.replay.seq {
                return Err(damaged(&this.path, DATA_OFFSET, Damage::OutOfSequence));
            }
            let Some(segment) = &this.segment else {
                self.judge_nowhere(this.path.clone(), next.is_some())?;
                continue;
            };
            if seq > self.replay.seq + 1 && self.gap.is_none() {
                // What was before it is not even listed.
                self.judge_nowhere(self.io.path(MANIFEST.name), true)?;
            }
            let (full, before) = (self.unsealed(), self.replay.seq);
            let footer = if footers == Footers::Used { self.by_footer(this, next) } else { None };
            let gathered = if footer.is_some() { None } else { Some(self.replay.begin_segment()) };
            let end = match footer {
                Some(end) if next.is_none() => {
                    // It is believed only where nothing follows.
                    let mut chunks = Chunks::new(segment);
                    self.judge_end(segment, HeaderSeen::Zero, &mut chunks, (end, false))?;
                    end
                }
                Some(end) => self.walk_segment(segment, end, next)?,
                None => self.walk_segment(segment, DATA_OFFSET, next)?,
            };
            if self.cuts.iter().any(|cut| cut.segment.id == segment.id && cut.from == DATA_OFFSET) {
                // Its start was never acknowledged, so the one before it is the last.
                self.replay.gathered = gathered.unwrap_or_default();
                if let Some((segment, end)) = self.active.clone() {
                    self.walk_segment(&segment, end, None)?;
                }
                continue;
            }
            if self.replay.seq == before && (self.gap.is_none() || next.is_none()) {
                // Nothing in it counts, so it is not the one to go on with.
                self.replay.gathered = gathered.unwrap_or_default();
                continue;
            }
            self.first_seqs.insert(segment.id, seq);
            self.active = Some((Arc::clone(segment), end));
            self.has_footer = footer.is_some();
            self.unsealed.extend(full);
        }
        if used.is_empty() {
            self.judge_nowhere(self.io.path(MANIFEST.name), false)?;
        }
        self.judge_unused()
    }

    /// Put a segment's footer in the place of its batches, if it can be believed. Returns where they end.
    fn by_footer(&mut self, this: &Used, next: Option<Next>) -> Option<u64> {
        let (segment, start) = this.segment.as_ref().zip(this.start.as_ref())?;
        // Bindings that were lost are repeated by its start, and not in the footer.
        if !this.is_start_whole || self.gap.is_some() || self.replay.bindings_unsure {
            return None;
        }
        let proof = match &next {
            Some(next) => Proof::Next(next.start.as_ref().filter(|_| next.is_whole)?),
            None => Proof::Stopped(self.manifest.epoch),
        };
        Footer::read(segment, start, &self.replay, proof)?.apply(&mut self.replay, segment)
    }

    /// The segment read last, as a full one.
    fn unsealed(&self) -> Option<FooterJob> {
        let (segment, end) = self.active.as_ref().filter(|_| !self.has_footer)?;
        let summary = self.replay.summary(*end)?;
        let runs = self.replay.positions.runs_in(segment);
        let is_whole = !self.replay.gathered.tells_of_damage && self.replay.terms.faulty.is_empty();
        Some(FooterJob { segment: Arc::clone(segment), summary, runs, is_whole })
    }

    /// Apply the batches of one segment from `offset` on; returns where the next one would begin.
    fn walk_segment(
        &mut self,
        segment: &Arc<Segment>,
        mut offset: u64,
        next: Option<Next>,
    ) -> Result<u64, Error> {
        let mut chunks = Chunks::new(segment);
        loop {
            // The start of the next segment says where this one ends, whatever lies beyond.
            let ends = next.is_some_and(|Next { seq, start, .. }| {
                let chains = start.is_none_or(|start| start.previous_crc == self.replay.chain);
                seq == self.replay.seq + 1 && chains && self.gap.is_none()
            });
            if ends {
                break;
            }
            match self.step(segment, &mut chunks, offset, next.is_some())? {
                Some(after) => offset = after,
                None => break,
            }
        }
        self.scanned_bytes += chunks.read_bytes;
        Ok(offset)
    }

    /// One place: apply what is there, or judge it. Returns where to go on in this segment.
    fn step(
        &mut self,
        segment: &Arc<Segment>,
        chunks: &mut Chunks<'_>,
        offset: u64,
        has_next: bool,
    ) -> Result<Option<u64>, Error> {
        if offset + len_u64(SECTOR_BYTES) > segment.data_end {
            return self.judge_end(segment, HeaderSeen::NoRoom, chunks, (offset, has_next));
        }
        let sector = chunks.at(offset, SECTOR_BYTES)?;
        let header = match Header::decode(sector, segment.seed, offset) {
            Ok(header) => header,
            Err(Fault::Version) => return Err(newer_version(segment)),
            Err(Fault::Checksum | Fault::Contents) => {
                let seen = if is_zero(sector) { HeaderSeen::Zero } else { HeaderSeen::Bad };
                return self.judge_end(segment, seen, chunks, (offset, has_next));
            }
        };
        let header_crc = Header::crc_of(sector).unwrap_or_default();
        if header.batch_bytes() > segment.data_end - offset {
            return Err(segment.damaged(offset, Damage::Contents));
        }
        if let Some(kind) = self.gap.take_if(|_| header.seq > self.replay.seq + 1)
            && !self.replay.skip_to(&header, kind)
        {
            return Err(segment.damaged(offset, self.replay.unbounded()));
        }
        self.gap = None;
        let starts = header.kind == BatchKind::SegmentStart;
        if !self.replay.admits(&header) || starts != (offset == DATA_OFFSET) {
            return self.judge_end(segment, HeaderSeen::Strays, chunks, (offset, has_next));
        }
        self.batch(segment, chunks, (offset, has_next), (&header, header_crc))
    }

    /// A batch whose header follows.
    fn batch(
        &mut self,
        segment: &Arc<Segment>,
        chunks: &mut Chunks<'_>,
        (offset, has_next): (u64, bool),
        (header, header_crc): (&Header, u32),
    ) -> Result<Option<u64>, Error> {
        let size = header.batch_bytes();
        let batch = chunks.at(offset, to_usize(size))?;
        let body = batch.get(HEADER_BYTES..).unwrap_or_default();
        let evidence = Evidence {
            header: HeaderSeen::Follows,
            body_holds: header.body_holds(body, segment.seed, offset),
            sector_lost: zero_sectors(body) > header.zero_sectors,
            epoch_above: self.is_above(header.epoch),
            ..self.evidence(has_next)
        };
        let (look, evidence) = if evidence.body_holds || has_next {
            (Look::NOTHING, evidence)
        } else {
            let mut chunks = Chunks::new(segment);
            let next = self.replay.seq + 1;
            let look = Look::at(&mut chunks, offset, segment.data_end, next)?;
            self.scanned_bytes += chunks.read_bytes;
            let epoch_above = evidence.epoch_above || self.is_above(look.epoch);
            (look, Evidence { beyond: look.beyond, epoch_above, ..evidence })
        };
        let verdict = verdict::judge(&evidence);
        if verdict != Verdict::Whole && self.replay.may_lack_truncation(header) {
            // It is not taken up, so nothing else will ask what the lost ones before it truncated.
            return Err(segment.damaged(offset, self.replay.unbounded()));
        }
        let kind = match verdict {
            Verdict::Whole => {
                let damage = self.replay.unbounded();
                let applied = self.replay.apply(header, header_crc, body, (segment, offset));
                applied.map_err(|fault| match fault {
                    Fault::Version => newer_version(segment),
                    Fault::Checksum | Fault::Contents => segment.damaged(offset, damage),
                })?;
                return Ok(Some(offset + size));
            }
            Verdict::Torn => {
                self.cut(segment, offset, look.end);
                return Ok(None);
            }
            Verdict::Corrupt => FaultyKind::Corrupt,
            Verdict::Suspect => FaultyKind::Suspect,
            Verdict::Refused(damage) => return Err(self.refused(segment, offset, damage)),
            Verdict::Stopped | Verdict::CleanEnd | Verdict::EndUnknown => {
                return Err(segment.damaged(offset, Damage::Contents));
            }
        };
        let frames = body.get(..to_usize(u64::from(header.body_len))).unwrap_or_default();
        let saved = salvage(frames, segment.seed, offset);
        let saved = Saved { frames: saved, segment };
        if kind == FaultyKind::Suspect && !self.replay.lacks_entries_only(header, &saved) {
            // A term or vote that nobody was told of may be lost, and what came after it must not stay.
            self.note_damage(segment, offset, FaultyKind::EndUnknown);
            self.doubt_end();
            return Ok(None);
        }
        if !self.replay.bridge(header, header_crc, kind, &saved) {
            return Err(segment.damaged(offset, self.replay.unbounded()));
        }
        self.note_damage(segment, offset, kind);
        Ok(Some(offset + size))
    }

    /// A place without a header that follows.
    fn judge_end(
        &mut self,
        segment: &Arc<Segment>,
        header: HeaderSeen,
        chunks: &mut Chunks<'_>,
        (offset, has_next): (u64, bool),
    ) -> Result<Option<u64>, Error> {
        let evidence = Evidence { header, ..self.evidence(has_next) };
        // Not where something knows more than the end that the log names.
        let is_silent =
            evidence.stopped && !self.manifest.is_rebuilt && !has_next && !evidence.ledger_knows;
        let is_gap = self.gap.is_some();
        let look = if is_silent || header == HeaderSeen::NoRoom {
            Look::NOTHING
        } else {
            Look::at(chunks, offset, segment.data_end, self.replay.seq + 1)?
        };
        let header = if look.strays && !is_gap { HeaderSeen::Strays } else { header };
        let beyond = look.beyond.max(evidence.beyond);
        let epoch_above = evidence.epoch_above || self.is_above(look.epoch);
        let kind = match verdict::judge(&Evidence { header, beyond, epoch_above, ..evidence }) {
            Verdict::Stopped => {
                self.stopped = true;
                return Ok(None);
            }
            Verdict::CleanEnd => return Ok(None),
            Verdict::Torn => {
                self.cut(segment, offset, look.end);
                return Ok(None);
            }
            // What was written after a batch that nobody may have been told of must not stay without it.
            Verdict::EndUnknown | Verdict::Suspect => {
                self.note_damage(segment, offset, FaultyKind::EndUnknown);
                self.doubt_end();
                return Ok(None);
            }
            Verdict::Refused(damage) => return Err(self.refused(segment, offset, damage)),
            Verdict::Corrupt | Verdict::Whole => FaultyKind::Corrupt,
        };
        if let Some((_, next_seq)) = look.next_header
            && !has_next
            && look.durable_seq.max(self.ledger_seq) < next_seq - 1
        {
            // Not all of what is lost before the next batch was acknowledged, so that one was not.
            self.note_damage(segment, offset, FaultyKind::EndUnknown);
            self.doubt_end();
            return Ok(None);
        }
        self.note_damage(segment, offset, kind);
        self.gap = self.gap.or(Some(kind));
        Ok(look.next_header.map(|(offset, _)| offset))
    }

    /// A place in no file, because the file is gone or there never was one.
    fn judge_nowhere(&mut self, path: PathBuf, has_next: bool) -> Result<(), Error> {
        let evidence = Evidence { header: HeaderSeen::NoRoom, ..self.evidence(has_next) };
        match verdict::judge(&evidence) {
            Verdict::Whole | Verdict::Stopped | Verdict::CleanEnd | Verdict::Torn => {}
            Verdict::Refused(damage) => return Err(damaged(&path, 0, damage)),
            Verdict::EndUnknown => {
                self.note(path, 0, Damage::LostTail);
                self.doubt_end();
            }
            Verdict::Corrupt | Verdict::Suspect => {
                self.note(path, 0, Damage::Acknowledged);
                self.gap = self.gap.or(Some(FaultyKind::Corrupt));
            }
        }
        Ok(())
    }

    /// The start of each unused segment is a place too; the rest of it is written only after that is
    /// durable.
    fn judge_unused(&mut self) -> Result<(), Error> {
        let is_rebuilt = self.manifest.is_rebuilt;
        if self.stopped && !is_rebuilt {
            return Ok(());
        }
        for (segment, _) in self.segments.clone() {
            let is_cut = self.cuts.iter().any(|cut| cut.segment.id == segment.id);
            let is_over = self.superseded.contains(&segment.id);
            if is_cut || is_over || self.first_seqs.contains_key(&segment.id) {
                continue;
            }
            // One that was set aside may hold something anywhere, and nothing says any more that it was.
            let (mut chunks, bytes) = match is_rebuilt {
                true => (Chunks::new(&segment), segment.data_end),
                false => (Chunks::of_start(&segment), len_u64(START_BYTES_MAX)),
            };
            let to = segment.data_end.min(DATA_OFFSET + bytes);
            let look = Look::at(&mut chunks, DATA_OFFSET, to, self.replay.seq + 1)?;
            let is_zero = is_zero(chunks.at(DATA_OFFSET, SECTOR_BYTES)?);
            self.scanned_bytes += chunks.read_bytes;
            let header = if is_zero { HeaderSeen::Zero } else { HeaderSeen::Bad };
            let evidence = Evidence { header, beyond: look.beyond, ..self.evidence(false) };
            match verdict::judge(&evidence) {
                Verdict::CleanEnd | Verdict::Stopped if !is_rebuilt || look.end.is_none() => {}
                Verdict::Torn => self.cut(&segment, DATA_OFFSET, look.end),
                // Of no use to anyone, but the doubt is about what lies in the segments in use.
                Verdict::EndUnknown if is_zero && look.beyond == Beyond::Zeros => {}
                Verdict::Refused(damage) => {
                    return Err(self.refused(&segment, DATA_OFFSET, damage));
                }
                Verdict::CleanEnd
                | Verdict::Stopped
                | Verdict::Whole
                | Verdict::Corrupt
                | Verdict::Suspect
                | Verdict::EndUnknown => {
                    self.note_damage(&segment, DATA_OFFSET, FaultyKind::EndUnknown);
                    self.doubt_end();
                }
            }
        }
        Ok(())
    }

    /// What holds of every place now.
    fn evidence(&self, has_next: bool) -> Evidence {
        let stopped = self.replay.is_clean && self.replay.epoch == self.manifest.epoch;
        Evidence {
            header: HeaderSeen::NoRoom,
            body_holds: false,
            sector_lost: false,
            // A segment in use proves all before it.
            beyond: if has_next { Beyond::Durable } else { Beyond::Zeros },
            ledger_knows: self.ledger_seq > self.replay.seq,
            stopped,
            epoch_above: self.is_above(self.replay.epoch),
            rebuilt: self.manifest.is_rebuilt,
            missing: self.lost.iter().any(|(listed, _)| listed.first_seq == 0),
        }
    }

    const fn is_above(&self, epoch: u32) -> bool {
        epoch > self.manifest.epoch
    }

    fn doubt_end(&mut self) {
        let (last, last_term) = self.replay.terms.last;
        self.replay.terms.faulty.doubt_end(last + 1, last_term);
        self.end_unknown = true;
    }

    fn note_damage(&mut self, segment: &Segment, offset: u64, kind: FaultyKind) {
        let damage = match kind {
            FaultyKind::Corrupt => Damage::Acknowledged,
            FaultyKind::Suspect => Damage::Suspect,
            FaultyKind::EndUnknown if self.ledger_seq > self.replay.seq => Damage::LostTail,
            FaultyKind::EndUnknown if self.manifest.is_rebuilt => Damage::Unlisting,
            FaultyKind::EndUnknown => Damage::Suspect,
        };
        self.damaged.insert(segment.id);
        self.note(segment.path.clone(), offset, damage);
    }

    fn cut(&mut self, segment: &Arc<Segment>, from: u64, to: Option<u64>) {
        let to = to.unwrap_or(from);
        self.cuts.push(Cut { segment: Arc::clone(segment), from, to });
    }

    fn refused(&self, segment: &Segment, offset: u64, damage: Damage) -> Error {
        if damage == Damage::Stale {
            // A manifest that was made anew knows of as many openings as the vote file.
            let file = if self.manifest.is_rebuilt { VOTE } else { MANIFEST };
            return damaged(&self.io.path(file.name), 0, damage);
        }
        segment.damaged(offset, damage)
    }
}
