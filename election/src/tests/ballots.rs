//! Who votes for whom, and what is on disk before it is said.

use super::*;

#[test]
fn a_vote_is_written_before_it_is_given() {
    // Research traps 1 and 2: one record with term and vote, then the answer.
    let mut node = Node::new(3, 1, at(1, 3));
    let effects = node.hear(2, vote(2, at(1, 3)));
    assert_eq!(
        effects,
        [hard_state(2, Some(2)), to(2, vote_answer(2, true)), role(Role::Follower, 2, None)]
    );
}

#[test]
fn a_vote_is_given_once_per_term_and_repeated_to_the_same_candidate() {
    // Research trap 3: the vote stays for as long as the term does.
    let mut node = Node::new(3, 1, at(1, 3));
    node.hear(2, vote(2, at(1, 3)));
    assert_eq!(node.hear(3, vote(2, at(1, 9))), [to(3, vote_answer(2, false))]);
    assert_eq!(node.hear(2, vote(2, at(1, 3))), [to(2, vote_answer(2, true))]);
    // It hears a leader, loses it, is asked again in the same term: the vote is still given.
    node.follow(2, 2);
    node.wait(1_000);
    assert_eq!(node.hear(3, vote(2, at(1, 9))), [to(3, vote_answer(2, false))]);
}

#[test]
fn the_same_node_on_another_disk_is_another_candidate() {
    // Research trap 18.
    let mut node = Node::new(3, 1, at(1, 3));
    node.hear(2, vote(2, at(1, 3)));
    let wiped = VoterId { node: NodeId(2), store: StoreId(99) };
    let effects = node.input(Input::Message { from: wiped, message: vote(2, at(1, 3)) });
    assert_eq!(effects, [to(2, vote_answer(2, false))]);
}

#[test]
fn a_shorter_log_gets_no_vote_but_its_term_is_adopted() {
    let mut node = Node::new(3, 2, at(2, 3));
    for last in [at(1, 9), at(2, 2)] {
        let term = node.election.term().0 + 1;
        let effects = node.hear(2, vote(term, last));
        assert_eq!(
            effects,
            [
                hard_state(term, None),
                to(2, vote_answer(term, false)),
                role(Role::Follower, term, None)
            ]
        );
    }
    // An older last term loses against a longer log of it, an equal log wins.
    assert_eq!(node.hear(3, vote(4, at(2, 3)))[1], to(3, vote_answer(4, true)));
}

#[test]
fn an_older_term_is_answered_with_the_newer() {
    // Research trap 29: nothing of an older term is dropped, all of it is answered.
    let mut node = Node::new(3, 5, at(1, 3));
    assert_eq!(node.hear(2, vote(4, at(4, 9))), [to(2, vote_answer(5, false))]);
    assert_eq!(node.hear(2, pre_vote(4, at(4, 9))), [to(2, pre_vote_answer(5, false))]);
}

#[test]
fn a_refused_pre_candidate_adopts_the_higher_term() {
    // Research trap 29: a longer log in an older term must get to stand in the newer one.
    let mut node = Node::new(3, 2, at(2, 9));
    node.wake();
    let effects = node.hear(3, pre_vote_answer(7, false));
    assert_eq!(effects, [hard_state(7, None), role(Role::Follower, 7, None)]);
    let waited = node.election.deadline().since(node.now);
    assert!(waited <= TIMING.jitter, "it stands again soon");
    assert_eq!(
        node.wake(),
        [
            to(2, pre_vote(8, at(2, 9))),
            to(3, pre_vote(8, at(2, 9))),
            role(Role::PreCandidate, 7, None)
        ]
    );
}

#[test]
fn asking_before_an_election_changes_nothing() {
    let mut node = Node::new(3, 1, at(1, 3));
    let deadline = node.election.deadline();
    assert_eq!(node.hear(2, pre_vote(2, at(1, 3))), [to(2, pre_vote_answer(2, true))]);
    assert_eq!(node.hear(3, pre_vote(2, at(1, 4))), [to(3, pre_vote_answer(2, true))]);
    assert_eq!(node.hear(3, pre_vote(2, at(1, 2))), [to(3, pre_vote_answer(1, false))]);
    assert_eq!((node.election.term(), node.election.deadline()), (Term(1), deadline));
}

#[test]
fn a_candidate_counts_its_own_vote_when_it_is_durable() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    let effects = node.hear(2, pre_vote_answer(2, true));
    assert_eq!(
        effects,
        [
            hard_state(2, Some(1)),
            to(2, vote(2, at(1, 3))),
            to(3, vote(2, at(1, 3))),
            role(Role::Candidate, 2, None)
        ]
    );
    assert_eq!(node.hear(2, vote_answer(2, true)), [], "a majority, but not with its own vote");
    assert_eq!(node.input(Input::HardStateDurable), [role(Role::Leader, 2, Some(1))]);
}

#[test]
fn answers_to_another_term_elect_nobody() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    assert_eq!(node.hear(2, pre_vote_answer(3, true)), []);
    node.hear(2, pre_vote_answer(2, true));
    node.input(Input::HardStateDurable);
    assert_eq!(node.hear(2, vote_answer(1, true)), []);
    assert_eq!(node.hear(9, vote_answer(2, true)), [], "it has no vote");
    assert_eq!(node.election.role(), Role::Candidate);
}

#[test]
fn who_hears_a_leader_deposes_it_for_nobody() {
    // Research trap 27, and 23: a removed node cannot disturb.
    let mut node = Node::new(3, 1, at(1, 3));
    node.follow(2, 1);
    node.wait(149);
    assert_eq!(node.hear(3, pre_vote(2, at(1, 9))), [to(3, pre_vote_answer(1, false))]);
    assert_eq!(node.hear(3, vote(9, at(1, 9))), [to(3, vote_answer(1, false))]);
    assert_eq!(node.election.term(), Term(1), "nor does the term move");
    node.wait(1);
    assert_eq!(node.hear(3, pre_vote(2, at(1, 9))), [to(3, pre_vote_answer(2, true))]);
}

#[test]
fn a_leader_helps_nobody_else_either() {
    let mut node = Node::lead(3);
    assert_eq!(node.hear(3, pre_vote(3, at(1, 9))), [to(3, pre_vote_answer(2, false))]);
    assert_eq!(node.hear(3, vote(3, at(1, 9))), [to(3, vote_answer(2, false))]);
    assert_eq!(node.election.role(), Role::Leader);
}

#[test]
fn a_hand_over_overrides_loyalty_for_one_term() {
    // Research trap 34: the flag counts for the leader's own term and no other.
    let mut node = Node::new(3, 4, at(1, 3));
    node.follow(2, 4);
    let transfer = |term| Message::Vote { term: Term(term), last: at(1, 3), transfer: true };
    assert_eq!(node.hear(3, transfer(6)), [to(3, vote_answer(4, false))]);
    assert_eq!(
        node.hear(3, transfer(5)),
        [hard_state(5, Some(3)), to(3, vote_answer(5, true)), role(Role::Follower, 5, None)]
    );
}

#[test]
fn who_is_handed_to_stands_at_once() {
    let mut node = Node::new(3, 4, at(1, 3));
    node.follow(2, 4);
    let message = Message::Vote { term: Term(5), last: at(1, 3), transfer: true };
    assert_eq!(
        node.input(Input::HandedOver),
        [hard_state(5, Some(1)), to(2, message), to(3, message), role(Role::Candidate, 5, None)]
    );
}

#[test]
fn a_leader_of_a_newer_term_is_followed_and_of_the_same_term_ends_the_race() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    assert_eq!(node.follow(2, 1), [role(Role::Follower, 1, Some(2))]);
    assert_eq!(node.follow(3, 4), [hard_state(4, None), role(Role::Follower, 4, Some(3))]);
    assert_eq!(node.follow(2, 1), [], "an old leader is nobody's");
}

#[test]
fn a_leader_steps_down_for_a_higher_term_in_any_answer() {
    let mut node = Node::lead(3);
    let effects = node.input(Input::TermSeen(Term(8)));
    assert_eq!(effects, [hard_state(8, None), role(Role::Follower, 8, None)]);
}

#[test]
fn in_a_pair_both_must_vote() {
    let mut node = Node::new(2, 1, at(1, 3));
    assert_eq!(node.wake()[0], to(2, pre_vote(2, at(1, 3))));
    node.hear(2, pre_vote_answer(2, true));
    assert_eq!(node.input(Input::HardStateDurable), []);
    assert_eq!(node.hear(2, vote_answer(2, true)), [role(Role::Leader, 2, Some(1))]);
}

#[test]
fn the_armed_survivor_elects_itself_and_the_other_cannot() {
    let survivor = |node| Mode::Armed { survivor: NodeId(node) };
    let mut node = Node::with(survivor(1), 2, 1, at(1, 3));
    assert_eq!(node.wake()[0], hard_state(2, Some(1)), "no need to ask");
    assert_eq!(node.input(Input::HardStateDurable), [role(Role::Leader, 2, Some(1))]);

    let mut node = Node::with(survivor(2), 2, 1, at(1, 3));
    assert_eq!(node.wake()[0], to(2, pre_vote(2, at(1, 3))));
    assert_eq!(node.wake()[0], to(2, pre_vote(2, at(1, 3))), "and again, for ever");
}

/// Research trap 26: what counts is the newest configuration in its log.
#[test]
fn a_node_without_a_vote_never_stands() {
    let mut node = Node::new(3, 1, at(1, 3));
    let others = Electorate::new(Mode::Pair, vec![NodeId(2), NodeId(3)]).unwrap();
    node.input(Input::Electorate(others));
    assert_eq!(node.election.deadline(), Micros(u64::MAX));
    node.wait(10_000);
    assert_eq!(node.input(Input::Wake), []);
    assert_eq!(node.input(Input::HandedOver), []);
}

#[test]
fn a_candidate_that_loses_its_vote_stops_asking() {
    let mut node = Node::new(3, 1, at(1, 3));
    node.wake();
    let others = Electorate::new(Mode::Pair, vec![NodeId(2), NodeId(3)]).unwrap();
    assert_eq!(node.input(Input::Electorate(others)), [role(Role::Follower, 1, None)]);
    assert_eq!(node.hear(2, pre_vote_answer(2, true)), []);
}
