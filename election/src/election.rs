//! The machine: every input in every role, and what follows from it.

use alloc::collections::BTreeSet;

use crate::{
    Effect, Effects, Electorate, EntryId, HardState, Input, Message, Micros, NodeId, Role, Term,
    Timing, VoterId,
    role::{Candidate, Follower, Leader, PreCandidate, State},
    timer::Timer,
};

const NEVER: Micros = Micros(u64::MAX);

/// One voter's part in elections.
#[derive(Clone, Debug)]
pub struct Election {
    me: VoterId,
    hard_state: HardState,
    last: EntryId,
    /// No lower than `last`.
    floor: EntryId,
    electorate: Electorate,
    electable: bool,
    state: State,
    timer: Timer,
    announced: (Role, Term, Option<NodeId>),
}

impl Election {
    /// A follower of nobody, that may not stand yet: [`Input::Last`] and [`Input::Electable`] follow.
    #[must_use]
    pub fn new(
        me: VoterId,
        hard_state: HardState,
        electorate: Electorate,
        timing: Timing,
        seed: u64,
    ) -> Self {
        let state = State::Follower(Follower {
            leader: None,
            heard: Micros(0),
            patience: NEVER,
            suspected: false,
            campaign_at: NEVER,
        });
        Self {
            me,
            hard_state,
            last: EntryId::default(),
            floor: EntryId::default(),
            electorate,
            electable: false,
            state,
            timer: Timer::new(timing, seed),
            announced: (Role::Follower, hard_state.term, None),
        }
    }

    /// Take one input and append what is to be done about it.
    pub fn handle(&mut self, now: Micros, input: Input, effects: &mut Effects) {
        match input {
            Input::Wake => self.wake(now, effects),
            Input::Message { from, message } => self.message(now, from, message, effects),
            Input::LeaderHeard { leader, term } => self.leader_heard(now, leader, term, effects),
            Input::Answered { from } => self.answered(now, from),
            Input::TermSeen(term) => self.term_seen(now, term, effects),
            Input::HardStateDurable => self.own_vote_durable(now),
            Input::LinkLost(peer) => self.leader_gone(now, peer, false, effects),
            Input::SteppedDown(peer) => self.leader_gone(now, peer, true, effects),
            Input::HandedOver => self.handed_over(now, effects),
            Input::StepDown => self.step_down(now),
            Input::Last(last) => (self.last, self.floor) = (last, last),
            Input::Floor(floor) => self.floor = self.last.max(floor),
            Input::Electorate(electorate) => self.set_electorate(now, electorate),
            Input::Electable(electable) => self.set_electable(now, electable),
            Input::Pace { rtt, fsync } => self.set_pace(rtt, fsync),
        }
        self.announce(effects);
    }

    /// When to wake it at the latest.
    #[must_use]
    pub fn deadline(&self) -> Micros {
        match &self.state {
            State::Follower(_) if !self.may_stand() => NEVER,
            State::Follower(follower) => follower.campaign_at,
            State::PreCandidate(asking) => asking.ask_again_at,
            State::Candidate(asking) => asking.ask_again_at.min(asking.give_up_at),
            State::Leader(leader) => leader.check_at,
        }
    }

    /// The part played now.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.state.role()
    }

    /// The newest term seen.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The spans in force: those configured, drawn out to the pace of the world.
    #[must_use]
    pub const fn timing(&self) -> &Timing {
        self.timer.timing()
    }

    /// Whom this node follows, or itself when it leads.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Follower(follower) => follower.leader.map(|leader| leader.node),
            State::Leader(_) => Some(self.me.node),
            State::PreCandidate(_) | State::Candidate(_) => None,
        }
    }

    /// Hears a leader, and so deposes it for nobody.
    #[must_use]
    pub fn hears_leader(&self, now: Micros) -> bool {
        match &self.state {
            State::Leader(_) => true,
            State::Follower(follower) => {
                follower.leader.is_some()
                    && !follower.suspected
                    && now.since(follower.heard) < self.timer.timing().election_timeout
            }
            State::PreCandidate(_) | State::Candidate(_) => false,
        }
    }

    fn wake(&mut self, now: Micros, effects: &mut Effects) {
        if now < self.deadline() {
            return;
        }
        match &mut self.state {
            State::Follower(_) => self.campaign(now, effects),
            State::PreCandidate(asking) => {
                asking.ask_again_at = again(now, &mut self.timer);
                self.ask(effects);
            }
            State::Candidate(asking) if asking.give_up_at <= now => self.campaign(now, effects),
            State::Candidate(asking) => {
                asking.ask_again_at = again(now, &mut self.timer);
                self.ask(effects);
            }
            State::Leader(_) => self.check_quorum(now),
        }
    }

    fn message(&mut self, now: Micros, from: VoterId, message: Message, effects: &mut Effects) {
        match message {
            Message::PreVote { term, last } => self.pre_vote(now, from, (term, last), effects),
            Message::PreVoteAnswer { term, granted: true } => {
                self.pre_vote_granted(now, from, term, effects);
            }
            Message::Vote { term, last, transfer } => {
                self.vote(now, from, (term, last, transfer), effects);
            }
            Message::VoteAnswer { term, granted: true } if term == self.term() => {
                self.vote_granted(now, from);
            }
            Message::PreVoteAnswer { term, granted: false } | Message::VoteAnswer { term, .. } => {
                self.term_seen(now, term, effects);
            }
        }
    }

    /// Would this node vote so? Nothing changes, not even the timer.
    fn pre_vote(
        &self,
        now: Micros,
        from: VoterId,
        (term, last): (Term, EntryId),
        effects: &mut Effects,
    ) {
        let granted = !self.hears_leader(now) && self.is_free(from, term) && last >= self.floor;
        let term = if granted { term } else { self.term() };
        send(effects, from.node, Message::PreVoteAnswer { term, granted });
    }

    fn pre_vote_granted(&mut self, now: Micros, from: VoterId, term: Term, effects: &mut Effects) {
        let asked = self.term().next();
        let State::PreCandidate(asking) = &mut self.state else { return };
        if term != asked {
            return;
        }
        asking.granted.insert(from.node);
        if self.electorate.elects(|node| asking.granted.contains(&node)) {
            self.stand(now, false, effects);
        }
    }

    fn vote(
        &mut self,
        now: Micros,
        from: VoterId,
        (term, last, transfer): (Term, EntryId, bool),
        effects: &mut Effects,
    ) {
        // A hand-over counts only if it is the leader of this node's own term that handed over.
        let handed_over = transfer && term <= self.term().next();
        let refused = self.hears_leader(now) && !handed_over;
        let granted = !refused && self.is_free(from, term) && last >= self.floor;
        if granted {
            let hard_state = HardState { term, voted_for: Some(from) };
            if hard_state != self.hard_state {
                self.persist(hard_state, effects);
                let campaign_at = now.plus(self.timer.patience(self.rank(None)));
                self.follow_nobody(now, campaign_at);
            }
        } else if !refused {
            self.term_seen(now, term, effects);
        }
        send(effects, from.node, Message::VoteAnswer { term: self.term(), granted });
    }

    fn vote_granted(&mut self, now: Micros, from: VoterId) {
        if let State::Candidate(asking) = &mut self.state {
            asking.granted.insert(from.node);
            self.count_votes(now);
        }
    }

    fn own_vote_durable(&mut self, now: Micros) {
        let State::Candidate(asking) = &mut self.state else { return };
        if !asking.granted.insert(self.me.node) {
            return;
        }
        // The others' answers could not come before; the round is measured from here.
        let count = u64::try_from(self.electorate.voters().len()).unwrap_or(u64::MAX);
        let rank = self.timer.random_rank(count);
        asking.give_up_at = now.plus(self.timer.patience(rank));
        self.count_votes(now);
    }

    fn count_votes(&mut self, now: Micros) {
        let State::Candidate(asking) = &self.state else { return };
        // Without its own vote it has none of its own on disk to show for the term.
        let durable = asking.granted.contains(&self.me.node);
        if durable && self.electorate.elects(|node| asking.granted.contains(&node)) {
            assert_eq!(self.hard_state.voted_for, Some(self.me), "a leader voted for itself");
            let heard = self.electorate.voters().iter().map(|node| (*node, now)).collect();
            let check_at = now.plus(self.timer.timing().slot);
            self.state = State::Leader(Leader { heard, check_at });
        }
    }

    fn leader_heard(&mut self, now: Micros, leader: VoterId, term: Term, effects: &mut Effects) {
        if term < self.term() || (term == self.term() && self.role() == Role::Leader) {
            return;
        }
        self.term_seen(now, term, effects);
        if let State::Follower(follower) = &mut self.state
            && follower.leader == Some(leader)
        {
            follower.heard = now;
            follower.suspected = false;
            follower.campaign_at = now.plus(follower.patience);
            return;
        }
        let rank = self.rank(Some(leader.node));
        let patience = self.timer.patience(rank);
        self.state = State::Follower(Follower {
            leader: Some(leader),
            heard: now,
            patience,
            suspected: false,
            campaign_at: now.plus(patience),
        });
    }

    fn answered(&mut self, now: Micros, from: NodeId) {
        if let State::Leader(leader) = &mut self.state
            && let Some(heard) = leader.heard.get_mut(&from)
        {
            *heard = now;
        }
    }

    /// Adopt a higher term, without a vote in it (research trap 29). Timers of a follower run on: a
    /// term is no sign of a leader.
    fn term_seen(&mut self, now: Micros, term: Term, effects: &mut Effects) {
        if term <= self.term() {
            return;
        }
        self.persist(HardState { term, voted_for: None }, effects);
        let campaign_at = match &self.state {
            State::Follower(follower) => follower.campaign_at,
            // It was about to be elected in an older term: try again soon.
            State::PreCandidate(_) | State::Candidate(_) => now.plus(self.timer.jitter()),
            State::Leader(_) => now.plus(self.timer.patience(self.rank(None))),
        };
        self.follow_nobody(now, campaign_at);
    }

    /// The link to the leader is gone (`stepped_down`: and so is the leader). Ranks stand one after
    /// the other, the first one now.
    fn leader_gone(
        &mut self,
        now: Micros,
        peer: NodeId,
        stepped_down: bool,
        effects: &mut Effects,
    ) {
        let rank = self.rank(Some(peer));
        let wait = self.timer.slots(rank);
        let State::Follower(follower) = &mut self.state else { return };
        if follower.leader.is_none_or(|leader| leader.node != peer) {
            return;
        }
        follower.suspected = true;
        follower.campaign_at = follower.campaign_at.min(now.plus(wait));
        if stepped_down {
            follower.leader = None;
        }
        self.wake(now, effects);
    }

    fn handed_over(&mut self, now: Micros, effects: &mut Effects) {
        if self.may_stand() && self.role() != Role::Leader {
            self.stand(now, true, effects);
        }
    }

    fn step_down(&mut self, now: Micros) {
        if self.role() == Role::Leader {
            let campaign_at = now.plus(self.timer.patience(self.rank(Some(self.me.node))));
            self.follow_nobody(now, campaign_at);
        }
    }

    /// A leader that hears no election quorum leads nobody; it must be silent, or its heartbeats
    /// keep the others from electing (research trap 28).
    fn check_quorum(&mut self, now: Micros) {
        let silence = self.timer.timing().quorum_silence;
        let slot = self.timer.timing().slot;
        let State::Leader(leader) = &mut self.state else { return };
        let me = self.me.node;
        let fresh = |node: NodeId| {
            node == me || leader.heard.get(&node).is_some_and(|heard| now.since(*heard) < silence)
        };
        if self.electorate.elects(fresh) {
            leader.check_at = now.plus(slot);
        } else {
            self.step_down(now);
        }
    }

    fn set_electorate(&mut self, now: Micros, electorate: Electorate) {
        if let State::Leader(leader) = &mut self.state {
            for voter in electorate.voters() {
                leader.heard.entry(*voter).or_insert(now);
            }
            leader.heard.retain(|node, _| electorate.contains(*node));
        }
        self.electorate = electorate;
        let asks = matches!(self.state, State::PreCandidate(_) | State::Candidate(_));
        if asks && !self.may_stand() {
            self.follow_nobody(now, NEVER);
        }
    }

    fn set_electable(&mut self, now: Micros, electable: bool) {
        if self.electable == electable {
            return;
        }
        self.electable = electable;
        let alone = self.electorate.voters() == [self.me.node];
        let patience = self.timer.patience(self.rank(None));
        match &mut self.state {
            // The only voter has nobody to wait for.
            State::Follower(follower) if alone => follower.campaign_at = now,
            State::Follower(follower) => follower.campaign_at = now.plus(patience),
            State::PreCandidate(_) | State::Candidate(_) => self.follow_nobody(now, NEVER),
            State::Leader(_) => {}
        }
    }

    /// Who waits for a silent leader goes by the new spans at once.
    fn set_pace(&mut self, rtt: Micros, fsync: Micros) {
        if !self.timer.set_pace(rtt, fsync) {
            return;
        }
        let rank = self.rank(self.leader());
        let patience = self.timer.patience(rank);
        if let State::Follower(follower) = &mut self.state
            && follower.leader.is_some()
            && !follower.suspected
        {
            follower.patience = patience;
            follower.campaign_at = follower.heard.plus(patience);
        }
    }

    fn campaign(&mut self, now: Micros, effects: &mut Effects) {
        if self.electorate.elects(|node| node == self.me.node) {
            return self.stand(now, false, effects);
        }
        let granted = BTreeSet::from([self.me.node]);
        let ask_again_at = again(now, &mut self.timer);
        self.state = State::PreCandidate(PreCandidate { granted, ask_again_at });
        self.ask(effects);
    }

    /// Stand for election in the next term.
    fn stand(&mut self, now: Micros, transfer: bool, effects: &mut Effects) {
        assert!(self.electorate.contains(self.me.node), "only a voter stands for election");
        self.persist(HardState { term: self.term().next(), voted_for: Some(self.me) }, effects);
        let ask_again_at = again(now, &mut self.timer);
        let give_up_at = now.plus(self.timer.patience(0)).plus(self.timer.timing().quorum_silence);
        let granted = BTreeSet::new();
        self.state = State::Candidate(Candidate { granted, transfer, ask_again_at, give_up_at });
        self.ask(effects);
    }

    /// Ask those who have not said yes yet.
    fn ask(&self, effects: &mut Effects) {
        let last = self.last;
        let (granted, message) = match &self.state {
            State::PreCandidate(asking) => {
                (&asking.granted, Message::PreVote { term: self.term().next(), last })
            }
            State::Candidate(Candidate { granted, transfer, .. }) => {
                (granted, Message::Vote { term: self.term(), last, transfer: *transfer })
            }
            State::Follower(_) | State::Leader(_) => return,
        };
        for voter in self.electorate.voters() {
            if *voter != self.me.node && !granted.contains(voter) {
                send(effects, *voter, message);
            }
        }
    }

    fn follow_nobody(&mut self, now: Micros, campaign_at: Micros) {
        self.state = State::Follower(Follower {
            leader: None,
            heard: now,
            patience: NEVER,
            suspected: false,
            campaign_at,
        });
    }

    fn persist(&mut self, hard_state: HardState, effects: &mut Effects) {
        let newer = hard_state.term > self.hard_state.term;
        let first_vote =
            hard_state.term == self.hard_state.term && self.hard_state.voted_for.is_none();
        assert!(newer || first_vote, "a term never goes back, and a vote never changes within one");
        self.hard_state = hard_state;
        effects.push(Effect::Persist(hard_state));
    }

    fn announce(&mut self, effects: &mut Effects) {
        let (role, term, leader) = (self.role(), self.term(), self.leader());
        if self.announced != (role, term, leader) {
            self.announced = (role, term, leader);
            effects.push(Effect::Role { role, term, leader });
        }
    }

    /// Has the vote of this term not gone to anybody else?
    fn is_free(&self, candidate: VoterId, term: Term) -> bool {
        let vote = self.hard_state.voted_for;
        term > self.term() || (term == self.term() && vote.is_none_or(|voted| voted == candidate))
    }

    fn may_stand(&self) -> bool {
        self.electable && self.electorate.contains(self.me.node)
    }

    /// This node's place among the voters, counted from the one that is gone if one is known: the
    /// next one has rank 0.
    fn rank(&self, gone: Option<NodeId>) -> u64 {
        let voters = self.electorate.voters();
        let place = |node| voters.iter().position(|voter| *voter == node);
        let Some(mine) = place(self.me.node) else { return 0 };
        let rank = match gone.and_then(place) {
            Some(gone) => (mine + voters.len() - gone + voters.len() - 1) % voters.len(),
            None => mine,
        };
        u64::try_from(rank).unwrap_or(u64::MAX)
    }
}

/// When to repeat a question.
fn again(now: Micros, timer: &mut Timer) -> Micros {
    now.plus(timer.timing().slot).plus(timer.jitter())
}

fn send(effects: &mut Effects, to: NodeId, message: Message) {
    effects.push(Effect::Send { to, message });
}
