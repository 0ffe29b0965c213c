//! Shared parts of the benchmarks: seeded workloads, percentiles, the report.
//!
//! What always holds:
//! - the same seed makes the same bytes;
//! - figures that are compared are measured in turn, in one run, on one machine: quote ratios.

pub mod filled;
pub mod sends;
pub mod wal;

use std::time::{Duration, Instant};

/// Whether this is `cargo bench`; `cargo test` runs every benchmark once, tiny, so that none rots.
#[must_use]
pub fn is_full_run() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Answer a test runner that asks for the list of tests. Says whether it did.
#[must_use]
pub fn answered_list() -> bool {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if has("--list") && !has("--ignored") {
        say("smoke: test");
    }
    has("--list")
}

/// Print a line of the report.
#[expect(clippy::print_stdout, reason = "a benchmark's report is its output")]
pub fn say(line: &str) {
    println!("{line}");
}

/// Reproducible bytes that do not compress to nothing.
#[must_use]
pub fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

/// How long `work` takes.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// The value at `per_mille` thousandths of the sorted samples; the largest for 1000.
///
/// # Panics
/// When there are no samples.
#[must_use]
pub fn percentile(samples: &[f64], per_mille: usize) -> f64 {
    assert!(!samples.is_empty(), "a percentile needs samples");
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * per_mille).div_ceil(1_000).clamp(1, sorted.len());
    sorted[place - 1]
}

/// The median.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 500)
}

/// Milliseconds, as a number to print.
#[must_use]
pub fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// Print a figure beside its bound, which a smoke run does not judge.
pub fn say_against(name: &str, value: f64, bound: Bound, more: &str) {
    let (sign, limit, holds) = match bound {
        Bound::AtLeast(limit) => (">=", limit, value >= limit),
        Bound::AtMost(limit) => ("<=", limit, value <= limit),
    };
    let verdict = match (is_full_run(), holds) {
        (false, _) => "smoke",
        (true, true) => "holds",
        (true, false) => "MISSED",
    };
    say(&format!("{name:<26} {value:>10.2} {sign:>4} {limit:<8} {verdict:<7} {more}"));
}
