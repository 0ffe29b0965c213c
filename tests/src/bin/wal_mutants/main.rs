//! `cargo wal-mutants`: take the log's safeguards away, one at a time, and see that a test fails.
//!
//! What always holds: the working tree is only read. Each mutant is one replacement in a copy of it
//! below the target directory; a text that is not found exactly once, and a copy that does not build,
//! are errors and never count as caught; nor do tests that never end. The tests must pass on the
//! unchanged copy first.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

mod copy;
mod list;
mod tests;

use std::{process::ExitCode, time::Instant};

use self::{
    list::{MUTANTS, Mutant},
    tests::{Tests, Verdict},
};

const USAGE: &str = "\
Take the log's safeguards away, one at a time: a test must fail for each.

  cargo wal-mutants            all of them
  cargo wal-mutants --gate     those that must never be missing, as .ci/run does
  cargo wal-mutants NAME...    these
  cargo wal-mutants --list     what there is";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let chosen: Vec<&Mutant> = match words[..] {
        [] => MUTANTS.iter().collect(),
        ["--gate"] => MUTANTS.iter().filter(|mutant| mutant.gate).collect(),
        ["--list"] => {
            for mutant in MUTANTS {
                let gate = if mutant.gate { "gate" } else { "" };
                println!("{:<26} {gate:<5} {}", mutant.name, mutant.removed);
            }
            return ExitCode::SUCCESS;
        }
        _ => MUTANTS.iter().filter(|mutant| words.contains(&mutant.name)).collect(),
    };
    if chosen.is_empty()
        || (words.first().is_some_and(|word| !word.starts_with('-')) && chosen.len() != words.len())
    {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match run(&chosen) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(survivors) => {
            eprintln!("{survivors} of {} survived: a test is missing", chosen.len());
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("wal-mutants: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many survived.
fn run(chosen: &[&Mutant]) -> Result<usize, String> {
    let copy = copy::of_the_tree()?;
    // Every text is looked for first: a list that has rotted is told in seconds.
    for mutant in chosen {
        copy::mutated(&copy.root, mutant)?;
    }
    let start = Instant::now();
    let tests = Tests::build(&copy)?;
    match tests.run("") {
        Verdict::Survived => {}
        Verdict::Caught(test) => return Err(format!("{test} fails without any mutant")),
        Verdict::Endless => return Err("without any mutant the tests never end".to_owned()),
    }
    println!("without a mutant all tests pass ({} s)\n", start.elapsed().as_secs());
    println!("{:<26} {:<58} {:<72} seconds", "mutant", "what was removed", "caught by");
    let mut survivors = 0;
    for mutant in chosen {
        let start = Instant::now();
        let planted = copy::plant(&copy, mutant)?;
        let verdict = Tests::build(&copy)?.hunt(mutant.hunted_by);
        planted.remove()?;
        let caught = match &verdict {
            Verdict::Caught(test) => test,
            Verdict::Survived => "SURVIVED",
            Verdict::Endless => "NEVER ENDS: a test waits for what does not come",
        };
        survivors += usize::from(!matches!(verdict, Verdict::Caught(_)));
        let seconds = start.elapsed().as_secs();
        println!("{:<26} {:<58} {caught:<72} {seconds:>4}", mutant.name, mutant.removed);
    }
    Ok(survivors)
}
