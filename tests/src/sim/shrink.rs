//! A seed that breaks a law, made smaller: fewer faults, nodes and clients, a shorter storm.
//!
//! What is left out changes what happens after it, so a reduced seed is another history. Each
//! reduction is therefore tried on a few seeds from the first one on, and kept with the first that
//! breaks the same law. What always holds: the result breaks the law that the seed broke.

use super::{Batch, Fault, Options, Report, run_seed};

/// Seeds on which a reduction is tried.
const SEEDS: u64 = 40;
/// So many words at the beginning of a report name the law.
const LAW_WORDS: usize = 4;
/// Nothing shorter tells more.
const STORM_MS_MIN: u64 = 1_000;

/// The smallest that was found; none when the seed keeps every law. `says` is told of each step.
#[must_use]
pub fn shrink(seed: u64, options: &Options, mut says: impl FnMut(&Report)) -> Option<Report> {
    let mut options = options.clone();
    let mut best = run_seed(seed, &options);
    let law = law(&best)?;
    says(&best);
    let mut has_shrunk = true;
    while has_shrunk {
        has_shrunk = false;
        for smaller in reductions(&options, &best) {
            if let Some(found) = find(best.seed, &smaller, &law) {
                says(&found);
                (options, best, has_shrunk) = (smaller, found, true);
                break;
            }
        }
    }
    Some(best)
}

/// Which law: the words that the report begins with, but for their numbers.
fn law(report: &Report) -> Option<String> {
    let words = report.violation.as_deref()?.split(' ');
    let words = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    Some(words.take(LAW_WORDS).collect::<Vec<_>>().join(" "))
}

/// Each way to make it a little smaller, those that take away most first.
fn reductions(options: &Options, best: &Report) -> Vec<Options> {
    let mut all = Vec::new();
    let storm_ms = options.storm_ms.unwrap_or(best.virtual_us / 1_000);
    for shorter in [storm_ms / 4, storm_ms * 2 / 3] {
        if shorter >= STORM_MS_MIN {
            all.push(Options { storm_ms: Some(shorter), ..options.clone() });
        }
    }
    let nodes = options.nodes.unwrap_or(best.nodes);
    for fewer in [3, nodes - 1] {
        if (1..nodes).contains(&fewer) {
            all.push(Options { nodes: Some(fewer), ..options.clone() });
        }
    }
    for fewer in [1, 2] {
        if options.clients.is_none_or(|clients| fewer < clients) {
            all.push(Options { clients: Some(fewer), ..options.clone() });
        }
    }
    let left: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| !options.without.contains(fault)).collect();
    let halves = left.chunks(left.len().div_ceil(2).max(1));
    for dropped in halves.chain(left.chunks(1)) {
        let mut smaller = options.clone();
        smaller.without.extend(dropped);
        all.push(smaller);
    }
    all
}

fn find(first: u64, options: &Options, law_broken: &str) -> Option<Report> {
    let seeds = first..first.saturating_add(SEEDS);
    let found = Batch { stops_early: true, ..Batch::new(seeds, options.clone()) }.run();
    found.violations.into_iter().find(|report| law(report).as_deref() == Some(law_broken))
}
