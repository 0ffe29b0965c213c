//! The virtual network: connections with epochs, lanes that share no order, and what goes wrong
//! with them.
//!
//! A connection joins two nodes and has an epoch, higher than that of every earlier one between
//! them. Each side learns of it, and of its loss, at a time of its own. A message belongs to the
//! epoch under which it was sent and arrives under no other.

use std::collections::BTreeMap;

use bytes::Bytes;
use election::{Micros, NodeId, VoterId};
use replication::Lane;

use super::{clock::Queue, mix::Weather, rng::Rng};

/// Messages that one direction of a partitioned link keeps for the time after; more are lost.
const HELD_MESSAGES_MAX: usize = 256;

/// What the network does by itself.
#[derive(Clone, Debug)]
pub(crate) enum NetEvent {
    /// Try to connect a pair.
    Dial(Pair),
    /// A node learns that it is connected to a peer.
    Up { at: NodeId, peer: NodeId, epoch: u64 },
    /// A node learns that a connection is lost, or that the peer closed it because it stops.
    Lost { at: NodeId, peer: NodeId, epoch: u64, stepped_down: bool },
    /// A partitioned connection times out.
    Idle { pair: Pair, epoch: u64 },
    /// A message arrives.
    Arrive(Packet),
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: VoterId,
    pub(crate) to: VoterId,
    pub(crate) lane: Lane,
    pub(crate) bytes: Bytes,
    epoch: u64,
    /// The lane's resets so far: what was in flight at a reset is lost.
    resets: u64,
}

/// Two nodes, the lower first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pair {
    low: NodeId,
    high: NodeId,
}

/// What to do with an arriving packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Its connection is the receiver's.
    Deliver,
    /// Its connection is new to the receiver, who learns of it first.
    UpFirst(u64),
    /// Its connection or lane is gone.
    Drop,
}

#[derive(Debug, Default)]
struct Connection {
    /// The newest epoch, whether or not it is still up.
    epoch: u64,
    up: bool,
    /// A dial is under way.
    dialing: bool,
}

#[derive(Debug, Default)]
struct Direction {
    /// How many partitions are in the way.
    blocked: u32,
    held: Vec<Packet>,
    /// The epoch that the sender knows of.
    view: Option<u64>,
    /// Per lane: when the newest message arrives, and how often the lane was reset.
    lanes: BTreeMap<Lane, (Micros, u64)>,
}

/// All connections of the cluster.
#[derive(Debug)]
pub(crate) struct Network {
    rng: Rng,
    pub(crate) weather: Weather,
    nodes: Vec<NodeId>,
    connections: BTreeMap<Pair, Connection>,
    directions: BTreeMap<(NodeId, NodeId), Direction>,
    /// Messages that were lost, doubled or overtaken so far.
    pub(crate) mishaps: u64,
}

impl Pair {
    pub(crate) fn new(one: NodeId, other: NodeId) -> Self {
        assert_ne!(one, other, "a node needs no connection to itself");
        Self { low: one.min(other), high: one.max(other) }
    }

    pub(crate) const fn nodes(self) -> [NodeId; 2] {
        [self.low, self.high]
    }
}

impl Network {
    pub(crate) fn new(nodes: &[NodeId], weather: Weather, rng: Rng) -> Self {
        let (connections, directions) = (BTreeMap::new(), BTreeMap::new());
        let mut network = Self { rng, weather, connections, directions, nodes: vec![], mishaps: 0 };
        for &node in nodes {
            network.insert(node);
        }
        network
    }

    /// There is one node more, and it is connected to all others sooner or later.
    pub(crate) fn add<E: From<NetEvent>>(&mut self, node: NodeId, queue: &mut Queue<E>) {
        self.insert(node);
        self.dial_all(queue);
    }

    fn insert(&mut self, node: NodeId) {
        for &other in &self.nodes {
            self.connections.insert(Pair::new(node, other), Connection::default());
            self.directions.insert((node, other), Direction::default());
            self.directions.insert((other, node), Direction::default());
        }
        self.nodes.push(node);
    }

    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.connections.keys().copied().collect()
    }

    /// See to it that every pair is connected sooner or later.
    pub(crate) fn dial_all<E: From<NetEvent>>(&mut self, queue: &mut Queue<E>) {
        for pair in self.pairs() {
            self.dial_later(pair, queue);
        }
    }

    /// A dial takes place: it connects when `reachable` and no partition is in the way.
    pub(crate) fn dial<E: From<NetEvent>>(
        &mut self,
        pair: Pair,
        reachable: bool,
        queue: &mut Queue<E>,
    ) {
        let [low, high] = pair.nodes();
        let open = reachable && !self.is_blocked(low, high) && !self.is_blocked(high, low);
        let connection = self.connection(pair);
        connection.dialing = false;
        if connection.up {
            return;
        }
        if !open {
            self.dial_later(pair, queue);
            return;
        }
        connection.epoch += 1;
        connection.up = true;
        let epoch = connection.epoch;
        for (at, peer) in [(low, high), (high, low)] {
            let delay = self.delay_us(Lane::Control);
            queue.after(delay, NetEvent::Up { at, peer, epoch }.into());
        }
    }

    /// A node learns of a connection; false when it knows of a newer one or it is gone already.
    pub(crate) fn learn_up(&mut self, at: NodeId, peer: NodeId, epoch: u64) -> bool {
        let current = self.connection(Pair::new(at, peer));
        if !current.up || current.epoch != epoch {
            return false;
        }
        let direction = self.direction(at, peer);
        let news = direction.view != Some(epoch);
        direction.view = Some(epoch);
        news
    }

    /// A node learns of a loss; false when it does not regard that connection as its own.
    pub(crate) fn learn_lost(&mut self, at: NodeId, peer: NodeId, epoch: u64) -> bool {
        let direction = self.direction(at, peer);
        if direction.view != Some(epoch) {
            return false;
        }
        direction.view = None;
        true
    }

    /// Send a message, if there is a connection.
    pub(crate) fn send<E: From<NetEvent>>(
        &mut self,
        (from, to): (VoterId, VoterId),
        lane: Lane,
        bytes: Bytes,
        queue: &mut Queue<E>,
    ) {
        let direction = self.direction(from.node, to.node);
        let Some(epoch) = direction.view else {
            return;
        };
        let resets = direction.lanes.entry(lane).or_default().1;
        let packet = Packet { from, to, lane, bytes, epoch, resets };
        if direction.blocked > 0 {
            if direction.held.len() < HELD_MESSAGES_MAX {
                direction.held.push(packet);
            } else {
                self.mishaps += 1;
            }
            return;
        }
        let log_drop = if lane == Lane::Log { self.weather.log_drop_per_mille } else { 0 };
        if self.rng.chance(self.weather.drop_per_mille.max(log_drop)) {
            self.mishaps += 1;
            return;
        }
        if self.rng.chance(self.weather.duplicate_per_mille) {
            self.mishaps += 1;
            self.carry(packet.clone(), queue);
        }
        self.carry(packet, queue);
    }

    /// What to do with a packet that arrives.
    pub(crate) fn admit(&mut self, packet: &Packet) -> Admission {
        let connection = self.connection(Pair::new(packet.from.node, packet.to.node));
        if !connection.up || connection.epoch != packet.epoch {
            return Admission::Drop;
        }
        let sent = self.direction(packet.from.node, packet.to.node);
        if sent.lanes.get(&packet.lane).is_some_and(|&(_, resets)| resets != packet.resets) {
            return Admission::Drop;
        }
        match self.direction(packet.to.node, packet.from.node).view {
            Some(epoch) if epoch == packet.epoch => Admission::Deliver,
            Some(_) | None => Admission::UpFirst(packet.epoch),
        }
    }

    /// Put a one-way partition in the way.
    pub(crate) fn block<E: From<NetEvent>>(
        &mut self,
        from: NodeId,
        to: NodeId,
        queue: &mut Queue<E>,
    ) {
        self.direction(from, to).blocked += 1;
        let pair = Pair::new(from, to);
        let epoch = self.connection(pair).epoch;
        queue.after(self.weather.idle_us, NetEvent::Idle { pair, epoch }.into());
    }

    /// Take one away. What was held arrives now, or the connection broke meanwhile.
    pub(crate) fn unblock<E: From<NetEvent>>(
        &mut self,
        from: NodeId,
        to: NodeId,
        queue: &mut Queue<E>,
    ) {
        let direction = self.direction(from, to);
        direction.blocked = direction.blocked.checked_sub(1).expect("a partition was in the way");
        if direction.blocked > 0 {
            return;
        }
        for packet in std::mem::take(&mut direction.held) {
            self.carry(packet, queue);
        }
    }

    /// A connection has been silent for the idle time: it breaks if it is still partitioned.
    pub(crate) fn idle<E: From<NetEvent>>(&mut self, pair: Pair, epoch: u64, queue: &mut Queue<E>) {
        let [low, high] = pair.nodes();
        let silent = self.is_blocked(low, high) || self.is_blocked(high, low);
        if silent && self.connection(pair).epoch == epoch {
            self.break_connection(pair, queue);
        }
    }

    /// A connection breaks: what is in flight is lost, and each side notices in its own time,
    /// perhaps only by the next connection.
    pub(crate) fn break_connection<E: From<NetEvent>>(&mut self, pair: Pair, queue: &mut Queue<E>) {
        let connection = self.connection(pair);
        if !connection.up {
            return;
        }
        connection.up = false;
        let epoch = connection.epoch;
        let [low, high] = pair.nodes();
        for (at, peer) in [(low, high), (high, low)] {
            self.direction(at, peer).held.clear();
            let notice = self.rng.below(self.weather.idle_us);
            let lost = NetEvent::Lost { at, peer, epoch, stepped_down: false };
            queue.after(notice, lost.into());
        }
        self.dial_later(pair, queue);
    }

    /// Has everything arrived that a worse weather has delayed?
    pub(crate) fn is_calm(&self, now: Micros) -> bool {
        let soon = now.plus(Micros(self.weather.latency_us.iter().max().copied().unwrap_or(0) * 2));
        let mut lanes = self.directions.values().flat_map(|direction| direction.lanes.values());
        lanes.all(|(newest, _)| *newest <= soon)
    }

    /// A process is gone, and with it all its connections.
    pub(crate) fn node_down<E: From<NetEvent>>(&mut self, node: NodeId, queue: &mut Queue<E>) {
        let pairs: Vec<Pair> =
            self.connections.keys().copied().filter(|pair| pair.nodes().contains(&node)).collect();
        for pair in pairs {
            self.break_connection(pair, queue);
            for peer in pair.nodes().into_iter().filter(|&peer| peer != node) {
                self.direction(node, peer).view = None;
            }
        }
    }

    /// A process closes all its connections and says that it stops, to those who can hear it.
    pub(crate) fn node_closes<E: From<NetEvent>>(&mut self, node: NodeId, queue: &mut Queue<E>) {
        let peers: Vec<NodeId> =
            self.directions.keys().filter(|&&(from, _)| from == node).map(|&(_, to)| to).collect();
        for at in peers {
            let direction = self.direction(node, at);
            let Some(epoch) = direction.view.filter(|_| direction.blocked == 0) else {
                continue;
            };
            let delay_us = self.delay_us(Lane::Control);
            let closed = NetEvent::Lost { at, peer: node, epoch, stepped_down: true };
            queue.after(delay_us, closed.into());
        }
        self.node_down(node, queue);
    }

    /// A lane is reset: what is in flight on it is lost, and nobody is told.
    pub(crate) fn reset_lane(&mut self, from: NodeId, to: NodeId, lane: Lane) {
        let (arrival, resets) = self.direction(from, to).lanes.entry(lane).or_default();
        *arrival = Micros(0);
        *resets += 1;
    }

    fn carry<E: From<NetEvent>>(&mut self, packet: Packet, queue: &mut Queue<E>) {
        let arrival = queue.now().plus(Micros(self.delay_us(packet.lane)));
        let reorder = self.rng.chance(self.weather.reorder_per_mille);
        let (newest, _) =
            self.direction(packet.from.node, packet.to.node).lanes.entry(packet.lane).or_default();
        let overtakes = arrival < *newest;
        let arrival = if reorder { arrival } else { arrival.max(*newest) };
        *newest = arrival.max(*newest);
        if reorder && overtakes {
            self.mishaps += 1;
        }
        queue.at(arrival, NetEvent::Arrive(packet).into());
    }

    fn dial_later<E: From<NetEvent>>(&mut self, pair: Pair, queue: &mut Queue<E>) {
        let connection = self.connection(pair);
        if connection.up || connection.dialing {
            return;
        }
        connection.dialing = true;
        let back_off_us = self.rng.within(1_000, self.weather.redial_us);
        queue.after(back_off_us, NetEvent::Dial(pair).into());
    }

    fn delay_us(&mut self, lane: Lane) -> u64 {
        let [control, log, bulk] = self.weather.latency_us;
        let latency_us = match lane {
            Lane::Control => control,
            Lane::Log => log,
            Lane::Bulk => bulk,
        };
        let base = self.rng.within(latency_us / 2, latency_us);
        if self.rng.chance(self.weather.spike_per_mille) { base * 10 } else { base }
    }

    fn is_blocked(&self, from: NodeId, to: NodeId) -> bool {
        self.directions[&(from, to)].blocked > 0
    }

    fn connection(&mut self, pair: Pair) -> &mut Connection {
        self.connections.get_mut(&pair).expect("every pair has one")
    }

    fn direction(&mut self, from: NodeId, to: NodeId) -> &mut Direction {
        self.directions.get_mut(&(from, to)).expect("every pair has both")
    }
}

#[cfg(test)]
mod tests;
