//! Seeds keep every law, and between them see everything that should happen sometimes.

use tests::sim::{Batch, Fault, Options, Totals};

/// Fresh seeds of this test.
const SEEDS: u64 = 1_000;

/// What must have happened somewhere, or the seeds prove less than they seem to.
const SOMETIMES: &[&str] = &[
    "a deaf leader gave way",
    "a lone leader gave way",
    "a leader with a stalled disk gave way",
    "a leader apart from a follower went on",
    // Elections.
    "a new leader",
    "a leader that heard too few stepped down",
    "a hand-over was taken up",
    "figure 8: an old entry on a majority is overwritten",
    "an old entry on a majority waited for one of the leader's term",
    "a vote was refused for what may be lost",
    "a split vote",
    "the pace changed",
    // The log.
    "a suffix was truncated",
    "a conflict backed up",
    "a crash took unsynced writes",
    "a leader fetched old entries",
    // Clients.
    "a request took effect",
    "a retry was answered by the first outcome",
    "a write was forwarded",
    "a write was turned away",
    "a write was turned away for want of space",
    "a write had an unknown outcome",
    "a read was confirmed",
    "a follower served a read",
    "a leader was deposed while reads waited for it",
    "a forwarded write was answered under another leader",
    "an operation was given up",
    "an answer was lost",
    "out_of_order",
    "a message was edited",
    "a message was deleted for everyone",
    "a message was deleted for one",
    "an account was deleted",
    "account_deleted",
    "message_deleted",
    // The world.
    "messages lost, doubled or overtaken",
    "a failed disk ended a process",
    "a disk had little room",
    "a disk had no room",
    "a disk had room again",
    "a full disk ended a process",
    // Operators.
    "a change was committed",
    "a change had an unknown outcome",
    "a configuration was undone",
    "a learner was promoted",
    "a voter was removed",
    // Builds.
    "the level was raised",
    "the level was raised among mixed builds",
    "a build that was too old stopped",
    // Damage.
    "a lost entry was put back",
    "a damaged node became whole",
    "a damaged log could not be opened",
    "a disk rotted under a running node",
    "a running node met damage",
    "the scrub found damage",
    "a torn tail was cut",
    "a crash left garbage",
    "a garbled node became whole",
    "an end that no voter could read was given up",
    "an end was in doubt",
    "an end in doubt was settled",
];

/// Faults that are not drawn by themselves.
const NOT_DRAWN: &[Fault] = &[Fault::Garbage, Fault::Weather];

#[test]
fn kept_seeds_keep_every_law() {
    let kept = include_str!("../scenarios/seeds.txt");
    let numbers = kept.lines().filter(|line| !line.starts_with('#'));
    let seeds: Vec<u64> = numbers
        .filter_map(|line| line.split_whitespace().next())
        .map(|word| word.parse().unwrap())
        .collect();
    check(&Batch::new(seeds, Options::default()).run());
}

/// Disks rot as well: who cannot read its log elects nobody over it, and loses nothing that counts
/// (research traps 13 and 14).
#[test]
fn fresh_seeds_keep_every_law_and_see_every_thing() {
    let totals = Batch::new(0..SEEDS, Options::default()).run();
    check(&totals);
    // Each seed has made sure of its own share, or it would have failed.
    assert_eq!(totals.seeds, SEEDS);
    assert!(totals.virtual_us >= SEEDS * 30_000_000);
    assert!(totals.faults >= SEEDS * 20);
    assert!(totals.operations >= SEEDS * 200);
    let drawn = Fault::ALL.into_iter().filter(|fault| !NOT_DRAWN.contains(fault));
    let drawn: Vec<&str> = drawn.map(Fault::name).collect();
    for what in SOMETIMES.iter().chain(&drawn) {
        assert!(totals.counters.get(what).is_some_and(|&times| times > 0), "never: {what}");
    }
}

fn check(totals: &Totals) {
    let reports: Vec<String> = totals.violations.iter().map(ToString::to_string).collect();
    assert!(reports.is_empty(), "{}", reports.join("\n\n"));
}
