//! What was written, found again: reopening, reading all, reading one, and the room it takes.

use std::{fs, path::Path, time::Instant};

use anyhow::{Result, ensure};
use benches::{
    filled::{Cache, Fill, Random, set_cache, used_bytes},
    is_full_run, median, millis, percentile, say, time,
};

use crate::System;

const MIB: usize = 1024 * 1024;
const FULL: Fill = Fill { payload_bytes: 484 * MIB, entry_bytes: 1_024, batch: 64 };
const SMOKE: Fill = Fill { payload_bytes: 3 * MIB, entry_bytes: 1_024, batch: 64 };
const POINTS: usize = 5_000;
const POINTS_SMOKE: usize = 50;

/// Of one log, a value for each round.
#[derive(Default)]
struct Samples {
    reopen_warm_ms: Vec<f64>,
    reopen_cold_ms: Vec<f64>,
    read_warm: Vec<f64>,
    read_cold: Vec<f64>,
    point_us: Vec<f64>,
    point_p99_us: Vec<f64>,
}

/// All logs, in turn, on the same contents.
pub fn compare(dir: &Path, systems: &[&dyn System], rounds: usize) -> Result<()> {
    let fill = if is_full_run() { FULL } else { SMOKE };
    let mut dirs = Vec::new();
    for system in systems {
        let dir = tempfile::tempdir_in(dir)?;
        system.fill(dir.path(), fill)?;
        dirs.push(dir);
    }
    let mut space = Vec::new();
    for dir in &dirs {
        space.push(used_in(dir.path())? as f64 / fill.payload_bytes as f64);
    }
    let mut samples: Vec<_> = systems.iter().map(|_| Samples::default()).collect();
    for _ in 0..rounds {
        for ((system, dir), samples) in systems.iter().zip(&dirs).zip(&mut samples) {
            round(*system, dir.path(), fill, samples)?;
        }
    }
    say(
        "\nfilled, 1 KiB          reopen warm/cold ms   read all warm/cold MB/s   one p50/p99 us   space",
    );
    for ((system, of), space) in systems.iter().zip(&samples).zip(space) {
        let all = if system.reads_all() {
            format!("{:.0}/{:.0}", median(&of.read_warm), median(&of.read_cold))
        } else {
            "by opening".to_owned()
        };
        let reopen = format!("{:.1}/{:.1}", median(&of.reopen_warm_ms), median(&of.reopen_cold_ms));
        let point = format!("{:.2}/{:.2}", median(&of.point_us), median(&of.point_p99_us));
        say(&format!("{:<22} {reopen:>19} {all:>25} {point:>16} {space:>7.3}", system.name()));
    }
    Ok(())
}

fn round(system: &dyn System, dir: &Path, fill: Fill, samples: &mut Samples) -> Result<()> {
    for cache in [Cache::Warm, Cache::Cold] {
        set_cache(dir, cache)?;
        let (span, stored) = time(|| system.open(dir));
        let stored = stored?;
        let (reopen, read) = match cache {
            Cache::Warm => (&mut samples.reopen_warm_ms, &mut samples.read_warm),
            Cache::Cold => (&mut samples.reopen_cold_ms, &mut samples.read_cold),
        };
        reopen.push(millis(span));
        if system.reads_all() {
            set_cache(dir, cache)?;
            let (span, bytes) = time(|| stored.read_all(fill));
            let bytes = bytes?;
            ensure!(bytes as u64 == fill.entries() * fill.entry_bytes as u64, "bytes are missing");
            read.push(bytes as f64 / span.as_secs_f64() / 1e6);
        }
        stored.close()?;
    }
    set_cache(dir, Cache::Warm)?;
    let stored = system.open(dir)?;
    let mut random = Random::default();
    let mut points = Vec::new();
    for _ in 0..if is_full_run() { POINTS } else { POINTS_SMOKE } {
        let index = 1 + random.below(fill.entries());
        let start = Instant::now();
        let bytes = stored.read_one(index)?;
        points.push(start.elapsed().as_secs_f64() * 1e6);
        ensure!(bytes == fill.entry_bytes, "entry {index} has another size");
    }
    samples.point_us.push(percentile(&points, 500));
    samples.point_p99_us.push(percentile(&points, 990));
    stored.close()
}

/// Bytes up to the last sector that is not zero, of all files.
fn used_in(dir: &Path) -> Result<u64> {
    let mut used = 0;
    for file in fs::read_dir(dir)? {
        used += used_bytes(&fs::File::open(file?.path())?)?;
    }
    Ok(used)
}
