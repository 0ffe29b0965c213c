//! What a replica may ask for, and what a crash may leave.

use bytes::Bytes;
use election::Ticket;
use wal::{Entry, EntryKind, HardState, Op, Vote};

use super::{Harm, Image, Shadow};

fn append(index: u64, term: u64) -> Op {
    Op::Append(vec![Entry::new(index, term, EntryKind::Command, Bytes::new())])
}

fn hard_state(term: u64, node: u64) -> Op {
    Op::HardState(HardState { term, voted_for: Some(Vote { node, store: 1 }) })
}

fn asked(ops: &[Op]) -> Shadow {
    let mut shadow = Shadow::default();
    for (op, ticket) in ops.iter().zip(1..) {
        shadow.ask(Ticket(ticket), op).unwrap();
    }
    shadow
}

#[test]
fn tickets_and_entries_are_dense() {
    let mut shadow = asked(&[append(1, 1)]);
    shadow.ask(Ticket(3), &append(2, 1)).unwrap_err();
    shadow.ask(Ticket(2), &append(3, 1)).unwrap_err();
}

#[test]
fn term_and_vote_never_go_back() {
    asked(&[hard_state(2, 1)]).ask(Ticket(2), &hard_state(1, 1)).unwrap_err();
    asked(&[hard_state(2, 1)]).ask(Ticket(2), &hard_state(2, 3)).unwrap_err();
    asked(&[hard_state(2, 1)]).ask(Ticket(2), &hard_state(3, 3)).unwrap();
}

#[test]
fn a_crash_leaves_what_is_durable_and_a_prefix_of_the_rest() {
    let ops = [append(1, 1), append(2, 1), Op::TruncateAfter(1), append(2, 2)];
    let images: Vec<Image> = (0..=4).map(|count| asked(&ops[..count]).asked).collect();
    for (kept, image) in images.iter().enumerate() {
        let mut shadow = asked(&ops);
        shadow.settle(Ticket(2));
        let restarted = shadow.restart(image.clone(), Harm::None);
        if kept < 2 && *image != images[3] {
            restarted.unwrap_err();
        } else {
            restarted.unwrap();
            assert_eq!(shadow.durable, *image);
            shadow.ask(Ticket(1), &append(image.last() + 1, 3)).unwrap();
        }
    }
}

#[test]
fn term_and_vote_may_survive_the_entries_before_them() {
    let ops = [append(1, 1), append(2, 1), hard_state(2, 1)];
    let found = Image { hard_state: asked(&ops).asked.hard_state, ..asked(&ops[..1]).asked };
    let mut shadow = asked(&ops);
    shadow.settle(Ticket(1));
    shadow.restart(found.clone(), Harm::None).unwrap();
    // But not what was never asked for.
    asked(&ops[..2]).restart(found, Harm::None).unwrap_err();
}

#[test]
fn a_restart_counts_what_was_lost() {
    let ops = [append(1, 1), append(2, 1), append(3, 1)];
    let mut shadow = asked(&ops);
    shadow.settle(Ticket(1));
    assert_eq!(shadow.restart(asked(&ops[..1]).asked, Harm::None).unwrap(), 2);
}

#[test]
fn what_was_cut_comes_back_only_where_damage_took_the_cut() {
    let ops = [append(1, 1), append(2, 1), Op::TruncateAfter(1), append(2, 2), append(3, 2)];
    let mut found = asked(&ops[..2]).asked;
    found.is_end_unknown = true;
    let restarted = |found: &Image, harm| {
        let mut shadow = asked(&ops);
        shadow.settle(Ticket(5));
        shadow.restart(found.clone(), harm)
    };
    restarted(&found, Harm::Damaged).unwrap();
    restarted(&found, Harm::Garbled).unwrap_err();
    found.is_end_unknown = false;
    restarted(&found, Harm::Damaged).unwrap_err();
}
