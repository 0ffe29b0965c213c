//! Log appends beside a raw loop of `pwrite` + `fdatasync` into a zeroed file, measured in turn.
//!
//! Every append is durable when it counts, and the raw loop writes as many bytes. The ratio says what
//! the log costs above the disk. `writers` are threads that block until their entry is durable; `tasks`
//! are as many in one thread, told by one callback, as in the node.

use std::path::Path;

use anyhow::Result;
use benches::{
    answered_list, is_full_run, median, say,
    wal::{Counts, Figures, Limit, Shape, WORKLOADS, Workload, run_log, run_raw},
};

/// Pairs per workload: the median of so many is quoted.
const PAIRS: usize = 9;

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
    let (mut logs, mut raws) = (Vec::new(), Vec::new());
    let mut counts = Counts::default();
    for pair in 0..pairs {
        // Neither is always the first.
        for is_raw in [pair % 2 == 0, pair % 2 == 1] {
            if is_raw {
                raws.push(run_raw(dir, workload, limit, workload.append_bytes())?);
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
