//! Log appends beside a raw loop of `pwrite` + `fdatasync` into a zeroed file, measured in turn.
//!
//! Every append is durable when it counts, and the raw loop writes as many bytes. The ratio says what
//! the log costs above the disk. `writers` are threads that block until their entry is durable; `tasks`
//! are as many in one thread, told by one callback, as in the node.

use std::{
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    time::Instant,
};

use anyhow::{Context, Result};
use benches::{
    answered_list, is_full_run, median, payload, say,
    wal::{Append, Counted, Counts, Figures, Limit, WORKLOADS, Workload, cpu_time, run, run_raw},
};
use bytes::Bytes;
use wal::{Entry, EntryKind, Identity, Io, Log, Op, Options, Writer};

/// Pairs per workload: the median of so many is quoted.
const PAIRS: usize = 9;

/// How appends come to the log.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shape {
    Writers,
    Tasks,
}

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let limit = Limit::new(is_full_run());
    let pairs = if is_full_run() { PAIRS } else { 1 };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    say("workload                 log entries/s  raw entries/s  log/raw  log p50/p99 us  \
         log/raw CPU us/entry  flushes/append  bytes/payload byte");
    for workload in WORKLOADS {
        compare(dir.path(), workload, Shape::Writers, limit, pairs)?;
        if workload.writers > 1 {
            compare(dir.path(), workload, Shape::Tasks, limit, pairs)?;
        }
    }
    Ok(())
}

fn compare(dir: &Path, workload: Workload, shape: Shape, limit: Limit, pairs: usize) -> Result<()> {
    // What the log writes for one full group: the raw loop writes the same.
    let group = workload.batch * workload.writers;
    let append_bytes = (80 + group * (32 + workload.entry_bytes)).next_multiple_of(512);
    let (mut logs, mut raws) = (Vec::new(), Vec::new());
    let mut counts = Counts::default();
    for pair in 0..pairs {
        // Neither is always the first.
        for is_raw in [pair % 2 == 0, pair % 2 == 1] {
            if is_raw {
                raws.push(run_raw(dir, workload, limit, append_bytes)?);
            } else {
                let (figures, counted) = run_log(dir, workload, shape, limit)?;
                logs.push(figures);
                counts = counts + counted;
            }
        }
    }
    let appends: u64 = logs.iter().map(|figures| figures.appends).sum();
    let payload_bytes = appends * (workload.batch * workload.entry_bytes) as u64;
    let of = |figures: &[Figures], value: fn(&Figures) -> f64| {
        median(&figures.iter().map(value).collect::<Vec<_>>())
    };
    let ratios: Vec<f64> =
        logs.iter().zip(&raws).map(|(log, raw)| log.per_second / raw.per_second).collect();
    let name = match shape {
        Shape::Writers => workload.name.to_owned(),
        Shape::Tasks => workload.name.replace("writers", "tasks"),
    };
    say(&format!(
        "{:<24} {:>13.0} {:>14.0} {:>8.3} {:>10.0}/{:<6.0} {:>10.2}/{:<6.2} {:>12.3} {:>16.3}",
        name,
        of(&logs, |figures| figures.per_second),
        of(&raws, |figures| figures.per_second),
        median(&ratios),
        of(&logs, |figures| figures.p50_us),
        of(&logs, |figures| figures.p99_us),
        of(&logs, |figures| figures.cpu_us),
        of(&raws, |figures| figures.cpu_us),
        counts.syncs as f64 / appends as f64,
        counts.bytes as f64 / payload_bytes as f64,
    ));
    if shape == Shape::Writers && workload.writers == 1 {
        anyhow::ensure!(counts.syncs == appends, "a single writer flushes once per append");
    }
    Ok(())
}

fn run_log(
    dir: &Path,
    workload: Workload,
    shape: Shape,
    limit: Limit,
) -> Result<(Figures, Counts)> {
    let dir = tempfile::tempdir_in(dir)?;
    let counted = Arc::new(Counted::new(dir.path())?);
    let io: Arc<dyn Io> = Arc::<Counted>::clone(&counted);
    let options = Options {
        segment_bytes: limit.file_bytes,
        small_segment_bytes: limit.file_bytes,
        spare_segments: 0,
        ..Options::default()
    };
    Log::create(&io, Identity { cluster: 1, node: 1, store: 1 }, &options)?;
    let (mut log, _) = Log::open(io, options)?;
    // The first batch opens the segment, which takes more than one flush.
    let first = Entry::new(1, 1, EntryKind::NoOp, Bytes::new());
    log.stage(1, Op::Append(vec![first]));
    log.write()?;
    log.sync()?;
    let before = counted.counts();
    let figures = match shape {
        Shape::Writers => {
            let writer = Threads(Writer::spawn(log, Box::new(|_| ()))?);
            let figures = run(workload, limit, &writer)?;
            let counts = counted.counts() - before;
            writer.0.stop().context("the log failed")?;
            return Ok((figures, counts));
        }
        Shape::Tasks => run_tasks(log, workload, limit)?,
    };
    Ok((figures, counted.counts() - before))
}

struct Threads(Writer);

impl Append for Threads {
    fn append(&self, _writer: usize, payloads: &[Bytes]) -> Result<()> {
        self.0.append(1, EntryKind::Command, payloads)?;
        Ok(())
    }
}

/// One thread that owns the order of the log, as the node's driver does: as many appends are under way
/// as there are writers, and one message tells which are done.
fn run_tasks(log: Log, workload: Workload, limit: Limit) -> Result<Figures> {
    let (tell, told) = sync_channel(1_024);
    let writer = Writer::spawn(
        log,
        Box::new(move |durable| {
            if let Ok(durable) = durable {
                // The other side has gone when nobody wants to know any more.
                tell.send(durable).unwrap_or_default();
            }
        }),
    )?;
    let data = Bytes::from(payload(2, workload.entry_bytes));
    let appends_max = usize::try_from(limit.appends_max(workload))?;
    let mut begun = Vec::with_capacity(1 << 16);
    let mut samples = Vec::with_capacity(1 << 16);
    let (start, cpu) = (Instant::now(), cpu_time());
    while samples.len() < begun.len() || samples.is_empty() {
        let is_over = start.elapsed() >= limit.span || begun.len() >= appends_max;
        let free = if is_over { 0 } else { workload.writers - (begun.len() - samples.len()) };
        for _ in 0..free {
            begun.push(Instant::now());
            let number = begun.len() as u64 + 1;
            let entry = Entry::new(number, 1, EntryKind::Command, data.clone());
            writer.submit(number, Op::Append(vec![entry])).ok().context("no room in line")?;
        }
        let durable = told.recv().context("the log failed")?;
        let now = Instant::now();
        let done = begun.get(samples.len()..usize::try_from(durable)? - 1).unwrap_or_default();
        samples.extend(done.iter().map(|&begun| (now - begun).as_secs_f64() * 1e6));
    }
    let (took, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    writer.stop().context("the log failed")?;
    Ok(Figures::new(workload, &samples, took, cpu))
}
