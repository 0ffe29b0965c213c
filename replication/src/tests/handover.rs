//! Hand-overs: who is told, when, and what becomes of proposals meanwhile.

use election::{Index, Micros, NodeId, Term};

use super::{
    cluster::{Cluster, EPOCH},
    one::{One, append, appended, at, entry, heartbeat, send},
};
use crate::{
    Change, Effect, Effects, Fitness, Input, LinkEvent, Message, Outcome, ProposalId, Refusal,
    Role, Room,
    core::{COOL_DOWN, PAUSE},
};

const FIT: Fitness = Fitness { has_space: true, stalled: false, draining: false };

fn millis(n: u64) -> Micros {
    Micros::from_millis(n)
}

fn answer(round: u64, fitness: Fitness) -> Message {
    Message::HeartbeatAnswer { term: Term(2), round, wall: EPOCH, fitness, level: 1 }
}

fn timeout_now(term: u64) -> Message {
    Message::TimeoutNow { term: Term(term) }
}

/// Who was told to stand.
fn told(effects: &Effects) -> Vec<u64> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message: Message::TimeoutNow { .. }, .. } => Some(to.node.0),
        _ => None,
    });
    told.collect()
}

/// Leads term 2 of three, its first entry committed everywhere; both others are heard and fit.
fn leader() -> One {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    for node in [2, 3] {
        one.hear(node, answer(1, FIT));
        one.hear(node, appended(2, 1));
    }
    one
}

/// Time passes, heartbeats are answered.
fn pass(one: &mut One, span: Micros, fitness: [Fitness; 2]) -> Effects {
    let (until, mut effects) = (one.now.plus(span), Effects::new());
    while one.replica.deadline() <= until {
        one.now = one.replica.deadline();
        effects.extend(one.input(Input::Wake));
        for (node, fitness) in [2, 3].into_iter().zip(fitness) {
            effects.extend(one.hear(node, answer(1, fitness)));
        }
    }
    one.now = until;
    effects
}

fn drain(one: &mut One) -> Effects {
    one.input(Input::Drain { node: NodeId(1), undo: false })
}

fn refusal(effects: &Effects) -> Option<Refusal> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply { outcome: Outcome::NotAccepted(refusal), .. } => Some(*refusal),
        _ => None,
    })
}

/// trap 34: no proposal any more, then the successor holds everything, then it is told.
#[test]
fn trap_34_proposals_stop_before_the_successor_is_told() {
    let mut one = leader();
    one.propose(1, b"the last");
    let log = |one: &One| one.replica.status().last;
    assert_eq!(log(&one), at(2, 2));
    assert_eq!(drain(&mut one), [], "nobody holds it all yet");
    assert_eq!(refusal(&one.propose(2, b"too late")), Some(Refusal::Draining));
    let forward = Message::Forward { id: 7, body: bytes::Bytes::from_static(b"x") };
    let refused = Message::Forwarded { id: 7, outcome: Err(Refusal::Draining) };
    assert_eq!(one.hear(3, forward), [send(3, refused, 1)]);
    assert_eq!(log(&one), at(2, 2), "nothing was taken");
    // The leader's own disk has not written it yet; a successor that has is told all the same.
    let effects = one.hear(3, appended(2, 2));
    assert_eq!(effects.last(), Some(&send(3, timeout_now(2), 1)));
    assert_eq!(told(&one.hear(2, appended(2, 2))), [], "one is told, once");
}

/// trap 34: a hand-over that comes to nothing ends after an election timeout.
#[test]
fn trap_34_a_hand_over_that_comes_to_nothing_is_given_up() {
    let mut one = leader();
    assert_eq!(told(&drain(&mut one)).len(), 1);
    assert_eq!(refusal(&one.propose(1, b"held up")), Some(Refusal::Draining));
    let effects = pass(&mut one, millis(150), [FIT, FIT]);
    assert_eq!(told(&effects), [], "the one that was told did not stand");
    assert_eq!(one.replica.status().role, Role::Leader);
    assert_eq!(refusal(&one.propose(2, b"taken")), None);
    for node in [2, 3] {
        one.hear(node, appended(2, 2));
    }
    let effects = pass(&mut one, Micros(PAUSE.0 - 60_000), [FIT, FIT]);
    assert_eq!(told(&effects), [], "clients get a turn");
    let effects = pass(&mut one, millis(120), [FIT, FIT]);
    assert_eq!(told(&effects).len(), 1, "and then it tries again");
}

/// trap 34: it is bound to the term, and to its leader.
#[test]
fn trap_34_only_the_leader_of_the_term_hands_over() {
    let mut one = One::new(2, vec![entry(2, 1)]);
    one.hear(2, heartbeat(2, 0, 1));
    assert_eq!(one.hear(3, timeout_now(2)), [], "it does not lead");
    assert_eq!(one.hear(2, timeout_now(1)), [], "an old one");
    assert_eq!(one.hear(2, timeout_now(3)), [], "no leader of that term is known");
    assert_eq!(one.replica.status().role, Role::Follower);
    one.hear(2, timeout_now(2));
    let status = one.replica.status();
    assert_eq!((status.role, status.term), (Role::Candidate, Term(3)), "without asking first");
}

fn transfer(one: &mut One, to: Option<u64>) -> Effects {
    let change = Change::Transfer(to.map(NodeId));
    one.input(Input::Reconfigure { id: ProposalId(9), change })
}

#[test]
fn leadership_goes_to_whom_an_operator_names() {
    let mut one = leader();
    assert_eq!(told(&transfer(&mut one, Some(3))), [], "the request has its own place in the log");
    assert_eq!(refusal(&transfer(&mut one, None)), Some(Refusal::Draining), "one at a time");
    assert_eq!(told(&one.hear(2, appended(2, 2))), [], "that is not the one");
    let committed = Effect::Reply { id: ProposalId(9), outcome: Outcome::Committed(Index(2)) };
    let effects = one.sync();
    assert!(effects.contains(&committed), "{effects:?}");
    assert_eq!(told(&one.hear(3, appended(2, 2))), [3]);
}

#[test]
fn a_transfer_to_nobody_is_refused_at_once() {
    let unfit =
        [Fitness { draining: true, ..FIT }, Fitness { stalled: true, has_space: true, ..FIT }];
    let mut one = leader();
    pass(&mut one, millis(100), unfit);
    for to in [None, Some(2), Some(3), Some(4)] {
        assert_eq!(refusal(&transfer(&mut one, to)), Some(Refusal::NoSuccessor), "{to:?}");
    }
    one.input(Input::Link { peer: NodeId(3), event: LinkEvent::Lost });
    pass(&mut one, millis(100), [FIT, unfit[0]]);
    assert_eq!(refusal(&transfer(&mut one, Some(3))), Some(Refusal::NoSuccessor));
    assert_eq!(refusal(&transfer(&mut one, Some(1))), None, "whoever leads already may go on");
    assert_eq!(refusal(&one.propose(1, b"x")), None);

    let mut follower = One::new(2, Vec::new());
    assert_eq!(refusal(&transfer(&mut follower, None)), Some(Refusal::NoLeader));
}

#[test]
fn a_transfer_asked_at_a_follower_is_answered_there() {
    for seed in 0..10 {
        let mut cluster = Cluster::settled(5, seed);
        let old = cluster.leader().unwrap();
        let [asked, to] = [0, 3].map(|n| cluster.peers_of(old)[n]);
        let id = ProposalId(1_000);
        let change = Change::Transfer(Some(to));
        cluster.bodies.insert(id, bytes::Bytes::new());
        cluster.input(asked, Input::Reconfigure { id, change });
        cluster.run_for(millis(50));
        assert_eq!(cluster.leader(), Some(to));
        let outcome = cluster.outcomes[&id];
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
}

#[test]
fn a_drained_node_follows_votes_and_leads_no_more() {
    let mut one = One::new(2, vec![entry(2, 1)]);
    one.hear(2, heartbeat(2, 0, 1));
    for undo in [false, true] {
        let asked = one.input(Input::Drain { node: NodeId(3), undo });
        assert_eq!(asked, [send(3, Message::Drain { undo }, 0)], "it is another one's to do");
    }
    assert!(!one.replica.status().draining);
    one.hear(3, Message::Drain { undo: false });
    assert!(one.replica.status().draining);
    assert_eq!(one.replica.deadline(), Micros(u64::MAX), "it will not stand");
    assert_eq!(one.hear(2, timeout_now(2)), [], "nor take a hand-over");
    let fitness = Fitness { draining: true, ..FIT };
    assert_eq!(one.hear(2, heartbeat(2, 0, 2)), [send(2, answer(2, fitness), 0)]);
    assert_eq!(one.hear(2, append(2, at(2, 1), 0, vec![entry(2, 2)])).len(), 2);
    one.now = one.now.plus(millis(200));
    let vote = Message::Vote { term: Term(3), last: at(2, 2), transfer: false };
    let granted = Message::VoteAnswer { term: Term(3), granted: true };
    assert!(one.hear(3, vote).contains(&send(3, granted, 2)));
}

#[test]
fn a_drain_can_be_undone() {
    let mut one = leader();
    one.propose(3, b"the last");
    assert_eq!(drain(&mut one), [], "nobody holds it all yet");
    assert_eq!(refusal(&one.propose(1, b"held up")), Some(Refusal::Draining));
    let undo = Input::Drain { node: NodeId(1), undo: true };
    assert_eq!(one.input(undo.clone()), []);
    assert_eq!(one.input(undo), [], "said twice, done once");
    assert!(!one.replica.status().draining);
    assert_eq!(refusal(&one.propose(2, b"it leads on")), None);
    for node in [2, 3] {
        assert_eq!(told(&one.hear(node, appended(2, 2))), [], "nobody is to follow it");
    }

    let mut two = One::new(2, vec![entry(2, 1)]);
    two.hear(2, heartbeat(2, 0, 1));
    two.hear(3, Message::Drain { undo: false });
    two.hear(3, Message::Drain { undo: true });
    assert_eq!(two.hear(2, heartbeat(2, 0, 2)), [send(2, answer(2, FIT), 0)]);
    assert!(!two.hear(2, timeout_now(2)).is_empty(), "it takes a hand-over again");
}

#[test]
fn a_leader_that_nobody_can_follow_is_drained_when_somebody_can() {
    let mut one = leader();
    let unfit = [Fitness { draining: true, ..FIT }, Fitness { stalled: true, ..FIT }];
    pass(&mut one, millis(100), unfit);
    assert_eq!(told(&drain(&mut one)), []);
    assert_eq!(refusal(&one.propose(1, b"it leads on meanwhile")), None);
    for node in [2, 3] {
        one.hear(node, appended(2, 2));
    }
    let effects = pass(&mut one, millis(100), [unfit[0], FIT]);
    assert_eq!(told(&effects), [3]);
}

#[test]
fn a_full_leader_hands_over_to_one_with_room_and_not_round_and_round() {
    let mut one = leader();
    let full = Fitness { has_space: false, ..FIT };
    one.input(Input::Space(Room::Low));
    let effects = pass(&mut one, Micros(COOL_DOWN.0 - 60_000), [full, FIT]);
    assert_eq!(told(&effects), [], "it has not led for long");
    assert_eq!(refusal(&one.propose(1, b"x")), Some(Refusal::NoSpace));
    let effects = pass(&mut one, millis(500), [full, full]);
    assert_eq!(told(&effects), [], "nobody has room");
    let effects = pass(&mut one, millis(100), [full, FIT]);
    assert_eq!(told(&effects), [3]);
}

#[test]
fn of_two_successors_the_one_with_room_is_told() {
    for (has_room, node) in [([true, false], 2), ([false, true], 3)] {
        let mut one = leader();
        pass(&mut one, millis(100), has_room.map(|has_space| Fitness { has_space, ..FIT }));
        assert_eq!(told(&drain(&mut one)), [node]);
    }
}

/// trap 32: with a stalled disk it hands over, and goes in any case when nobody takes over.
#[test]
fn trap_32_a_stalled_leader_hands_over_or_goes() {
    let mut one = leader();
    one.propose(1, b"the disk is asked to write this");
    for node in [2, 3] {
        one.hear(node, appended(2, 2));
    }
    let fitness = [FIT, Fitness { stalled: true, ..FIT }];
    let effects = pass(&mut one, millis(999), fitness);
    assert_eq!(told(&effects), []);
    let effects = pass(&mut one, millis(50), fitness);
    assert_eq!(told(&effects), [2]);
    assert_eq!(one.replica.status().role, Role::Leader);
    pass(&mut one, millis(150), [FIT, FIT]);
    assert_eq!(one.replica.status().role, Role::Follower, "it was not deposed: it goes");
    assert_eq!(one.replica.deadline(), Micros(u64::MAX), "and stands for nothing");
}

#[test]
fn a_drained_cluster_member_hands_over_in_milliseconds() {
    for seed in 0..20 {
        let mut cluster = Cluster::settled(5, seed);
        let old = cluster.leader().unwrap();
        let other = cluster.follower();
        let asked: Vec<ProposalId> =
            (0..10).map(|n| cluster.propose(if n % 2 == 0 { old } else { other }, "x")).collect();
        cluster.run_for(Micros(seed * 50));
        cluster.input(other, Input::Drain { node: old, undo: false });
        let since = cluster.now;
        cluster.run_until("a successor", |cluster| {
            cluster.leader().is_some_and(|leader| leader != old)
        });
        assert!(cluster.now.since(since) < millis(20), "{:?}", cluster.now.since(since));
        cluster.run_for(millis(100));
        for id in asked {
            let outcome = cluster.outcomes[&id];
            let drained = outcome == Outcome::NotAccepted(Refusal::Draining);
            assert!(drained || matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
        // Its successors die, and it stands for nothing.
        let next = cluster.leader().unwrap();
        cluster.kill(next, false);
        cluster.run_for(millis(1_000));
        assert!(cluster.leader().is_some_and(|leader| leader != old));
    }
}

/// trap 35: a node that was just started knows no leader; it waits for one before it asks.
#[test]
fn trap_35_a_restarted_node_waits_a_whole_election_timeout() {
    for seed in 0..20 {
        let mut cluster = Cluster::settled(3, seed);
        let (leader, other) = (cluster.leader().unwrap(), cluster.follower());
        let term = cluster.replica(leader).status().term;
        cluster.kill(other, false);
        cluster.run_for(Micros(seed * 3_000));
        cluster.start(other);
        let until = cluster.now.plus(cluster.timing.election_timeout);
        assert!(cluster.replica(other).status().leader.is_none());
        cluster.input(other, Input::Wake);
        assert!(cluster.replica(other).deadline() >= until, "it asks nobody before");
        cluster.run_for(millis(1_000));
        assert_eq!(cluster.leader(), Some(leader));
        assert_eq!(cluster.replica(leader).status().term, term);
    }
}
