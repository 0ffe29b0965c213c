//! Changes of the configuration: asked for by the operator, here or at another node, and decided by
//! the leader.
//!
//! What always holds:
//! - a leader appends a configuration only when the one in force and an entry of its own term are
//!   committed, so that no two are ever under way (research traps 20, 24);
//! - a configuration is in force where it is appended, and until it is cut (trap 22);
//! - it changes one voter at most, and every two quorums of it and of its predecessor meet: tried on
//!   all subsets when it is made, and again when it is appended, wherever that is (trap 21);
//! - a leader does not remove or replace itself: it hands over, and its successor does;
//! - what is done already is not done again: an empty entry stands for it.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId, VoterId};
use wal::EntryKind;

use super::{Core, electorate, proposal::reply};
use crate::{Change, ClusterConfig, Effects, Message, Now, Outcome, ProposalId, Refusal};

impl Core {
    /// The operator of this node wants a change.
    pub(crate) fn reconfigure(
        &mut self,
        now: Now,
        id: ProposalId,
        change: Change,
        effects: &mut Effects,
    ) {
        if self.proposals.len() >= self.limits.pending_proposals_max {
            return reply(id, Outcome::NotAccepted(Refusal::Busy), effects);
        }
        if self.lead.is_some() {
            match self.admit(now, change, effects) {
                Ok(at) => self.proposals.place(at, id),
                Err(refusal) => reply(id, Outcome::NotAccepted(refusal), effects),
            }
        } else if let Some(leader) = self.reachable_leader() {
            let name = self.name();
            self.proposals.ask(now.monotonic, name, id);
            let message = Message::Reconfigure { id: name, change };
            self.send(leader, message, self.tickets.hard_state, effects);
        } else {
            reply(id, Outcome::NotAccepted(Refusal::NoLeader), effects);
        }
    }

    /// Another node wants a change for its operator.
    pub(crate) fn on_reconfigure(
        &mut self,
        now: Now,
        from: VoterId,
        (name, change): (u64, Change),
        effects: &mut Effects,
    ) {
        if !self.forwards_seen.is_new(from.node, name) {
            return;
        }
        let outcome = self.admit(now, change, effects);
        let message = Message::Forwarded { id: name, outcome };
        self.send(from.node, message, self.tickets.hard_state, effects);
    }

    /// Take a change into the log, or say why not.
    fn admit(
        &mut self,
        now: Now,
        change: Change,
        effects: &mut Effects,
    ) -> Result<EntryId, Refusal> {
        let lead = self.lead.as_ref().ok_or(Refusal::NoLeader)?;
        if self.leaving || lead.handover.is_some() {
            return Err(Refusal::Draining);
        }
        if let Change::Transfer(to) = change {
            return self.transfer(now, to, effects);
        }
        if self.is_done(&change) {
            // Committed behind what did it.
            return Ok(self.append_own(now, EntryKind::NoOp, Bytes::new(), effects));
        }
        let next = self.log.config().changed(self.log.config_index(), change)?;
        if !next.voters.iter().any(|member| member.node == self.me.node) {
            // Its successor does it.
            self.transfer(now, None, effects)?;
            return Err(Refusal::Draining);
        }
        if !self.may_append_config() {
            return Err(Refusal::ConfigPending);
        }
        let next = self.with_stores(next).ok_or(Refusal::ConfigPending)?;
        match self.refusal(now.monotonic, &next) {
            Some(refusal) => Err(refusal),
            None => Ok(self.append_config(now, &next, effects)),
        }
    }

    /// Is the configuration as `change` wants it, because the same was asked for before?
    fn is_done(&self, change: &Change) -> bool {
        let member = |node: NodeId| self.log.config().member(node);
        match change {
            Change::Add(wanted) => member(wanted.node).is_some_and(|known| {
                (&known.peer, &known.client) == (&wanted.peer, &wanted.client)
            }),
            Change::Remove(node) => {
                let mut configs = self.log.configs();
                member(*node).is_none() && configs.any(|(_, config)| config.member(*node).is_some())
            }
            Change::Replace(node, lost) => {
                let mut learners = self.log.config().learners.iter();
                let waits = learners.any(|known| known.node == *node && known.store.is_none());
                let has = member(*node).and_then(|known| known.store);
                waits || has.zip(*lost).is_some_and(|(has, lost)| has != lost)
            }
            Change::Transfer(_) => false,
        }
    }

    /// Why may `next` not follow the configuration in force? Its quorums have to meet the present
    /// ones, and those who commit under it have to be there.
    pub(super) fn refusal(&self, now: Micros, next: &ClusterConfig) -> Option<Refusal> {
        let Ok(next) = electorate(next) else { return Some(Refusal::WouldSplit) };
        if !self.electorate.may_become(&next) {
            return Some(Refusal::WouldSplit);
        }
        let peers = &self.lead.as_ref()?.peers;
        let answers = |node: NodeId| {
            let heard = peers.get(&node).and_then(|peer| peer.heard);
            let silence = self.timing.quorum_silence;
            node == self.me.node || heard.is_some_and(|heard| now.since(heard) < silence)
        };
        (!next.commits(answers)).then_some(Refusal::NoQuorum)
    }

    /// The preconditions of every change of the configuration (research trap 20): the one in force
    /// is committed, and so is an entry of the own term.
    pub(crate) fn may_reconfigure(&self) -> bool {
        self.log.config_index() <= self.commit && self.has_committed_own()
    }

    /// And nothing that it waits for is held up by one more entry.
    pub(super) fn may_append_config(&self) -> bool {
        let hands_over = self.lead.as_ref().is_some_and(|lead| lead.handover.is_some());
        self.may_reconfigure() && !hands_over
    }

    /// Put a configuration into the log; it is in force from here on.
    pub(super) fn append_config(
        &mut self,
        now: Now,
        config: &ClusterConfig,
        effects: &mut Effects,
    ) -> EntryId {
        assert!(self.may_reconfigure(), "one change at a time, and none before an own entry");
        assert!(config.level >= self.log.config().level, "what was understood once still is");
        self.append_own(now, EntryKind::Config, config.encode().into(), effects)
    }

    /// May these configurations follow the one in force at `before`, each the one before it? It names
    /// its predecessor (research trap 24), every voter's disk, and its quorums meet those of its
    /// predecessor (trap 21); the feature level never falls.
    pub(super) fn may_follow(&self, before: Index, configs: &[(Index, ClusterConfig)]) -> bool {
        let (mut index, mut old) = self.log.config_at(before);
        configs.iter().all(|(at, new)| {
            let met = match (electorate(old), electorate(new)) {
                (Ok(old), Ok(new)) => old.may_become(&new),
                (Err(_), _) | (_, Err(_)) => false,
            };
            let follows = new.predecessor == index && new.level >= old.level;
            let follows = follows && new.names_all_voters() && met;
            (index, old) = (*at, new);
            follows
        })
    }
}
