//! Every fuzz target over its corpus, and over a fixed number of mutations of it: so that targets and
//! corpus never rot. With coverage: `cargo fuzz-all`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use election::Random;
use tests::{
    crash::Allocations,
    fuzz::{TARGETS, Target, mutate},
};

/// The largest input that is tried.
const INPUT_BYTES_MAX: usize = 4096;
/// Those that only a build with bin/node has.
const NODE_TARGETS: [&str; 5] =
    ["node_toml", "genesis", "client_json", "client_queries", "client_headers"];
/// The whole corpus, in bytes.
const CORPUS_BYTES_MAX: u64 = 200 * 1024;

/// Watched: a length read from an input never becomes an allocation.
#[global_allocator]
static ALLOCATOR: Allocations = Allocations;

/// What is committed: seeds, and what once found something.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        inputs.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    inputs.sort();
    inputs
}

/// Of what is nearly right enough is right, so that what lies behind a parser's first look is tried too.
#[test]
fn no_input_of_the_corpus_nor_near_it_breaks_a_parser() {
    for target in TARGETS {
        // What is made once is made now, and counts for no input.
        (target.run)(&[]);
        let seeds = (target.seeds)().into_iter().map(|seed| ("a seed".to_owned(), seed));
        let inputs: Vec<_> = seeds.chain(corpus(target)).collect();
        for (name, input) in &inputs {
            try_one(target, name, input);
        }
        let mut random = Random::new(1);
        let mut taken = 0;
        for round in 0..target.rounds {
            let mut input = inputs[round % inputs.len()].1.clone();
            mutate(&mut random, &mut input, INPUT_BYTES_MAX);
            taken += usize::from(try_one(target, &format!("round {round}"), &input));
        }
        println!("{}: {taken} of {} taken", target.name, target.rounds);
        assert!(taken > target.rounds / 50, "{}: {taken} taken", target.name);
    }
}

/// Names the input when it breaks the target.
fn try_one(target: &Target, name: &str, input: &[u8]) -> bool {
    std::panic::catch_unwind(|| target.judge(input)).unwrap_or_else(|_| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{}, {name}: {hex}", target.name);
    })
}

#[test]
fn the_corpus_is_small_and_every_folder_of_it_has_a_target() {
    let mut bytes = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_known = TARGETS.iter().any(|target| target.name == name)
            || (!cfg!(feature = "node-parsers") && NODE_TARGETS.contains(&name.as_str()));
        assert!(is_known, "{name}");
        for input in fs::read_dir(&path).unwrap() {
            bytes += input.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes}");
}
