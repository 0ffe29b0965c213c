//! `cargo kill9`: kill processes that append to a log, with `kill -9`, and check what they leave.
//!
//! The last line is `rounds: N, acknowledged: A, violations: V`; the exit code is 1 when V is not zero,
//! and 2 for arguments that make no sense. `kill9 append` is the process that is killed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{env, fs, num::NonZero, path::PathBuf, process::ExitCode, thread};

use tests::kill9::{Appender, Campaign, Totals, chain};

const USAGE: &str = "\
Kill processes that append to a log, at random moments, and check what they leave.

  cargo kill9 --rounds N [--from S]    N kills, 25 in each directory, seeds from S on (default 0)
  cargo kill9 --seed S                 the 25 rounds of one seed; the moments differ a little

  --jobs N   that many directories at once (default: two per processor)
  --dir D    where they are made (default: the system's directory for temporary files)

A directory in which a promise was broken is kept, and named.

  kill9 append DIR --seed S --round R [--sessions N]    the process that is killed

Example: cargo kill9 --rounds 10000";

/// Rounds in a directory: recovery reads all of them.
const ROUNDS_EACH: u64 = 25;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        None | Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Some("append") => append(&words),
        Some(_) => campaign(&words),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("kill9: {problem}\n\n{USAGE}");
        ExitCode::from(2)
    })
}

fn append(words: &[String]) -> Result<ExitCode, String> {
    let dir = words.get(1).ok_or("append needs a directory")?.into();
    let mut appender = Appender { dir, seed: 0, round: 0, sessions: None };
    for (flag, value) in flags(words.get(2..).unwrap_or_default())? {
        match flag {
            "--seed" => appender.seed = number(flag, value)?,
            "--round" => appender.round = number(flag, value)?,
            "--sessions" => appender.sessions = Some(number(flag, value)?),
            _ => return Err(format!("unknown argument {flag:?}")),
        }
    }
    Ok(appender.run().map_or_else(
        |error| {
            eprintln!("kill9: {}", chain(&error));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn campaign(words: &[String]) -> Result<ExitCode, String> {
    let jobs = thread::available_parallelism().map_or(1, NonZero::get) * 2;
    let program = env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let parent = env::temp_dir();
    let (seeds, rounds, may_be_full) = (0..1, ROUNDS_EACH, false);
    let mut campaign = Campaign { program, dir: parent, seeds, rounds, may_be_full, jobs };
    let (mut from, mut count) = (0, 1);
    for (flag, value) in flags(words)? {
        match flag {
            "--rounds" => count = number(flag, value)?.div_ceil(ROUNDS_EACH),
            "--from" => from = number(flag, value)?,
            "--seed" => (from, count) = (number(flag, value)?, 1),
            "--jobs" => campaign.jobs = jobs_of(number(flag, value)?)?,
            "--dir" => campaign.dir = PathBuf::from(value),
            _ => return Err(format!("unknown argument {flag:?}")),
        }
    }
    campaign.seeds = from..from.checked_add(count).ok_or("--from goes beyond 64 bits")?;
    campaign.dir.push(format!("kill9-{}", std::process::id()));
    let made = fs::create_dir(&campaign.dir);
    made.map_err(|error| format!("--dir: cannot make {}: {error}", campaign.dir.display()))?;
    let all = count * ROUNDS_EACH;
    let totals = campaign.run(|totals| eprint!("\r{} of {all} rounds ", totals.rounds));
    eprintln!();
    report(&totals);
    if totals.violations.is_empty() {
        // Every history has removed its own.
        drop(fs::remove_dir(&campaign.dir));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn report(totals: &Totals) {
    for (what, times) in &totals.counters {
        println!("sometimes: {times:>9}  {what}");
    }
    for violation in &totals.violations {
        println!("VIOLATION: {violation}");
    }
    println!(
        "rounds: {}, acknowledged: {}, violations: {}",
        totals.rounds,
        totals.acknowledged,
        totals.violations.len()
    );
}

/// Every argument after the first word is a flag with its value.
fn flags(words: &[String]) -> Result<Vec<(&str, &str)>, String> {
    let pairs = words.chunks(2).map(|pair| match pair {
        [flag, value] => Ok((flag.as_str(), value.as_str())),
        [flag, ..] => Err(format!("{flag} needs a value")),
        [] => Err("nothing".to_owned()),
    });
    pairs.collect()
}

fn number(flag: &str, word: &str) -> Result<u64, String> {
    word.parse().map_err(|error| format!("{flag} {word:?}: {error}"))
}

fn jobs_of(jobs: u64) -> Result<usize, String> {
    match jobs {
        1..=64 => Ok(usize::try_from(jobs).expect("at most 64")),
        jobs => Err(format!("--jobs {jobs}: 1 to 64")),
    }
}
