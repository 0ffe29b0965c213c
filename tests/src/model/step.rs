//! What may happen next, and what it does: Raft as `election` and `replication` have it, without clocks.
//!
//! What always holds: a step is what one node does between two fsyncs. What a node sent may arrive at
//! any later step, so a step never looks at whether its sender still lives.

use std::fmt;

use super::{
    quorums::Quorums,
    rules::{Bounds, Naive},
    state::{Config, Entry, Leader, Log, Set, State, number},
};

/// One step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// A node stands in its next term.
    Stand { node: usize },
    /// It grants its vote, durably.
    Vote { node: usize, candidate: usize },
    /// The leader of a term appends an entry.
    Append { term: u8 },
    /// And a configuration.
    Change { term: u8, config: Config },
    /// A node, the leader's own too, has the log of this leader on disk up to here, and says so.
    Accept { node: usize, term: u8, end: u8 },
    /// The last entry of a node cannot be read any more; it knows.
    Rot { node: usize },
    /// A naive node stops, and has forgotten something when it is back.
    Crash { node: usize },
}

/// What must never be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Violation {
    TwoLeaders { term: u8 },
    Lost { term: u8, index: u8 },
    Diverged { index: u8 },
    QuorumsApart { old: Config, new: Config },
}

/// The rules, all of them or all but one, within bounds.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) bounds: Bounds,
    pub(super) naive: Option<Naive>,
    quorums: Quorums,
}

/// A state that a step leads to, and what is wrong with it.
pub(super) type Outcome = (State, Option<Violation>);

impl Model {
    pub(super) fn new(bounds: Bounds, naive: Option<Naive>) -> Self {
        bounds.check().expect("these bounds fit the model");
        Self { bounds, naive, quorums: Quorums::of(bounds.nodes, bounds.armed) }
    }

    /// Every step that changes something.
    pub(super) fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        steps.clear();
        for node in 0..self.bounds.nodes {
            self.elections(state, node, steps);
            self.faults(state, node, steps);
        }
        for term in 1..=self.bounds.terms {
            if state.leader(term).node != 0 {
                self.leads(state, term, steps);
            }
        }
    }

    /// The state after a step. Nodes that lead nobody and candidates that nobody hears are forgotten.
    pub(super) fn after(&self, state: &State, step: Step) -> Outcome {
        let mut next = *state;
        let violation = match step {
            Step::Stand { node } => self.stand(&mut next, node),
            Step::Vote { node, candidate } => self.vote(&mut next, node, candidate),
            Step::Append { term } => {
                let entry = Entry { term, config: Config::default() };
                next.leader_mut(term).log.push(entry);
                None
            }
            Step::Change { term, config } => self.change(&mut next, term, config),
            Step::Accept { node, term, end } => self.accept(&mut next, node, term, end),
            Step::Rot { node } => {
                rot(&mut next, node);
                None
            }
            Step::Crash { node } => {
                self.crash(&mut next, node);
                None
            }
        };
        if self.naive != Some(Naive::OldAppend) {
            forget_the_unheard(&mut next, self.bounds.nodes);
        }
        (next, violation)
    }

    fn lacks(&self, naive: Naive) -> bool {
        self.naive == Some(naive)
    }

    fn elections(&self, state: &State, node: usize, steps: &mut Vec<Step>) {
        let me = &state.nodes[node];
        let whole = me.floor <= me.log.last() || self.lacks(Naive::StandsOverTheLost);
        if me.term < self.bounds.terms && whole && self.voters(state, node).contains(node) {
            steps.push(Step::Stand { node });
        }
        for candidate in 0..self.bounds.nodes {
            let other = &state.nodes[candidate];
            let asked = candidate != node && other.votes != Set::default();
            let asked = asked && self.voters(state, candidate).contains(node);
            let free = other.term > me.term || (other.term == me.term && me.vote == 0);
            let last = if self.lacks(Naive::VoteOverTheLost) {
                me.log.last()
            } else {
                me.log.last().max(me.floor)
            };
            let long = other.log.last() >= last || self.lacks(Naive::VoteForAnyLog);
            if asked && free && long {
                steps.push(Step::Vote { node, candidate });
            }
        }
    }

    fn faults(&self, state: &State, node: usize, steps: &mut Vec<Step>) {
        if state.faults >= self.bounds.faults {
            return;
        }
        let crashes = [Naive::VoteForgotten, Naive::AcknowledgedEarly, Naive::SameNumber].map(Some);
        if crashes.contains(&self.naive) {
            steps.push(Step::Crash { node });
        } else if state.nodes[node].log.len() > 0 {
            steps.push(Step::Rot { node });
        }
    }

    fn leads(&self, state: &State, term: u8, steps: &mut Vec<Step>) {
        let leader = state.leader(term);
        if leader.log.len() < self.bounds.entries {
            steps.push(Step::Append { term });
            self.changes(state, term, steps);
        }
        for node in 0..self.bounds.nodes {
            if state.nodes[node].term > term && !self.lacks(Naive::OldAppend) {
                continue;
            }
            let again = self.lacks(Naive::OldAppend) || self.lacks(Naive::TruncatesAlways);
            let same = state.nodes[node].log.common(&leader.log).min(leader.matched[node]);
            let first = if again { 1 } else { same + 1 };
            steps.extend((first..=leader.log.len()).map(|end| Step::Accept { node, term, end }));
        }
    }

    /// The preconditions of a change (research trap 20), and where it may lead (trap 21).
    fn changes(&self, state: &State, term: u8, steps: &mut Vec<Step>) {
        let leader = state.leader(term);
        let (at, config) = self.in_force(&leader.log);
        let own = leader.commit > 0;
        let known = own && at <= leader.commit;
        let may = match self.naive {
            Some(Naive::TwoChanges) => own,
            Some(Naive::NoOwnEntry) => {
                at <= state.committed.len() && leader.log.common(&state.committed) >= at
            }
            _ => known,
        };
        if !may || leader.log.configs().count() >= self.bounds.changes {
            return;
        }
        let checked = !self.lacks(Naive::QuorumsApart);
        let next = self.quorums.next(config, checked).iter();
        // A leader does not remove itself.
        let next = next.filter(|next| next.voters().contains(usize::from(leader.node) - 1));
        steps.extend(next.map(|next| Step::Change { term, config: *next }));
    }

    fn stand(&self, state: &mut State, node: usize) -> Option<Violation> {
        let me = &mut state.nodes[node];
        me.term += 1;
        me.vote = number(node) + 1;
        me.votes = Set::of(node);
        self.count(state, node)
    }

    fn vote(&self, state: &mut State, node: usize, candidate: usize) -> Option<Violation> {
        let term = state.nodes[candidate].term;
        let me = &mut state.nodes[node];
        (me.term, me.vote, me.votes) = (term, number(candidate) + 1, Set::default());
        state.nodes[candidate].votes.insert(node);
        self.count(state, candidate)
    }

    fn count(&self, state: &mut State, candidate: usize) -> Option<Violation> {
        let me = &mut state.nodes[candidate];
        if !self.quorums.elects(self.standing_under(me.log, me.config), me.votes) {
            return None;
        }
        me.votes = Set::default();
        let (term, log) = (me.term, me.log);
        let leader = state.leader_mut(term);
        if leader.node != 0 {
            return Some(Violation::TwoLeaders { term });
        }
        *leader = Leader { node: number(candidate) + 1, log, ..Leader::default() };
        lost(state, term)
    }

    fn change(&self, state: &mut State, term: u8, config: Config) -> Option<Violation> {
        let old = self.in_force(&state.leader(term).log).1;
        state.leader_mut(term).log.push(Entry { term, config });
        // This variant is to show what comes of it.
        let shown = self.lacks(Naive::QuorumsApart);
        if !shown && self.quorums.are_apart(old, config, self.bounds.nodes) {
            return Some(Violation::QuorumsApart { old, new: config });
        }
        self.commit(state, term)
    }

    fn accept(&self, state: &mut State, node: usize, term: u8, end: u8) -> Option<Violation> {
        let sent = state.leader(term).log.up_to(end);
        let me = &mut state.nodes[node];
        if term > me.term {
            (me.term, me.vote) = (term, 0);
        }
        me.votes = Set::default();
        let common = me.log.common(&sent);
        if common < end || self.naive == Some(Naive::TruncatesAlways) {
            me.log = sent;
        }
        if me.log.last() >= me.floor {
            me.floor = (0, 0);
        }
        if self.naive == Some(Naive::ConfigStays) {
            let mut taken = sent.configs().filter(|(index, _)| *index > common);
            if let Some((_, config)) = taken.next() {
                me.config = config;
            }
        }
        let matched = &mut state.leader_mut(term).matched[node];
        *matched = end.max(*matched);
        self.commit(state, term)
    }

    fn crash(&self, state: &mut State, node: usize) {
        state.faults += 1;
        let me = &mut state.nodes[node];
        me.votes = Set::default();
        match self.naive {
            Some(Naive::VoteForgotten) => me.vote = 0,
            Some(Naive::AcknowledgedEarly) => me.log.cut(me.log.len().saturating_sub(1)),
            _ => *me = super::state::Node::default(),
        }
    }

    /// Commit at once whatever the leader of `term` may commit by the quorums in force.
    fn commit(&self, state: &mut State, term: u8) -> Option<Violation> {
        let leader = *state.leader(term);
        let config = self.in_force(&leader.log).1;
        let held = |end: u8| Set::filter(self.bounds.nodes, |node| leader.matched[node] >= end);
        let commits = |end: &u8| {
            let own = leader.log.at(*end).term == term || self.lacks(Naive::CommitByCounting);
            let holders = held(*end);
            let quorum = if self.lacks(Naive::LearnerCounts) {
                holders.len() > config.voters().len() / 2
            } else {
                self.quorums.commits(config, holders)
            };
            own && quorum
        };
        let end = (leader.commit + 1..=leader.log.len()).rev().find(commits)?;
        state.leader_mut(term).commit = end;
        let same = leader.log.up_to(end).common(&state.committed);
        if same < end.min(state.committed.len()) {
            return Some(Violation::Diverged { index: same + 1 });
        }
        for index in state.committed.len() + 1..=end {
            state.committed.push(leader.log.at(index));
            state.committed_in[usize::from(index) - 1] = term;
        }
        (term + 1..=self.bounds.terms).find_map(|later| lost(state, later))
    }

    /// The newest configuration in a log, and where.
    fn in_force(&self, log: &Log) -> (u8, Config) {
        log.configs().next().unwrap_or_else(|| (0, self.bounds.genesis()))
    }

    /// By which configuration does a node with this log stand?
    fn standing_under(&self, log: Log, kept: Config) -> Config {
        match self.naive {
            Some(Naive::MembersOfTheGenesis) => self.bounds.genesis(),
            Some(Naive::ConfigStays) if !kept.is_none() => kept,
            _ => self.in_force(&log).1,
        }
    }

    fn voters(&self, state: &State, node: usize) -> Set {
        let node = &state.nodes[node];
        self.standing_under(node.log, node.config).voters()
    }
}

/// Its last entry is lost to a node; it stands no longer.
fn rot(state: &mut State, node: usize) {
    state.faults += 1;
    let me = &mut state.nodes[node];
    me.votes = Set::default();
    me.floor = me.floor.max(me.log.last());
    me.log.cut(me.log.len() - 1);
}

/// Leader completeness: what was committed in a term is in the log of every later leader.
fn lost(state: &State, term: u8) -> Option<Violation> {
    let leader = state.leader(term);
    if leader.node == 0 {
        return None;
    }
    let same = leader.log.common(&state.committed);
    let earlier = |index: &u8| state.committed_in[usize::from(*index) - 1] < term;
    let index = (same + 1..=state.committed.len()).find(earlier)?;
    Some(Violation::Lost { term, index })
}

/// A leader whose term everybody left says nothing that anybody takes in.
fn forget_the_unheard(state: &mut State, nodes: usize) {
    let oldest = state.nodes[..nodes].iter().map(|node| node.term).min().unwrap_or(0);
    for leader in &mut state.leaders[..usize::from(oldest).saturating_sub(1)] {
        *leader = Leader::default();
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stand { node } => write!(f, "n{} stands in its next term", node + 1),
            Self::Vote { node, candidate } => {
                write!(f, "n{} votes for n{}", node + 1, candidate + 1)
            }
            Self::Append { term } => write!(f, "the leader of term {term} appends an entry"),
            Self::Change { term, config } => {
                write!(f, "the leader of term {term} appends the configuration {config}")
            }
            Self::Accept { node, term, end } => {
                write!(f, "n{} has the log of term {term}'s leader up to {end}", node + 1)
            }
            Self::Rot { node } => write!(f, "n{} cannot read its last entry any more", node + 1),
            Self::Crash { node } => write!(f, "n{} crashes and comes back", node + 1),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoLeaders { term } => write!(f, "two leaders in term {term}"),
            Self::Lost { term, index } => {
                write!(f, "the leader of term {term} lacks the committed entry {index}")
            }
            Self::Diverged { index } => write!(f, "two entries were committed at {index}"),
            Self::QuorumsApart { old, new } => write!(f, "quorums of {old} and {new} do not meet"),
        }
    }
}
