//! Every fuzz target over its corpus, and over a fixed number of mutations of it: so that targets and
//! corpus never rot. With coverage: `cargo fuzz-all`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use election::Random;
use tests::fuzz::{TARGETS, Target, mutate};

/// The largest input that is tried.
const INPUT_BYTES_MAX: usize = 4096;
/// The whole corpus, in bytes.
const CORPUS_BYTES_MAX: u64 = 200 * 1024;

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

#[test]
fn no_input_of_the_corpus_nor_near_it_breaks_a_parser() {
    for target in TARGETS {
        let seeds = (target.seeds)().into_iter().map(|seed| ("a seed".to_owned(), seed));
        let inputs: Vec<_> = seeds.chain(corpus(target)).collect();
        for (name, input) in &inputs {
            try_one(target, name, input);
        }
        let mut random = Random::new(1);
        for round in 0..target.rounds {
            let mut input = inputs[round % inputs.len()].1.clone();
            mutate(&mut random, &mut input, INPUT_BYTES_MAX);
            try_one(target, &format!("round {round}"), &input);
        }
    }
}

/// Names the input when it breaks the target.
fn try_one(target: &Target, name: &str, input: &[u8]) {
    if std::panic::catch_unwind(|| (target.run)(input)).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{}, {name}: {hex}", target.name);
    }
}

#[test]
fn the_corpus_is_small_and_every_folder_of_it_has_a_target() {
    let mut bytes = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_known = TARGETS.iter().any(|target| target.name == name)
            || (!cfg!(feature = "processes") && ["node_toml", "genesis"].contains(&name.as_str()));
        assert!(is_known, "{name}");
        for input in fs::read_dir(&path).unwrap() {
            bytes += input.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes}");
}
