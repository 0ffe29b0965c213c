//! Log appends beside a raw loop of `pwrite` + `fdatasync` into a zeroed file, measured in turn.
//!
//! Every append is durable when it counts. The ratio says what the log costs above the disk.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use benches::{answered_list, is_full_run, median, payload, percentile, say};
use bytes::Bytes;
use wal::{Entry, EntryKind, Identity, Io, Log, Op, Options, RealIo, Writer};

/// Pairs per workload: the median of so many is quoted.
const PAIRS: usize = 9;
const SECTOR_BYTES: usize = 512;
const ENTRY_OVERHEAD_BYTES: usize = 48;

#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    writers: usize,
    batch: usize,
    entry_bytes: usize,
}

const WORKLOADS: [Workload; 6] = [
    Workload { name: "1 writer x 1, 128 B", writers: 1, batch: 1, entry_bytes: 128 },
    Workload { name: "1 writer x 1, 1 KiB", writers: 1, batch: 1, entry_bytes: 1_024 },
    Workload { name: "batch of 64, 128 B", writers: 1, batch: 64, entry_bytes: 128 },
    Workload { name: "batch of 64, 1 KiB", writers: 1, batch: 64, entry_bytes: 1_024 },
    Workload { name: "64 writers x 1, 128 B", writers: 64, batch: 1, entry_bytes: 128 },
    Workload { name: "64 writers x 1, 1 KiB", writers: 64, batch: 1, entry_bytes: 1_024 },
];

/// Entries per second and the p50 and p99 of one append in microseconds.
struct Figures {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let (pairs, span) = if is_full_run() {
        (PAIRS, Duration::from_millis(700))
    } else {
        (1, Duration::from_millis(5))
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    say("workload                  log entries/s   raw entries/s   log/raw   log p50/p99 us");
    for workload in WORKLOADS {
        let (mut log, mut raw, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for _ in 0..pairs {
            let raw_figures = run_raw(dir.path(), workload, span)?;
            let log_figures = run_log(dir.path(), workload, span)?;
            log.push(log_figures.per_second);
            raw.push(raw_figures.per_second);
            ratio.push(log_figures.per_second / raw_figures.per_second);
            p50.push(log_figures.p50_us);
            p99.push(log_figures.p99_us);
        }
        say(&format!(
            "{:<24} {:>14.0} {:>15.0} {:>9.2} {:>8.0}/{:.0}",
            workload.name,
            median(&log),
            median(&raw),
            median(&ratio),
            median(&p50),
            median(&p99),
        ));
    }
    Ok(())
}

/// The raw loop does the work of one writer thread: with 64 writers it flushes once for all of them.
fn run_raw(dir: &Path, workload: Workload, span: Duration) -> Result<Figures> {
    const FILE_BYTES: usize = 64 << 20;
    let path = dir.join("raw");
    let file: File =
        OpenOptions::new().create(true).truncate(true).write(true).read(true).open(&path)?;
    let zeros = vec![0_u8; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at as u64)?;
    }
    file.sync_all()?;
    let entries = workload.batch * workload.writers;
    let bytes =
        (entries * (workload.entry_bytes + ENTRY_OVERHEAD_BYTES)).next_multiple_of(SECTOR_BYTES);
    let data = payload(1, bytes);
    let (mut at, mut samples) = (0, Vec::new());
    let start = Instant::now();
    while start.elapsed() < span {
        let begun = Instant::now();
        file.write_all_at(&data, at as u64)?;
        file.sync_data()?;
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
        at = if at + 2 * bytes > FILE_BYTES { 0 } else { at + bytes };
    }
    Ok(figures(&samples, entries, start.elapsed()))
}

fn run_log(dir: &Path, workload: Workload, span: Duration) -> Result<Figures> {
    let dir = tempfile::tempdir_in(dir)?;
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir.path())?);
    let options = Options { spare_segments: 2, ..Options::default() };
    Log::create(&io, Identity { cluster: 1, node: 1, store: 1 }, &options)?;
    let (mut log, _) = Log::open(io, options)?;
    log.prepare_spares()?;
    let waiting = Arc::new(Waiting::default());
    let woken = Arc::clone(&waiting);
    let writer = Writer::spawn(log, Box::new(move |durable| woken.durable(durable)))?;
    let appender = Mutex::new((1_u64, 1_u64));
    let data = Bytes::from(payload(2, workload.entry_bytes));
    let start = Instant::now();
    let samples: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workload.writers)
            .map(|_| {
                scope.spawn(|| append_for(span, workload, &data, &appender, (&writer, &waiting)))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .collect::<Vec<_>>()
            .concat()
    });
    let took = start.elapsed();
    writer.stop().context("the log failed")?;
    Ok(figures(&samples, workload.batch, took))
}

fn append_for(
    span: Duration,
    workload: Workload,
    data: &Bytes,
    next: &Mutex<(u64, u64)>,
    (writer, waiting): (&Writer, &Waiting),
) -> Vec<f64> {
    let mut samples = Vec::new();
    let start = Instant::now();
    while start.elapsed() < span {
        let begun = Instant::now();
        let ticket = {
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            let (ticket, first) = *next;
            let entries = (first..)
                .take(workload.batch)
                .map(|index| Entry::new(index, 1, EntryKind::Command, data.clone()))
                .collect();
            waiting.expect(ticket);
            if writer.submit(ticket, Op::Append(entries)).is_err() {
                return samples;
            }
            *next = (ticket + 1, first + workload.batch as u64);
            ticket
        };
        waiting.wait(ticket);
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    samples
}

/// Who waits for which ticket.
#[derive(Default)]
struct Waiting {
    state: Mutex<(u64, BTreeMap<u64, Thread>)>,
}

impl Waiting {
    fn expect(&self, ticket: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.insert(ticket, thread::current());
    }

    fn durable(&self, durable: Result<u64, wal::Error>) {
        let Ok(durable) = durable else { return };
        let woken = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = durable;
            let waiting = state.1.split_off(&(durable + 1));
            std::mem::replace(&mut state.1, waiting)
        };
        woken.into_values().for_each(|thread| thread.unpark());
    }

    fn wait(&self, ticket: u64) {
        while self.state.lock().unwrap_or_else(PoisonError::into_inner).0 < ticket {
            thread::park();
        }
    }
}

fn figures(samples: &[f64], entries_each: usize, took: Duration) -> Figures {
    let entries = samples.len() * entries_each;
    Figures {
        per_second: entries as f64 / took.as_secs_f64(),
        p50_us: percentile(samples, 500),
        p99_us: percentile(samples, 990),
    }
}
