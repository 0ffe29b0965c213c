//! `cargo sim`: run seeds of the simulator and report.
//!
//! The last line is `seeds: N, virtual seconds: T, faults: F, violations: V`; the exit code is 1
//! when V is not zero, and 2 for arguments that make no sense. What is printed depends on the seeds
//! alone, however many run at once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{collections::BTreeSet, process::ExitCode};

use tests::sim::{Batch, Fault, Options, Report, Totals, shrink};

const USAGE: &str = "\
Run seeds of the simulator: 1 to 5 real nodes on virtual time, network and disk.

  cargo sim --seed N [--trace]         one seed, every event with --trace
  cargo sim --seeds N [--from S]       N seeds, from S on (default 0)
  cargo sim --shrink N                 find less that breaks the law that seed N breaks

  --nodes N          that many nodes instead of what the seed draws (1 to 5)
  --clients N        that many clients instead of what the seed draws (1 to 16)
  --without A,B      leave these faults out; --without help names them
  --storm-ms N       heal after so many virtual milliseconds
  --jobs N           that many seeds at once (default: one per processor)
  --until-violation  stop at the first seed that breaks a law

Example: cargo sim --seeds 200 --from 1000";

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Some(Task::Run(batch))) => report(&batch.run()),
        Ok(Some(Task::Shrink(seed, options))) => reduce(seed, &options),
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

enum Task {
    Run(Batch),
    Shrink(u64, Options),
}

fn reduce(seed: u64, options: &Options) -> ExitCode {
    let step = |found: &Report| println!("cargo sim --seed {}{}", found.seed, found.flags);
    match shrink(seed, options, step) {
        Some(found) => {
            println!("{found}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} keeps every law");
            ExitCode::SUCCESS
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

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Task>, String> {
    let (mut first, mut count) = (0, 1);
    let mut shrinks = false;
    let mut batch = Batch::new([], Options::default());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--seed" => (first, count) = (number(&word, words.next())?, 1),
            "--seeds" => count = number(&word, words.next())?,
            "--from" => first = number(&word, words.next())?,
            "--jobs" => {
                let jobs = few(&word, words.next(), 64)?;
                batch.jobs = usize::try_from(jobs).expect("at most 64");
            }
            "--shrink" => (first, shrinks) = (number(&word, words.next())?, true),
            "--nodes" => batch.options.nodes = Some(few(&word, words.next(), 5)?),
            "--clients" => batch.options.clients = Some(few(&word, words.next(), 16)?),
            "--without" => batch.options.without = faults(words.next())?,
            "--storm-ms" => batch.options.storm_ms = Some(number(&word, words.next())?),
            "--until-violation" => batch.stops_early = true,
            "--trace" => batch.options.prints = true,
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    if shrinks {
        return Ok(Some(Task::Shrink(first, batch.options)));
    }
    let end = first.checked_add(count).ok_or("--from and --seeds go beyond 64 bits")?;
    batch.seeds = (first..end).collect();
    if batch.options.prints {
        batch.jobs = 1;
    }
    Ok(Some(Task::Run(batch)))
}

fn number(flag: &str, word: Option<String>) -> Result<u64, String> {
    let word = word.ok_or_else(|| format!("{flag} needs a number"))?;
    word.parse().map_err(|error| format!("{flag} {word:?}: {error}"))
}

fn few(flag: &str, word: Option<String>, max: u64) -> Result<u64, String> {
    match number(flag, word)? {
        few if (1..=max).contains(&few) => Ok(few),
        other => Err(format!("{flag} {other}: 1 to {max}")),
    }
}

fn faults(word: Option<String>) -> Result<BTreeSet<Fault>, String> {
    let word = word.ok_or("--without needs faults")?;
    let known = || Fault::ALL.map(Fault::name).join(",");
    let named = |name| Fault::named(name).ok_or_else(|| format!("{name:?} is none of {}", known()));
    word.split(',').map(named).collect()
}
