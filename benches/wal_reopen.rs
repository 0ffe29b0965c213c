//! Opening a log of 512 MiB after a clean stop and after kill -9, beside a plain read of its files.
//!
//! After kill -9 the newest batch is written but not synced, and the last segment is nearly full: the most
//! there can be to look at. The log syncs that segment and reads it from the disk, not from the cache.

use std::path::Path;

use anyhow::{Result, ensure};
use benches::{
    Bound, answered_list,
    filled::{Cache, Fill, batch, fill_log, open, raw_scan, set_cache, used_segments},
    is_full_run, median, millis, payload, say, say_against, time,
};
use bytes::Bytes;
use wal::{Op, TailVerdict};

/// Rounds per case: the median of so many is quoted.
const ROUNDS: usize = 9;
const MIB: usize = 1024 * 1024;
/// Eight segments of 64 MiB with what the log adds, the last one nearly full.
const FULL: Fill = Fill { payload_bytes: 484 * MIB, entry_bytes: 1_024, batch: 64 };
const SMOKE: Fill = Fill { payload_bytes: 3 * MIB, entry_bytes: 1_024, batch: 64 };

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stop {
    Clean,
    Killed,
}

struct Case {
    name: &'static str,
    stop: Stop,
    cache: Cache,
    bound_ms: f64,
}

const CASES: [Case; 4] = [
    Case { name: "clean stop, warm", stop: Stop::Clean, cache: Cache::Warm, bound_ms: 10.0 },
    Case { name: "clean stop, cold", stop: Stop::Clean, cache: Cache::Cold, bound_ms: 20.0 },
    Case { name: "kill -9, warm", stop: Stop::Killed, cache: Cache::Warm, bound_ms: 150.0 },
    Case { name: "kill -9, cold", stop: Stop::Killed, cache: Cache::Cold, bound_ms: 150.0 },
];

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let (fill, rounds) = if is_full_run() { (FULL, ROUNDS) } else { (SMOKE, 1) };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    fill_log(dir.path(), fill)?;
    let mut took = CASES.map(|_| Vec::new());
    let mut scanned = CASES.map(|_| Vec::new());
    let mut raw = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (i, case) in CASES.iter().enumerate() {
            let (ms, bytes) = reopen(dir.path(), fill, case)?;
            took[i].push(ms);
            scanned[i].push(bytes as f64 / MIB as f64);
        }
        let files = used_segments(dir.path())?;
        for (cache, raw) in [Cache::Warm, Cache::Cold].into_iter().zip(&mut raw) {
            set_cache(dir.path(), cache)?;
            let (span, bytes) = time(|| raw_scan(&files));
            ensure!(bytes? > 0, "the log holds something");
            raw.push(millis(span));
        }
    }
    say("reopen                      median ms      bound   scanned MiB");
    for ((case, took), scanned) in CASES.iter().zip(&took).zip(&scanned) {
        let bound = Bound::AtMost(case.bound_ms);
        say_against(case.name, median(took), bound, &format!("{:.1}", median(scanned)));
    }
    say(&format!("raw read of all, warm      {:>10.1}", median(&raw[0])));
    say(&format!("raw read of all, cold      {:>10.1}", median(&raw[1])));
    Ok(())
}

/// Milliseconds to open the log, and bytes it looked at.
fn reopen(dir: &Path, fill: Fill, case: &Case) -> Result<(f64, u64)> {
    if case.stop == Stop::Killed {
        let (mut log, recovery) = open(dir)?;
        let data = Bytes::from(payload(4, fill.entry_bytes));
        log.stage(1, Op::Append(batch(recovery.last.0 + 1, fill, &data)));
        log.write()?;
        // Dropped as a killed process leaves it: written, not synced, not closed.
    }
    set_cache(dir, case.cache)?;
    let (span, opened) = time(|| open(dir));
    let (log, recovery) = opened?;
    let expected = match case.stop {
        Stop::Clean => TailVerdict::Stopped,
        Stop::Killed => TailVerdict::CleanEnd,
    };
    ensure!(recovery.tail == expected, "{}: found {:?}", case.name, recovery.tail);
    log.close()?;
    Ok((millis(span), recovery.scanned_bytes))
}
