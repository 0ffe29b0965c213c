//! `cargo consensus-mutants`: take the rules of consensus away, one at a time, and see that a seed of
//! the simulator breaks a law.
//!
//! What always holds: the working tree is only read. All mutants are in one copy of it below the
//! target directory, each behind a switch, and one is on at a time. A text that is not found exactly
//! once, a copy that does not build, and seeds that never end are errors and never count as caught.
//! With no mutant on, the first seeds must keep every law.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

mod list;
mod plant;
mod seeds;

use std::{process::ExitCode, time::Instant};

use tests::mutation::Copy;

use self::{
    list::{MUTANTS, Mutant},
    seeds::{Simulator, Verdict},
};

/// Seeds that must keep every law while no mutant is on.
const CLEAN_SEEDS: u64 = 20;
/// As much of a broken law is printed.
const LAW_CHARS: usize = 100;

const USAGE: &str = "\
Take the rules of consensus away, one at a time: a seed of the simulator must break a law for each.

  cargo consensus-mutants            all of them
  cargo consensus-mutants NAME...    these
  cargo consensus-mutants --list     what there is";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let chosen: Vec<&Mutant> = match words[..] {
        [] => MUTANTS.iter().collect(),
        ["--list"] => {
            for mutant in MUTANTS {
                println!("{:>4}  {:<28} {}", mutant.trap, mutant.name, mutant.removed);
            }
            return ExitCode::SUCCESS;
        }
        _ => MUTANTS.iter().filter(|mutant| words.contains(&mutant.name)).collect(),
    };
    if !words.is_empty() && chosen.len() != words.len() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match run(&chosen) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(survivors) => {
            eprintln!("{survivors} of {} survived: the simulator does not see them", chosen.len());
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("consensus-mutants: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many survived.
fn run(chosen: &[&Mutant]) -> Result<usize, String> {
    let copy = Copy::of_the_tree("consensus-mutants", &plant::all(MUTANTS)?)?;
    let simulator = Simulator::build(&copy)?;
    match simulator.run(None, CLEAN_SEEDS)? {
        Verdict::Survived => {}
        Verdict::Caught { seed, law } => {
            return Err(format!("seed {seed} breaks a law without any mutant: {law}"));
        }
        Verdict::Endless => return Err("without any mutant the seeds never end".to_owned()),
    }
    println!("without a mutant {CLEAN_SEEDS} seeds keep every law; to see one that is caught:");
    println!("  {}=MUTANT {} --seed N --trace\n", plant::SWITCH, simulator.program.display());
    println!(
        "{:>4}  {:<28} {:<68} {:>4} of {:>4}  {:>4}  caught by",
        "trap", "mutant", "what was taken away", "seed", "", "s"
    );
    let mut survivors = 0;
    for mutant in chosen {
        let start = Instant::now();
        let verdict = simulator.run(Some(mutant.name), mutant.seeds)?;
        let (seed, law) = match verdict {
            Verdict::Caught { seed, law } => (seed.to_string(), law),
            Verdict::Survived => ("-".to_owned(), "SURVIVED".to_owned()),
            Verdict::Endless => ("-".to_owned(), "NEVER ENDS".to_owned()),
        };
        survivors += usize::from(seed == "-");
        let Mutant { trap, name, removed, seeds, .. } = mutant;
        let law: String = law.chars().take(LAW_CHARS).collect();
        let seconds = start.elapsed().as_secs();
        println!(
            "{trap:>4}  {name:<28} {removed:<68} {seed:>4} of {seeds:>4}  {seconds:>4}  {law}"
        );
    }
    Ok(survivors)
}
