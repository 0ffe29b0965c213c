//! Who is who: what the log says about an identity, and what may be taken from it.
//!
//! What always holds:
//! - an identity is a number and a disk: the same number with another disk is somebody else
//!   (research trap 18);
//! - what counts, a vote or an acknowledged append, is taken only from an identity that the
//!   configuration in force names;
//! - what a leader or a candidate says is taken also from a stranger, who may be in a configuration
//!   that this node has yet to learn of, and never from one that a committed configuration struck out
//!   (research trap 23);
//! - a node grants votes when the configuration in force names it, stands when that makes it a voter,
//!   and both under its whole identity (research trap 26).

use election::{Index, NodeId, VoterId};

use super::{Core, Link};
use crate::{ClusterConfig, Effect, Effects, Member, Message};

/// What an identity is to this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// The configuration in force names it.
    Member,
    /// No configuration in this log names it.
    Stranger,
    /// The committed configuration at this index names it no longer.
    StruckOut(Index),
}

impl Core {
    pub(crate) fn standing(&self, id: VoterId) -> Standing {
        let (index, in_force) = (self.log.config_index(), self.log.config());
        if self.names(index, in_force, id) {
            return Standing::Member;
        }
        let Some(&(committed, ref config)) = self.committed_config() else {
            return Standing::Stranger;
        };
        let gone = !self.names(committed, config, id) && self.was_named_before(committed, id);
        if gone { Standing::StruckOut(committed) } else { Standing::Stranger }
    }

    /// Does any configuration in this log below `index` name it? The genesis does by a binding, unless
    /// the next configuration says that another disk had the number: then the majority bound that one.
    pub(crate) fn was_named_before(&self, index: Index, id: VoterId) -> bool {
        let store_in = |config: &ClusterConfig| config.member(id.node)?.store;
        let mut earlier = self.log.configs().take_while(|(at, _)| *at < index);
        if earlier.any(|(_, config)| store_in(config) == Some(id.store)) {
            return true;
        }
        let next = self.log.configs().nth(1);
        let was_told = next.is_none_or(|(_, config)| store_in(config).is_none());
        was_told && index > Index(0) && self.binding.store_of(id.node) == Some(id.store)
    }

    pub(super) fn names(&self, index: Index, config: &ClusterConfig, id: VoterId) -> bool {
        config.member(id.node).is_some_and(|member| self.is(index, member, id))
    }

    /// Is this member of the configuration at `index` that identity? Later configurations name disks;
    /// the genesis names those that were bound here, or one in its stead that came when the number had
    /// another disk would be counted by a node that is late. Who counts nobody may listen to any.
    fn is(&self, index: Index, member: &Member, id: VoterId) -> bool {
        let bound = self.binding.store_of(id.node).filter(|_| index == Index(0));
        match member.store.or(bound) {
            Some(store) => store == id.store,
            None => index == Index(0) && !self.binding.may_be_bound(),
        }
    }

    /// The newest configuration that is known to be committed.
    pub(crate) fn committed_config(&self) -> Option<&(Index, ClusterConfig)> {
        self.log.configs().rev().find(|(index, _)| *index <= self.commit)
    }

    /// Does the configuration in force name this very disk? In the genesis it does so once a
    /// majority has bound it.
    pub(crate) fn am_named(&self) -> bool {
        let member = self.log.config().member(self.me.node);
        member.is_some_and(|member| self.is_me(member))
    }

    /// And as a voter?
    pub(crate) fn am_voter(&self) -> bool {
        let mut voters = self.log.config().voters.iter();
        voters.any(|member| member.node == self.me.node && self.is_me(member))
    }

    /// Does it take part without a vote? The number may be a voter's: with another disk.
    pub(crate) fn only_learns(&self) -> bool {
        let config = self.log.config();
        let voter = config.voters.iter().find(|member| member.node == self.me.node);
        let may_be_bound = voter.is_some_and(|member| member.store.is_none());
        let may_be_bound = may_be_bound && self.binding.may_be_bound();
        !self.am_voter() && (self.binding.is_joining() || !may_be_bound)
    }

    fn is_me(&self, member: &Member) -> bool {
        match member.store {
            Some(store) => store == self.me.store,
            None => self.log.config_index() == Index(0) && self.binding.is_bound(),
        }
    }

    /// Is there anything to be done about this message from there? Whoever was struck out is told.
    pub(crate) fn admits(
        &mut self,
        from: VoterId,
        message: &Message,
        effects: &mut Effects,
    ) -> bool {
        if from.node == self.me.node || !message.is_plausible() {
            return false;
        }
        if let Message::Removed { .. } = message {
            return true;
        }
        match self.standing(from) {
            Standing::StruckOut(index) => {
                self.tell_removed(from, index, effects);
                return false;
            }
            Standing::Stranger if !message.is_for_strangers() => return false,
            Standing::Stranger | Standing::Member => {}
        }
        if message.is_about_binding() {
            return true;
        }
        if !self.takes(message) {
            return false;
        }
        self.note_identity(from);
        true
    }

    /// Does this node take part in that? Before a genesis voter is bound it does in nothing; who is
    /// in no configuration takes what a leader sends. It votes when its log names it, be it as a
    /// learner: a voter whose log does not say so yet may be the one that a majority lacks (Raft thesis
    /// 4.2.2), and its log names it before it can become one.
    fn takes(&self, message: &Message) -> bool {
        if matches!(message, Message::Vote { .. } | Message::PreVote { .. }) {
            return self.am_named();
        }
        let elsewhere = self.log.config().member(self.me.node).is_none();
        self.binding.is_bound() || self.am_named() || self.binding.is_joining() || elsewhere
    }

    /// Whom a link reaches. It is told at once if it is to go.
    pub(crate) fn meet(&mut self, id: VoterId, effects: &mut Effects) -> bool {
        if id.node == self.me.node {
            return false;
        }
        self.links.insert(id.node, Link { id, up: true });
        match self.standing(id) {
            Standing::Member => true,
            Standing::Stranger => false,
            Standing::StruckOut(index) => {
                self.tell_removed(id, index, effects);
                false
            }
        }
    }

    /// A configuration was committed: whoever it struck out and is still linked hears of it.
    pub(crate) fn tell_struck_out(&self, effects: &mut Effects) {
        for link in self.links.values().filter(|link| link.up) {
            if let Standing::StruckOut(index) = self.standing(link.id) {
                self.tell_removed(link.id, index, effects);
            }
        }
    }

    fn tell_removed(&self, to: VoterId, index: Index, effects: &mut Effects) {
        self.send_to(to, Message::Removed { index }, self.tickets.issued, effects);
    }

    /// A message from it came, so this is whom the number stands for on the link.
    fn note_identity(&mut self, id: VoterId) {
        let link = self.links.entry(id.node).or_insert(Link { id, up: true });
        if link.id != id {
            *link = Link { id, up: true };
        }
    }

    /// The whole identity of a member, or of the leader, if it is known yet.
    pub(crate) fn identity(&self, node: NodeId) -> Option<VoterId> {
        let leads = self.leader_store.filter(|_| self.leader == Some(node));
        let store = leads.or_else(|| {
            let named = self.log.config().member(node)?.store;
            let genesis = self.log.config_index() == Index(0);
            let linked = self.links.get(&node).map(|link| link.id.store);
            named.or_else(|| self.binding.store_of(node).or(linked).filter(|_| genesis))
        });
        store.map(|store| VoterId { node, store })
    }

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        let link = self.links.get(&node).filter(|link| link.up);
        link.is_some_and(|link| self.identity(node) == Some(link.id))
    }

    /// Send to a stranger or a member, once `after` is durable.
    pub(crate) fn send_to(
        &self,
        to: VoterId,
        message: Message,
        after: election::Ticket,
        effects: &mut Effects,
    ) {
        effects.push(Effect::Send { to, lane: message.lane(), message, after });
    }
}
