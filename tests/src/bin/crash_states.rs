//! `cargo crash-states`: let the power go at every I/O call of many histories, open every disk that this
//! may leave, and judge what the log makes of it.
//!
//! The last line is `states: N, histories: H, repeated: R, violations: V`; the exit code is 1 when V is
//! not zero, and 2 for arguments that make no sense.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{num::NonZero, process::ExitCode, sync::Mutex, time::Instant};

use tests::crash::{Allocations, Batch, History, Path, Totals, replay};

#[global_allocator]
static ALLOCATOR: Allocations = Allocations;

const USAGE: &str = "\
Open and judge every disk that a loss of power may leave, at every I/O call of many histories.

  cargo crash-states --states N [--from SEED]   at least N different states, from SEED on (default 0)
  cargo crash-states --seed N [--state STATE]   one history, or one state of it, told piece by piece

  --jobs N     that many histories at once (default: one per processor)

Example: cargo crash-states --states 10000000";

/// What to do.
enum Work {
    Help,
    Batch(Batch),
    Replay(u64, Path),
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Work::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Work::Batch(batch)) => run(&batch),
        Ok(Work::Replay(seed, path)) => match replay(&History::new(seed), &path) {
            Ok(story) => {
                println!("{story}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("{violation}");
                ExitCode::FAILURE
            }
        },
        Err(problem) => {
            eprintln!("crash-states: {problem}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(batch: &Batch) -> ExitCode {
    let start = Instant::now();
    let told = Mutex::new(0);
    let totals = batch.run(&|totals: &Totals| {
        let twentieths = totals.states.saturating_mul(20) / batch.states.max(1);
        let mut told = told.lock().expect("nothing panics here");
        if twentieths > *told {
            *told = twentieths;
            let seconds = start.elapsed().as_secs();
            let (states, violations) = (totals.states, totals.violations.len());
            println!("{states:>12} states after {seconds} s, {violations} violations");
        }
    });
    for (verdict, count) in &totals.verdicts {
        println!("{count:>12}  {verdict}");
    }
    for violation in &totals.violations {
        println!("{violation}\n");
    }
    let Totals { histories, states, repeated, violations, .. } = totals;
    let violations = violations.len();
    println!(
        "states: {states}, histories: {histories}, repeated: {repeated}, violations: {violations}"
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Work, String> {
    let jobs = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut batch = Batch { first_seed: 0, states: 100_000, jobs };
    let mut state = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(Work::Help),
            "--states" => batch.states = number(&word, words.next())?,
            "--from" => batch.first_seed = number(&word, words.next())?,
            "--seed" => {
                batch.first_seed = number(&word, words.next())?;
                (batch.states, batch.jobs) = (1, 1);
            }
            "--jobs" => {
                let jobs = number(&word, words.next())?;
                batch.jobs = usize::try_from(jobs.clamp(1, 64)).expect("at most 64");
            }
            "--state" => {
                let path = words.next().ok_or("--state needs a state")?;
                state = Some(path.parse().map_err(|error| format!("--state {path:?}: {error}"))?);
            }
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    Ok(match state {
        Some(path) => Work::Replay(batch.first_seed, path),
        None => Work::Batch(batch),
    })
}

fn number(flag: &str, word: Option<String>) -> Result<u64, String> {
    let word = word.ok_or_else(|| format!("{flag} needs a number"))?;
    word.parse().map_err(|error| format!("{flag} {word:?}: {error}"))
}
