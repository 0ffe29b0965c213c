//! The append workloads, the same for every log, and how a log is measured on them.
//!
//! What always holds: an append counts when it is durable; all writers start together and the clock runs
//! until the last one is done; processor time is that of the whole process, user and system, in that
//! span; everything is inside one prepared file, so that nobody's preparation is measured.

mod counted;
mod ours;

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use rustix::{
    fs::OFlags,
    time::{ClockId, clock_gettime},
};

pub use self::{
    counted::{Counted, Counts},
    ours::{Shape, run_log},
};
use crate::{payload, percentile};

/// Who appends what.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// For the report.
    pub name: &'static str,
    /// Threads that each append, wait, and append again.
    pub writers: usize,
    /// Entries in one append.
    pub batch: usize,
    /// Payload of an entry in bytes.
    pub entry_bytes: usize,
}

/// All of them.
pub const WORKLOADS: [Workload; 6] = [
    Workload { name: "1 writer x 1, 128 B", writers: 1, batch: 1, entry_bytes: 128 },
    Workload { name: "1 writer x 1, 1 KiB", writers: 1, batch: 1, entry_bytes: 1_024 },
    Workload { name: "batch of 64, 128 B", writers: 1, batch: 64, entry_bytes: 128 },
    Workload { name: "batch of 64, 1 KiB", writers: 1, batch: 64, entry_bytes: 1_024 },
    Workload { name: "64 writers x 1, 128 B", writers: 64, batch: 1, entry_bytes: 128 },
    Workload { name: "64 writers x 1, 1 KiB", writers: 64, batch: 1, entry_bytes: 1_024 },
];

impl Workload {
    /// What our log writes for one full group; the raw loop writes the same.
    #[must_use]
    pub const fn append_bytes(self) -> usize {
        const BATCH_BYTES: usize = 80;
        const FRAME_BYTES: usize = 32;
        let group = self.batch * self.writers;
        (BATCH_BYTES + group * (FRAME_BYTES + self.entry_bytes)).next_multiple_of(SECTOR_BYTES)
    }
}

/// How long a run is: whichever is over first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The clock.
    pub span: Duration,
    /// Size of the prepared file; three quarters of it are written.
    pub file_bytes: u64,
}

impl Limit {
    /// For `cargo bench`, and the tiny one for `cargo test`.
    #[must_use]
    pub const fn new(is_full_run: bool) -> Self {
        if is_full_run {
            Self { span: Duration::from_millis(700), file_bytes: 128 << 20 }
        } else {
            Self { span: Duration::from_millis(5), file_bytes: 4 << 20 }
        }
    }

    /// Appends of this workload that fit, whatever a log adds to an entry, within reason.
    #[must_use]
    pub const fn appends_max(self, workload: Workload) -> u64 {
        const OVERHEAD_BYTES: usize = 64;
        let entries = workload.batch * (workload.entry_bytes + OVERHEAD_BYTES);
        let bytes = entries.next_multiple_of(SECTOR_BYTES) as u64;
        self.file_bytes / 4 * 3 / bytes
    }
}

const SECTOR_BYTES: usize = 512;

/// A log as the workloads see it.
pub trait Append: Sync {
    /// Append `payloads` together; they are durable when this returns. `writer` counts from 0.
    ///
    /// # Errors
    /// When the log fails, which ends the run.
    fn append(&self, writer: usize, payloads: &[Bytes]) -> Result<()>;
}

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Entries per second.
    pub per_second: f64,
    /// Median time of one append in microseconds.
    pub p50_us: f64,
    /// 99 of 100 appends took no longer, in microseconds.
    pub p99_us: f64,
    /// Processor time per entry in microseconds.
    pub cpu_us: f64,
    /// How many appends there were.
    pub appends: u64,
}

impl Figures {
    /// From the time of each append in microseconds, the wall time and the processor time.
    #[must_use]
    pub fn new(workload: Workload, samples: &[f64], took: Duration, cpu: Duration) -> Self {
        let entries = (samples.len() * workload.batch) as f64;
        Self {
            per_second: entries / took.as_secs_f64(),
            p50_us: percentile(samples, 500),
            p99_us: percentile(samples, 990),
            cpu_us: cpu.as_secs_f64() * 1e6 / entries,
            appends: samples.len() as u64,
        }
    }
}

/// Put a log through a workload.
///
/// # Errors
/// When the log fails.
pub fn run(workload: Workload, limit: Limit, log: &impl Append) -> Result<Figures> {
    // Different ones: a log that compresses a batch must not find the same bytes in it 64 times.
    let payloads: Vec<_> =
        (2..).take(workload.batch).map(|n| Bytes::from(payload(n, workload.entry_bytes))).collect();
    let left = AtomicU64::new(limit.appends_max(workload));
    let start = Barrier::new(workload.writers + 1);
    let mut begun = (Instant::now(), Duration::ZERO);
    let samples = thread::scope(|scope| {
        let (payloads, left, start) = (&payloads, &left, &start);
        let work = |writer| {
            move || -> Result<Vec<f64>> {
                let mut samples = Vec::with_capacity(1 << 14);
                start.wait();
                let begun = Instant::now();
                while begun.elapsed() < limit.span && take_one(left) {
                    let one = Instant::now();
                    log.append(writer, payloads)?;
                    samples.push(one.elapsed().as_secs_f64() * 1e6);
                }
                Ok(samples)
            }
        };
        let threads: Vec<_> = (0..workload.writers).map(|n| scope.spawn(work(n))).collect();
        begun = (Instant::now(), cpu_time());
        start.wait();
        let mut samples = Vec::new();
        for thread in threads {
            samples.append(&mut thread.join().ok().context("a writer panicked")??);
        }
        anyhow::Ok(samples)
    })?;
    let (took, cpu) = (begun.0.elapsed(), cpu_time().saturating_sub(begun.1));
    Ok(Figures::new(workload, &samples, took, cpu))
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Processor time of this process so far, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// The loop that a log is compared with: one thread, one `pwrite` and one `fdatasync` per append into a
/// zeroed file, through the page cache. With 64 writers it is what one flush for all of them would cost
/// without the threads.
///
/// # Errors
/// When the file cannot be made or written.
pub fn run_raw(
    dir: &Path,
    workload: Workload,
    limit: Limit,
    append_bytes: usize,
) -> Result<Figures> {
    let file = zeroed(&dir.join("raw"), limit.file_bytes)?;
    write_raw(&file, workload, limit, &payload(1, append_bytes))
}

/// The same past the page cache. None where the file system cannot.
///
/// # Errors
/// When the file cannot be made or written.
pub fn run_raw_direct(
    dir: &Path,
    workload: Workload,
    limit: Limit,
    append_bytes: usize,
) -> Result<Option<Figures>> {
    const ALIGN: usize = 4_096;
    let path = dir.join("raw");
    zeroed(&path, limit.file_bytes)?;
    let flags = i32::try_from(OFlags::DIRECT.bits())?;
    let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).open(path) else {
        return Ok(None);
    };
    let mut data = vec![0; append_bytes + ALIGN];
    let start = data.as_ptr().align_offset(ALIGN).min(ALIGN);
    data.truncate(start);
    data.extend(payload(1, append_bytes));
    let data = data.get(start..).unwrap_or_default();
    if file.write_at(data, ALIGN as u64).is_err() {
        return Ok(None);
    }
    write_raw(&file, workload, limit, data).map(Some)
}

fn write_raw(file: &File, workload: Workload, limit: Limit, data: &[u8]) -> Result<Figures> {
    let entries = Workload { batch: workload.batch * workload.writers, ..workload };
    let append_bytes = data.len() as u64;
    let (mut at, mut samples) = (4_096, Vec::with_capacity(1 << 14));
    let (start, cpu) = (Instant::now(), cpu_time());
    while start.elapsed() < limit.span && at + 2 * append_bytes <= limit.file_bytes {
        let begun = Instant::now();
        file.write_all_at(data, at)?;
        file.sync_data()?;
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
        at += append_bytes;
    }
    Ok(Figures::new(entries, &samples, start.elapsed(), cpu_time().saturating_sub(cpu)))
}

fn zeroed(path: &Path, bytes: u64) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).read(true).open(path)?;
    let zeros = vec![0_u8; 1 << 20];
    for at in (0..bytes).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(file)
}
