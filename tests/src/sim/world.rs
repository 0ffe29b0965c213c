//! One seed: a cluster, its clients, its faults, and the loop that moves virtual time.
//!
//! A seed has two parts. In the storm faults strike by a mix that changes every few seconds, and
//! only the laws are checked. Then everything heals, and within a bounded time the cluster must
//! elect, finish every client's work and agree: every node folded to the same index and hash.

use std::collections::{BTreeMap, BTreeSet};

use election::{Micros, NodeId};

use super::{
    Options, Report,
    checkers::{Checked, Checkers, Violation, violated},
    clock::Queue,
    levels::Levels,
    mix::{Fault, Mix},
    network::{Admission, NetEvent, Network, Packet, Pair},
    node::{Failure, Node, genesis},
    panics,
    rng::Rng,
    trace::{self, Trace},
    trouble::Trial,
    workload::{ClientEvent, Workload},
};

/// The storm lasts at least this long, ...
const STORM_US_MIN: u64 = 30_000_000;
/// ... goes on until so many faults struck, ...
const FAULTS_MIN: u64 = 20;
/// ... and so many operations were begun, ...
const OPERATIONS_MIN: u64 = 100;
/// ... and ends in any case.
const STORM_US_MAX: u64 = 120_000_000;
/// Operations begun in each second of the storm, on average, at least.
const OPERATIONS_PER_S: u64 = 20;
/// What the cluster has to elect a leader, finish all work and agree, once healed.
const RECOVERY_US_MAX: u64 = 10_000_000;
/// Operations that are begun after the healing, at least.
const RECOVERY_OPERATIONS: u64 = 20;
/// More events than this in one seed are a loop that makes no progress.
const EVENTS_MAX: u64 = 20_000_000;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    Net(NetEvent),
    /// A node's deadline.
    Wake {
        node: NodeId,
        life: u64,
        number: u64,
    },
    /// A sync is done.
    Synced {
        node: NodeId,
        life: u64,
    },
    /// A node folds what is committed.
    Fold {
        node: NodeId,
        life: u64,
    },
    /// A node looks around.
    Tick {
        node: NodeId,
        life: u64,
    },
    Restart {
        node: NodeId,
    },
    /// A node that was asked to stop has had its time.
    Left {
        node: NodeId,
        life: u64,
    },
    /// A full disk has room again.
    Room {
        node: NodeId,
    },
    Client(ClientEvent),
    Fault {
        act: u64,
    },
    /// A leader's time is up.
    Depose {
        node: NodeId,
        life: u64,
        act: u64,
    },
    NextAct,
    Reconnect {
        partition: u64,
    },
    /// See whether the storm or the recovery is over.
    Review,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) queue: Queue<Event>,
    pub(super) rng: Rng,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) network: Network,
    pub(super) workload: Workload,
    pub(super) checkers: Checkers,
    pub(super) levels: Levels,
    pub(super) trace: Trace,
    pub(super) mix: Mix,
    /// The number of the present mix.
    pub(super) act: u64,
    pub(super) faults: u64,
    /// Those in force: which directions each blocks.
    pub(super) partitions: BTreeMap<u64, Vec<(NodeId, NodeId)>>,
    pub(super) is_healed: bool,
    pub(super) trial: Trial,
    healed_at: Micros,
    /// Since then everything is well.
    pub(super) calm_since: Micros,
    begun_in_storm: u64,
    is_over: bool,
    /// Faults that are left out.
    pub(super) without: BTreeSet<Fault>,
    /// The storm ends at the latest then.
    storm_us: Option<u64>,
    /// Less was asked for: little may happen.
    is_reduced: bool,
}

impl From<NetEvent> for Event {
    fn from(event: NetEvent) -> Self {
        Self::Net(event)
    }
}

impl World {
    /// The cluster of a seed, before its first event.
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::new(seed);
        let size = options.nodes.unwrap_or_else(|| *rng.pick(&[1, 2, 3, 3, 3, 4, 5, 5]));
        let ids: Vec<NodeId> = (1..=size).map(NodeId).collect();
        let genesis = genesis(&ids);
        let nodes = Node::cluster(&ids, &genesis, &mut rng);
        let network = Network::new(&ids, Mix::CALM.weather, rng.fork());
        let workload = Workload::new(&ids, options.clients, rng.fork());
        Self {
            queue: Queue::new(),
            nodes,
            network,
            workload,
            checkers: Checkers::new(&genesis),
            levels: Levels::default(),
            trace: Trace::new(seed, options.prints),
            mix: Mix::CALM,
            act: 0,
            faults: 0,
            partitions: BTreeMap::new(),
            is_healed: false,
            trial: Trial::Ahead,
            healed_at: Micros(0),
            calm_since: Micros(0),
            begun_in_storm: 0,
            is_over: false,
            without: options.without.clone(),
            storm_us: options.storm_ms.map(|ms| ms * 1_000),
            is_reduced: !options.as_flags().is_empty(),
            rng,
        }
    }

    /// Live through the seed.
    pub(crate) fn run(&mut self) -> Checked {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let first_start_us = self.rng.below(100_000);
            self.queue.after(first_start_us, Event::Restart { node });
        }
        self.network.dial_all(&mut self.queue);
        self.workload.begin(&mut self.queue);
        self.queue.after(1_000_000, Event::NextAct);
        self.queue.after(self.storm_us.unwrap_or(STORM_US_MIN), Event::Review);
        while !self.is_over {
            let Some(event) = self.queue.next() else {
                return violated("nothing is left to happen".into());
            };
            self.happen(event)?;
            if self.trace.events() > EVENTS_MAX {
                return violated(format!("{EVENTS_MAX} events and no end"));
            }
        }
        self.last_checks()
    }

    /// What came of it.
    pub(crate) fn report(&mut self, seed: u64, flags: String, violation: Option<String>) -> Report {
        self.trace.add("messages lost, doubled or overtaken", self.network.mishaps);
        self.trace.add("an operation was given up", self.workload.given_up());
        self.trace.add("a split vote", self.checkers.split_votes());
        self.trace.add("operations acknowledged", self.workload.acknowledged());
        Report {
            seed,
            nodes: u64::try_from(self.nodes.len()).expect("a handful"),
            virtual_us: self.queue.now().0,
            faults: self.faults,
            operations: self.workload.acknowledged(),
            hash: self.trace.hash(),
            counters: self.trace.counters().clone(),
            tail: if violation.is_some() { self.trace.tail() } else { Vec::new() },
            violation,
            flags,
        }
    }

    /// Put an event into the trace.
    pub(super) fn note(&mut self, what: &'static str, node: NodeId, first: u64, second: u64) {
        let event = trace::Event { what, node: node.0, first, second };
        self.trace.event(self.queue.now(), event);
    }

    /// Nodes whose process runs.
    pub(super) fn nodes_up(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_up()).map(|(&id, _)| id).collect()
    }

    /// A node that regards itself as the leader of the newest term that has one.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let leads = self.nodes.iter().filter_map(|(&id, node)| Some((node.leads()?, id)));
        leads.max().map(|(_, id)| id)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the nodes of a seed are fixed")
    }

    fn happen(&mut self, event: Event) -> Checked {
        if let Some(until) = self.paused(&event) {
            self.queue.at(until, event);
            return Ok(());
        }
        match event {
            Event::Net(event) => self.network_event(event),
            Event::Wake { node, life, number } => self.wake(node, life, number),
            Event::Synced { node, life } => self.synced(node, life),
            Event::Fold { node, life } => self.fold(node, life),
            Event::Tick { node, life } => self.tick(node, life),
            Event::Restart { node } => self.start(node),
            Event::Left { node, life } => self.left(node, life),
            Event::Room { node } => {
                self.make_room(node);
                Ok(())
            }
            Event::Client(event) => self.client_event(event),
            Event::Fault { act } => {
                if act == self.act {
                    self.strike()
                } else {
                    Ok(())
                }
            }
            Event::Depose { node, life, act } => {
                self.depose(node, life, act);
                Ok(())
            }
            Event::NextAct => {
                self.next_act();
                Ok(())
            }
            Event::Reconnect { partition } => {
                self.end_partition(partition);
                Ok(())
            }
            Event::Review => self.review(),
        }
    }

    /// When the node concerned goes on, if it is paused.
    fn paused(&self, event: &Event) -> Option<Micros> {
        let node = match event {
            Event::Wake { node, .. }
            | Event::Synced { node, .. }
            | Event::Fold { node, .. }
            | Event::Tick { node, .. }
            | Event::Left { node, .. } => *node,
            Event::Net(NetEvent::Up { at, .. } | NetEvent::Lost { at, .. }) => *at,
            Event::Net(NetEvent::Arrive(packet)) => packet.to.node,
            Event::Client(event) => event.node()?,
            Event::Net(NetEvent::Dial(_) | NetEvent::Idle { .. })
            | Event::Restart { .. }
            | Event::Room { .. }
            | Event::Fault { .. }
            | Event::Depose { .. }
            | Event::NextAct
            | Event::Reconnect { .. }
            | Event::Review => return None,
        };
        let until = self.nodes.get(&node)?.paused_until;
        (until > self.queue.now()).then_some(until)
    }

    fn network_event(&mut self, event: NetEvent) -> Checked {
        match event {
            NetEvent::Dial(pair) => {
                self.dial(pair);
                Ok(())
            }
            NetEvent::Up { at, peer, epoch } => self.link_up(at, peer, epoch),
            NetEvent::Lost { at, peer, epoch, stepped_down } => {
                if self.network.learn_lost(at, peer, epoch) {
                    self.link_lost(at, peer, stepped_down)?;
                }
                Ok(())
            }
            NetEvent::Idle { pair, epoch } => {
                self.network.idle(pair, epoch, &mut self.queue);
                Ok(())
            }
            NetEvent::Arrive(packet) => self.arrive(packet),
        }
    }

    fn dial(&mut self, pair: Pair) {
        let now = self.queue.now();
        let mut ends = pair.nodes().into_iter().map(|id| &self.nodes[&id]);
        let reachable = ends.all(|node| node.is_up() && node.paused_until <= now);
        self.network.dial(pair, reachable, &mut self.queue);
    }

    fn link_up(&mut self, at: NodeId, peer: NodeId, epoch: u64) -> Checked {
        if self.nodes[&at].is_up() && self.network.learn_up(at, peer, epoch) {
            let identity = self.nodes[&peer].identity().expect("it was up to connect");
            self.connected(at, identity)?;
        }
        Ok(())
    }

    fn arrive(&mut self, packet: Packet) -> Checked {
        match self.network.admit(&packet) {
            Admission::Drop => Ok(()),
            Admission::Deliver => self.receive(&packet),
            Admission::UpFirst(epoch) => {
                self.link_up(packet.to.node, packet.from.node, epoch)?;
                self.receive(&packet)
            }
        }
    }

    fn client_event(&mut self, event: ClientEvent) -> Checked {
        match event {
            ClientEvent::Begin { client } => {
                self.workload.begin_one(client, &mut self.queue);
                Ok(())
            }
            ClientEvent::Ask { key, node } => match self.workload.demand(key) {
                Some(demand) => self.ask(node, key, demand),
                None => Ok(()),
            },
            ClientEvent::Answer { key, reply } => {
                let client = u64::try_from(key.client).expect("a handful");
                self.note("answer", NodeId(0), client, key.operation);
                self.workload.answered(key, reply, &mut self.queue)
            }
            ClientEvent::Timeout { key } => {
                self.workload.try_again(key, &mut self.queue);
                Ok(())
            }
        }
    }

    /// Is the storm over? Then heal. Is the recovery over? Then stop.
    fn review(&mut self) -> Checked {
        let now = self.queue.now();
        if !self.is_healed {
            let enough = self.faults >= FAULTS_MIN && self.workload.begun() >= OPERATIONS_MIN;
            if enough || now.0 >= self.storm_us.unwrap_or(STORM_US_MAX) {
                self.heal();
                (self.healed_at, self.calm_since) = (now, now);
                self.begun_in_storm = self.workload.begun();
                let missing = OPERATIONS_MIN.saturating_sub(self.workload.acknowledged());
                self.workload.finish(self.workload.begun() + missing.max(RECOVERY_OPERATIONS));
                self.note("heal", NodeId(0), self.faults, self.workload.begun());
            }
            self.queue.after(500_000, Event::Review);
            return Ok(());
        }
        if matches!(self.trial, Trial::UnderWay { .. }) {
            self.end_trial()?;
            self.calm_since = now;
        } else if matches!(self.trial, Trial::HandsOver { .. }) {
            self.watch_hand_over();
            self.calm_since = now;
            return Ok(());
        } else if self.workload.is_finished() && self.agree() {
            if self.begin_trial()? {
                return Ok(());
            }
            self.is_over = true;
            return Ok(());
        }
        if !self.network.is_calm(now) {
            // What the storm has delayed is still to come, and stands in the way of all behind it.
            self.calm_since = now;
        }
        if now.since(self.calm_since).0 > RECOVERY_US_MAX {
            self.note_whole();
            if !self.has_quorum() {
                self.trace.count("too much was lost to go on");
                (self.is_over, self.is_reduced) = (true, true);
                return Ok(());
            }
            return violated(format!("no recovery: {}", self.standing()));
        }
        self.replace_lost()?;
        self.end_drains()?;
        self.queue.after(50_000, Event::Review);
        Ok(())
    }

    /// Has every node folded everything that is committed? (Equal hashes are checked at the fold.)
    fn agree(&self) -> bool {
        let newest = self.checkers.newest();
        let mut members = self.nodes.values().filter(|node| self.must_agree(node));
        members.all(|node| node.folded() == Some(newest))
    }

    pub(super) fn standing(&self) -> String {
        let nodes: Vec<String> = self.nodes.values().map(Node::standing).collect();
        format!(
            "{} operations wait, newest commit {}; {}",
            self.workload.waiting(),
            self.checkers.newest(),
            nodes.join("; ")
        )
    }

    fn last_checks(&mut self) -> Checked {
        let is_whole = !self.is_reduced;
        let is_weak = self.faults < FAULTS_MIN || self.workload.acknowledged() < OPERATIONS_MIN;
        if is_whole && is_weak {
            return violated(format!(
                "a weak seed: {} faults, {} operations",
                self.faults,
                self.workload.acknowledged()
            ));
        }
        let storm_s = self.healed_at.0 / 1_000_000;
        if is_whole && self.begun_in_storm < storm_s * OPERATIONS_PER_S {
            let begun = self.begun_in_storm;
            return violated(format!("a weak seed: {begun} operations in {storm_s} s"));
        }
        let newest = self.checkers.newest();
        for node in self.nodes.values().filter(|node| node.folded() == Some(newest)) {
            match self.check_history(node.id) {
                // What nobody has read since it rotted.
                Err(Failure::Disk(wal::Error::Faulty { .. })) if node.damaged_at.is_some() => {}
                Ok(()) => {}
                Err(Failure::Law(violation)) => return Err(violation),
                Err(Failure::Disk(error)) => {
                    return violated(format!("node {}: {error:?}", node.id));
                }
            }
        }
        self.workload.lobby.check()
    }
}

/// Live through one seed and say what came of it. A panic counts as a broken law.
pub(crate) fn live(seed: u64, options: &Options) -> Report {
    let mut world = World::new(seed, options);
    let violation = match panics::caught(|| world.run()) {
        Ok(Ok(())) => None,
        Ok(Err(Violation(reason))) | Err(reason) => Some(reason),
    };
    world.report(seed, options.as_flags(), violation)
}
