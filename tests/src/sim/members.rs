//! Operators: who joins, leaves, loses its disk and leads, while all else goes on.
//!
//! What always holds: a disk is wiped only while a commit quorum of the newest committed configuration
//! keeps its own, and only one that this configuration names; whoever is struck out comes back, if at
//! all, with an empty disk and so as another identity.

use election::{NodeId, VoterId};
use replication::{Change, ClusterConfig, Halt, Input, Outcome, ProposalId, Refusal};

use super::{
    checkers::{Checked, Violation, quorums, violated},
    node::{Node, member},
    world::{Event, World},
};

/// Nodes that a seed has at most, those that left included.
const NODES_MAX: u64 = 7;
/// Voters at most.
const VOTERS_MAX: usize = 5;
/// A node that stopped for good comes back with an empty disk within this time.
const RETURN_US: (u64, u64) = (100_000, 1_000_000);

impl World {
    /// An operator asks some node for a change of the members.
    pub(super) fn change_members(&mut self) -> Result<bool, Violation> {
        let config = self.checkers.newest_config().clone();
        let lost: Vec<NodeId> = self.lost_voters(&config);
        let voters: Vec<NodeId> = config.voters.iter().map(|member| member.node).collect();
        let change = match self.rng.below(4) {
            _ if !lost.is_empty() => Change::Replace(*self.rng.pick(&lost), None),
            0 | 1 => match self.draw_newcomer(&config) {
                Some(node) if config.voters.len() + config.learners.len() < VOTERS_MAX => {
                    self.let_exist(node);
                    Change::Add(member(node))
                }
                Some(_) | None => Change::Remove(*self.rng.pick(&voters)),
            },
            2 => Change::Replace(*self.rng.pick(&voters), None),
            _ => Change::Remove(*self.rng.pick(&voters)),
        };
        let is_smaller = matches!(change, Change::Remove(_));
        if is_smaller && voters.iter().any(|voter| self.nodes[voter].may_be_in_need()) {
            // Of fewer voters fewer may be damaged.
            return Ok(false);
        }
        if self.clocks_allow(&config, &change) { self.ask_for(change) } else { Ok(false) }
    }

    /// Is the median of the clocks right after this change, whoever of the others is away for good?
    fn clocks_allow(&self, config: &ClusterConfig, change: &Change) -> bool {
        let goes = match change {
            Change::Remove(node) | Change::Replace(node, _) => *node,
            Change::Add(_) | Change::Transfer(_) => return true,
        };
        let stay = config.voters.iter().map(|member| member.node).filter(|node| *node != goes);
        let (wrong, right): (Vec<NodeId>, Vec<NodeId>) =
            stay.partition(|node| self.nodes[node].clocks.is_wrong());
        wrong.is_empty() || wrong.len() + 1 < right.len()
    }

    /// An operator asks for another leader.
    pub(super) fn transfer(&mut self) -> Result<bool, Violation> {
        let to = if self.rng.chance(500) { Some(self.draw_node()) } else { None };
        self.ask_for(Change::Transfer(to))
    }

    /// An operator asks some node that one shall lead no more.
    pub(super) fn drain_one(&mut self) -> Result<bool, Violation> {
        let (Some(at), node) = (self.draw_up(), self.draw_node()) else {
            return Ok(false);
        };
        self.note("drain", at, node.0, 0);
        self.input(at, Input::Drain { node, undo: false })?;
        Ok(true)
    }

    /// A disk is lost with all that was on it, if it may be. Its node comes back with an empty one.
    pub(super) fn wipe_one(&mut self) -> bool {
        let node = self.draw_node();
        let config = self.checkers.newest_config();
        let is_named = self.nodes[&node].identity().is_some_and(|id| names(config, id));
        if !is_named || !self.may_be_damaged(node) {
            return false;
        }
        self.stop(node);
        self.replace_disk(node);
        true
    }

    /// Who is healed replaces what was lost.
    pub(super) fn replace_lost(&mut self) -> Checked {
        let config = self.checkers.newest_config();
        if let Some(&node) = self.lost_voters(config).first() {
            self.ask_for(Change::Replace(node, None))?;
        }
        Ok(())
    }

    /// Who was drained leads again once that is undone, or it is started again.
    pub(super) fn end_drains(&mut self) -> Checked {
        let drained = |node: &&Node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.replica.status().draining)
        };
        let drained: Vec<NodeId> =
            self.nodes.values().filter(drained).map(|node| node.id).collect();
        for id in drained {
            if id.0 % 2 == 0 {
                self.crash(id);
            } else {
                self.input(id, Input::Drain { node: id, undo: true })?;
            }
        }
        Ok(())
    }

    /// What came of a change; true when it was one.
    pub(super) fn changed(&mut self, id: NodeId, asked: ProposalId, outcome: Outcome) -> bool {
        if !self.up(id).calls.changes.remove(&asked) {
            return false;
        }
        self.trace.count(match outcome {
            Outcome::Committed(_) => "a change was committed",
            Outcome::NotAccepted(Refusal::ConfigPending) => "a change waited for another",
            Outcome::NotAccepted(Refusal::WouldSplit) => "a change would split",
            Outcome::NotAccepted(Refusal::NoQuorum) => "a change would leave no quorum",
            Outcome::NotAccepted(Refusal::LastVoter) => "the last voter stayed",
            Outcome::NotAccepted(_) => "a change was turned away",
            Outcome::Unknown => "a change had an unknown outcome",
        });
        true
    }

    /// A replica stops for good: only for a reason, and never one that the cluster counts on.
    pub(super) fn halted(&mut self, id: NodeId, why: Halt) -> Checked {
        let config = self.checkers.newest_config();
        let node = &self.nodes[&id];
        let me = node.identity().expect("it was started");
        let is_member = config.member(id).is_some_and(|member| member.store == Some(me.store));
        match why {
            Halt::TooOld { level } => return self.too_old(id, level),
            Halt::Removed if !is_member => self.trace.count("a removed node stopped"),
            Halt::BoundElsewhere { .. } if !is_member && node.was_wiped() => {
                self.trace.count("an empty disk was not taken for the lost one");
            }
            Halt::BoundElsewhere { .. } if node.was_wiped() => {
                // Said before its disk was named, and heard after: it is started again.
                self.trace.count("an old word stopped a newcomer");
                self.crash(id);
                return Ok(());
            }
            Halt::Removed | Halt::BoundElsewhere { .. } | Halt::Diverged { .. } => {
                return violated(format!("node {id} halts: {why:?}"));
            }
        }
        self.stop(id);
        self.replace_disk(id);
        Ok(())
    }

    /// Voters of a configuration whose disks are gone.
    pub(super) fn lost_voters(&self, config: &ClusterConfig) -> Vec<NodeId> {
        let voters = config.voters.iter().map(|member| member.node);
        voters.filter(|node| self.is_lost(config, *node)).collect()
    }

    fn is_lost(&self, config: &ClusterConfig, id: NodeId) -> bool {
        let node = &self.nodes[&id];
        let store = config.member(id).and_then(|member| member.store);
        // A disk that no configuration names is that of the genesis, and that one is gone.
        node.was_wiped() && (store.is_none() || node.identity().map(|id| id.store) != store)
    }

    pub(super) fn replace_disk(&mut self, id: NodeId) {
        let seed = self.rng.next_u64();
        self.node_mut(id).wipe(seed);
        let back_us = self.rng.within(RETURN_US.0, RETURN_US.1);
        self.queue.after(back_us, Event::Restart { node: id });
        self.note("wipe", id, 0, 0);
        // It begins with nothing, whenever that is.
        self.calm_since = self.queue.now();
    }

    /// A number that no member has: of one that left with its disk, or a new one.
    fn draw_newcomer(&mut self, config: &ClusterConfig) -> Option<NodeId> {
        let is_out = |node: &&Node| config.member(node.id).is_none() && node.was_wiped();
        let out: Vec<NodeId> = self.nodes.values().filter(is_out).map(|node| node.id).collect();
        let next = NodeId(u64::try_from(self.nodes.len()).expect("a handful") + 1);
        let can_grow = next.0 <= NODES_MAX;
        if !out.is_empty() && (!can_grow || self.rng.chance(500)) {
            return Some(*self.rng.pick(&out));
        }
        can_grow.then_some(next)
    }

    /// A machine is set up: it waits to be let in.
    fn let_exist(&mut self, id: NodeId) {
        if self.nodes.contains_key(&id) {
            return;
        }
        let mut rng = self.rng.fork();
        let newcomer = self.nodes.values().next().expect("there are nodes").newcomer(id, &mut rng);
        self.network.add(id, &mut self.queue);
        self.nodes.insert(id, newcomer);
        self.workload.knows(id);
        let start_us = self.rng.below(RETURN_US.1);
        self.queue.after(start_us, Event::Restart { node: id });
    }

    fn ask_for(&mut self, change: Change) -> Result<bool, Violation> {
        let Some(at) = self.draw_up() else {
            return Ok(false);
        };
        self.ask_at(at, change)?;
        Ok(true)
    }

    /// An operator of this node, which is up, asks for a change.
    pub(super) fn ask_at(&mut self, at: NodeId, change: Change) -> Checked {
        let calls = &mut self.up(at).calls;
        let id = ProposalId(calls.number());
        calls.changes.insert(id);
        self.note("change", at, id.0, 0);
        self.trace.detail(&change);
        self.input(at, Input::Reconfigure { id, change })
    }

    /// Is this node a member that must have everything at the end?
    pub(super) fn must_agree(&self, node: &Node) -> bool {
        let config = self.checkers.newest_config();
        node.identity().is_some_and(|id| names(config, id))
    }

    /// Can every configuration that is in force somewhere, committed or not, go on with the nodes that
    /// run and have their disks?
    pub(super) fn has_quorum(&self) -> bool {
        let logs = self.nodes.values().filter(|node| node.is_up()).map(|node| &node.shadow.asked);
        logs.map(|log| self.checkers.config_in_force(log)).all(|config| {
            let answers = |node: NodeId| {
                let identity = self.nodes[&node].identity().filter(|_| self.nodes[&node].is_up());
                identity.is_some_and(|id| names(config, id)) && !self.is_lost(config, node)
            };
            // Whoever doubts its end goes on when every other voter has said how far it can read.
            let voters = &config.voters;
            let all_answer = voters.len() > 1 && voters.iter().all(|voter| answers(voter.node));
            let stands = |node: NodeId| {
                let Node { damaged_at, is_garbled, .. } = &self.nodes[&node];
                answers(node) && damaged_at.is_none() && (!is_garbled || all_answer)
            };
            let electorate = quorums(config);
            electorate.elects(stands) && electorate.commits(stands)
        })
    }
}

/// Is this identity a member?
fn names(config: &ClusterConfig, id: VoterId) -> bool {
    // In the genesis no disk is named yet.
    config.member(id.node).is_some_and(|member| member.store.is_none_or(|store| store == id.store))
}
