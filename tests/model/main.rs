//! The small model of consensus: no violation with all its rules, and one without any of them.
//!
//! `cargo model` searches further.

use tests::model::{Bounds, Naive, explore, walk};

/// More states than any search here has.
const STATES_MAX: usize = 3_000_000;

fn holds(bounds: Bounds, states_min: usize, histories_min: usize) {
    let report = explore(bounds, None, STATES_MAX);
    if let Some(trace) = report.violation {
        panic!("{bounds}:\n{trace}");
    }
    assert!(!report.unfinished, "{bounds}: more than {STATES_MAX} states");
    assert!(report.states >= states_min, "{bounds}: only {} states", report.states);
    assert!(report.histories >= histories_min, "{bounds}: only {}", report.histories);
}

#[test]
fn three_nodes_of_which_one_loses_an_entry() {
    holds(Bounds { faults: 1, ..Bounds::of(3, 3, 2) }, 300_000, 1);
}

#[test]
fn three_nodes_that_become_two_and_one() {
    holds(Bounds { changes: 2, armed: true, ..Bounds::of(3, 2, 3) }, 10_000, 5);
}

#[test]
fn a_fourth_node_and_one_change() {
    holds(Bounds { voters: 3, changes: 1, ..Bounds::of(4, 2, 2) }, 70_000, 5);
}

#[test]
fn four_nodes_one_change_and_an_entry_lost() {
    holds(Bounds { changes: 1, faults: 1, ..Bounds::of(4, 2, 2) }, 100_000, 5);
}

#[test]
fn five_nodes() {
    holds(Bounds::of(5, 2, 1), 10_000, 1);
}

/// Beyond what can be searched.
#[test]
fn walks_of_five_nodes_whose_members_change() {
    let bounds = Bounds { voters: 4, changes: 4, faults: 2, ..Bounds::of(5, 6, 6) };
    let report = walk(bounds, None, 0, 200_000);
    if let Some(trace) = report.violation {
        panic!("{bounds}:\n{trace}");
    }
    assert!(report.histories > 20, "{bounds}: only {}", report.histories);
}

/// Traps 1, 5, 13, 18, 19, 20, 21, 22, 25, 31, 33 and 36: each of these rules is needed.
#[test]
fn every_naive_variant_is_refuted() {
    for naive in Naive::ALL {
        let report = explore(naive.bounds(), Some(naive), STATES_MAX);
        let trace = report.violation.unwrap_or_else(|| panic!("{naive:?} breaks no law"));
        assert!(trace.len() > 2, "{naive:?}:\n{trace}");
    }
}
