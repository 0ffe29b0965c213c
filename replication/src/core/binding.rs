//! Which node is which disk: at the genesis, and of those who come later (design §7).
//!
//! A fresh node draws its store id at its first start. A voter of the genesis asks the other voters
//! to bind it to its number, until a majority of *them* has done so durably. Any two such majorities
//! meet, and in each voter the first binding wins: so of two directories with one number, a copied
//! folder or a wiped disk, at most one ever votes. The other one is told and stops.
//!
//! After the genesis the log says who is who. A node that is added, or comes back with another disk
//! in place of a lost one, asks as well: the leader writes its disk into the configuration, and the
//! node is told that it is named. Bindings of the genesis count no longer.
//!
//! What always holds: a genesis voter answers nothing but `Bind` until it is bound; a binding once
//! answered is durable and never changes; an identity that was struck out is never written in again;
//! every voter of a configuration after the genesis is named with its disk; a directory that joined
//! neither binds nor is bound. The genesis is all that such a one knows, so however many of them came
//! together, they would found a second history under the numbers of the first one.

use std::collections::{BTreeMap, BTreeSet};

use election::{Index, Micros, NodeId, StoreId, VoterId};

use super::Core;
use crate::{ClusterConfig, Effect, Effects, Halt, Member, Message, Now};

#[derive(Debug)]
pub(crate) struct Binding {
    /// What this disk remembers of the genesis, this node included once it is bound.
    known: BTreeMap<NodeId, StoreId>,
    /// Who has confirmed this node's own binding.
    confirmed: BTreeSet<NodeId>,
    bound: bool,
    /// This directory came after the genesis.
    joined: bool,
    /// The newest configuration that is said to name this disk, though this log does not say so yet.
    named_at: Option<Index>,
    ask_at: Micros,
}

impl Binding {
    pub(crate) fn new(me: VoterId, known: BTreeMap<NodeId, StoreId>, joined: bool) -> Self {
        let bound = known.get(&me.node) == Some(&me.store);
        let confirmed = BTreeSet::new();
        Self { known, confirmed, bound, joined, named_at: None, ask_at: Micros(0) }
    }

    /// Has a majority of the genesis bound this disk?
    pub(crate) const fn is_bound(&self) -> bool {
        self.bound
    }

    /// Is this disk said to be named in a configuration?
    pub(crate) const fn is_joining(&self) -> bool {
        self.named_at.is_some()
    }

    /// May a majority of the genesis bind this disk yet?
    pub(crate) const fn may_be_bound(&self) -> bool {
        !self.joined
    }

    pub(crate) fn store_of(&self, node: NodeId) -> Option<StoreId> {
        self.known.get(&node).copied()
    }
}

impl Core {
    pub(crate) fn binding_deadline(&self) -> Option<Micros> {
        self.asks().then_some(self.binding.ask_at)
    }

    /// At the start: stop if this number is known to be another disk; be bound if nobody is to ask.
    pub(crate) fn start_binding(&mut self, now: Now, effects: &mut Effects) {
        let remembered = self.binding.store_of(self.me.node);
        match remembered.filter(|store| *store != self.me.store) {
            Some(store) => {
                self.halt(Halt::BoundElsewhere { by: self.me.node, bound: store }, effects);
            }
            None => self.bind_if_confirmed(now, effects),
        }
    }

    /// A learner asks as well: it never campaigns, and would not hear otherwise that it was removed
    /// while it was away.
    fn asks(&self) -> bool {
        !self.am_voter() || self.is_unknown()
    }

    /// In the genesis whoever has not bound this disk does not count it.
    pub(crate) fn is_unknown(&self) -> bool {
        let voters = self.electorate.voters();
        let is_nameless = |member: &Member| member.node == self.me.node && member.store.is_none();
        self.log.config_index() == Index(0)
            && self.log.config().voters.iter().any(is_nameless)
            && self.binding.confirmed.len() + 1 < voters.len()
    }

    /// Ask all who have not answered, again and again.
    pub(crate) fn ask_binding_if_due(&mut self, now: Now, effects: &mut Effects) {
        if !self.asks() || now.monotonic < self.binding.ask_at {
            return;
        }
        self.binding.ask_at = now.monotonic.plus(self.timing.election_timeout);
        let voters = self.electorate.voters().iter().filter_map(|voter| self.identity(*voter));
        let linked = self.links.values().filter(|link| link.up).map(|link| link.id);
        let asked: BTreeSet<VoterId> = voters.chain(linked).collect();
        for id in asked {
            if id.node != self.me.node && !self.binding.confirmed.contains(&id.node) {
                self.ask_binding(id, effects);
            }
        }
    }

    pub(crate) fn ask_binding(&self, of: VoterId, effects: &mut Effects) {
        let message = Message::Bind { joined: self.binding.joined };
        self.send_to(of, message, self.tickets.issued, effects);
    }

    /// A node asks to be known under the disk it has.
    pub(crate) fn on_bind(&mut self, now: Now, from: VoterId, joined: bool, effects: &mut Effects) {
        let answer = if self.log.config_index() == Index(0) {
            self.bind(now, from, joined, effects)
        } else {
            self.name_joiner(now, from, effects)
        };
        if let Some(message) = answer {
            self.send_to(from, message, self.tickets.issued, effects);
        }
    }

    /// In the genesis the first binding wins, here and for ever. Whoever came later has no part in it.
    fn bind(
        &mut self,
        now: Now,
        from: VoterId,
        joined: bool,
        effects: &mut Effects,
    ) -> Option<Message> {
        if !self.electorate.contains(self.me.node) || self.binding.joined {
            return None;
        }
        let member = self.log.config().member(from.node)?;
        let store = match member.store.or_else(|| self.binding.store_of(from.node)) {
            // Only a leader that knows what is committed speaks against another: the genesis may be
            // long ago, and the number another disk's by now.
            Some(store) if store != from.store && !self.may_reconfigure() => return None,
            Some(store) if store != from.store => store,
            Some(_) | None if joined => return None,
            Some(_) | None => {
                if self.binding.known.insert(from.node, from.store).is_none() {
                    let op = wal::Op::Bind { node: from.node.0, store: from.store.0 };
                    self.persist(now, op, effects);
                }
                from.store
            }
        };
        Some(Message::Bound { node: from.node, store })
    }

    /// After the genesis the configuration in force says who is who. Whoever is in it is told so by
    /// every member; that somebody else is, only by a leader that knows what is committed: others may
    /// be late.
    fn name_joiner(&mut self, now: Now, from: VoterId, effects: &mut Effects) -> Option<Message> {
        self.fill_joiner(now, from, effects);
        let (index, config) = (self.log.config_index(), self.log.config());
        let is_sure = self.may_reconfigure();
        let member = config.member(from.node);
        match member.map(|member| member.store) {
            Some(Some(store)) if store == from.store => Some(Message::Named { store, index }),
            Some(Some(store)) if is_sure => Some(Message::Bound { node: from.node, store }),
            // Whoever is not named, or not yet with a disk, waits.
            Some(_) | None => None,
        }
    }

    /// A voter says which disk it knows this node by.
    pub(crate) fn on_bound(
        &mut self,
        now: Now,
        from: VoterId,
        (node, store): (NodeId, StoreId),
        effects: &mut Effects,
    ) {
        let is_other = store != self.me.store;
        if self.binding.is_joining() || node != self.me.node || is_other && self.am_named() {
            return;
        }
        if is_other {
            return self.halt(Halt::BoundElsewhere { by: from.node, bound: store }, effects);
        }
        if self.electorate.contains(from.node) && !self.binding.joined {
            self.binding.confirmed.insert(from.node);
            self.bind_if_confirmed(now, effects);
        }
    }

    /// A configuration names this disk. What a leader sends is for it from now on; it votes and
    /// stands by what its own log says (research trap 26).
    pub(crate) fn on_named(&mut self, store: StoreId, index: Index) {
        if store == self.me.store && index > Index(0) {
            self.binding.named_at = self.binding.named_at.max(Some(index));
        }
    }

    /// A committed configuration names this node no longer; older news than what it knows of itself
    /// is none. Its own log may not have come to where it was named.
    pub(crate) fn on_removed(&mut self, index: Index, effects: &mut Effects) {
        let (mine, named_at) = (self.log.config_index(), self.binding.named_at);
        if Some(index) > named_at && (index > mine || index == mine && !self.am_named()) {
            self.halt(Halt::Removed, effects);
        }
    }

    fn bind_if_confirmed(&mut self, now: Now, effects: &mut Effects) {
        let me = self.me;
        let in_genesis = self.log.config_index() == Index(0) && self.electorate.contains(me.node);
        let others = self.electorate.voters().iter().filter(|voter| **voter != me.node).count();
        let needed = if others == 0 { 0 } else { others / 2 + 1 };
        if self.binding.joined || !in_genesis || self.am_named() {
            return;
        }
        if self.binding.confirmed.len() < needed {
            return;
        }
        self.binding.bound = true;
        self.binding.known.insert(me.node, me.store);
        self.persist(now, wal::Op::Bind { node: me.node.0, store: me.store.0 }, effects);
    }

    /// The leader writes the disks into the configuration once every voter has shown its own. An
    /// acknowledged append shows it: only a bound node gives one.
    pub(crate) fn fill_stores(&mut self, now: Now, effects: &mut Effects) {
        let config = self.log.config();
        if config.names_all_voters() || !self.may_append_config() {
            return;
        }
        let filled = ClusterConfig { predecessor: self.log.config_index(), ..config.clone() };
        if let Some(filled) = self.with_stores(filled) {
            self.append_config(now, &filled, effects);
        }
    }

    /// The leader writes the disk of a learner in, the first that asks under its number.
    fn fill_joiner(&mut self, now: Now, from: VoterId, effects: &mut Effects) {
        let waits = |m: &Member| m.node == from.node && m.store.is_none();
        let config = self.log.config();
        let was_struck_out = self.was_named_before(self.log.config_index(), from);
        if !config.learners.iter().any(waits) || was_struck_out || !self.may_append_config() {
            return;
        }
        let mut named = ClusterConfig { predecessor: self.log.config_index(), ..config.clone() };
        for learner in named.learners.iter_mut().filter(|learner| waits(learner)) {
            learner.store = Some(from.store);
        }
        self.append_config(now, &named, effects);
    }

    /// With the disk of every voter, if all are known.
    pub(super) fn with_stores(&self, mut config: ClusterConfig) -> Option<ClusterConfig> {
        for member in config.voters.iter_mut().filter(|member| member.store.is_none()) {
            member.store = Some(self.acting_store(member.node)?);
        }
        Some(config)
    }

    fn acting_store(&self, node: NodeId) -> Option<StoreId> {
        if node == self.me.node {
            return Some(self.me.store);
        }
        self.lead.as_ref()?.peers.get(&node)?.acted
    }

    pub(crate) fn halt(&mut self, why: Halt, effects: &mut Effects) {
        self.halted = true;
        effects.push(Effect::Halt(why));
    }
}
