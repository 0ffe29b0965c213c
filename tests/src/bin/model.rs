//! `cargo model`: search the small model of consensus, with all its rules and without one of them at a
//! time.
//!
//! With all rules there must be no violation, without any one there must be one: a shortest trace of it is
//! printed. The exit code is 1 when either is not so, and 2 for arguments that make no sense.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{process::ExitCode, time::Instant};

use tests::model::{Bounds, Naive, Report, explore, walk};

const USAGE: &str = "\
Search the small model of consensus: every state within bounds, and walks at random beyond them.

  cargo model                                what is searched by default: minutes
  cargo model --naive                        only without one of the rules, each in turn: seconds
  cargo model --nodes N --terms N ...        only these bounds, with all rules

  --voters N    of the nodes (default: all)      --changes N   of the configuration (default 0)
  --entries N   in a log (default 2)             --faults N    entries lost to rot (default 0)
  --armed       with pairs of which one may go on alone
  --states N    no more than so many (default 50000000)
  --walks N     so many steps at random within these bounds instead

Example: cargo model --nodes 4 --voters 3 --terms 3 --entries 3 --changes 2";

/// Searched without an argument: nodes, voters, terms, entries, changes, faults, armed pairs.
const DEFAULT: [Bounds; 8] = [
    Bounds { faults: 1, ..Bounds::of(3, 3, 3) },
    Bounds { changes: 3, armed: true, ..Bounds::of(3, 3, 3) },
    Bounds::of(3, 4, 2),
    Bounds { voters: 3, changes: 1, faults: 1, ..Bounds::of(4, 2, 3) },
    Bounds { voters: 3, changes: 1, ..Bounds::of(4, 3, 2) },
    Bounds { changes: 1, faults: 1, ..Bounds::of(4, 3, 1) },
    Bounds { voters: 4, changes: 1, ..Bounds::of(5, 2, 2) },
    Bounds { faults: 1, ..Bounds::of(5, 2, 2) },
];
/// Walked at random without an argument.
const WALKS: [Bounds; 3] = [
    Bounds { changes: 4, faults: 2, armed: true, ..Bounds::of(3, 6, 6) },
    Bounds { voters: 3, changes: 4, faults: 2, ..Bounds::of(4, 6, 6) },
    Bounds { voters: 4, changes: 4, faults: 2, ..Bounds::of(5, 6, 6) },
];
const WALK_STEPS: usize = 10_000_000;
const STATES_MAX: usize = 50_000_000;

/// What to do.
enum Work {
    Help,
    Default,
    Naive,
    One { bounds: Bounds, states: usize, walk: Option<usize> },
}

fn main() -> ExitCode {
    let holds = match parse(std::env::args().skip(1)) {
        Ok(Work::Help) => {
            println!("{USAGE}");
            true
        }
        Ok(Work::Default) => {
            let searched = DEFAULT.map(|bounds| whole(bounds, STATES_MAX, None));
            let walked = WALKS.map(|bounds| whole(bounds, 0, Some(WALK_STEPS)));
            [searched.contains(&false), walked.contains(&false), !naive()] == [false; 3]
        }
        Ok(Work::Naive) => naive(),
        Ok(Work::One { bounds, states, walk }) => whole(bounds, states, walk),
        Err(problem) => {
            eprintln!("model: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Search with all rules. Says whether they suffice.
fn whole(bounds: Bounds, states_max: usize, steps: Option<usize>) -> bool {
    let start = Instant::now();
    let (report, what) = match steps {
        Some(steps) => (walk(bounds, None, 0, steps), "steps"),
        None => (explore(bounds, None, states_max), "states"),
    };
    let Report { states, depth, histories, unfinished, violation } = report;
    let seconds = start.elapsed().as_secs();
    let end = if unfinished { ", NOT ALL" } else { "" };
    println!(
        "{bounds}: {states} {what}{end}, depth {depth}, {histories} histories of \
         configurations, {seconds} s"
    );
    if let Some(trace) = &violation {
        println!("{trace}");
    }
    violation.is_none()
}

/// Search without each of the rules. Says whether each is missed.
fn naive() -> bool {
    let mut all = true;
    for naive in Naive::ALL {
        let start = Instant::now();
        let bounds = naive.bounds();
        let report = explore(bounds, Some(naive), STATES_MAX);
        let (states, millis) = (report.states, start.elapsed().as_millis());
        println!("\n{naive:?}: {bounds}: {states} states, {millis} ms");
        match report.violation {
            Some(trace) => println!("{trace}"),
            None => {
                println!("      NO VIOLATION");
                all = false;
            }
        }
    }
    all
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Work, String> {
    let Some(first) = words.next() else { return Ok(Work::Default) };
    let (mut bounds, mut voters) = (Bounds::of(3, 3, 2), None);
    let (mut states, mut walk) = (STATES_MAX, None);
    let mut word = Some(first);
    while let Some(flag) = word {
        match flag.as_str() {
            "--help" | "-h" => return Ok(Work::Help),
            "--naive" => return Ok(Work::Naive),
            "--armed" => bounds.armed = true,
            "--nodes" => bounds.nodes = number(&flag, words.next())?,
            "--voters" => voters = Some(number(&flag, words.next())?),
            "--terms" => bounds.terms = number(&flag, words.next())?,
            "--entries" => bounds.entries = number(&flag, words.next())?,
            "--changes" => bounds.changes = number(&flag, words.next())?,
            "--faults" => bounds.faults = number(&flag, words.next())?,
            "--states" => states = number(&flag, words.next())?,
            "--walks" => walk = Some(number(&flag, words.next())?),
            _ => return Err(format!("unknown argument {flag:?}")),
        }
        word = words.next();
    }
    bounds.voters = voters.unwrap_or(bounds.nodes);
    bounds.check()?;
    Ok(Work::One { bounds, states, walk })
}

fn number<N>(flag: &str, word: Option<String>) -> Result<N, String>
where
    N: std::str::FromStr<Err = std::num::ParseIntError>,
{
    let word = word.ok_or_else(|| format!("{flag} needs a number"))?;
    word.parse().map_err(|error| format!("{flag} {word:?}: {error}"))
}
