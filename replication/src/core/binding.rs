//! Genesis: which node is which disk (design §7).
//!
//! A fresh node draws its store id at its first start, and asks the other voters to bind it to its
//! number, until a majority of *them* has done so durably. Any two such majorities meet, and in each
//! voter the first binding wins: so of two directories with one number, a copied folder or a wiped
//! disk, at most one ever votes. The other one is told and stops.
//!
//! What always holds: until it is bound a node answers nothing but `Bind`; a binding once answered
//! is durable and never changes.

use std::collections::{BTreeMap, BTreeSet};

use election::{Micros, NodeId, StoreId, VoterId};
use wal::EntryKind;

use super::Core;
use crate::{ClusterConfig, Effect, Effects, Halt, Message, Now};

#[derive(Debug)]
pub(crate) struct Binding {
    /// What this disk remembers, this node included once it is bound.
    known: BTreeMap<NodeId, StoreId>,
    /// Who has confirmed this node's own binding.
    confirmed: BTreeSet<NodeId>,
    bound: bool,
    ask_at: Micros,
}

impl Binding {
    pub(crate) fn new(
        me: VoterId,
        known: BTreeMap<NodeId, StoreId>,
        config: &ClusterConfig,
    ) -> Self {
        let remembered = known.get(&me.node) == Some(&me.store);
        let named = config.member(me.node).and_then(|member| member.store) == Some(me.store);
        let confirmed = BTreeSet::new();
        Self { known, confirmed, bound: remembered || named, ask_at: Micros(0) }
    }

    pub(crate) const fn is_bound(&self) -> bool {
        self.bound
    }

    pub(crate) fn store_of(&self, node: NodeId) -> Option<StoreId> {
        self.known.get(&node).copied()
    }

    pub(crate) fn deadline(&self) -> Option<Micros> {
        (!self.bound).then_some(self.ask_at)
    }
}

impl Core {
    /// At the start: stop if this number is known to be another disk; be bound if nobody is to ask.
    pub(crate) fn start_binding(&mut self, now: Now, effects: &mut Effects) {
        let remembered = self.binding.store_of(self.me.node);
        let named = self.log.config().member(self.me.node).and_then(|member| member.store);
        match remembered.or(named).filter(|store| *store != self.me.store) {
            Some(store) => {
                self.halt(Halt::BoundElsewhere { by: self.me.node, bound: store }, effects);
            }
            None => self.bind_if_confirmed(now, effects),
        }
    }

    /// Ask all who have not answered, again and again.
    pub(crate) fn ask_binding_if_due(&mut self, now: Now, effects: &mut Effects) {
        if self.binding.bound || now.monotonic < self.binding.ask_at {
            return;
        }
        self.binding.ask_at = now.monotonic.plus(self.timing.election_timeout);
        for voter in self.electorate.voters() {
            if *voter != self.me.node && !self.binding.confirmed.contains(voter) {
                self.send(*voter, Message::Bind, self.tickets.issued, effects);
            }
        }
    }

    /// A fresh node asks to be remembered. The first binding wins, here and for ever.
    pub(crate) fn on_bind(&mut self, now: Now, from: VoterId, effects: &mut Effects) {
        let Some(member) = self.log.config().member(from.node) else { return };
        if from.node == self.me.node {
            return;
        }
        let store = match member.store.or_else(|| self.binding.store_of(from.node)) {
            Some(store) if store != from.store => store,
            Some(_) | None => {
                if self.binding.known.insert(from.node, from.store).is_none() {
                    let op = wal::Op::Bind { node: from.node.0, store: from.store.0 };
                    self.persist(now, op, effects);
                }
                from.store
            }
        };
        let message = Message::Bound { node: from.node, store };
        let after = self.tickets.issued;
        effects.push(Effect::Send { to: from, lane: message.lane(), message, after });
    }

    /// A voter says which disk it knows this node by.
    pub(crate) fn on_bound(
        &mut self,
        now: Now,
        from: VoterId,
        (node, store): (NodeId, StoreId),
        effects: &mut Effects,
    ) {
        let is_asked = from.node != self.me.node && self.electorate.contains(from.node);
        if self.binding.bound || node != self.me.node || !is_asked {
            return;
        }
        if store == self.me.store {
            self.binding.confirmed.insert(from.node);
            self.bind_if_confirmed(now, effects);
        } else {
            self.halt(Halt::BoundElsewhere { by: from.node, bound: store }, effects);
        }
    }

    fn bind_if_confirmed(&mut self, now: Now, effects: &mut Effects) {
        let me = self.me;
        let others = self.electorate.voters().iter().filter(|voter| **voter != me.node).count();
        let needed = if others == 0 { 0 } else { others / 2 + 1 };
        if self.binding.bound || self.binding.confirmed.len() < needed {
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
        if config.voters.iter().all(|member| member.store.is_some()) || !self.may_reconfigure() {
            return;
        }
        let mut filled = config.clone();
        filled.predecessor = self.log.config_index();
        for member in &mut filled.voters {
            let Some(store) = self.acting_store(member.node) else { return };
            member.store = Some(store);
        }
        self.append_own(now, EntryKind::Config, filled.encode().into(), effects);
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
