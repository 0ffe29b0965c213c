//! Changes of members as one node decides them: what is refused, what counts, what is told.

use std::collections::BTreeMap;

use bytes::Bytes;
use election::{Electorate, HardState, Index, NodeId, StoreId, Term, VoterId};
use proptest::prelude::*;
use wal::{Entry, EntryKind, Op};

use super::{
    cluster::{Cluster, EPOCH},
    disk::{Disk, boot, genesis, voter},
    kit::{member, millis, numbers},
    one::{One, append, appended, at, bound_boot, commits, entry, heartbeat_answer, send},
};
use crate::{
    Boot, Change, ClusterConfig, Effect, Halt, Input, LinkEvent, MEMBERS_MAX, Message, Mode,
    Outcome, ProposalId, Refusal, Role,
};

/// Of `nodes`, leading term 2, its no-op at 1 committed, everybody heard.
fn leader(nodes: u64) -> One {
    let mut one = One::elected(bound_boot(nodes, 1, Vec::new()));
    one.sync();
    for node in 2..=nodes {
        one.hear(node, heartbeat_answer(2, 1, EPOCH));
        one.hear(node, appended(2, 1));
    }
    assert_eq!(one.replica.status().commit, Index(1));
    one
}

fn change(one: &mut One, change: Change) -> Vec<Effect> {
    one.input(Input::Reconfigure { id: ProposalId(7), change })
}

fn refused(one: &mut One, what: Change) -> Refusal {
    let effects = change(one, what);
    let refusal = effects.iter().find_map(|effect| match effect {
        Effect::Reply { outcome: Outcome::NotAccepted(refusal), .. } => Some(*refusal),
        _ => None,
    });
    refusal.unwrap_or_else(|| panic!("it is taken: {effects:?}"))
}

/// The configuration that these effects write.
fn written(effects: &[Effect]) -> Option<ClusterConfig> {
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Persist { op: Op::Append(entries), .. } => entries.first(),
        _ => None,
    });
    let config = written.filter(|entry| entry.kind == EntryKind::Config);
    config.map(|entry| ClusterConfig::decode(&entry.payload).unwrap())
}

fn other(node: u64) -> VoterId {
    VoterId { store: StoreId(voter(node).store.0 + 0x100), ..voter(node) }
}

/// 3 is replaced and the configuration committed by 2; its new disk asked and is named at 3.
fn with_a_learner() -> One {
    let mut one = leader(3);
    change(&mut one, Change::Replace(NodeId(3), None));
    one.sync();
    one.hear(2, appended(2, 2));
    let named = one.hear_from(other(3), Message::Bind { joined: true });
    let store = other(3).store;
    assert_eq!(written(&named).unwrap().learners[0].store, Some(store));
    let told = Message::Named { store, index: Index(3) };
    assert!(named.iter().any(|effect| matches!(effect, Effect::Send { to, message, .. }
        if *to == other(3) && *message == told)));
    one
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut one = leader(3);
    let long = "h".repeat(crate::ADDRESS_BYTES_MAX + 1);
    let mut cases = vec![
        (
            Change::Add(crate::Member { peer: "elsewhere:1".to_owned(), ..member(2) }),
            Refusal::AlreadyMember,
        ),
        (Change::Add(crate::Member { peer: long, ..member(4) }), Refusal::TooLarge),
        (Change::Remove(NodeId(4)), Refusal::NotMember),
        (Change::Replace(NodeId(4), None), Refusal::NotMember),
    ];
    for (what, refusal) in cases.drain(..) {
        assert_eq!(refused(&mut one, what.clone()), refusal, "{what:?}");
    }
    one.now = one.now.plus(millis(400));
    one.hear(3, heartbeat_answer(2, 1, EPOCH));
    assert_eq!(refused(&mut one, Change::Remove(NodeId(3))), Refusal::NoQuorum, "2 is silent");

    let mut alone = One::elected(bound_boot(1, 1, Vec::new()));
    alone.sync();
    assert_eq!(refused(&mut alone, Change::Remove(NodeId(1))), Refusal::LastVoter);
    assert_eq!(refused(&mut alone, Change::Replace(NodeId(1), None)), Refusal::LastVoter);

    let mut follower = One::new(1, vec![entry(1, 1)]);
    assert_eq!(refused(&mut follower, Change::Remove(NodeId(3))), Refusal::NoLeader);
}

/// Whoever does not know what came of a change asks for it again.
#[test]
fn what_was_done_before_is_not_done_again() {
    let mut one = leader(3);
    let asked_again = |one: &mut One, what: Change| {
        let effects = one.input(Input::Reconfigure { id: ProposalId(8), change: what.clone() });
        assert_eq!(written(&effects), None, "{what:?}");
        let committed = [one.sync(), one.hear(2, appended(2, one.replica.status().last.index.0))];
        let index = one.replica.status().last.index;
        let reply = Effect::Reply { id: ProposalId(8), outcome: Outcome::Committed(index) };
        assert!(committed.concat().contains(&reply), "{what:?}: {committed:?}");
    };
    asked_again(&mut one, Change::Add(member(2)));

    change(&mut one, Change::Replace(NodeId(3), Some(voter(3).store)));
    asked_again(&mut one, Change::Replace(NodeId(3), Some(voter(3).store)));
    asked_again(&mut one, Change::Replace(NodeId(3), None));
    one.hear_from(other(3), Message::Bind { joined: false });
    asked_again(&mut one, Change::Replace(NodeId(3), Some(voter(3).store)));
    assert_eq!(one.replica.status().config.learners[0].store, Some(other(3).store), "it stays");

    change(&mut one, Change::Remove(NodeId(3)));
    asked_again(&mut one, Change::Remove(NodeId(3)));
}

#[test]
fn as_many_members_as_there_may_be_and_no_more() {
    let config = genesis(6);
    let seven = config.changed(Index(1), Change::Add(member(7))).unwrap();
    assert_eq!(seven.target_size, 7);
    let eighth = seven.changed(Index(2), Change::Add(member(8)));
    assert_eq!(eighth, Err(Refusal::Full), "more voters than quorums are tried for");
    let known = (10..10 + MEMBERS_MAX as u64 - 3).map(member).collect();
    let full = ClusterConfig { known, ..genesis(3) };
    assert_eq!(full.check(), Ok(()));
    assert_eq!(full.changed(Index(1), Change::Add(member(9))), Err(Refusal::Full));
    let room = full.changed(Index(1), Change::Remove(NodeId(10))).unwrap();
    assert_eq!(room.changed(Index(2), Change::Add(member(9))).unwrap().check(), Ok(()));
}

/// Research traps 20 and 24: one change at a time.
#[test]
fn trap_24_a_change_waits_for_the_one_before_it() {
    let mut one = leader(3);
    assert_eq!(written(&change(&mut one, Change::Add(member(4)))).unwrap().predecessor, Index(0));
    assert_eq!(refused(&mut one, Change::Add(member(5))), Refusal::ConfigPending);
    one.sync();
    let effects = one.hear(3, appended(2, 2));
    assert_eq!(commits(&effects), [2]);
    assert_eq!(written(&change(&mut one, Change::Add(member(5)))).unwrap().predecessor, Index(2));
}

/// Research trap 20: a new leader does not know yet whether its predecessor's change is committed.
#[test]
fn trap_20_a_new_leader_changes_nothing_before_its_own_entry_is_committed() {
    let mut one = One::lead(1, vec![entry(1, 1)]);
    assert_eq!(refused(&mut one, Change::Remove(NodeId(3))), Refusal::ConfigPending);
    one.sync();
    one.hear(2, appended(2, 2));
    assert!(written(&change(&mut one, Change::Remove(NodeId(3)))).is_some());
}

/// Research trap 24: whatever its terms say, a configuration that follows another one than the one
/// in force here is a leader's error, and so is one that changes two voters, or names no disk.
#[test]
fn trap_24_a_follower_takes_no_configuration_that_does_not_follow_its_own() {
    let named = bound_boot(3, 1, Vec::new()).genesis;
    let mut fits = named.changed(Index(0), Change::Remove(NodeId(3))).unwrap();
    let two =
        ClusterConfig { voters: named.voters[..1].to_vec(), mode: Mode::Solo, ..fits.clone() };
    let elsewhere = ClusterConfig { predecessor: Index(1), ..fits.clone() };
    let nameless = ClusterConfig { predecessor: Index(0), ..genesis(3) };
    let send = |one: &mut One, config: &ClusterConfig| {
        let payload = Bytes::from(config.encode());
        let entry = Entry::new(1, 1, EntryKind::Config, payload);
        one.hear(2, append(1, at(0, 0), 0, vec![entry]))
    };
    for config in [two, elsewhere, nameless] {
        let mut one = One::new(1, Vec::new());
        send(&mut one, &config);
        assert_eq!(one.replica.status().last.index, Index(0), "{config:?}");
    }
    let mut one = One::new(1, Vec::new());
    send(&mut one, &fits);
    fits.predecessor = Index(0);
    assert_eq!(one.replica.status().config, fits);
}

/// Research trap 25, and 18: who learns counts in no commit and in no read, and its clock in no
/// stamp; who was struck out counts for nothing at all.
#[test]
fn trap_25_a_learner_counts_for_nothing() {
    let mut one = with_a_learner();
    one.sync();
    one.hear_from(other(3), heartbeat_answer(2, 1, EPOCH));
    assert_eq!(commits(&one.hear_from(other(3), appended(2, 3))), [], "a learner has it");
    assert_eq!(commits(&one.hear(3, appended(2, 3))), [], "the old disk has it");
    assert_eq!(commits(&one.hear(2, appended(2, 3))), [3], "the other voter has it");
    one.input(Input::Read { id: crate::ReadId(1) });
    let round = one.replica.status().term.0;
    let effects = one.hear_from(other(3), heartbeat_answer(round, 2, EPOCH));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })));
    let effects = one.hear(2, heartbeat_answer(round, 2, EPOCH));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })));
    let peers = one.replica.status().peers;
    assert_eq!(peers.iter().map(|peer| peer.voter).collect::<Vec<_>>(), [true, false]);
}

/// A leader steps down when its voters are silent, however many learners answer.
#[test]
fn trap_28_learners_keep_no_leader() {
    let mut one = with_a_learner();
    for _ in 0..20 {
        one.now = one.now.plus(millis(50));
        one.hear_from(other(3), heartbeat_answer(2, 1, EPOCH));
        one.input(Input::Wake);
    }
    assert_ne!(one.replica.status().role, Role::Leader);
}

/// Research traps 18 and 23: the disk that was struck out is told, once that is committed, and its
/// votes and appends are nobody's.
#[test]
fn trap_23_a_disk_that_was_struck_out_is_told() {
    let mut one = leader(3);
    change(&mut one, Change::Replace(NodeId(3), None));
    let vote = Message::PreVote { term: Term(3), last: at(2, 9) };
    let effects = one.hear(3, vote.clone());
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Send { message, .. }
        if matches!(message, Message::Removed { .. }))),
        "it may come to nothing"
    );
    one.sync();
    one.hear(2, appended(2, 2));
    let removed = Message::Removed { index: Index(2) };
    for message in [vote, append(9, at(1, 1), 0, Vec::new()), Message::Bind { joined: true }] {
        let effects = one.hear(3, message);
        assert_eq!(effects, [send(3, removed.clone(), 3)]);
    }
    assert_eq!(one.replica.status().term, Term(2), "its term is nobody's");
    let learners = one.replica.status().config.learners;
    assert_eq!(learners[0].store, None, "it is not taken for its own successor");
}

#[test]
fn a_node_stops_when_it_is_removed_and_not_by_old_news() {
    let named = bound_boot(3, 1, Vec::new()).genesis;
    let config = named.changed(Index(0), Change::Add(member(4))).unwrap();
    let entries = vec![Entry::new(1, 1, EntryKind::Config, Bytes::from(config.encode()))];
    let mut one = One::boot(bound_boot(3, 1, entries));
    assert_eq!(one.hear(2, Message::Removed { index: Index(1) }), []);
    assert_eq!(one.hear(2, Message::Removed { index: Index(2) }), [Effect::Halt(Halt::Removed)]);
}

/// A joiner of that number, with the genesis of three, and nothing else.
fn joiner(node: u64) -> One {
    let genesis = genesis(3);
    let boot = boot(voter(node), &genesis, &Disk::default(), 1);
    One::boot(Boot { joined: true, ..boot })
}

/// Research trap 26: who is in no configuration takes the log, and neither votes nor stands.
#[test]
fn trap_26_a_newcomer_takes_the_log_and_does_not_vote() {
    let mut one = joiner(4);
    assert_eq!(one.replica.status().role, Role::Learner);
    let vote = Message::Vote { term: Term(2), last: at(9, 9), transfer: false };
    assert_eq!(one.hear(2, vote.clone()), []);
    assert_eq!(one.hear(2, Message::PreVote { term: Term(2), last: at(9, 9) }), []);
    assert_eq!(one.hear(2, Message::TimeoutNow { term: Term(0) }), []);
    one.hear(2, append(1, at(0, 0), 0, vec![entry(1, 1)]));
    assert_eq!(one.replica.status().last, at(1, 1));
    assert!(!one.replica.status().bound);
    for _ in 0..100 {
        one.now = one.now.max(one.replica.deadline());
        one.input(Input::Wake);
    }
    assert_eq!(one.replica.status().role, Role::Learner);
    assert_eq!(one.replica.status().term, Term(1));
}

/// Research trap 26: the old configurations of its log make no voter of a newcomer under a number of
/// the genesis, and it takes nothing before it is told that it is named.
#[test]
fn trap_26_old_configurations_make_no_voter_of_another_disk() {
    let mut one = joiner(1);
    let mut named = bound_boot(3, 1, Vec::new()).genesis;
    named.voters[0].store = Some(other(1).store);
    let old = ClusterConfig { predecessor: Index(0), ..named };
    let entries = vec![Entry::new(1, 1, EntryKind::Config, Bytes::from(old.encode()))];
    let message = append(1, at(0, 0), 1, entries);
    assert_eq!(one.hear(2, message.clone()), [], "its number may be another disk's");
    one.hear(2, Message::Named { store: voter(1).store, index: Index(9) });
    one.hear(2, message);
    assert_eq!(one.replica.status().commit, Index(1));
    assert_eq!(one.replica.status().role, Role::Learner);
    for _ in 0..100 {
        one.now = one.now.max(one.replica.deadline());
        one.input(Input::Wake);
    }
    assert_eq!(one.replica.status().term, Term(1), "it never stood");
}

/// Research trap 18: a disk that was lost since its node founded the cluster alone founds no other.
#[test]
fn trap_18_a_wiped_founder_founds_nothing() {
    let genesis = genesis(1);
    let boot = boot(voter(1), &genesis, &Disk::default(), 1);
    let mut founder = One::boot(boot.clone());
    assert!(founder.replica.status().bound, "nobody is there to ask");
    founder.sync();
    let mut wiped = One::boot(Boot { joined: true, ..boot });
    for _ in 0..100 {
        wiped.now = wiped.now.max(wiped.replica.deadline());
        wiped.input(Input::Wake);
    }
    assert!(!wiped.replica.status().bound);
    assert_eq!(wiped.replica.status().term, Term(0));
}

/// Research trap 18: most numbers of the genesis, with disks that came later, know nothing of what was
/// committed since, and found no second history, whoever of the first one is among them.
#[test]
fn trap_18_disks_that_joined_found_no_second_history() {
    for survivors in 0..=2 {
        let mut cluster = Cluster::new(5, survivors);
        cluster.start_all();
        cluster.run_for(millis(1_000));
        let leader = cluster.leader().unwrap();
        cluster.propose(leader, "what must not be forgotten");
        cluster.run_for(millis(100));
        let numbers: Vec<u64> = cluster.nodes.keys().map(|node| node.0).collect();
        numbers.iter().for_each(|node| cluster.kill(NodeId(*node), true));
        let (first, later) = numbers.split_at(survivors as usize);
        later.iter().for_each(|node| cluster.new_disk(*node));
        let history = cluster.committed.clone();
        let began = cluster.leaders.len();
        numbers.iter().for_each(|node| cluster.start(NodeId(*node)));
        cluster.run_for(millis(10_000));
        assert_eq!(cluster.leaders.len(), began, "{survivors}: {:#?}", cluster.journal);
        assert_eq!(cluster.committed, history);
        for node in later.iter().map(|node| &cluster.nodes[&NodeId(*node)]) {
            assert_eq!(node.disk.bindings, BTreeMap::new(), "{survivors}: nobody is bound anew");
            assert_eq!(node.disk.hard_state, HardState::default(), "and nobody votes");
            assert!(node.disk.entries.is_empty());
        }
        for node in first.iter().map(|node| &cluster.nodes[&NodeId(*node)]) {
            assert!(node.disk.bindings.values().all(|store| store.0 < 0x100), "not here either");
        }
    }
}

/// A directory of the genesis that was never started binds no disk that joined, not even under a number
/// whose own disk is yet to come.
#[test]
fn who_joined_is_bound_by_no_founder() {
    let founder = |node| boot(voter(node), &genesis(3), &Disk::default(), 1);
    let mut one = One::boot(founder(1));
    assert_eq!(one.hear_from(other(3), Message::Bind { joined: true }), []);
    let bound = Message::Bound { node: NodeId(3), store: voter(3).store };
    let effects = one.hear(3, Message::Bind { joined: false });
    assert!(effects.contains(&send(3, bound, 1)), "the number is free: {effects:?}");

    let mut late = joiner(1);
    assert_eq!(late.hear(3, Message::Bind { joined: false }), [], "and it binds no founder");
    for node in 2..=3 {
        late.hear(node, Message::Bound { node: NodeId(1), store: voter(1).store });
    }
    assert!(!late.replica.status().bound, "whatever it is told");
}

/// Research trap 18: a node that is late by the whole of its log counts in the genesis the disks that it
/// has bound and no others. Under a number that was replaced since another disk may grant it votes and
/// take its entries.
#[test]
fn trap_18_the_genesis_counts_whom_it_has_bound() {
    let bindings = BTreeMap::from([(NodeId(1), voter(1).store)]);
    let disk = Disk { bindings, ..Disk::default() };
    let elect = |elector: VoterId, joined: bool| {
        let mut one = One::boot(boot(voter(1), &genesis(3), &disk, 1));
        let (peer, event) = (elector.node, LinkEvent::Up(elector));
        let asked = one.input(Input::Link { peer, event });
        let asks = |effect: &Effect| {
            matches!(effect, Effect::Send { to, message, .. }
            if *to == elector && *message == Message::Bind { joined: false })
        };
        assert!(asked.iter().any(asks), "it wants to count as well");
        one.hear_from(elector, Message::Bind { joined });
        while one.replica.status().role != Role::PreCandidate {
            one.now = one.now.max(one.replica.deadline());
            one.input(Input::Wake);
        }
        one.hear_from(elector, Message::PreVoteAnswer { term: Term(1), granted: true });
        one.sync();
        one.hear_from(elector, Message::VoteAnswer { term: Term(1), granted: true });
        one.replica.status().role
    };
    assert_eq!(elect(voter(2), false), Role::Leader);
    assert_eq!(elect(other(2), true), Role::PreCandidate);
}

/// Research traps 18 and 37: what the leader knows of a disk is not known of the next one under its
/// number, also when the genesis named neither.
#[test]
fn trap_37_another_disk_is_measured_anew() {
    let mut boot = bound_boot(3, 1, Vec::new());
    for member in &mut boot.genesis.voters[1..] {
        boot.bindings.insert(member.node, member.store.take().unwrap());
    }
    let mut one = One::elected(boot);
    one.sync();
    one.hear(2, heartbeat_answer(2, 1, EPOCH));
    one.hear(3, heartbeat_answer(2, 1, EPOCH));
    one.hear(2, appended(2, 1));
    let acted = Input::Message { from: voter(3), message: appended(2, 1) };
    let change = Input::Reconfigure { id: ProposalId(7), change: Change::Replace(NodeId(3), None) };
    let effects = one.inputs(vec![acted, change]);
    let config = written(&effects).unwrap();
    assert_eq!(numbers(&config.learners), [3]);
    let peers = one.replica.status().peers;
    let replaced = peers.iter().find(|peer| peer.node == NodeId(3)).unwrap();
    assert_eq!(replaced.matched, Some(Index(0)), "of the new disk nothing is known");
}

/// A node that was away long knows neither leader nor candidate, and follows and elects them.
#[test]
fn a_stranger_may_lead_and_be_elected() {
    let mut one = One::new(1, vec![entry(1, 1)]);
    let candidate = voter(9);
    let vote = Message::Vote { term: Term(2), last: at(1, 1), transfer: false };
    let effects = one.hear_from(candidate, vote);
    let granted = Message::VoteAnswer { term: Term(2), granted: true };
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Send { to, message, .. }
        if *to == candidate && *message == granted)),
        "{effects:?}"
    );
    let effects = one.hear_from(candidate, append(2, at(1, 1), 0, vec![entry(2, 2)]));
    let taken = Message::Appended { term: Term(2), matched: Index(2) };
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Send { to, message, .. }
        if *to == candidate && *message == taken)),
        "{effects:?}"
    );
    let asked = one.propose(1, b"to the stranger");
    assert!(matches!(&asked[..], [Effect::Send { to, message: Message::Forward { .. }, .. }]
        if *to == candidate));
}

fn electorate(config: &ClusterConfig) -> Electorate {
    let voters = config.voters.iter().map(|member| member.node).collect();
    Electorate::new(config.mode, voters).unwrap()
}

proptest! {
    /// Research trap 21: whatever is asked for in whatever order, every step is one that all old and
    /// new quorums survive, within the bounds, and the target follows what was asked for.
    #[test]
    fn trap_21_every_step_of_every_history_is_legal(
        start in 1_u64..=7, steps in prop::collection::vec((0_u8..4, 1_u64..=9), 0..40)
    ) {
        let mut config = genesis(start);
        for (index, (what, node)) in steps.into_iter().enumerate() {
            let asked = match what {
                0 => Change::Add(member(node)),
                1 => Change::Remove(NodeId(node)),
                2 => Change::Replace(NodeId(node), None),
                _ => {
                    let learner = config.learners.first().map(|member| member.node);
                    let Some(learner) = learner else { continue };
                    let mut next = config.clone();
                    next.promote(learner);
                    prop_assert!(electorate(&config).may_become(&electorate(&next)));
                    config = next;
                    continue;
                }
            };
            let at = Index(index as u64);
            if let Ok(next) = config.changed(at, asked) {
                prop_assert!(electorate(&config).may_become(&electorate(&next)));
                prop_assert_eq!(next.check(), Ok(()));
                prop_assert_eq!(next.predecessor, at);
                let all = next.voters.len() + next.learners.len();
                prop_assert_eq!(usize::from(next.target_size), all, "{:?}", numbers(&next.voters));
                config = next;
            }
        }
    }
}
