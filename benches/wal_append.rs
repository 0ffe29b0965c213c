//! Log appends beside a raw loop of `pwrite` + `fdatasync` into a zeroed file, measured in turn.
//!
//! Every append is durable when it counts, and the raw loops write as many bytes: one through the page
//! cache, and one past it, as the log does where the file system can. The ratios say what the log costs
//! above the disk. `writers` are threads that block until their entry is durable; `tasks`
//! are as many in one thread, told by one callback, as in the node.

use std::path::Path;

use anyhow::Result;
use benches::{
    answered_list, is_full_run, median, say,
    wal::{Counts, Figures, Limit, Shape, WORKLOADS, Workload, run_log, run_raw, run_raw_direct},
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
    say(
        "                                     log / raw loop   log       log/raw CPU  flushes  written",
    );
    say(
        "workload                 log entries/s buffer direct  p50/p99 us  us per entry  /append  /payload",
    );
    for workload in WORKLOADS {
        compare(dir.path(), workload, Shape::Writers, limit, pairs)?;
        if workload.writers > 1 {
            compare(dir.path(), workload, Shape::Tasks, limit, pairs)?;
        }
    }
    Ok(())
}

fn compare(dir: &Path, workload: Workload, shape: Shape, limit: Limit, pairs: usize) -> Result<()> {
    let (mut logs, mut raws, mut direct) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = Counts::default();
    for pair in 0..pairs {
        // None is always the first.
        for turn in (pair..pair + 3).map(|turn| turn % 3) {
            let bytes = workload.append_bytes();
            match turn {
                0 => raws.push(run_raw(dir, workload, limit, bytes)?),
                1 => direct.extend(run_raw_direct(dir, workload, limit, bytes)?),
                _ => {
                    let (figures, counted) = run_log(dir, workload, shape, limit)?;
                    logs.push(figures);
                    counts = counts + counted;
                }
            }
        }
    }
    let appends: u64 = logs.iter().map(|figures| figures.appends).sum();
    let payload_bytes = appends * (workload.batch * workload.entry_bytes) as u64;
    let of = |figures: &[Figures], value: fn(&Figures) -> f64| {
        median(&figures.iter().map(value).collect::<Vec<_>>())
    };
    let ratio = |raws: &[Figures]| {
        let ratio = |(log, raw): (&Figures, &Figures)| log.per_second / raw.per_second;
        let ratios: Vec<f64> = logs.iter().zip(raws).map(ratio).collect();
        if ratios.is_empty() { "-".to_owned() } else { format!("{:.3}", median(&ratios)) }
    };
    let name = match shape {
        Shape::Writers => workload.name.to_owned(),
        Shape::Tasks => workload.name.replace("writers", "tasks"),
    };
    say(&format!(
        "{:<24} {:>13.0} {:>6} {:>6} {:>6.0}/{:<6.0} {:>5.2}/{:<6.2} {:>7.3} {:>8.3}",
        name,
        of(&logs, |figures| figures.per_second),
        ratio(&raws),
        ratio(&direct),
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
