//! `cargo sim`: run seeds of the simulator and report.
//!
//! The last line is `seeds: N, virtual seconds: T, faults: F, violations: V`; the exit code is 1
//! when V is not zero, and 2 for arguments that make no sense. What is printed depends on the seeds
//! alone, however many run at once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::process::ExitCode;

use tests::sim::{Batch, Options, Totals};

const USAGE: &str = "\
Run seeds of the simulator: 3 or 5 real nodes on virtual time, network and disk.

  cargo sim --seed N [--trace]         one seed, every event with --trace
  cargo sim --seeds N [--from S]       N seeds, from S on (default 0)

  --nodes N          that many nodes instead of what the seed draws (3 or 5)
  --jobs N           that many seeds at once (default: one per processor)
  --until-violation  stop at the first seed that breaks a law

Example: cargo sim --seeds 200 --from 1000";

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Some(batch)) => report(&batch.run()),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("sim: {problem}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn report(totals: &Totals) -> ExitCode {
    for (what, times) in &totals.counters {
        println!("sometimes: {times:>9}  {what}");
    }
    for report in &totals.violations {
        println!("{report}\n");
    }
    println!("operations: {}, trace hash: {:016x}", totals.operations, totals.hash);
    println!(
        "seeds: {}, virtual seconds: {}, faults: {}, violations: {}",
        totals.seeds,
        totals.virtual_us / 1_000_000,
        totals.faults,
        totals.violations.len()
    );
    if totals.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Batch>, String> {
    let (mut first, mut count) = (0, 1);
    let mut batch = Batch::new([], Options::default());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--seed" => (first, count) = (number(&word, words.next())?, 1),
            "--seeds" => count = number(&word, words.next())?,
            "--from" => first = number(&word, words.next())?,
            "--jobs" => batch.jobs = jobs(words.next())?,
            "--nodes" => batch.options.nodes = Some(nodes(words.next())?),
            "--until-violation" => batch.stops_early = true,
            "--trace" => batch.options.prints = true,
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    let end = first.checked_add(count).ok_or("--from and --seeds go beyond 64 bits")?;
    batch.seeds = (first..end).collect();
    if batch.options.prints {
        batch.jobs = 1;
    }
    Ok(Some(batch))
}

fn number(flag: &str, word: Option<String>) -> Result<u64, String> {
    let word = word.ok_or_else(|| format!("{flag} needs a number"))?;
    word.parse().map_err(|error| format!("{flag} {word:?}: {error}"))
}

fn jobs(word: Option<String>) -> Result<usize, String> {
    match number("--jobs", word)? {
        jobs @ 1..=64 => Ok(usize::try_from(jobs).expect("at most 64")),
        jobs => Err(format!("--jobs {jobs}: 1 to 64")),
    }
}

fn nodes(word: Option<String>) -> Result<u64, String> {
    match number("--nodes", word)? {
        size @ (3 | 5) => Ok(size),
        size => Err(format!("--nodes {size}: 3 or 5")),
    }
}
