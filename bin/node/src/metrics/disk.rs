//! The log's files: how long a sync takes and how much it makes durable. `wal` has no clock; it is
//! given a directory that has one.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use wal::{File, FileLayer, Io, IoLayer, Op, Reader, ScrubStep};

use super::{Level, Recent, SECONDS, Seconds, bytes, count, counter, float, level};

/// Bytes written in one go: from a sector to the largest batch.
const WRITE_BYTES: [f64; 8] =
    [512.0, 2_048.0, 8_192.0, 32_768.0, 131_072.0, 524_288.0, 2_097_152.0, 8_388_608.0];
/// Entries made durable in one go.
const ENTRIES: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0];

/// What the log's files tell.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    sync: Family<FileLabel, Histogram, fn() -> Histogram>,
    write: Histogram,
    entries: Histogram,
    submitted: Arc<Mutex<VecDeque<(u64, usize)>>>,
    recent: Arc<Mutex<Recent>>,
    /// Room left where the data directory lies.
    pub(crate) free: Level,
    /// The scrub.
    pub(crate) scrub: Scrubbing,
    recovery: Recovering,
    segments: Segments,
}

/// What the scrub tells.
#[derive(Clone, Debug)]
pub(crate) struct Scrubbing {
    read: Counter,
    passes: Counter,
    errors: Counter,
}

/// What opening the log took.
#[derive(Clone, Debug)]
struct Recovering {
    duration: Seconds,
    read: Level,
}

/// What the log consists of; it is asked when the text is.
#[derive(Clone, Debug)]
struct Segments {
    used: Level,
    spare: Level,
    faulty: Level,
    log: Arc<OnceLock<Reader>>,
}

/// What a file is for: the log itself, for which acknowledgements wait.
const SEGMENT: &str = "segment";
/// A segment that is being made ahead: nobody waits.
const SPARE: &str = "spare";
/// The footer of a full segment: nobody waits either.
const FOOTER: &str = "footer";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FileLabel {
    file: &'static str,
}

impl Disk {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let sync = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let help = "Time of one fdatasync, by what the file is for";
        registry.register_with_unit("log_sync_duration", help, Unit::Seconds, sync.clone());
        let write = Histogram::new(WRITE_BYTES);
        let help = "Bytes written to the log between two syncs";
        registry.register_with_unit("log_write", help, Unit::Bytes, write.clone());
        let entries = Histogram::new(ENTRIES);
        let help = "Entries that one sync of the log made durable, where it made any";
        registry.register("log_sync_entries", help, entries.clone());
        let free = bytes(registry, "disk_free", "Free space where the data directory lies");
        Self {
            sync,
            write,
            entries,
            submitted: Arc::default(),
            recent: Arc::default(),
            free,
            scrub: Scrubbing::register(registry),
            recovery: Recovering::register(registry),
            segments: Segments::register(registry),
        }
    }

    /// The log was opened.
    pub(crate) fn opened(&self, took: Duration, scanned_bytes: u64, log: Reader) {
        self.recovery.duration.set(took.as_secs_f64());
        self.recovery.read.set(scanned_bytes);
        // A process opens one log.
        drop(self.segments.log.set(log));
    }

    pub(super) fn sample(&self) {
        self.segments.sample();
    }

    /// An operation goes to the log under this ticket.
    pub(crate) fn submitted(&self, ticket: u64, op: &Op) {
        if let Op::Append(entries) = op {
            self.waiting().push_back((ticket, entries.len()));
        }
    }

    /// A sync made everything up to this ticket durable.
    pub(crate) fn durable(&self, ticket: u64) {
        let mut sum = 0;
        let mut waiting = self.waiting();
        while let Some((_, entries)) = waiting.pop_front_if(|(waits, _)| *waits <= ticket) {
            sum += entries;
        }
        drop(waiting);
        if sum > 0 {
            self.entries.observe(float(count(sum)));
        }
    }

    /// The 99th percentile of the log's newest syncs.
    pub(crate) fn sync_p99(&self) -> Duration {
        self.recent().p99(Instant::now())
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, usize)>> {
        self.submitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scrubbing {
    fn register(registry: &mut Registry) -> Self {
        let read = Counter::default();
        let help = "Read again by the scrub to find damage";
        registry.register_with_unit("scrub_read", help, Unit::Bytes, read.clone());
        Self {
            read,
            passes: counter(registry, "scrub_passes", "Times the scrub read all full segments"),
            errors: counter(registry, "scrub_errors", "Faulty places that the scrub found"),
        }
    }

    /// One step of the scrub.
    pub(crate) fn stepped(&self, step: &ScrubStep) {
        self.read.inc_by(step.read_bytes);
        self.passes.inc_by(u64::from(step.is_pass_over));
        self.errors.inc_by(count(step.findings.len()));
    }
}

impl Recovering {
    fn register(registry: &mut Registry) -> Self {
        let duration = Seconds::default();
        let help = "How long opening the log took at the start";
        registry.register_with_unit("log_open_duration", help, Unit::Seconds, duration.clone());
        Self { duration, read: bytes(registry, "log_open_read", "Read to open the log") }
    }
}

impl Segments {
    fn register(registry: &mut Registry) -> Self {
        let help = "Entries that the log holds and cannot read";
        Self {
            used: level(registry, "log_segments", "Segments in use"),
            spare: level(registry, "log_spare_segments", "Segments made ahead"),
            faulty: level(registry, "log_faulty_entries", help),
            log: Arc::default(),
        }
    }

    fn sample(&self) {
        let Some(log) = self.log.get() else { return };
        let found = log.stats();
        self.used.set(count(found.segments));
        self.spare.set(count(found.spare_segments));
        self.faulty.set(found.faulty_entries);
    }
}

/// A directory whose syncs are timed.
#[derive(Debug)]
pub(crate) struct TimedIo<I> {
    io: I,
    disk: Disk,
}

impl<I: Io> TimedIo<I> {
    /// The same directory, measured.
    pub(crate) const fn new(io: I, disk: Disk) -> Self {
        Self { io, disk }
    }

    fn timed(&self, name: &str, file: Box<dyn File>, made: Option<u64>) -> Box<dyn File> {
        let kind = match name {
            "VOTE" => "vote",
            "MANIFEST" => "manifest",
            _segment => SEGMENT,
        };
        Box::new(TimedFile {
            file,
            kind,
            disk: self.disk.clone(),
            is_made: AtomicBool::new(made.is_some()),
            len: AtomicU64::new(made.unwrap_or(0)),
            written: AtomicU64::new(0),
            is_footer: AtomicBool::new(false),
        })
    }
}

impl<I: Io> IoLayer for TimedIo<I> {
    fn below(&self) -> &dyn Io {
        &self.io
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.timed(name, self.io.create(name)?, None))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.io.open(name)?;
        let len = file.len()?;
        Ok(self.timed(name, file, Some(len)))
    }
}

#[derive(Debug)]
struct TimedFile {
    file: Box<dyn File>,
    kind: &'static str,
    disk: Disk,
    /// Whoever makes a file ends with a full sync.
    is_made: AtomicBool,
    /// The length, which stays once it is made.
    len: AtomicU64,
    /// Bytes since the last sync.
    written: AtomicU64,
    /// Since then a segment was written up to its end: only a footer reaches it.
    is_footer: AtomicBool,
}

impl FileLayer for TimedFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.written.fetch_add(count(bytes.len()), Ordering::Relaxed);
        let end = offset.saturating_add(count(bytes.len()));
        if self.len.fetch_max(end, Ordering::Relaxed) <= end && self.kind == SEGMENT {
            self.is_footer.store(true, Ordering::Relaxed);
        }
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let begun = Instant::now();
        self.file.sync_data()?;
        let span = begun.elapsed();
        let written = self.written.swap(0, Ordering::Relaxed);
        let is_footer = self.is_footer.swap(false, Ordering::Relaxed);
        let file = match self.is_made.load(Ordering::Relaxed) {
            false => SPARE,
            true if is_footer => FOOTER,
            true => self.kind,
        };
        self.disk.sync.get_or_create(&FileLabel { file }).observe(span.as_secs_f64());
        if file == SEGMENT {
            self.disk.write.observe(float(written));
            self.disk.recent().add(Instant::now(), span);
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()?;
        self.written.store(0, Ordering::Relaxed);
        self.is_footer.store(false, Ordering::Relaxed);
        self.is_made.store(true, Ordering::Relaxed);
        Ok(())
    }
}
