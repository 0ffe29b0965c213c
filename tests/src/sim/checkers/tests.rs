//! Each law can be broken, and keeping it is no violation.

use election::{NodeId, StoreId, VoterId};

use super::{Checkers, Violation};
use crate::sim::shadow::{Image, Mark};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

fn log(terms: &[u64]) -> Image {
    let entries = terms.iter().map(|&term| Mark { term, checksum: 7 }).collect();
    Image { entries, ..Image::default() }
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
    let mut checkers = Checkers::default();
    assert!(checkers.leads(ONE, 3, &log(&[])).unwrap());
    assert!(!checkers.leads(ONE, 3, &log(&[])).unwrap());
    assert!(checkers.leads(TWO, 4, &log(&[])).unwrap());
    broken(checkers.leads(TWO, 3, &log(&[])), "election safety");
}

#[test]
fn a_leader_has_what_earlier_leaders_committed() {
    let mut checkers = Checkers::default();
    let copy = log(&[1, 1]);
    checkers.committed((ONE, 2), (0, 2), &copy, &[&copy, &copy, &log(&[])]).unwrap();
    // A leader of the same or an earlier term was elected before.
    assert!(checkers.leads(TWO, 1, &log(&[])).unwrap());
    broken(checkers.leads(TWO, 3, &log(&[1])), "leader completeness");
}

#[test]
fn a_committed_entry_never_changes() {
    let mut checkers = Checkers::default();
    let (copy, other) = (log(&[1, 1]), log(&[1, 2]));
    assert_eq!(checkers.committed((ONE, 1), (0, 2), &copy, &[&copy]).unwrap(), 2);
    assert_eq!(checkers.committed((TWO, 1), (1, 2), &copy, &[&copy]).unwrap(), 0);
    broken(checkers.committed((TWO, 2), (0, 2), &other, &[&other]), "state-machine safety");
}

#[test]
fn what_is_committed_is_durable_on_a_majority() {
    let (full, short) = (log(&[1, 1]), log(&[1]));
    let commit =
        |durable: &[&Image]| Checkers::default().committed((ONE, 1), (0, 2), &full, durable);
    commit(&[&full, &full, &short]).unwrap();
    broken(commit(&[&full, &short, &short]), "durable before commit");
    broken(commit(&[&full, &full, &short, &short]), "durable before commit");
}

#[test]
fn an_identity_votes_once_a_term() {
    let mut checkers = Checkers::default();
    checkers.votes(voter(1), 5, voter(2)).unwrap();
    checkers.votes(voter(1), 5, voter(2)).unwrap();
    checkers.votes(voter(1), 6, voter(3)).unwrap();
    broken(checkers.votes(voter(1), 5, voter(3)), "one vote a term");
}

#[test]
fn logs_match() {
    let mut checkers = Checkers::default();
    let mark = Mark { term: 2, checksum: 9 };
    checkers.appended(ONE, 4, mark, 1).unwrap();
    checkers.appended(TWO, 4, mark, 1).unwrap();
    broken(checkers.appended(TWO, 4, mark, 2), "log matching");
    let other = Mark { checksum: 8, ..mark };
    broken(checkers.appended(TWO, 4, other, 1), "log matching");
}

#[test]
fn folds_are_equal() {
    let mut checkers = Checkers::default();
    assert!(checkers.folded(ONE, 1, 11).unwrap());
    assert!(!checkers.folded(TWO, 1, 11).unwrap());
    assert!(checkers.folded(TWO, 2, 22).unwrap());
    broken(checkers.folded(ONE, 2, 23), "equal hashes");
}
