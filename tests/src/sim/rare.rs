//! Rare events, counted where they happen: what no seed has lived through, no seed has tried.
//!
//! The counters see all nodes at once, as no node can. What they see changes nothing, but for a leader
//! that may be cut off when it takes little more for the rarest of all.

use election::{NodeId, Term, VoterId};
use replication::{ClusterConfig, Message, Role};

use super::{node::Proposal, world::World};

/// So many leaders of a thousand are cut off where that may lead to it.
const FIGURE_8_PER_MILLE: u64 = 700;

impl World {
    /// A node is about to play this part in this term.
    pub(super) fn count_role(&mut self, id: NodeId, role: Role, term: Term) {
        let process = self.up(id);
        if process.role != Role::Leader || role == Role::Leader {
            return;
        }
        let (is_same_term, has_reads) = (process.term == term.0, !process.calls.reads.is_empty());
        if is_same_term {
            self.trace.count("a leader that heard too few stepped down");
        }
        if has_reads {
            self.trace.count("a leader was deposed while reads waited for it");
        }
    }

    /// A node leads a new term: what stands right above the newest commit, of an older term and on a
    /// commit quorum? It must not be committed by counting its copies (Raft, figure 8; trap 4).
    pub(super) fn count_old_majorities(&mut self, leader: NodeId) {
        let next = self.checkers.newest() + 1;
        let log = &self.nodes[&leader].shadow.asked;
        let electorate = self.checkers.in_force(log);
        let copies = self.nodes.values().map(|node| node.shadow.durable.at(next));
        let on_majority = copies.flatten().find(|&mark| {
            electorate.commits(|voter| self.nodes[&voter].shadow.durable.at(next) == Some(mark))
        });
        let Some(mark) = on_majority else { return };
        if log.at(next) != Some(mark) {
            return self.trace.count("figure 8: an old entry on a majority is overwritten");
        }
        let may_overwrite = self.nodes.values().any(|node| {
            let log = &node.shadow.durable;
            log.at(next) != Some(mark)
                && log.at(log.last()).is_some_and(|last| last.term > mark.term)
        });
        self.trace.count("an old entry on a majority waited for one of the leader's term");
        if may_overwrite {
            self.trace.count("an old entry on a majority may yet be overwritten");
            self.cut_off_by_chance(leader, FIGURE_8_PER_MILLE);
        }
    }

    /// A node cuts its log after this entry.
    pub(super) fn count_cut(&mut self, id: NodeId, last: u64) {
        let log = &self.nodes[&id].shadow.asked;
        if self.checkers.is_configured_after(last, log) {
            self.trace.count("a configuration was undone");
        }
    }

    /// A leader appends a configuration, after this one.
    pub(super) fn count_change(&mut self, before: &ClusterConfig, after: &ClusterConfig) {
        let learned = |node| before.learners.iter().any(|member| member.node == node);
        if after.voters.iter().any(|member| learned(member.node)) {
            self.trace.count("a learner was promoted");
        }
        let is_gone = |node: NodeId| after.member(node).is_none();
        if before.voters.iter().any(|member| is_gone(member.node)) {
            self.trace.count("a voter was removed");
        }
    }

    /// A message leaves a node.
    pub(super) fn count_message(&mut self, from: NodeId, to: VoterId, message: &Message) {
        if let Message::Vote { transfer: true, .. } = message {
            self.trace.count("a hand-over was taken up");
        }
        if let Message::PreVoteAnswer { granted: false, .. } = message
            && self.refuses_for_loss(from, to)
        {
            self.trace.count("a vote was refused for what may be lost");
        }
    }

    /// Would this node, which follows nobody, vote for that one if its own log were whole?
    fn refuses_for_loss(&self, voter: NodeId, candidate: VoterId) -> bool {
        let (voter, candidate) = (&self.nodes[&voter], &self.nodes[&candidate.node]);
        let both = voter.process.as_ref().zip(candidate.process.as_ref());
        voter.may_be_in_need()
            && both.is_some_and(|(voter, candidate)| {
                let (voter, candidate) = (voter.replica.status(), candidate.replica.status());
                !voter.faulty.is_empty() && voter.leader.is_none() && candidate.last >= voter.last
            })
    }

    /// A client of a node hears that its write is committed.
    pub(super) fn count_committed(&mut self, id: NodeId, call: &Proposal) {
        let process = self.up(id);
        if process.term > call.term && process.role != Role::Leader {
            self.trace.count("a forwarded write was answered under another leader");
        }
    }
}
