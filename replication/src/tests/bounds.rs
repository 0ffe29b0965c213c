//! Every queue and window at its bound.

use bytes::Bytes;
use election::{Index, Micros};
use wal::Op;

use super::{
    cluster::Cluster,
    one::{One, append, appended, at, bound_boot, entry, heartbeat, heartbeat_answer, send},
};
use crate::{
    Boot, Effect, Effects, Input, Lane, Limits, Message, Outcome, ProposalId, ReadId, Refusal,
    Room, STAMP_BYTES,
};

fn limited(limits: Limits) -> One {
    let boot = Boot { limits, ..bound_boot(3, 1, Vec::new()) };
    let mut one = One::lead_with(boot);
    one.sync();
    one.hear(2, appended(2, 1));
    one.hear(3, appended(2, 1));
    one
}

fn refused(id: u64, refusal: Refusal) -> Effects {
    vec![Effect::Reply { id: ProposalId(id), outcome: Outcome::NotAccepted(refusal) }]
}

fn propose(one: &mut One, id: u64, bytes: usize) -> Effects {
    one.input(Input::Propose { id: ProposalId(id), body: Bytes::from(vec![0; bytes]) })
}

fn appends(effects: &Effects) -> Vec<(u64, usize)> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message: Message::Append { entries, .. }, .. } => {
            Some((to.node.0, entries.len()))
        }
        _ => None,
    });
    sent.collect()
}

#[test]
fn an_entry_may_be_so_large_and_no_larger() {
    let limits = Limits { entry_bytes_max: 100, ..Limits::default() };
    let mut one = limited(limits);
    assert_eq!(propose(&mut one, 1, 101 - STAMP_BYTES), refused(1, Refusal::TooLarge));
    assert_eq!(appends(&propose(&mut one, 2, 100 - STAMP_BYTES)), [(2, 1), (3, 1)]);
    let body = Bytes::from(vec![0; 101 - STAMP_BYTES]);
    let effects = one.hear(2, Message::Forward { id: 1, body });
    let outcome = Err(Refusal::TooLarge);
    assert_eq!(effects, [send(2, Message::Forwarded { id: 1, outcome }, 1)]);
}

#[test]
fn the_uncommitted_are_bounded_in_bytes_and_commit_makes_room() {
    // Each counts 8 + 60 + 32 bytes.
    let mut one = limited(Limits { uncommitted_bytes_max: 300, ..Limits::default() });
    for id in 1..=3 {
        assert!(!appends(&propose(&mut one, id, 60)).is_empty());
    }
    assert_eq!(propose(&mut one, 4, 0), refused(4, Refusal::Busy));
    one.sync();
    one.hear(2, appended(2, 2));
    assert!(!appends(&propose(&mut one, 5, 60)).is_empty());
    assert_eq!(propose(&mut one, 6, 60), refused(6, Refusal::Busy));
}

#[test]
fn an_operation_of_the_log_is_bounded_in_entries_and_bytes() {
    let sizes = |limits: Limits, bytes: usize| {
        let mut one = limited(limits);
        let propose = |id| Input::Propose { id: ProposalId(id), body: vec![0; bytes].into() };
        let effects = one.inputs((1..=5).map(propose).collect());
        let sizes = effects.iter().filter_map(|effect| match effect {
            Effect::Persist { op: Op::Append(entries), .. } => Some(entries.len()),
            _ => None,
        });
        sizes.collect::<Vec<_>>()
    };
    assert_eq!(sizes(Limits { append_entries_max: 2, ..Limits::default() }, 0), [2, 2, 1]);
    // Each counts 8 + 60 + 32 bytes.
    assert_eq!(sizes(Limits { append_bytes_max: 300, ..Limits::default() }, 60), [3, 2]);
    assert_eq!(sizes(Limits { append_bytes_max: 299, ..Limits::default() }, 60), [2, 2, 1]);
}

#[test]
fn pending_proposals_are_bounded() {
    let mut one = limited(Limits { pending_proposals_max: 2, ..Limits::default() });
    propose(&mut one, 1, 1);
    propose(&mut one, 2, 1);
    assert_eq!(propose(&mut one, 3, 1), refused(3, Refusal::Busy));
}

#[test]
fn pending_reads_are_bounded() {
    let mut one = limited(Limits { pending_reads_max: 2, ..Limits::default() });
    for id in 1..=2 {
        let effects = one.input(Input::Read { id: ReadId(id) });
        assert!(!effects.contains(&Effect::ReadFailed { id: ReadId(id) }));
    }
    let failed = Effect::ReadFailed { id: ReadId(3) };
    assert_eq!(one.input(Input::Read { id: ReadId(3) }), [failed]);
    let message = Message::ReadAnswer { id: 4, index: None };
    assert_eq!(one.hear(2, Message::Read { id: 4 }), [send(2, message, 1)]);

    let limits = Limits { pending_reads_max: 2, ..Limits::default() };
    let mut follower = One::boot(Boot { limits, ..bound_boot(3, 1, Vec::new()) });
    follower.hear(2, heartbeat(1, 0, 1));
    for id in 1..=2 {
        follower.input(Input::Read { id: ReadId(id) });
    }
    let failed = Effect::ReadFailed { id: ReadId(3) };
    assert_eq!(follower.input(Input::Read { id: ReadId(3) }), [failed]);
}

#[test]
fn a_window_holds_so_many_appends_and_then_batches() {
    let mut one = limited(Limits { inflight_appends_max: 2, ..Limits::default() });
    assert_eq!(appends(&propose(&mut one, 1, 1)), [(2, 1), (3, 1)]);
    assert_eq!(appends(&propose(&mut one, 2, 1)), [(2, 1), (3, 1)]);
    assert_eq!(appends(&propose(&mut one, 3, 1)), []);
    assert_eq!(appends(&propose(&mut one, 4, 1)), []);
    // Node 2 goes on by itself; what waited goes out as one.
    assert_eq!(appends(&one.hear(2, appended(2, 2))), [(2, 2)]);
    assert_eq!(appends(&one.hear(3, appended(2, 3))), [(3, 2)]);
}

#[test]
fn a_window_holds_so_many_bytes() {
    let mut one = limited(Limits { inflight_bytes_max: 100, ..Limits::default() });
    assert_eq!(appends(&propose(&mut one, 1, 60)), [(2, 1), (3, 1)]);
    assert_eq!(appends(&propose(&mut one, 2, 60)), []);
    assert_eq!(appends(&one.hear(2, appended(2, 2))), [(2, 1)]);
}

#[test]
fn an_append_holds_so_many_entries_and_bytes() {
    let limits = Limits { append_entries_max: 3, append_bytes_max: 200, ..Limits::default() };
    let entries: Vec<_> = (1..=10).map(|index| entry(1, index)).collect();
    let boot = Boot { limits, ..bound_boot(3, 1, Vec::new()) };
    let mut one = One::boot(boot);
    one.hear(2, append(1, at(0, 0), 0, entries));
    // It comes to lead; node 2 has nothing, and node 3 has all.
    one.now = one.replica.deadline();
    one.input(Input::Wake);
    let term = election::Term(2);
    one.hear(2, Message::PreVoteAnswer { term, granted: true });
    one.sync();
    one.hear(2, Message::VoteAnswer { term, granted: true });
    let refused = Message::Conflict { term, refused: at(1, 10), hint: at(0, 0) };
    assert_eq!(appends(&one.hear(2, refused)), [(2, 3)], "a probe");
    assert_eq!(appends(&one.hear(2, appended(2, 3))), [(2, 3), (2, 3), (2, 2)], "the stream");
}

#[test]
fn no_space_refuses_commands_and_nothing_else() {
    let mut one = limited(Limits::default());
    one.input(Input::Space(Room::None));
    assert_eq!(propose(&mut one, 1, 1), refused(1, Refusal::NoSpace));
    let wall = super::cluster::EPOCH;
    one.input(Input::Read { id: ReadId(1) });
    let effects = one.hear(2, heartbeat_answer(2, 2, wall));
    assert_eq!(effects, [Effect::ReadReady { id: ReadId(1), index: Index(1) }]);
    one.input(Input::Space(Room::Enough));
    assert!(!appends(&propose(&mut one, 2, 1)).is_empty());

    let mut follower = One::new(1, Vec::new());
    follower.hear(2, heartbeat(2, 0, 1));
    follower.input(Input::Space(Room::None));
    let message = append(2, at(0, 0), 0, vec![entry(2, 1)]);
    assert_eq!(follower.hear(2, message.clone()), [], "it neither takes nor refuses");
    assert_eq!(follower.hear(2, heartbeat(2, 0, 2)).len(), 1, "and goes on answering");
    let no_op = wal::Entry::new(1, 2, wal::EntryKind::NoOp, Bytes::new());
    let effects = follower.hear(2, append(2, at(0, 0), 0, vec![no_op]));
    assert!(matches!(effects[0], Effect::Persist { op: Op::Append(_), .. }), "reads wait for it");

    let mut follower = One::new(1, Vec::new());
    follower.hear(2, heartbeat(2, 0, 1));
    follower.input(Input::Space(Room::None));
    let no_op = wal::Entry::new(1, 2, wal::EntryKind::NoOp, Bytes::new());
    let both = append(2, at(0, 0), 0, vec![no_op.clone(), entry(2, 2)]);
    let effects = follower.hear(2, both);
    let Effect::Persist { op: Op::Append(taken), .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(*taken, [no_op], "the command that came with it is left out");
    follower.sync();
    assert_eq!(follower.hear(2, append(2, at(2, 1), 0, vec![entry(2, 2)])), []);

    let mut follower = One::new(1, Vec::new());
    follower.hear(2, heartbeat(2, 0, 1));
    follower.input(Input::Space(Room::None));
    assert_eq!(follower.hear(2, message.clone()), []);
    follower.input(Input::Space(Room::Enough));
    let effects = follower.hear(2, message);
    assert!(matches!(effects[0], Effect::Persist { op: Op::Append(_), .. }));
}

#[test]
fn a_node_far_behind_is_fed_from_disk_and_holds_nobody_up() {
    let mut cluster = Cluster::new(3, 5);
    cluster.limits = Limits { tail_bytes_max: 400, append_entries_max: 4, ..Limits::default() };
    cluster.start_all();
    cluster.run_for(Micros::from_millis(1_000));
    let leader = cluster.leader().unwrap();
    let behind = cluster.follower();
    cluster.kill(behind, true);
    for n in 0..200 {
        cluster.propose(leader, &format!("{n}"));
    }
    cluster.run_for(Micros::from_millis(200));
    assert!(cluster.outcomes.values().all(|o| matches!(o, Outcome::Committed(_))));
    cluster.start(behind);
    // While it catches up, others commit at the usual pace.
    cluster.run_for(Micros::from_millis(5));
    let asked = cluster.now;
    let id = cluster.propose(leader, "meanwhile");
    cluster.run_until("an outcome", |cluster| cluster.outcomes.contains_key(&id));
    assert!(cluster.now.since(asked) < Micros::from_millis(5));
    cluster.run_for(Micros::from_millis(500));
    cluster.check_settled();
}

#[test]
fn lanes_are_told_by_the_message() {
    assert_eq!(heartbeat(1, 0, 1).lane(), Lane::Control);
    assert_eq!(append(1, at(0, 0), 0, Vec::new()).lane(), Lane::Log);
}
