//! Ordered effects of the election, by equality, and the quorums, by trying them all.

mod ballots;
mod quorums;
mod timing;

use std::{vec, vec::Vec};

use crate::{
    Effect, Effects, Election, Electorate, EntryId, HardState, Index, Input, Message, Micros, Mode,
    NodeId, Role, StoreId, Term, Timing, VoterId,
};

const TIMING: Timing = Timing {
    election_timeout: Micros::from_millis(150),
    slot: Micros::from_millis(40),
    jitter: Micros::from_millis(30),
    quorum_silence: Micros::from_millis(300),
};

fn voter(node: u64) -> VoterId {
    VoterId { node: NodeId(node), store: StoreId(u128::from(node) << 64) }
}

fn at(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

fn hard_state(term: u64, voted_for: Option<u64>) -> Effect {
    Effect::Persist(HardState { term: Term(term), voted_for: voted_for.map(voter) })
}

fn role(role: Role, term: u64, leader: Option<u64>) -> Effect {
    Effect::Role { role, term: Term(term), leader: leader.map(NodeId) }
}

fn to(node: u64, message: Message) -> Effect {
    Effect::Send { to: NodeId(node), message }
}

fn pre_vote(term: u64, last: EntryId) -> Message {
    Message::PreVote { term: Term(term), last }
}

fn pre_vote_answer(term: u64, granted: bool) -> Message {
    Message::PreVoteAnswer { term: Term(term), granted }
}

fn vote(term: u64, last: EntryId) -> Message {
    Message::Vote { term: Term(term), last, transfer: false }
}

fn vote_answer(term: u64, granted: bool) -> Message {
    Message::VoteAnswer { term: Term(term), granted }
}

/// Node 1, with a clock.
struct Node {
    election: Election,
    now: Micros,
}

impl Node {
    /// Of `voters` in the mode of their number, in `term`, its last entry `last`.
    fn new(voters: u64, term: u64, last: EntryId) -> Self {
        let mode = match voters {
            1 => Mode::Solo,
            2 => Mode::Pair,
            _ => Mode::Majority,
        };
        Self::with(mode, voters, term, last)
    }

    fn with(mode: Mode, voters: u64, term: u64, last: EntryId) -> Self {
        let electorate = Electorate::new(mode, (1..=voters).map(NodeId).collect()).unwrap();
        let hard_state = HardState { term: Term(term), voted_for: None };
        let election = Election::new(voter(1), hard_state, electorate, TIMING, 1);
        let mut node = Self { election, now: Micros::from_millis(1_000) };
        assert_eq!(node.input(Input::Last(last)), []);
        assert_eq!(node.input(Input::Electable(true)), []);
        node
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Effects::new();
        self.election.handle(self.now, input, &mut effects);
        effects
    }

    fn hear(&mut self, from: u64, message: Message) -> Vec<Effect> {
        self.input(Input::Message { from: voter(from), message })
    }

    fn follow(&mut self, leader: u64, term: u64) -> Vec<Effect> {
        self.input(Input::LeaderHeard { leader: voter(leader), term: Term(term) })
    }

    /// Sleep until the deadline, and wake.
    fn wake(&mut self) -> Vec<Effect> {
        assert!(self.election.deadline() < Micros(u64::MAX), "something is due some day");
        self.now = self.now.max(self.election.deadline());
        self.input(Input::Wake)
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.plus(Micros::from_millis(millis));
    }

    /// Elected with the vote of 2.
    fn lead(voters: u64) -> Self {
        let mut node = Self::new(voters, 1, at(1, 3));
        node.wake();
        node.hear(2, pre_vote_answer(2, true));
        if voters > 3 {
            node.hear(3, pre_vote_answer(2, true));
            node.hear(3, vote_answer(2, true));
        }
        node.input(Input::HardStateDurable);
        let effects = node.hear(2, vote_answer(2, true));
        assert_eq!(effects, vec![role(Role::Leader, 2, Some(1))]);
        node
    }
}
