//! Each law can be broken, and keeping it is no violation.

use election::{Index, NodeId, StoreId, VoterId};
use replication::ClusterConfig;

use super::{Checkers, Violation};
use crate::sim::{
    node::genesis,
    shadow::{Image, Mark},
};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

fn log(terms: &[u64]) -> Image {
    let entries = terms.iter().map(|&term| Mark { term, checksum: 7 }).collect();
    Image { entries, ..Image::default() }
}

/// The laws of a cluster of so many.
fn cluster(size: u64) -> Checkers {
    let ids: Vec<NodeId> = (1..=size).map(NodeId).collect();
    Checkers::new(&genesis(&ids))
}

/// What is durable on nodes 1, 2, 3 ...
fn on(logs: &[&Image]) -> impl Fn(NodeId, u64, Mark) -> bool {
    move |node, index, mark| {
        let log = logs.get(usize::try_from(node.0 - 1).unwrap());
        log.is_some_and(|log| log.at(index) == Some(mark))
    }
}

fn voter(node: u64) -> VoterId {
    VoterId { node: NodeId(node), store: StoreId(u128::from(node)) }
}

#[track_caller]
fn broken<T: std::fmt::Debug>(result: Result<T, Violation>, law: &str) {
    let Violation(reason) = result.unwrap_err();
    assert!(reason.starts_with(law), "{reason}");
}

#[test]
fn a_term_has_one_leader() {
    let mut checkers = cluster(3);
    assert!(checkers.leads(ONE, 3, &log(&[])).unwrap());
    assert!(!checkers.leads(ONE, 3, &log(&[])).unwrap());
    assert!(checkers.leads(TWO, 4, &log(&[])).unwrap());
    broken(checkers.leads(TWO, 3, &log(&[])), "election safety");
}

#[test]
fn a_leader_has_what_earlier_leaders_committed() {
    let mut checkers = cluster(3);
    let copy = log(&[1, 1]);
    checkers.committed((ONE, 2), (0, 2), &copy, on(&[&copy, &copy])).unwrap();
    // A leader of the same or an earlier term was elected before.
    assert!(checkers.leads(TWO, 1, &log(&[])).unwrap());
    broken(checkers.leads(TWO, 3, &log(&[1])), "leader completeness");
}

#[test]
fn a_committed_entry_never_changes() {
    let mut checkers = cluster(3);
    let (copy, other) = (log(&[1, 1]), log(&[1, 2]));
    assert_eq!(checkers.committed((ONE, 1), (0, 2), &copy, on(&[&copy, &copy])).unwrap(), 2);
    assert_eq!(checkers.committed((TWO, 1), (1, 2), &copy, on(&[&copy, &copy])).unwrap(), 0);
    broken(
        checkers.committed((TWO, 2), (0, 2), &other, on(&[&other, &other])),
        "state-machine safety",
    );
}

#[test]
fn what_is_committed_is_durable_on_a_majority() {
    let (full, short) = (log(&[1, 1]), log(&[1]));
    let commit =
        |size, durable: &[&Image]| cluster(size).committed((ONE, 1), (0, 2), &full, on(durable));
    commit(3, &[&full, &full, &short]).unwrap();
    broken(commit(3, &[&full, &short, &short]), "durable before commit");
    broken(commit(4, &[&full, &full, &short, &short]), "durable before commit");
    broken(commit(2, &[&full, &short]), "durable before commit");
    commit(1, &[&full]).unwrap();
}

#[test]
fn the_last_configuration_of_a_log_is_in_force() {
    let mut checkers = committed(1);
    checkers.configured(2, 1, &genesis(&[ONE, TWO])).unwrap();
    assert_eq!(checkers.in_force(&log(&[1])).voters().len(), 3);
    assert_eq!(checkers.in_force(&log(&[1, 1])).voters().len(), 2);
    assert_eq!(checkers.in_force(&log(&[1, 2])).voters().len(), 3);
}

#[test]
fn members_change_one_at_a_time() {
    let (pair, solo) = (genesis(&[ONE, TWO]), genesis(&[ONE]));
    broken(cluster(3).configured(1, 1, &pair), "one change at a time");
    broken(committed(1).configured(2, 2, &pair), "one change at a time");
    broken(committed(1).configured(2, 1, &solo), "one change at a time");
    let mut checkers = committed(1);
    checkers.configured(2, 1, &pair).unwrap();
    let next = ClusterConfig { predecessor: Index(2), ..solo };
    broken(checkers.configured(3, 1, &next), "one change at a time");
    let copy = log(&[1, 1]);
    checkers.committed((ONE, 1), (1, 2), &copy, on(&[&copy, &copy])).unwrap();
    checkers.configured(3, 1, &next).unwrap();
}

/// Three nodes that have committed one entry of this term.
fn committed(term: u64) -> Checkers {
    let mut checkers = cluster(3);
    let copy = log(&[term]);
    checkers.committed((ONE, term), (0, 1), &copy, on(&[&copy, &copy])).unwrap();
    checkers
}

#[test]
fn a_term_with_two_candidates_and_no_leader_was_split() {
    let mut checkers = cluster(3);
    checkers.votes(voter(1), 5, voter(1)).unwrap();
    assert_eq!(checkers.split_votes(), 0);
    checkers.votes(voter(2), 5, voter(2)).unwrap();
    assert_eq!(checkers.split_votes(), 1);
    checkers.leads(ONE, 5, &log(&[])).unwrap();
    assert_eq!(checkers.split_votes(), 0);
}

#[test]
fn an_identity_votes_once_a_term() {
    let mut checkers = cluster(3);
    checkers.votes(voter(1), 5, voter(2)).unwrap();
    checkers.votes(voter(1), 5, voter(2)).unwrap();
    checkers.votes(voter(1), 6, voter(3)).unwrap();
    broken(checkers.votes(voter(1), 5, voter(3)), "one vote a term");
}

#[test]
fn logs_match() {
    let mut checkers = cluster(3);
    let mark = Mark { term: 2, checksum: 9 };
    checkers.appended(ONE, 4, mark, Some(1)).unwrap();
    checkers.appended(TWO, 4, mark, Some(1)).unwrap();
    broken(checkers.appended(TWO, 4, mark, Some(2)), "log matching");
    let other = Mark { checksum: 8, ..mark };
    broken(checkers.appended(TWO, 4, other, Some(1)), "log matching");
}

#[test]
fn folds_are_equal() {
    let mut checkers = cluster(3);
    assert!(checkers.folded(ONE, 1, 11).unwrap());
    assert!(!checkers.folded(TWO, 1, 11).unwrap());
    assert!(checkers.folded(TWO, 2, 22).unwrap());
    broken(checkers.folded(ONE, 2, 23), "equal hashes");
}
