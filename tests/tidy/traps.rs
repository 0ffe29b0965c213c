//! The 48 traps of research/consensus.md: each is named by a test as `trap N`, or stands here with
//! the reason why there is none.

use std::collections::BTreeSet;

use super::all_sources;

const TRAPS: std::ops::RangeInclusive<u64> = 1..=48;

/// Traps that no test can name.
const WITHOUT: &[(u64, &str)] = &[
    (38, "no snapshot is installed yet"),
    (39, "nothing of the log is purged yet"),
    (46, "no interface is a lock"),
    (47, "the README says what is promised, and by which checker and test"),
];

#[test]
fn every_trap_is_named_by_a_test() {
    let is_test = |path: &str| path.starts_with("tests/") || path.contains("/tests");
    // This file speaks of all, and what plants them proves the tests, not the cores.
    let is_list = |path: &str| path.starts_with("tests/tidy/") || path.contains("/bin/");
    let sources = all_sources();
    let tests = sources.iter().filter(|(path, _)| is_test(path) && !is_list(path));
    let named: BTreeSet<u64> = tests.flat_map(|(_, text)| traps(text)).collect();
    let without: BTreeSet<u64> = WITHOUT.iter().map(|(trap, _)| *trap).collect();
    for trap in TRAPS {
        assert!(named.contains(&trap) || without.contains(&trap), "no test names trap {trap}");
    }
    for trap in &without {
        assert!(!named.contains(trap), "a test names trap {trap}: take it off the list");
    }
}

/// The numbers after `trap` or `traps`: `trap 29`, `traps 1 and 2`, `trap 27, and 23`, `trap_33_`.
fn traps(text: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for after in text.to_lowercase().split("trap").skip(1) {
        let after = after.trim_start_matches('s');
        for word in after.split_inclusive([' ', '_', ',', ':', '.']).skip(1) {
            let word = word.trim_end_matches([' ', '_', ',', ':', '.', ';', ')']);
            match word.trim_end_matches(['\n', '/']).parse() {
                Ok(trap) => found.push(trap),
                Err(_) if word.is_empty() || word == "and" => {}
                Err(_) => break,
            }
        }
    }
    found
}

#[test]
fn traps_are_found_however_they_are_written() {
    for (text, expected) in [
        ("trap 29", vec![29]),
        ("Research traps 1 and 2: one record", vec![1, 2]),
        ("Research trap 27, and 23: a removed node", vec![27, 23]),
        ("fn trap_33_only_entries()", vec![33]),
        ("traps 20, 21).", vec![20, 21]),
        ("a trap for 5", vec![]),
    ] {
        assert_eq!(traps(text), expected, "{text}");
    }
}
