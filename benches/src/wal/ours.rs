//! Our log under the append workloads: threads that block, or tasks that one callback tells.

use std::{
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    time::Instant,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use wal::{Entry, EntryKind, Identity, Io, Log, Op, Options, Writer};

use super::{Append, Counted, Counts, Figures, Limit, Workload, cpu_time, run};
use crate::payload;

/// How appends come to the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Threads that block until their entry is durable.
    Writers,
    /// As many appends under way in one thread, told by one callback, as in the node.
    Tasks,
}

/// Put a fresh log in `dir` through a workload.
///
/// # Errors
/// When the log fails.
pub fn run_log(
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
