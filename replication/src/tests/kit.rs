//! What a test does to the members of a [`Cluster`].

use election::{Micros, NodeId, StoreId, VoterId};

use super::{
    cluster::{Cluster, Node},
    disk::voter,
};
use crate::{Change, ClusterConfig, Input, Member, Outcome, ProposalId, Status};

pub(super) fn millis(n: u64) -> Micros {
    Micros::from_millis(n)
}

pub(super) fn member(node: u64) -> Member {
    Member {
        node: NodeId(node),
        store: None,
        peer: format!("10.0.0.{node}:7000"),
        client: format!("http://10.0.0.{node}"),
    }
}

pub(super) fn numbers(members: &[Member]) -> Vec<u64> {
    members.iter().map(|member| member.node.0).collect()
}

impl Cluster {
    pub(super) fn reconfigure(&mut self, at: NodeId, change: Change) -> ProposalId {
        self.names += 1;
        let id = ProposalId(self.names);
        self.input(at, Input::Reconfigure { id, change });
        id
    }

    /// Ask for a change, as an operator does, until it is committed.
    pub(super) fn change(&mut self, change: &Change) {
        for _ in 0..100 {
            let Some(leader) = self.leader() else {
                self.run_for(millis(50));
                continue;
            };
            let id = self.reconfigure(leader, change.clone());
            let until = self.now.plus(millis(2_000));
            while !self.outcomes.contains_key(&id) && self.step(until) {}
            match self.outcomes.get(&id) {
                Some(Outcome::Committed(_)) => return,
                Some(Outcome::NotAccepted(_)) => self.run_for(millis(50)),
                Some(Outcome::Unknown) | None => panic!("{change:?}:\n{}", self.journal.join("\n")),
            }
        }
        panic!("{change:?} is refused for ever:\n{}", self.journal.join("\n"));
    }

    /// A machine with an empty disk, not started.
    pub(super) fn add_machine(&mut self, node: u64) {
        self.nodes.insert(NodeId(node), Node::joiner(voter(node)));
    }

    /// Another empty disk under the number; the old one, and its process if it runs, stand still.
    pub(super) fn new_disk(&mut self, node: u64) {
        let number = NodeId(node);
        let store = StoreId(self.nodes[&number].id.store.0 + 0x100);
        self.swap(VoterId { node: number, store });
    }

    /// Let the process of this identity go on, and the other one with that number stand still.
    pub(super) fn swap(&mut self, id: VoterId) {
        let comes = self.ghosts.remove(&id).unwrap_or_else(|| Node::joiner(id));
        for peer in self.peers_of(id.node) {
            self.link(peer, id.node, false);
        }
        let goes = self.nodes.insert(id.node, comes).unwrap();
        self.ghosts.insert(goes.id, goes);
        for peer in self.peers_of(id.node) {
            if self.is_alive(peer) {
                self.link(peer, id.node, true);
                self.link(id.node, peer, true);
            }
        }
        self.unstall(id.node);
    }

    pub(super) fn status(&self, node: u64) -> Status {
        self.replica(NodeId(node)).status()
    }

    /// The leader's configuration in force.
    pub(super) fn config(&self) -> ClusterConfig {
        self.replica(self.leader().unwrap()).status().config
    }

    pub(super) fn run_until_voters(&mut self, voters: &[u64]) {
        self.run_until(&format!("voters {voters:?}"), |cluster| {
            let leader = cluster.leader().map(|leader| cluster.replica(leader).status());
            leader.is_some_and(|status| {
                numbers(&status.config.voters) == voters && status.commit >= status.config_index
            })
        });
    }
}
