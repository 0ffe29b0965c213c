//! Ordered effects, by equality: what is written before what is said, and what waits for what.

use bytes::Bytes;
use election::{Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};
use wal::{Entry, EntryKind, Op};

use super::{
    cluster::EPOCH,
    disk::{Disk, boot, genesis, voter},
    one::{
        One, append, appended, at, bound_boot, counting_heartbeat, entry, hard_state, heartbeat,
        heartbeat_answer, persist, role, send,
    },
};
use crate::{ClusterConfig, Effect, Input, LinkEvent, Message, Outcome, ProposalId, ReadId, Role};

#[test]
fn a_vote_is_written_and_the_answer_waits_for_it() {
    let mut one = One::new(1, vec![entry(1, 1)]);
    let effects = one.hear(2, Message::Vote { term: Term(2), last: at(1, 1), transfer: false });
    assert_eq!(
        effects,
        [
            persist(1, hard_state(2, Some(2))),
            send(2, Message::VoteAnswer { term: Term(2), granted: true }, 1),
            role(Role::Follower, 2, None),
        ]
    );
}

#[test]
fn an_append_of_a_new_term_writes_term_then_entries_then_acknowledges() {
    // Research traps 4 and 5: the term is older on disk than its first entry, and the acknowledgement
    // waits for both.
    let mut one = One::new(1, Vec::new());
    let effects = one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    assert_eq!(
        effects,
        [
            persist(1, hard_state(2, None)),
            role(Role::Follower, 2, Some(2)),
            persist(2, Op::Append(vec![entry(2, 1)])),
            send(2, appended(2, 1), 2),
        ]
    );
    // Seen before, though perhaps not durable yet: the acknowledgement waits for the newest ticket.
    let again = one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    assert_eq!(again, [send(2, appended(2, 1), 2)]);
}

#[test]
fn heartbeats_wait_for_the_term_and_not_for_entries() {
    let mut one = One::new(1, Vec::new());
    one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    let effects = one.hear(2, heartbeat(2, 0, 1));
    assert_eq!(effects, [send(2, heartbeat_answer(2, 1, EPOCH), 1)]);
}

#[test]
fn a_leader_sends_in_parallel_with_its_own_fsync() {
    let mut one = One::lead(1, vec![entry(1, 1)]);
    let mut effects = one.sync();
    effects.extend(one.hear(2, appended(2, 2)));
    effects.extend(one.hear(3, appended(2, 2)));
    let commit = |to| send(to, counting_heartbeat(2, 2, 1, 2), 1);
    assert_eq!(effects, [Effect::Commit(Index(2)), commit(2), commit(3)]);

    let effects = one.propose(7, b"hello");
    let payload = Bytes::from([&EPOCH.0.to_le_bytes()[..], b"hello"].concat());
    let made = Entry::new(3, 2, EntryKind::Command, payload);
    let message = append(2, at(2, 2), 2, vec![made.clone()]);
    assert_eq!(
        effects,
        [persist(3, Op::Append(vec![made])), send(2, message.clone(), 1), send(3, message, 1),],
        "after the hard state of the term, ticket 1, and nothing newer"
    );
    assert_eq!(one.hear(3, appended(2, 3)), [], "one copy of three");
    assert_eq!(
        one.sync(),
        [
            Effect::Commit(Index(3)),
            Effect::Reply { id: ProposalId(7), outcome: Outcome::Committed(Index(3)) },
            send(3, counting_heartbeat(2, 3, 1, 3), 1),
        ],
        "two is told when it has it"
    );
    assert_eq!(one.hear(2, appended(2, 3)), [send(2, counting_heartbeat(2, 3, 1, 3), 1)]);
}

#[test]
fn commit_alone_is_not_told_when_entries_go_out_anyway() {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    one.hear(2, appended(2, 1));
    one.propose(1, b"one");
    one.sync();
    one.input(Input::Propose { id: ProposalId(2), body: Bytes::from_static(b"two") });
    let effects = one.hear(2, appended(2, 2));
    // Two is still to acknowledge the next append; its acknowledgement will bring it the news.
    assert_eq!(
        effects,
        [
            Effect::Commit(Index(2)),
            Effect::Reply { id: ProposalId(1), outcome: Outcome::Committed(Index(2)) },
        ]
    );
}

#[test]
fn the_only_voter_binds_elects_and_names_its_disk() {
    let genesis = genesis(1);
    let mut one = One::boot(boot(voter(1), &genesis, &Disk::default(), 1));
    // The first wake: the configuration to connect by, then everything at once.
    let mut fresh = crate::Replica::new(one.clock(), boot(voter(1), &genesis, &Disk::default(), 1));
    let mut effects = Vec::new();
    fresh.handle(one.clock(), Input::Wake, &mut effects);
    assert_eq!(
        effects,
        [
            Effect::Config(genesis.clone()),
            persist(1, Op::Bind { node: 1, store: voter(1).store.0 }),
            persist(2, hard_state(1, Some(1))),
            role(Role::Candidate, 1, None),
        ]
    );
    let no_op = Entry::new(1, 1, EntryKind::NoOp, Bytes::new());
    assert_eq!(one.sync(), [role(Role::Leader, 1, Some(1)), persist(3, Op::Append(vec![no_op]))]);
    let mut named = genesis;
    named.voters[0].store = Some(voter(1).store);
    let config = Entry::new(2, 1, EntryKind::Config, named.encode().into());
    assert_eq!(
        one.sync(),
        [Effect::Commit(Index(1)), persist(4, Op::Append(vec![config])), Effect::Config(named),]
    );
    assert_eq!(one.sync(), [Effect::Commit(Index(2))]);
    assert_eq!(
        one.input(Input::Read { id: ReadId(1) }),
        [Effect::ReadReady { id: ReadId(1), index: Index(2) }]
    );
}

#[test]
fn a_binding_is_written_before_it_is_confirmed() {
    let mut genesis = genesis(3);
    genesis.voters[0].store = Some(voter(1).store);
    let mut one = One::boot(boot(voter(1), &genesis, &Disk::default(), 1));
    let bound = |node| Message::Bound { node: NodeId(node), store: voter(node).store };
    let op = |node: u64| Op::Bind { node, store: voter(node).store.0 };
    assert_eq!(
        one.hear(2, Message::Bind { joined: false }),
        [persist(1, op(2)), send(2, bound(2), 1)]
    );
    assert_eq!(
        one.hear(3, Message::Bind { joined: false }),
        [persist(2, op(3)), send(3, bound(3), 2)]
    );
    assert_eq!(
        one.hear(2, Message::Bind { joined: false }),
        [send(2, bound(2), 2)],
        "the first one stays"
    );
}

#[test]
fn a_forward_is_answered_with_its_place() {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    let body = Bytes::from_static(b"hi");
    let effects = one.hear(3, Message::Forward { id: 9, body: body.clone() });
    assert!(matches!(effects[0], Effect::Persist { ticket: Ticket(3), .. }));
    let answer = Message::Forwarded { id: 9, outcome: Ok(at(2, 2)) };
    assert_eq!(effects[1], send(3, answer, 1));
    assert_eq!(one.hear(3, Message::Forward { id: 9, body }), [], "a copy is no second proposal");
}

#[test]
fn what_is_proposed_together_is_written_and_sent_together() {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    one.hear(2, appended(2, 1));
    let body = || Bytes::from_static(b"hi");
    let forward = |id| Message::Forward { id, body: body() };
    let effects = one.inputs(vec![
        Input::Propose { id: ProposalId(1), body: body() },
        Input::Message { from: voter(3), message: forward(8) },
        Input::Message { from: voter(3), message: forward(9) },
    ]);
    let Effect::Persist { ticket: Ticket(3), op: Op::Append(entries) } = &effects[0] else {
        panic!("{effects:?}")
    };
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [2, 3, 4]);
    let answer = |id, index| Message::Forwarded { id, outcome: Ok(at(2, index)) };
    let sent = append(2, at(2, 1), 1, entries.clone());
    assert_eq!(
        effects[1..],
        [send(3, answer(8, 3), 1), send(3, answer(9, 4), 1), send(2, sent, 1)]
    );
    // One ticket for all three: none of them counts here before it is durable.
    let effects = one.hear(2, appended(2, 4));
    assert_eq!(effects, []);
    let effects = one.sync();
    let reply = Effect::Reply { id: ProposalId(1), outcome: Outcome::Committed(Index(2)) };
    assert_eq!(effects[..2], [Effect::Commit(Index(4)), reply]);
}

#[test]
fn what_is_said_between_two_proposals_parts_their_operations() {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    let propose = |id| Input::Propose { id: ProposalId(id), body: Bytes::from_static(b"hi") };
    let committed = Input::Message { from: voter(2), message: appended(2, 1) };
    let effects = one.inputs(vec![propose(1), committed, propose(2)]);
    let tickets: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Persist { ticket, op: Op::Append(entries) } => Some((ticket.0, entries.len())),
            _ => None,
        })
        .collect();
    assert_eq!(tickets, [(3, 1), (4, 1)]);
    assert_eq!(effects[1], Effect::Commit(Index(1)), "it stays where it was decided");
}

#[test]
fn a_proposal_forwarded_is_answered_by_the_own_commit_index() {
    let mut one = One::new(1, Vec::new());
    one.hear(2, heartbeat(2, 0, 1));
    let effects = one.propose(5, b"hi");
    let Effect::Send { message: Message::Forward { id, .. }, .. } = effects[0] else {
        panic!("{effects:?}")
    };
    assert_eq!(one.hear(2, Message::Forwarded { id, outcome: Ok(at(2, 1)) }), []);
    one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    let effects = one.hear(2, heartbeat(2, 1, 2));
    assert_eq!(
        effects[1..],
        [
            Effect::Commit(Index(1)),
            Effect::Reply { id: ProposalId(5), outcome: Outcome::Committed(Index(1)) },
        ]
    );
}

#[test]
fn a_read_at_a_follower_is_asked_of_the_leader_once_for_all() {
    let mut one = One::new(1, Vec::new());
    one.hear(2, heartbeat(2, 0, 1));
    let first = one.input(Input::Read { id: ReadId(1) });
    let Effect::Send { message: Message::Read { id }, .. } = first[0] else { panic!("{first:?}") };
    assert_eq!(one.input(Input::Read { id: ReadId(2) }), [], "it waits for the next question");
    assert_eq!(one.input(Input::Read { id: ReadId(3) }), []);
    let stale = Message::ReadAnswer { id: id.wrapping_sub(1), index: Some(Index(1)) };
    assert_eq!(one.hear(2, stale), [], "an answer to something else");
    let other = Message::ReadAnswer { id, index: Some(Index(1)) };
    assert_eq!(one.hear(3, other.clone()), [], "an answer of somebody else");
    let effects = one.hear(2, other);
    assert_eq!(effects[0], Effect::ReadReady { id: ReadId(1), index: Index(1) });
    assert_eq!(effects[1], send(2, Message::Read { id: id + 1 }, 1));
    assert_eq!(
        one.hear(2, Message::ReadAnswer { id: id + 1, index: None }),
        [Effect::ReadFailed { id: ReadId(2) }, Effect::ReadFailed { id: ReadId(3) }]
    );
}

#[test]
fn a_link_that_comes_up_is_probed() {
    let mut one = One::lead(1, vec![entry(1, 1)]);
    one.sync();
    one.hear(2, appended(2, 2));
    let up = Input::Link { peer: NodeId(2), event: LinkEvent::Up(voter(2)) };
    assert_eq!(one.input(up), [send(2, append(2, at(2, 2), 2, Vec::new()), 1)]);
}

#[test]
fn an_answer_of_another_disk_is_ignored() {
    let mut one = One::lead(1, vec![entry(1, 1)]);
    one.sync();
    let mut wiped = voter(2);
    wiped.store.0 += 1;
    assert_eq!(one.hear_from(wiped, appended(2, 2)), []);
    assert_eq!(one.hear_from(wiped, heartbeat_answer(9, 1, EPOCH)), [], "not even its term");
    let answer = Message::Bound { node: NodeId(2), store: voter(2).store };
    let question = Message::Bind { joined: false };
    assert_eq!(one.hear_from(wiped, question.clone()), [], "what is committed may say otherwise");
    one.hear(2, appended(2, 2));
    let effects = one.hear_from(wiped, question);
    assert!(
        matches!(&effects[..], [Effect::Send { to, message, .. }] if *to == wiped && *message == answer),
        "but it is told who is known: {effects:?}"
    );
}

#[test]
fn a_restart_asks_nobody_again() {
    let boot = bound_boot(3, 1, Vec::new());
    let mut replica = crate::Replica::new(One::new(1, Vec::new()).clock(), boot.clone());
    let mut effects = Vec::new();
    replica.handle(One::new(1, Vec::new()).clock(), Input::Wake, &mut effects);
    assert_eq!(effects, [Effect::Config(boot.genesis)]);
    assert!(replica.status().bound);
}

#[test]
fn a_configuration_takes_effect_when_appended() {
    // Research trap 22, and 24: it names its predecessor.
    let mut one = One::new(1, Vec::new());
    let genesis = one.replica.status().config;
    let changed = ClusterConfig { target_size: 5, predecessor: Index(0), ..genesis.clone() };
    let config = Entry::new(1, 2, EntryKind::Config, changed.encode().into());
    let effects = one.hear(2, append(2, at(0, 0), 0, vec![config]));
    assert_eq!(effects[3], Effect::Config(changed.clone()));
    assert_eq!(one.replica.status().config, changed);
    // Another leader never had it.
    let effects = one.hear(3, append(3, at(0, 0), 0, vec![entry(3, 1)]));
    assert_eq!(
        effects,
        [
            persist(3, hard_state(3, None)),
            role(Role::Follower, 3, Some(3)),
            persist(4, Op::TruncateAfter(0)),
            Effect::Config(genesis),
            persist(5, Op::Append(vec![entry(3, 1)])),
            send(3, appended(3, 1), 5),
        ]
    );
}

#[test]
fn nobody_confirms_its_own_binding() {
    let mut one = One::boot(boot(voter(1), &genesis(3), &Disk::default(), 1));
    let bound = Message::Bound { node: NodeId(1), store: voter(1).store };
    let copy = VoterId { node: NodeId(1), store: StoreId(9) };
    assert_eq!(one.hear_from(copy, bound.clone()), []);
    assert_eq!(one.hear(2, bound.clone()), []);
    assert!(!one.replica.status().bound, "one other voter is no majority of two");
    one.hear(3, bound);
    assert!(one.replica.status().bound);
}

#[test]
fn what_promises_nothing_waits_for_no_fsync() {
    let mut one = One::new(2, Vec::new());
    one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    let waits = |effects: &Vec<Effect>| {
        let sends = effects.iter().filter_map(|effect| match effect {
            Effect::Send { after, .. } => Some(*after),
            _ => None,
        });
        sends.collect::<Vec<_>>()
    };
    assert_eq!(waits(&one.propose(1, b"a")), [Ticket(0)], "a forward");
    assert_eq!(waits(&one.input(Input::Read { id: ReadId(1) })), [Ticket(0)], "a question");
    let body = Bytes::from_static(b"b");
    let refused = one.hear(3, Message::Forward { id: 7, body });
    assert_eq!(waits(&refused), [Ticket(0)], "a refusal");
}

#[test]
fn two_proposals_at_one_place_are_both_answered() {
    let mut one = One::new(2, Vec::new());
    one.hear(2, heartbeat(2, 0, 1));
    let mut names = Vec::new();
    for id in [1, 2] {
        for effect in one.propose(id, b"a") {
            if let Effect::Send { message: Message::Forward { id, .. }, .. } = effect {
                names.push(id);
            }
        }
    }
    let mut answers = Vec::new();
    for id in names {
        answers.extend(one.hear(2, Message::Forwarded { id, outcome: Ok(at(2, 1)) }));
    }
    assert_eq!(answers, [Effect::Reply { id: ProposalId(1), outcome: Outcome::Unknown }]);
    let effects = one.hear(2, append(2, at(0, 0), 1, vec![entry(2, 1)]));
    let outcome = Outcome::Committed(Index(1));
    assert!(effects.contains(&Effect::Reply { id: ProposalId(2), outcome }), "{effects:?}");
}

#[test]
fn a_lost_append_is_sent_again_while_reads_go_on() {
    let mut leader = One::lead(1, Vec::new());
    leader.sync();
    leader.hear(2, appended(2, 1));
    leader.propose(1, b"lost");
    let mut sent_again = false;
    for id in 0..40 {
        leader.now = leader.now.plus(Micros::from_millis(10));
        let mut effects = leader.input(Input::Read { id: ReadId(id) });
        if leader.replica.deadline() <= leader.now {
            effects.extend(leader.input(Input::Wake));
        }
        for effect in effects {
            match effect {
                Effect::Send { to, message: Message::Heartbeat { round, .. }, .. }
                    if to == voter(2) =>
                {
                    leader.hear(2, heartbeat_answer(2, round, EPOCH));
                }
                Effect::Send { to, message: Message::Append { .. }, .. } => {
                    sent_again |= to == voter(2);
                }
                _ => {}
            }
        }
    }
    assert_eq!(leader.replica.status().role, Role::Leader);
    assert!(sent_again, "four tenths of a second without an acknowledgement");
}
