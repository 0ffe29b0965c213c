//! Nodes are alike: of all states that differ only in which node is which, one stands for the rest.
//!
//! What always holds: voters of the genesis stay such, so that what one state may do, the other may,
//! with other numbers. Nodes that nothing tells apart here keep their order: some states are visited
//! more than once, none is missed.

use super::{
    state::{Config, Entry, NODES_MAX, Set, State, number},
    step::Step,
};

/// Where each node goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Naming([usize; NODES_MAX]);

impl Naming {
    /// Nobody moves.
    pub(super) const SAME: Self = Self([0, 1, 2, 3, 4]);

    /// The naming that brings a state into its one form: by what tells nodes apart without their
    /// numbers.
    pub(super) fn of(state: &State, nodes: usize, voters: usize) -> Self {
        let mut order = [0, 1, 2, 3, 4];
        let keys: [u64; NODES_MAX] = std::array::from_fn(|node| key(state, node, nodes));
        order[..voters].sort_by_key(|node| keys[*node]);
        order[voters..nodes].sort_by_key(|node| keys[*node]);
        let mut naming = Self::SAME;
        for (place, node) in order.into_iter().enumerate() {
            naming.0[node] = place;
        }
        naming
    }

    /// The way back.
    pub(super) fn inverse(self) -> Self {
        let mut inverse = Self::SAME;
        for (node, place) in self.0.into_iter().enumerate() {
            inverse.0[place] = node;
        }
        inverse
    }

    /// This one, then another.
    pub(super) fn then(self, other: Self) -> Self {
        Self(self.0.map(|place| other.0[place]))
    }

    pub(super) fn state(self, state: &State) -> State {
        let mut named = *state;
        for (node, place) in self.0.into_iter().enumerate() {
            let mut moved = state.nodes[node];
            moved.vote = self.counted(moved.vote);
            moved.votes = self.set(moved.votes);
            moved.config = self.config(moved.config);
            named.nodes[place] = moved;
        }
        for (old, new) in state.leaders.iter().zip(&mut named.leaders) {
            new.node = self.counted(old.node);
            for (node, place) in self.0.into_iter().enumerate() {
                new.matched[place] = old.matched[node];
            }
        }
        let logs = named.nodes.iter_mut().map(|node| &mut node.log);
        let logs = logs.chain(named.leaders.iter_mut().map(|leader| &mut leader.log));
        for log in logs.chain([&mut named.committed]) {
            for entry in log.entries_mut() {
                entry.config = self.config(entry.config);
            }
        }
        named
    }

    pub(super) fn step(self, step: Step) -> Step {
        let to = |node: usize| self.0[node];
        match step {
            Step::Stand { node } => Step::Stand { node: to(node) },
            Step::Vote { node, candidate } => {
                Step::Vote { node: to(node), candidate: to(candidate) }
            }
            Step::Append { term } => Step::Append { term },
            Step::Change { term, config } => Step::Change { term, config: self.config(config) },
            Step::Accept { node, term, end } => Step::Accept { node: to(node), term, end },
            Step::Rot { node } => Step::Rot { node: to(node) },
            Step::Crash { node } => Step::Crash { node: to(node) },
        }
    }

    /// A node that is counted from 1, or nobody.
    fn counted(self, node: u8) -> u8 {
        usize::from(node).checked_sub(1).map_or(0, |node| number(self.0[node]) + 1)
    }

    fn set(self, set: Set) -> Set {
        let mut moved = Set::default();
        let members = (0..NODES_MAX).filter(|node| set.contains(*node));
        members.for_each(|node| moved.insert(self.0[node]));
        moved
    }

    fn config(self, config: Config) -> Config {
        if config.is_none() {
            return config;
        }
        Config::new(self.set(config.voters()), config.survivor().map(|node| self.0[node]))
    }
}

/// What tells a node apart without any node's number. That two nodes have one key by chance costs a
/// detour and no more.
fn key(state: &State, node: usize, nodes: usize) -> u64 {
    let me = &state.nodes[node];
    let counted = number(node) + 1;
    let asked = Set::filter(nodes, |other| state.nodes[other].votes.contains(node));
    let chosen = Set::filter(nodes, |other| state.nodes[other].vote == counted);
    let votes =
        u64::from(me.votes.len()) << 8 | u64::from(asked.len()) << 4 | u64::from(chosen.len());
    let mut key = mixed(votes, [me.term, me.floor.0, me.floor.1, me.vote.min(1)]);
    key = mixed(key, [u8::from(me.vote == counted), me.log.len(), 0, 0]);
    let heard = state.leaders.iter().filter(|leader| leader.node != 0);
    for leader in heard.clone() {
        key = mixed(key, [u8::from(leader.node == counted), leader.matched[node], 0, 0]);
    }
    for log in heard.map(|leader| &leader.log).chain([&state.committed, &me.log]) {
        for index in 1..=log.len() {
            let Entry { term, config } = log.at(index);
            let part = u8::from(config.voters().contains(node));
            let alone = u8::from(config.survivor() == Some(node));
            key = mixed(key, [term, part, alone, u8::from(config.is_none())]);
        }
    }
    key
}

fn mixed(key: u64, more: [u8; 4]) -> u64 {
    let more = u64::from(u32::from_le_bytes(more));
    (key.rotate_left(17) ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
