//! The research's 24 rules of what disks do, and which test holds the log to each.
//!
//! A test says so in its doc comment, by the rule's name: `/// F7: ...`. `cargo test -p tests --test
//! crash_recovery every_rule -- --nocapture` prints the list.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The rules, in short.
const RULES: [&str; 24] = [
    "after a failed write or sync nothing is tried again",
    "after a failed sync the cache lies, to the next process too: sync, drop, then read",
    "what a killed process wrote is synced before anything rests on it",
    "written with pwrite alone, mapped only to read and only when sealed",
    "a mapped file is never cut, written or used again",
    "recovery, scrub and repair read with pread: a bad sector is a value",
    "the directory is synced after a name is made, before anything refers to it",
    "nothing durable refers to a length that is not",
    "a tail of zeros is what a crash leaves",
    "segments are filled with real zeros and synced, then overwritten",
    "fdatasync on the hot path, never fsync",
    "a sector is written whole or not at all, and nothing larger is",
    "a durable batch shares no sector with a new one",
    "every checksum knows its segment and its place",
    "a crash is not corruption, and corruption no crash",
    "only what was provably never acknowledged is cut",
    "term and vote lie in two files, and are never made up",
    "a snapshot is checksummed, and a bad one is no empty state",
    "every read is checked",
    "recovery repeats, survives a crash, needs no room, and destroys no evidence",
    "a full disk is refused in time, survived and recovered from",
    "one process at a time, and only the disk's own",
    "a lost file is never the end of the log",
    "a disk that says synced too fast is reported",
];

/// Rules that no test can hold yet, and why.
const UNTESTED: [(usize, &str); 1] = [(18, "there are no snapshots yet")];

/// Where tests of the log lie, and of what the node does for it.
const FOLDERS: [&str; 3] = ["wal", "tests", "bin/node"];

#[test]
fn every_rule_has_a_test_that_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tests: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for folder in FOLDERS {
        for path in sources(&root.join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let file = path.strip_prefix(root).unwrap().display().to_string();
            for (rule, test) in named(&text) {
                tests.entry(rule).or_default().push(format!("{file}: {test}"));
            }
        }
    }
    let mut list = String::new();
    let mut missing = Vec::new();
    for (rule, what) in (1..).zip(RULES) {
        writeln!(list, "F{rule}: {what}").unwrap();
        let reason = UNTESTED.iter().find(|(untested, _)| *untested == rule);
        match (tests.remove(&rule), reason) {
            (Some(found), None) => {
                found.iter().for_each(|test| writeln!(list, "    {test}").unwrap());
            }
            (None, Some((_, reason))) => writeln!(list, "    untested: {reason}").unwrap(),
            (None, None) => missing.push(rule),
            (Some(_), Some(_)) => panic!("F{rule} is tested: take it off the list of exceptions"),
        }
    }
    println!("{list}");
    assert!(missing.is_empty(), "no test names {missing:?}\n{list}");
    assert!(tests.is_empty(), "rules that do not exist are named: {tests:?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Each test of a source with each rule that its doc comment names.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut rules, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            rules.extend(comment.split(|c: char| !c.is_alphanumeric()).filter_map(rule));
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = name.filter(|_| is_test) {
                let name = name.split('(').next().unwrap_or_default();
                found.extend(rules.iter().map(|&rule| (rule, name.to_owned())));
            }
            (rules, is_test) = (Vec::new(), false);
        }
    }
    found
}

/// The number in a rule's name.
fn rule(word: &str) -> Option<usize> {
    let digits = word.strip_prefix('F')?;
    (!digits.starts_with('0')).then(|| digits.parse().ok())?
}
