//! `kill -9` of a process that appends: 200 rounds here, any number by `cargo kill9`.

use tests::kill9::Campaign;

use crate::program;

/// F3, F15, F16, F20: everything acknowledged is there, in order, byte for byte, and then a part of
/// what was submitted; nothing is ever called damaged; opening twice gives the same.
#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = Campaign {
        program: program().to_owned(),
        dir: dir.path().to_owned(),
        seeds: 0..8,
        rounds: 25,
        jobs: 4,
    };
    let totals = campaign.run(|_| {});
    assert!(totals.violations.is_empty(), "{:#?}", totals.violations);
    assert_eq!(totals.rounds, 200);
    assert!(totals.acknowledged > 1_000, "{totals:#?}");
    for phase in ["Opening", "Appending"] {
        assert!(totals.counters.contains_key(&format!("killed while {phase}")), "{totals:#?}");
    }
}
