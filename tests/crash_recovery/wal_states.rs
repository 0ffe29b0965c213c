//! Crash states by the thousand: `cargo crash-states` in small.

use tests::crash::{Allocations, Batch, Path, Totals};

/// So many here; the command runs millions.
const STATES: u64 = 40_000;

/// F8, F12, F15, F16, F20: at every I/O call, recovery's own included, every combination of old and new
/// sectors, lengths and names; garbage and damage in a part of them.
#[test]
fn whatever_a_crash_leaves_is_recovered_or_reported() {
    let batch = Batch { first_seed: 0, states: STATES, jobs: 2 };
    let Totals { states, verdicts, violations, .. } = batch.run(&|_| {});
    let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n\n"));
    assert!(states >= STATES, "{states}");
    for verdict in ["clean end", "refused: damaged", "stopped in order", "torn, and cut"] {
        assert!(verdicts.get(verdict).is_some_and(|&count| count > 20), "{verdict}: {verdicts:?}");
    }
}

/// What the run above relies on when it bounds what opening may allocate.
#[test]
fn the_largest_allocation_is_known() {
    let (_, bytes) = Allocations::largest(|| (vec![1_u8; 10], vec![0_u8; 5000], vec![2_u8; 300]));
    assert_eq!(bytes, 5000);
    let grow = || (0..1000_u64).collect::<Vec<_>>().into_iter().rev().fold(Vec::new(), pushed);
    assert!(Allocations::largest(grow).1 >= 8000);
}

fn pushed(mut all: Vec<u64>, one: u64) -> Vec<u64> {
    all.push(one);
    all
}

/// A state is replayed by what is printed of it.
#[test]
fn a_state_can_be_looked_at_again() {
    let path: Path = "0:".parse().unwrap();
    let story = tests::crash::replay(&tests::crash::History::new(2), &path).unwrap();
    assert!(story.contains("clean end"), "{story}");
}
