//! When it is time to stand, to ask again, and to give up.

use super::*;

#[test]
fn an_early_wake_does_nothing() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.now = Micros(node.election.deadline().0 - 1);
    assert_eq!(node.input(Input::Wake), []);
    node.now = node.election.deadline();
    assert_eq!(node.input(Input::Wake).len(), 3);
}

#[test]
fn the_only_voter_elects_itself_at_once() {
    let mut node = Node::new(1, 0, at(0, 0));
    assert_eq!(node.election.deadline(), node.now, "nobody to wait for");
    assert_eq!(node.wake(), [hard_state(1, Some(1)), role(Role::Candidate, 1, None)]);
    assert_eq!(node.input(Input::HardStateDurable), [role(Role::Leader, 1, Some(1))]);
}

#[test]
fn ranks_count_from_the_leader_that_is_gone() {
    // Of 1, 2, 3 behind leader 3, node 1 is the next; behind leader 2 it is the one after.
    for (leader, rank) in [(3, 0), (2, 1)] {
        let mut node = Node::new(3, 1, at(1, 3));
        node.follow(leader, 1);
        let patience = node.election.deadline().since(node.now);
        let earliest = 150_000 + 40_000 * rank;
        assert!((earliest..=earliest + 30_000).contains(&patience.0), "rank {rank}: {patience:?}");
    }
}

#[test]
fn a_heard_leader_puts_the_campaign_off() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(3, 1);
    let first = node.election.deadline();
    node.wait(50);
    assert_eq!(node.follow(3, 1), []);
    assert_eq!(node.election.deadline(), first.plus(Micros::from_millis(50)));
}

#[test]
fn a_lost_link_only_starts_the_question_early() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(3, 1);
    assert_eq!(node.input(Input::LinkLost(NodeId(2))), [], "that is not the leader");
    assert_eq!(
        node.input(Input::LinkLost(NodeId(3))),
        [
            to(2, pre_vote(2, at(1, 3))),
            to(3, pre_vote(2, at(1, 3))),
            role(Role::PreCandidate, 1, None)
        ]
    );
    // Others still hear the leader and refuse; it goes on following.
    assert_eq!(node.hear(2, pre_vote_answer(1, false)), []);
    assert_eq!(node.follow(3, 1), [role(Role::Follower, 1, Some(3))]);
}

#[test]
fn a_leader_that_steps_down_is_forgotten_and_ranks_stand_in_turn() {
    // Rank 0 now, rank 1 a slot later.
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(3, 1);
    assert_eq!(node.input(Input::SteppedDown(NodeId(3)))[2], role(Role::PreCandidate, 1, None));

    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(2, 1);
    assert_eq!(node.input(Input::SteppedDown(NodeId(2))), [role(Role::Follower, 1, None)]);
    assert_eq!(node.election.deadline().since(node.now), TIMING.slot);
    assert_eq!(
        node.hear(3, pre_vote(2, at(1, 3))),
        [to(3, pre_vote_answer(2, true))],
        "loyal to nobody"
    );
}

#[test]
fn a_pre_candidate_believes_in_no_leader() {
    // Research trap 30.
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(2, 1);
    node.wake();
    assert_eq!(node.election.leader(), None);
    assert_eq!(node.hear(3, pre_vote(2, at(1, 3))), [to(3, pre_vote_answer(2, true))]);
}

#[test]
fn questions_are_repeated_to_those_who_did_not_say_yes() {
    let mut node = Node::new(5, 1, at(1, 3));
    node.wake();
    node.hear(2, pre_vote_answer(2, true));
    let again = node.wake();
    let question = pre_vote(2, at(1, 3));
    assert_eq!(again, [to(3, question), to(4, question), to(5, question)]);
}

#[test]
fn a_lost_round_ends_in_asking_again_not_in_a_higher_term() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    node.hear(2, pre_vote_answer(2, true));
    node.input(Input::HardStateDurable);
    let end = node.now.plus(Micros::from_millis(600));
    while node.now < end && node.election.role() == Role::Candidate {
        node.wake();
    }
    assert_eq!(node.election.role(), Role::PreCandidate);
    assert_eq!(node.election.term(), Term(2));
}

#[test]
fn a_leader_that_hears_no_quorum_steps_down() {
    // Research trap 28: it must be silent, not only useless.
    let mut node = Node::lead(3);
    let elected = node.now;
    while node.now.since(elected) < Micros::from_millis(260) {
        node.input(Input::Answered { from: NodeId(3) });
        assert_eq!(node.wake(), [], "one other is a quorum of three");
    }
    let silent = node.now;
    let effects = loop {
        let effects = node.wake();
        if !effects.is_empty() {
            break effects;
        }
    };
    assert_eq!(effects, [role(Role::Follower, 2, None)]);
    let span = node.now.since(silent);
    assert!(span <= Micros::from_millis(340), "within the silence and a slot: {span:?}");
}

#[test]
fn who_may_not_be_elected_waits_without_a_deadline() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    assert_eq!(node.input(Input::Electable(false)), [role(Role::Follower, 1, None)]);
    assert_eq!(node.election.deadline(), Micros(u64::MAX));
    assert_eq!(node.hear(2, vote(2, at(1, 3)))[1], to(2, vote_answer(2, true)), "it still votes");
}

#[test]
fn one_seed_one_history() {
    let run = |seed| {
        let electorate = Electorate::new(Mode::Majority, (1..=3).map(NodeId).collect()).unwrap();
        let mut election = Election::new(voter(1), HardState::default(), electorate, TIMING, seed);
        let mut effects = Effects::new();
        election.handle(Micros(0), Input::Electable(true), &mut effects);
        let mut deadlines = Vec::new();
        for _ in 0..20 {
            deadlines.push(election.deadline());
            election.handle(election.deadline(), Input::Wake, &mut effects);
        }
        deadlines
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// The patience of rank 0 behind leader 3, jitter aside, when the world goes at this pace.
fn patience(node: &mut Node, rtt: u64, fsync: u64) -> u64 {
    assert_eq!(node.input(Input::Pace { rtt: Micros(rtt), fsync: Micros(fsync) }), []);
    node.election.timing().election_timeout.0
}

#[test]
fn timeouts_follow_the_pace_of_the_world_within_their_bounds() {
    let mut node = Node::new(3, 1, at(1, 3));
    assert_eq!(patience(&mut node, 500, 2_000), 150_000, "never below the configured one");
    assert_eq!(patience(&mut node, 5_000, 10_000), 150_000, "ten of both");
    assert_eq!(patience(&mut node, 10_000, 10_000), 225_000, "and an eighth more");
    assert_eq!(node.election.timing().quorum_silence, Micros(450_000), "all in proportion");
    assert_eq!(patience(&mut node, 12_000, 10_500), 225_000, "which is enough for this");
    assert_eq!(patience(&mut node, 10_000, 6_000), 225_000, "a little quicker changes nothing");
    assert_eq!(patience(&mut node, 9_000, 5_000), 150_000, "much quicker does");
    assert_eq!(patience(&mut node, 40_000, 40_000), 500_000, "the world may be slower than that");
    assert_eq!(patience(&mut node, u64::MAX, u64::MAX), 500_000);
    assert_eq!(patience(&mut node, 0, 0), 150_000);
    assert_eq!(node.election.timing().quorum_silence, Micros(300_000));
}

#[test]
fn who_waits_for_a_leader_waits_at_the_new_pace() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(3, 1);
    let heard = node.now;
    node.wait(100);
    patience(&mut node, 20_000, 10_000);
    let waits = node.election.deadline().since(heard).0;
    assert!((337_500..=367_500).contains(&waits), "{waits}");
    // And stays loyal for as long.
    node.wait(200);
    assert_eq!(node.hear(2, pre_vote(2, at(1, 3))), [to(2, pre_vote_answer(1, false))]);
    node.wait(37);
    assert_eq!(node.hear(2, pre_vote(2, at(1, 3))), [to(2, pre_vote_answer(1, false))]);
    node.wait(1);
    assert_eq!(node.hear(2, pre_vote(2, at(1, 3))), [to(2, pre_vote_answer(2, true))]);
    // A leader that is gone stays gone.
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(2, 1);
    node.input(Input::LinkLost(NodeId(2)));
    let deadline = node.election.deadline();
    patience(&mut node, 20_000, 20_000);
    assert_eq!(node.election.deadline(), deadline);
}

#[test]
fn after_a_lost_round_every_candidate_draws_another_wait() {
    let mut waits = std::collections::BTreeSet::new();
    let mut node = Node::new(5, 1, at(1, 3));
    for _ in 0..8 {
        let term = node.election.term().0 + 1;
        while node.election.role() != Role::PreCandidate {
            node.wake();
        }
        node.hear(2, pre_vote_answer(term, true));
        node.hear(3, pre_vote_answer(term, true));
        assert_eq!(node.election.role(), Role::Candidate);
        node.input(Input::HardStateDurable);
        let since = node.now;
        while node.election.role() == Role::Candidate {
            node.wake();
        }
        let waited = node.now.since(since).0;
        assert!((150_000..=340_000).contains(&waited), "a rank and the jitter: {waited}");
        waits.insert(waited / 40_000);
    }
    assert!(waits.len() >= 3, "the ranks differ: {waits:?}");
}
