//! The quorum table and its legal steps: research §3, by enumeration.

use super::*;
use crate::{NotAnElectorate, VOTERS_MAX};

fn majority(nodes: &[u64]) -> Electorate {
    electorate(Mode::Majority, nodes)
}

fn pair(x: u64, y: u64) -> Electorate {
    electorate(Mode::Pair, &[x, y])
}

fn armed(survivor: u64, other: u64) -> Electorate {
    let nodes = [survivor.min(other), survivor.max(other)];
    electorate(Mode::Armed { survivor: NodeId(survivor) }, &nodes)
}

fn solo(node: u64) -> Electorate {
    electorate(Mode::Solo, &[node])
}

fn electorate(mode: Mode, nodes: &[u64]) -> Electorate {
    Electorate::new(mode, nodes.iter().copied().map(NodeId).collect()).unwrap()
}

fn subsets(count: u64) -> impl Iterator<Item = Vec<u64>> {
    (0_u64..1 << count).map(move |bits| (1..=count).filter(|n| bits >> (n - 1) & 1 == 1).collect())
}

#[test]
fn a_mode_fits_its_voters() {
    for (mode, counts) in
        [(Mode::Solo, 1..=1), (Mode::Pair, 2..=2), (Mode::Majority, 3..=VOTERS_MAX as u64)]
    {
        for count in 0..=VOTERS_MAX as u64 + 1 {
            let made = Electorate::new(mode, (1..=count).map(NodeId).collect());
            assert_eq!(made.is_ok(), counts.contains(&count), "{mode:?} with {count}");
        }
    }
    let survivor = NodeId(3);
    let outsider = Electorate::new(Mode::Armed { survivor }, vec![NodeId(1), NodeId(2)]);
    assert_eq!(
        outsider,
        Err(NotAnElectorate { mode: Mode::Armed { survivor }, voters: 2 }),
        "the survivor votes"
    );
    for wrong in [vec![NodeId(2), NodeId(1)], vec![NodeId(1), NodeId(1)]] {
        assert!(Electorate::new(Mode::Pair, wrong).is_err(), "ascending and distinct");
    }
}

#[test]
fn quorums_are_those_of_the_table() {
    for set in subsets(5) {
        let has = |node: NodeId| set.contains(&node.0);
        let count = |n: u64| (1..=n).filter(|node| set.contains(node)).count();
        for n in 3..=5 {
            let nodes: Vec<u64> = (1..=n).collect();
            let wants = count(n) * 2 > nodes.len();
            assert_eq!(majority(&nodes).elects(has), wants);
            assert_eq!(majority(&nodes).commits(has), wants);
        }
        let both = count(2) == 2;
        assert_eq!((pair(1, 2).elects(has), pair(1, 2).commits(has)), (both, both));
        let one = set.contains(&1);
        assert_eq!((armed(1, 2).elects(has), armed(1, 2).commits(has)), (one, both));
        assert_eq!((solo(1).elects(has), solo(1).commits(has)), (one, one));
    }
}

/// The one thing that all of it rests on, tried on every pair of subsets of four nodes (trap 21).
#[test]
fn across_a_legal_step_every_two_quorums_meet() {
    let all = every_electorate(4);
    let sets: Vec<Vec<u64>> = subsets(4).collect();
    let mut legal = 0;
    for old in &all {
        for new in all.iter().filter(|new| old.may_become(new)) {
            legal += 1;
            for one in &sets {
                for other in sets.iter().filter(|other| !other.iter().any(|n| one.contains(n))) {
                    let has = |node: NodeId| one.contains(&node.0);
                    let others = |node: NodeId| other.contains(&node.0);
                    assert!(!(old.elects(has) && new.elects(others)), "{old:?} {new:?}");
                    assert!(!(old.elects(has) && new.commits(others)), "{old:?} {new:?}");
                    assert!(!(old.commits(has) && new.elects(others)), "{old:?} {new:?}");
                }
            }
        }
    }
    assert!(legal > all.len(), "there are steps");
}

fn every_electorate(count: u64) -> Vec<Electorate> {
    let mut all = Vec::new();
    for set in subsets(count) {
        match set[..] {
            [] => {}
            [t] => all.push(solo(t)),
            [x, y] => all.extend([pair(x, y), armed(x, y), armed(y, x)]),
            [..] => all.push(majority(&set)),
        }
    }
    all
}

#[test]
fn the_legal_steps_are_these() {
    let legal = [
        (majority(&[1, 2, 3, 4, 5]), majority(&[1, 2, 3, 4])),
        (majority(&[1, 2, 3, 4]), majority(&[1, 2, 3])),
        (majority(&[1, 2, 3]), pair(1, 2)),
        (pair(1, 2), armed(1, 2)),
        (solo(1), armed(1, 2)),
        (solo(1), pair(1, 2)),
    ];
    for (old, new) in &legal {
        assert!(old.may_become(new), "{old:?} -> {new:?}");
        assert!(new.may_become(old), "{new:?} -> {old:?}");
    }
}

#[test]
fn the_illegal_steps_are_refused() {
    let illegal = [
        // The survivor elects itself while the majority elects another.
        (majority(&[1, 2, 3]), armed(1, 2)),
        (armed(1, 2), majority(&[1, 2, 3])),
        // Both survivors elect themselves.
        (armed(1, 2), armed(2, 1)),
        // One goes on alone, and so does the survivor.
        (armed(1, 2), solo(2)),
        (solo(1), armed(2, 1)),
        (majority(&[1, 2, 3]), solo(1)),
        // Two servers at once.
        (majority(&[1, 2, 3, 4, 5]), majority(&[1, 2, 3])),
        (majority(&[1, 2, 3]), majority(&[1, 2, 4])),
        (majority(&[1, 2, 3, 4]), pair(1, 2)),
        (solo(1), solo(2)),
        (pair(1, 2), pair(1, 3)),
    ];
    for (old, new) in &illegal {
        assert!(!old.may_become(new), "{old:?} -> {new:?}");
    }
}
