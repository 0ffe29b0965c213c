//! The engine: one owner, no thread, no clock. The writer thread drives it in production, the simulator
//! directly.
//!
//! What always holds: a ticket counts as durable only after its batch, every batch before it and, when
//! term or vote changed, the vote file are synced; after a failed write or sync nothing is tried again
//! (research F1); a segment is in the manifest before its first batch is written.

mod damage;
pub(crate) mod upkeep;
mod written;

use std::{
    collections::VecDeque,
    io::ErrorKind,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use self::{
    damage::Unlisted,
    upkeep::{FooterJob, Spare, SpareJob},
    written::Written,
};
use crate::{
    Entry, Error, HardState, Identity, Io, Lock, Op, Options, Reader, Recovery, RepairError,
    TailVerdict,
    batch::{BatchKind, Encoder, HEADER_BYTES, Place, Record, SECTOR_BYTES, batch_bytes},
    codec::{len_u64, to_usize},
    directory::{holds_log, list},
    manifest::{Listed, MANIFEST, Manifest, ManifestFile, SEGMENTS_MAX},
    recovery::{self, Footers, Ledger, Recovered},
    seal::Gathered,
    segment::{self, DATA_OFFSET, START_BYTES_MAX, Segment},
    view::{Pending, Shared, View, ViewBounds},
    vote::{VOTE, VoteFile, VoteState},
};

/// The lock file's name.
const LOCK: &str = "LOCK";
/// How many nodes can be bound: a segment start holds them all.
pub const BINDINGS_MAX: usize = 256;
/// Kept free at the end of every segment, for the batch that says "stopped in order".
const CLEAN_BYTES: u64 = SECTOR_BYTES as u64;
/// After there was no room for a spare, this much is written before the next attempt.
const SPARE_RETRY_BYTES: u64 = 1024 * 1024;

/// The engine.
#[derive(Debug)]
pub struct Log {
    io: Arc<dyn Io>,
    options: Options,
    shared: Arc<Shared>,
    manifest_file: ManifestFile,
    manifest: Manifest,
    vote_file: VoteFile,
    /// What the vote file says.
    voted: VoteState,
    active: Option<Active>,
    ready: VecDeque<Arc<Segment>>,
    /// Full segments whose footers are to be written, oldest first.
    unsealed: VecDeque<Arc<FooterJob>>,
    /// A job is being done elsewhere.
    job_is_out: bool,
    /// Set to have it given up.
    cancel: Arc<AtomicBool>,
    /// Bytes to write before the next spare is asked for.
    spare_wait_bytes: u64,
    /// The state as of the newest batch written.
    written: Written,
    durable_seq: u64,
    /// Damage that no segment start lists.
    unlisted: Option<Unlisted>,
    durable_ticket: u64,
    encoder: Encoder,
    /// Scratch: what goes into the batch being written, and where each frame of it lies.
    taken: VecDeque<Pending>,
    offsets: Vec<u64>,
    /// Held as long as the log is open or a job is being done for it.
    lock: Arc<dyn Lock>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    /// Where the next batch goes.
    end: u64,
    /// Something was written since the last sync.
    is_dirty: bool,
    gathered: Gathered,
}

impl Active {
    fn new(segment: Arc<Segment>, end: u64, gathered: Gathered) -> Self {
        segment.file.write_directly(true);
        Self { segment, end, is_dirty: false, gathered }
    }
}

impl Log {
    /// Make a log in a directory that has none. What a crash left half-made is made anew; until this
    /// returns, `identity` must not be used for anything.
    ///
    /// # Errors
    /// When a log is there already, the options are out of bounds, or something fails.
    pub fn create(io: &Arc<dyn Io>, identity: Identity, options: &Options) -> Result<(), Error> {
        options.check()?;
        let io = &**io;
        let _lock = take_lock(io)?;
        if holds_log(io)? {
            return Err(Error::Exists { path: io.path(MANIFEST.name) });
        }
        for name in list(io)? {
            if name == VOTE.name || name == MANIFEST.name || segment::id_of(&name).is_some() {
                io.remove(&name).map_err(Error::io("remove", &io.path(&name)))?;
            }
        }
        let state = VoteState {
            identity,
            hard_state: HardState::default(),
            durable_seq: 0,
            bindings: 0,
            epoch: 0,
        };
        VoteFile::create(io, &state)?;
        let first = Listed { id: 1, capacity: options.small(), epoch: 0, first_seq: 0 };
        segment::make(io, &identity, &first, &AtomicBool::new(false))?;
        // The manifest comes last: what it lists is durable, and without it there is no log.
        let segments = vec![first];
        let manifest = Manifest {
            identity,
            epoch: 0,
            is_rebuilt: false,
            durable_seq: 0,
            next_segment: 2,
            segments,
        };
        ManifestFile::create(io, &manifest)?;
        io.sync_dir().map_err(Error::io("sync", &io.path("")))
    }

    /// Is there a log, whole or damaged? What a crash left half-made is none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn exists(io: &Arc<dyn Io>) -> Result<bool, Error> {
        holds_log(&**io)
    }

    /// Take the lock, read everything, cut a torn end.
    ///
    /// # Errors
    /// When there is no log, it is held by another or damaged, the options are out of bounds, or
    /// something fails.
    pub fn open(io: Arc<dyn Io>, options: Options) -> Result<(Self, Recovery), Error> {
        Self::open_with(io, options, Footers::Used)
    }

    /// The same, reading every byte or not.
    pub(crate) fn open_with(
        io: Arc<dyn Io>,
        options: Options,
        footers: Footers,
    ) -> Result<(Self, Recovery), Error> {
        options.check()?;
        let lock = take_lock(&*io)?;
        // A process that died while making the log may not have synced the names (research F2, F3, F7).
        io.sync_dir().map_err(Error::io("sync", &io.path("")))?;
        let (manifest_file, vote_file, ledger) = Ledger::open(&*io)?;
        let orphans = recovery::orphans(&*io, &ledger.manifest)?;
        let recovered = recovery::recover(&*io, &ledger, footers)?;
        let Ledger { mut manifest, vote, .. } = ledger;
        // Until the log itself says that its end is in doubt.
        manifest.is_rebuilt &= recovered.tail == TailVerdict::Unknown;
        manifest.epoch += 1;
        // What is known to be lost is known until the log itself says so.
        let ledger_seq = manifest.durable_seq.max(vote.durable_seq);
        if !recovered.must_rotate {
            manifest.durable_seq = recovered.replay.seq;
        }
        for listed in &mut manifest.segments {
            if let Some(&seq) = recovered.first_seqs.get(&listed.id) {
                listed.first_seq = seq;
            }
        }
        let recovery = report(&recovered, &manifest);
        let Recovered { replay, active, used, ready, unsealed, must_rotate, set_aside, .. } =
            recovered;
        let bounds = ViewBounds {
            tail_cache_bytes: options.tail_cache_bytes,
            entry_bytes_max: options.entry_bytes_max,
        };
        let written = Written::new(&replay);
        let mut view = View::new(bounds, replay.terms, replay.hard_state, replay.positions);
        view.used = used;
        view.spares = ready.len();
        let mut log = Self {
            io,
            options,
            shared: Arc::new(Shared::new(view)),
            manifest_file,
            manifest,
            vote_file,
            voted: vote,
            active: active.map(|(segment, end)| Active::new(segment, end, replay.gathered)),
            ready: ready.into(),
            unsealed: unsealed.into_iter().map(Arc::new).collect(),
            job_is_out: false,
            cancel: Arc::new(AtomicBool::new(false)),
            spare_wait_bytes: 0,
            durable_seq: written.seq,
            unlisted: must_rotate.then_some(Unlisted { ledger_seq, set_aside }),
            written,
            durable_ticket: 0,
            encoder: Encoder::default(),
            taken: VecDeque::new(),
            offsets: Vec::new(),
            lock: lock.into(),
        };
        log.begin_run(orphans)?;
        Ok((log, recovery))
    }

    /// What was found counts from now on, also what a run had written and told nobody: all slots say so
    /// before anything is built on it.
    fn begin_run(&mut self, orphans: Vec<u64>) -> Result<(), Error> {
        self.manifest_file.store(&*self.io, &self.manifest)?;
        self.store_vote()?;
        for id in orphans {
            let name = segment::name_of(id);
            self.io.remove(&name).map_err(Error::io("remove", &self.io.path(&name)))?;
        }
        Ok(())
    }

    /// Put `op` in line. Tickets are dense and ascending; the first of a run may be any from 1 on. Readers
    /// see entries from now on.
    ///
    /// # Panics
    /// When the operation cannot follow: a ticket out of order, an index that leaves a gap, a term that
    /// goes back, a second vote in a term, an entry that is too large or fails its checksum, a repair that
    /// [`Log::can_repair`] refuses.
    pub fn stage(&mut self, ticket: u64, op: Op) {
        self.shared.lock().stage(ticket, op);
    }

    /// Write everything in line: one batch and one `pwrite`, unless a bound or the end of a segment
    /// divides it. A truncation and what is appended after it in one batch take effect together.
    ///
    /// # Errors
    /// What failed the first time; [`Error::Poisoned`] ever after.
    pub fn write(&mut self) -> Result<(), Error> {
        self.guarded(Self::write_all)
    }

    /// Make everything written durable. Returns the newest durable ticket; 0 when there is none.
    ///
    /// # Errors
    /// What failed the first time; [`Error::Poisoned`] ever after.
    pub fn sync(&mut self) -> Result<u64, Error> {
        self.guarded(Self::sync_all)
    }

    /// May [`Op::Repair`] put this entry in the place of a lost one?
    ///
    /// # Errors
    /// When nothing is lost there, something else was, or the entry is no better.
    pub fn can_repair(&self, entry: &Entry) -> Result<(), RepairError> {
        self.shared.lock().can_repair(entry)
    }

    /// Do batches go past the page cache? If not, the file system cannot, or [`RealIo::buffered`] was asked
    /// for: everything holds as well.
    ///
    /// [`RealIo::buffered`]: crate::RealIo::buffered
    #[must_use]
    pub fn writes_directly(&self) -> bool {
        let active = self.active.as_ref().map(|active| &active.segment);
        active
            .or_else(|| self.ready.front())
            .is_some_and(|segment| segment.file.write_directly(true))
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Write and sync what is in line, and say in the log that nothing is missing.
    ///
    /// # Errors
    /// What failed the first time; [`Error::Poisoned`] ever after.
    pub fn close(mut self) -> Result<(), Error> {
        self.write()?;
        self.sync()?;
        self.guarded(Self::write_clean)
    }

    /// Full segments whose footers are to be written, oldest first.
    pub(crate) fn unsealed(&self) -> impl Iterator<Item = &FooterJob> {
        self.unsealed.iter().map(|job| &**job)
    }

    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Set it to have a spare that is being made given up.
    pub(crate) const fn cancel(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    /// Where the log is, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.io.path("")
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// Run `step` unless something failed before; if it fails, nothing will run after it.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.shared.lock().poisoned {
            return Err(Error::Poisoned);
        }
        let result = step(self);
        if result.is_err() {
            self.shared.lock().poisoned = true;
        }
        result
    }

    /// Only what is in line now: what comes in meanwhile must not put off the sync.
    fn write_all(&mut self) -> Result<(), Error> {
        let mut left = {
            let mut view = self.shared.lock();
            let faulty = &mut self.written.terms.faulty;
            for range in view.take_found(faulty.list().len()) {
                faulty.mark(range);
            }
            view.begin_round()
        };
        let mut taken = std::mem::take(&mut self.taken);
        while left > 0 {
            let bounds = (self.options.batch_bytes_max, left);
            let fits = self.shared.lock().take(self.room(), bounds, &mut taken);
            if let Err(frame_bytes) = fits {
                self.rotate(frame_bytes)?;
                continue;
            }
            left -= taken.len();
            self.write_batch(BatchKind::Data, taken.make_contiguous())?;
            taken.clear();
        }
        self.taken = taken;
        Ok(())
    }

    /// Room for frames in one more batch of the active segment.
    fn room(&self) -> usize {
        let Some(active) = self.active.as_ref().filter(|_| self.unlisted.is_none()) else {
            return 0;
        };
        let bytes = active.segment.data_end.saturating_sub(CLEAN_BYTES + active.end);
        to_usize(bytes).saturating_sub(HEADER_BYTES)
    }

    fn write_batch(&mut self, kind: BatchKind, records: &[Pending]) -> Result<(), Error> {
        if kind != BatchKind::Data || records.iter().any(|pending| pending.record.is_some()) {
            self.write_records(kind, records)?;
        }
        if let Some(last) = records.last() {
            self.written.ticket = self.written.ticket.max(last.ticket);
        }
        Ok(())
    }

    fn write_records(&mut self, kind: BatchKind, records: &[Pending]) -> Result<(), Error> {
        let active = self.active.as_mut().expect("a batch has a segment to go to");
        let (segment, start) = (&active.segment, active.end);
        let mut first_index = self.written.terms.last.0 + 1;
        self.encoder.begin();
        self.offsets.clear();
        for record in records.iter().filter_map(|pending| pending.record.as_ref()) {
            let offset = self.encoder.push(record, segment.seed, start);
            self.offsets.push(offset);
            self.written.apply(record, offset, &mut active.gathered);
            if let Record::TruncateAfter(index) = record {
                first_index = first_index.min(index + 1);
            }
        }
        let (last_index, last_term) = self.written.terms.last;
        let place = Place {
            kind,
            seq: self.written.seq + 1,
            durable_seq: self.durable_seq,
            first_index,
            last_index,
            last_term,
            epoch: self.manifest.epoch,
            previous_crc: self.written.chain,
            counts: self.written.counts(),
            end_in_doubt: self.written.terms.faulty.is_end_in_doubt(),
        };
        let (bytes, crc) = self.encoder.finish(place, segment.seed, start);
        let size = len_u64(bytes.len());
        assert!(start + size <= segment.data_end, "a batch stays within its segment");
        segment.file.write_at(bytes, start).map_err(Error::io("write", &segment.path))?;
        active.end = start + size;
        active.is_dirty = true;
        self.spare_wait_bytes = self.spare_wait_bytes.saturating_sub(size);
        (self.written.seq, self.written.chain) = (place.seq, crc);
        self.written.epoch = place.epoch;
        if kind == BatchKind::Data {
            self.shared.lock().written(records, &self.offsets, segment);
        }
        Ok(())
    }

    /// Go on in a fresh segment that has room for a frame of this size.
    fn rotate(&mut self, frame_bytes: usize) -> Result<(), Error> {
        // What is in the old one is durable before anything is in the new one, so that a segment in use
        // proves all before it.
        self.sync_active()?;
        let needed =
            DATA_OFFSET + len_u64(START_BYTES_MAX + batch_bytes(frame_bytes)) + CLEAN_BYTES;
        if self.ready.front().is_none_or(|spare| spare.data_end < needed) {
            if self.manifest.segments.len() >= SEGMENTS_MAX {
                let path = self.io.path(MANIFEST.name);
                return Err(Error::TooManySegments { path, limit: SEGMENTS_MAX });
            }
            // This one is needed, also while stopping.
            let cancel = Arc::default();
            let Spare { listed, made } =
                SpareJob { cancel, ..self.spare_job(self.options.small()) }.run();
            self.enlist(listed, made?)?;
            self.ready.rotate_right(1);
        }
        let segment = self.ready.pop_front().expect("a spare is ready");
        assert!(segment.data_end >= needed, "options keep an entry below a small segment");
        if let Some(listed) = self.manifest.segments.iter_mut().find(|one| one.id == segment.id) {
            listed.first_seq = self.written.seq + 1;
        }
        let full = self.active.take().map(|full| self.footer_job(&full));
        let gathered = Gathered::begin(self.written.seq + 1, self.written.terms.last.0 + 1);
        self.active = Some(Active::new(segment, DATA_OFFSET, gathered));
        let records = self.written.start_records();
        self.write_batch(BatchKind::SegmentStart, &records)?;
        // Nothing follows it before it is durable: recovery looks no further into an unused segment.
        self.sync_active()?;
        self.unsealed.extend(full.map(Arc::new));
        let begun = self.active.as_ref().map(|active| Arc::clone(&active.segment));
        let mut view = self.shared.lock();
        view.used.extend(begun);
        view.spares = self.ready.len();
        drop(view);
        self.list_damage()
    }

    fn sync_active(&mut self) -> Result<(), Error> {
        if let Some(active) = self.active.as_mut().filter(|active| active.is_dirty) {
            let segment = &active.segment;
            segment.file.sync_data().map_err(Error::io("sync", &segment.path))?;
            active.is_dirty = false;
            self.durable_seq = self.written.seq;
        }
        Ok(())
    }

    fn sync_all(&mut self) -> Result<u64, Error> {
        self.sync_active()?;
        let known = (self.written.hard_state, len_u64(self.written.bindings.len()));
        if (self.voted.hard_state, self.voted.bindings) != known {
            self.store_vote()?;
        }
        self.durable_ticket = self.written.ticket;
        Ok(self.durable_ticket)
    }

    fn write_clean(&mut self) -> Result<(), Error> {
        // Without room the next start only looks further.
        let has_room = self
            .active
            .as_ref()
            .is_some_and(|active| active.end + CLEAN_BYTES <= active.segment.data_end)
            && self.unlisted.is_none();
        while let Some(job) = self.unsealed.front() {
            // It may be being written elsewhere: the same bytes, to the same places.
            let sealed = Arc::clone(job).run()?;
            self.seal(sealed);
        }
        if has_room {
            self.write_batch(BatchKind::Clean, &[])?;
            // Believed only with that batch, so one sync does for both.
            let job = self.active.as_ref().map(|active| self.footer_job(active));
            job.map_or(Ok(()), |job| job.write().map(drop))?;
            self.sync_active()?;
        }
        Ok(())
    }
}

fn report(recovered: &Recovered, manifest: &Manifest) -> Recovery {
    let replay = &recovered.replay;
    Recovery {
        identity: manifest.identity,
        hard_state: replay.hard_state,
        bindings: replay.bindings.clone(),
        first_index: 1,
        last: replay.terms.last,
        term_runs: replay.terms.runs.clone(),
        configs: replay.configs.clone(),
        faulty: replay.terms.faulty.list(),
        found: recovered.found.clone(),
        rebuilt: recovered.rebuilt.clone(),
        tail: recovered.tail,
        epoch: manifest.epoch,
        scanned_bytes: recovered.scanned_bytes,
    }
}

pub(crate) fn take_lock(io: &dyn Io) -> Result<Box<dyn Lock>, Error> {
    let path = io.path(LOCK);
    io.lock(LOCK).map_err(|source| {
        if source.kind() == ErrorKind::WouldBlock {
            Error::Locked { path: path.clone() }
        } else {
            Error::io("lock", &path)(source)
        }
    })
}
