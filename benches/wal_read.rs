//! Reading entries back with their checksums, all of them and one at a time, beside a plain `pread` loop.
//!
//! The figures of the log count payload, those of the plain loop every byte of the files. `new` is a log
//! that was just opened: its maps are made on the way.

use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use benches::{
    Bound, answered_list,
    filled::{
        Cache, Fill, Random, fill_log, open, raw_scan, read_through, set_cache, used_segments,
    },
    is_full_run, median, percentile, say, say_against, time,
};
use wal::Reader;

/// Pairs per workload: the median of so many is quoted.
const PAIRS: usize = 9;
/// What the log adds to an entry.
const FRAME_BYTES: usize = 32;
const ENTRY_BYTES: [usize; 2] = [1_024, 128];
const FULL: Sizes = Sizes { batches: 8_192, points: 20_000, pairs: PAIRS };
const SMOKE: Sizes = Sizes { batches: 48, points: 100, pairs: 1 };

struct Sizes {
    batches: usize,
    points: usize,
    pairs: usize,
}

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let sizes = if is_full_run() { FULL } else { SMOKE };
    say("read back                       ratio      bound            log and raw");
    for entry_bytes in ENTRY_BYTES {
        let fill = Fill { payload_bytes: sizes.batches * 64 * entry_bytes, entry_bytes, batch: 64 };
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fill_log(dir.path(), fill)?;
        for (name, bound) in [("warm", 0.5), ("warm, new", 0.5), ("cold", 0.8)] {
            let state = State {
                cache: if name == "cold" { Cache::Cold } else { Cache::Warm },
                is_mapped: name == "warm",
            };
            let name = format!("all, {entry_bytes} B, {name}");
            read_all(dir.path(), (fill, state), sizes.pairs, (&name, Bound::AtLeast(bound)))?;
        }
        let name = format!("one at random, {entry_bytes} B");
        read_points(dir.path(), fill, &sizes, (&name, Bound::AtMost(2.0)))?;
    }
    Ok(())
}

/// What a read finds.
#[derive(Clone, Copy)]
struct State {
    cache: Cache,
    /// The log has been read before by the process, so its maps stand.
    is_mapped: bool,
}

fn read_all(
    dir: &Path,
    (fill, State { cache, is_mapped }): (Fill, State),
    pairs: usize,
    (name, bound): (&str, Bound),
) -> Result<()> {
    let (mut log_speed, mut raw_speed, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let files = used_segments(dir)?;
    for _ in 0..pairs {
        set_cache(dir, cache)?;
        let (span, bytes) = time(|| raw_scan(&files));
        let raw = bytes? as f64 / span.as_secs_f64() / 1e6;
        // Opened first: what is mapped could not be dropped from the cache.
        let (log, _) = open(dir)?;
        set_cache(dir, cache)?;
        if is_mapped {
            read_through(&log.reader(), fill)?;
        }
        let (span, bytes) = time(|| read_through(&log.reader(), fill));
        let through = bytes? as f64 / span.as_secs_f64() / 1e6;
        log.close()?;
        log_speed.push(through);
        raw_speed.push(raw);
        ratio.push(through / raw);
    }
    let more = format!("{:.0} and {:.0} MB/s", median(&log_speed), median(&raw_speed));
    say_against(name, median(&ratio), bound, &more);
    Ok(())
}

fn read_points(dir: &Path, fill: Fill, sizes: &Sizes, (name, bound): (&str, Bound)) -> Result<()> {
    set_cache(dir, Cache::Warm)?;
    let (log, _) = open(dir)?;
    let reader = log.reader();
    let files = used_segments(dir)?
        .into_iter()
        .map(|(path, used)| Ok((File::open(path)?, used)))
        .collect::<Result<Vec<_>>>()?;
    let (mut log_p50, mut raw_p50, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let mut p99 = Vec::new();
    let mut random = Random::default();
    for _ in 0..sizes.pairs {
        let raw = raw_points(&files, fill, sizes.points, &mut random)?;
        let through = log_points(&reader, fill, sizes.points, &mut random)?;
        let (raw, through_p50) = (percentile(&raw, 500), percentile(&through, 500));
        log_p50.push(through_p50);
        p99.push(percentile(&through, 990));
        raw_p50.push(raw);
        ratio.push(through_p50 / raw);
    }
    log.close()?;
    let (p50, raw, p99) = (median(&log_p50), median(&raw_p50), median(&p99));
    let more = format!("p50 {p50:.2} and {raw:.2} us, p99 {p99:.2} us");
    say_against(name, median(&ratio), bound, &more);
    Ok(())
}

/// Microseconds of each read of one entry.
fn log_points(reader: &Reader, fill: Fill, points: usize, random: &mut Random) -> Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(points);
    for _ in 0..points {
        let index = 1 + random.below(fill.entries());
        let start = Instant::now();
        let entry = reader.entry(index)?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
        ensure!(entry.is_some_and(|entry| entry.index == index), "entry {index} is missing");
    }
    Ok(samples)
}

/// Microseconds of each read of as many bytes.
fn raw_points(
    files: &[(File, u64)],
    fill: Fill,
    points: usize,
    random: &mut Random,
) -> Result<Vec<f64>> {
    let mut buffer = vec![0; FRAME_BYTES + fill.entry_bytes];
    let mut samples = Vec::with_capacity(points);
    for _ in 0..points {
        let file = usize::try_from(random.below(files.len() as u64))?;
        let (file, used) = files.get(file).context("there are files")?;
        let offset = random.below(used - buffer.len() as u64);
        let start = Instant::now();
        file.read_exact_at(&mut buffer, offset)?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(samples)
}
