//! A cluster in one thread: every delay and loss is the test's to choose, every run is repeatable.
//!
//! What it checks at every step, whatever the scenario: one leader per term; a leader has every
//! entry that was committed in an earlier term; committed entries are the same on all nodes and never change; an effect leaves
//! only when its ticket is durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use election::{Index, Micros, NodeId, Random, Term, Ticket, VoterId};
use wal::{Entry, EntryKind, Op};

use super::disk::{Disk, boot, genesis, voter};
use crate::{
    Boot, ClusterConfig, Effect, Effects, Halt, Input, Limits, LinkEvent, Message, Now, Outcome,
    ProposalId, ReadId, Replica, Role, Timing,
};

pub(super) const EPOCH: Micros = Micros(1_700_000_000_000_000);

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: VoterId,
    pub(super) replica: Option<Replica>,
    pub(super) disk: Disk,
    /// It came after the genesis.
    pub(super) joined: bool,
    life: u64,
    issued: Ticket,
    durable: Ticket,
    held: VecDeque<(Ticket, VoterId, Message)>,
    /// Came in while it was busy.
    waiting: Vec<Input>,
    pub(super) commit: Index,
    pub(super) fsync: Micros,
    /// Its disk answers no more.
    pub(super) stalled: bool,
    /// Its wall clock is this far ahead.
    pub(super) wall_ahead: Micros,
    pub(super) halt: Option<Halt>,
    /// What its build understands from its next start on.
    pub(super) level: u16,
}

impl Node {
    /// With an empty disk.
    pub(super) fn new(id: VoterId) -> Self {
        Self {
            id,
            replica: None,
            disk: Disk::default(),
            joined: false,
            // No life of one disk is taken for one of another.
            life: (id.store.0 as u64) << 32,
            issued: Ticket(0),
            durable: Ticket(0),
            held: VecDeque::new(),
            waiting: Vec::new(),
            commit: Index(0),
            fsync: Micros(1_000),
            stalled: false,
            wall_ahead: Micros(0),
            halt: None,
            level: 1,
        }
    }

    /// With an empty disk that came after the genesis.
    pub(super) fn joiner(id: VoterId) -> Self {
        Self { joined: true, ..Self::new(id) }
    }
}

#[derive(Debug)]
enum Event {
    Deliver { from: VoterId, to: VoterId, lives: (u64, u64), message: Message },
    Durable { node: NodeId, life: u64, ticket: Ticket },
    Fetched { node: NodeId, life: u64, input: Input },
}

/// How messages fare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) delay_min: Micros,
    pub(super) delay_max: Micros,
    pub(super) drop_percent: u64,
    pub(super) repeat_percent: u64,
}

pub(super) struct Cluster {
    pub(super) now: Micros,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) genesis: ClusterConfig,
    pub(super) timing: Timing,
    pub(super) limits: Limits,
    pub(super) weather: Weather,
    /// So often a node is busy when something comes in, and takes it together with what comes next.
    pub(super) busy_percent: u64,
    pub(super) random: Random,
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    events: BTreeMap<(Micros, u64), Event>,
    sequence: u64,
    /// What happened, a line each.
    pub(super) journal: Vec<String>,
    pub(super) trace: bool,
    pub(super) leaders: BTreeMap<Term, NodeId>,
    pub(super) committed: Vec<Entry>,
    /// In which term each of them was committed first.
    committed_in: Vec<Term>,
    pub(super) outcomes: BTreeMap<ProposalId, Outcome>,
    pub(super) bodies: BTreeMap<ProposalId, Bytes>,
    pub(super) reads: BTreeMap<ReadId, Option<Index>>,
    /// What was committed anywhere when the read was asked for.
    pub(super) read_floor: BTreeMap<ReadId, Index>,
    pub(super) names: u64,
    /// Disks that were replaced, and their processes, which stand still.
    pub(super) ghosts: BTreeMap<VoterId, Node>,
}

impl Cluster {
    /// Fresh nodes, all linked, none started.
    pub(super) fn new(count: u64, seed: u64) -> Self {
        let node = |node| (NodeId(node), Node::new(voter(node)));
        Self {
            now: Micros(0),
            nodes: (1..=count).map(node).collect(),
            genesis: genesis(count),
            timing: Timing::default(),
            limits: Limits::default(),
            weather: Weather {
                delay_min: Micros(300),
                delay_max: Micros(300),
                drop_percent: 0,
                repeat_percent: 0,
            },
            busy_percent: 0,
            random: Random::new(seed),
            cut: BTreeSet::new(),
            events: BTreeMap::new(),
            sequence: 0,
            journal: Vec::new(),
            trace: false,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            outcomes: BTreeMap::new(),
            bodies: BTreeMap::new(),
            reads: BTreeMap::new(),
            read_floor: BTreeMap::new(),
            names: 0,
            ghosts: BTreeMap::new(),
        }
    }

    /// Fresh nodes, started, a leader elected and its configuration committed everywhere.
    pub(super) fn settled(count: u64, seed: u64) -> Self {
        let mut cluster = Self::new(count, seed);
        cluster.start_all();
        cluster.run_for(Micros::from_millis(1_000));
        assert!(cluster.leader().is_some(), "a leader within a second: {:#?}", cluster.journal);
        cluster
    }

    pub(super) fn start_all(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.start(node);
        }
    }

    pub(super) fn start(&mut self, node: NodeId) {
        let seed = self.random.next();
        let now = self.clock(node);
        let (genesis, timing, limits) = (&self.genesis, self.timing, self.limits);
        let this = self.nodes.get_mut(&node).unwrap();
        let (level, joined) = (this.level, this.joined);
        let boot =
            Boot { level, timing, limits, joined, ..boot(this.id, genesis, &this.disk, seed) };
        (this.issued, this.durable, this.commit) = (Ticket(0), Ticket(0), Index(0));
        this.life += 1;
        this.replica = Some(Replica::new(now, boot));
        self.input(node, Input::Wake);
        for peer in self.peers_of(node) {
            if self.is_alive(peer) && self.linked(node, peer) {
                self.link(node, peer, true);
                self.link(peer, node, true);
            }
        }
    }

    /// Kill it: what was not synced is lost, but for a drawn number of the oldest operations.
    pub(super) fn kill(&mut self, node: NodeId, links_tell: bool) {
        let this = self.nodes.get_mut(&node).unwrap();
        this.replica = None;
        this.held.clear();
        this.waiting.clear();
        this.stalled = false;
        let kept = self.random.up_to(this.disk.pending.len() as u64);
        let survivors: Vec<Op> =
            this.disk.pending.drain(..).take(kept as usize).map(|(_, op)| op).collect();
        for op in survivors {
            this.disk.apply(op);
        }
        if links_tell {
            for peer in self.peers_of(node) {
                self.link(peer, node, false);
            }
        }
    }

    pub(super) fn peers_of(&self, node: NodeId) -> Vec<NodeId> {
        self.nodes.keys().copied().filter(|peer| *peer != node).collect()
    }

    /// Break both directions between two nodes, or mend them; they notice if `tell`.
    pub(super) fn set_link(&mut self, a: NodeId, b: NodeId, up: bool, tell: bool) {
        for (from, to) in [(a, b), (b, a)] {
            if up {
                self.cut.remove(&(from, to));
            } else {
                self.cut.insert((from, to));
            }
        }
        if tell {
            self.link(a, b, up);
            self.link(b, a, up);
        }
    }

    pub(super) fn isolate(&mut self, node: NodeId) {
        for peer in self.peers_of(node) {
            self.set_link(node, peer, false, false);
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            for peer in self.peers_of(node) {
                self.link(node, peer, true);
            }
        }
    }

    pub(super) fn link(&mut self, at: NodeId, peer: NodeId, up: bool) {
        if self.is_alive(at) && (!up || self.is_alive(peer)) {
            let id = self.nodes[&peer].id;
            let event = if up { LinkEvent::Up(id) } else { LinkEvent::Lost };
            self.input(at, Input::Link { peer, event });
        }
    }

    fn linked(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.nodes[&node].replica.is_some()
    }

    pub(super) fn replica(&self, node: NodeId) -> &Replica {
        self.nodes[&node].replica.as_ref().unwrap()
    }

    /// The leader of the newest term, among those alive.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let alive = self.nodes.values().filter_map(|node| node.replica.as_ref());
        let leading = alive.map(Replica::status).filter(|status| status.role == Role::Leader);
        leading.max_by_key(|status| status.term).map(|status| status.me.node)
    }

    pub(super) fn follower(&self) -> NodeId {
        let leader = self.leader();
        let mut alive = self.nodes.keys().filter(|node| self.is_alive(**node));
        *alive.find(|node| Some(**node) != leader).unwrap()
    }

    pub(super) fn propose(&mut self, node: NodeId, body: &str) -> ProposalId {
        self.names += 1;
        let id = ProposalId(self.names);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.bodies.insert(id, body.clone());
        self.input(node, Input::Propose { id, body });
        id
    }

    pub(super) fn read(&mut self, node: NodeId) -> ReadId {
        self.names += 1;
        let id = ReadId(self.names);
        self.read_floor.insert(id, Index(self.committed.len() as u64));
        self.input(node, Input::Read { id });
        id
    }

    pub(super) fn clock(&self, node: NodeId) -> Now {
        let wall = EPOCH.plus(self.now).plus(self.nodes[&node].wall_ahead);
        Now { monotonic: self.now, wall }
    }

    /// Give one node one input, with those that wait, and carry out what it wants.
    pub(super) fn input(&mut self, node: NodeId, input: Input) {
        let now = self.clock(node);
        let this = self.nodes.get_mut(&node).unwrap();
        let Some(replica) = &mut this.replica else { return };
        let may_wait = input != Input::Wake && self.busy_percent > 0;
        this.waiting.push(input);
        if may_wait && self.random.up_to(99) < self.busy_percent {
            return;
        }
        let mut effects = Effects::new();
        replica.handle_all(now, this.waiting.drain(..), &mut effects);
        for effect in effects {
            self.perform(node, effect);
        }
        let this = self.nodes.get_mut(&node).unwrap();
        let newest = this.disk.pending.back().map(|(ticket, _)| *ticket);
        if let Some(ticket) = newest.filter(|ticket| *ticket > this.issued && !this.stalled) {
            this.issued = ticket;
            let (at, life) = (self.now.plus(this.fsync), this.life);
            self.schedule(at, Event::Durable { node, life, ticket });
        }
    }

    fn perform(&mut self, node: NodeId, effect: Effect) {
        let this = self.nodes.get_mut(&node).unwrap();
        match effect {
            Effect::Persist { ticket, op } => {
                let before = this.disk.pending.back().map_or(this.durable, |(ticket, _)| *ticket);
                assert_eq!(ticket.0, before.0 + 1, "tickets are dense");
                this.disk.pending.push_back((ticket, op));
            }
            Effect::Send { to, lane, message, after } => {
                assert_eq!(lane, message.lane());
                assert_ne!(to, this.id, "nobody talks to itself");
                if after <= this.durable {
                    self.transmit(node, to, message);
                } else {
                    this.held.push_back((after, to, message));
                }
            }
            Effect::Role { role, term, leader } => self.role(node, role, term, leader),
            Effect::Commit(index) => self.commit(node, index),
            Effect::Reply { id, outcome } => {
                self.note(node, &format!("reply {} {outcome:?}", id.0));
                assert_eq!(self.outcomes.insert(id, outcome), None, "one answer to a proposal");
            }
            Effect::ReadReady { id, index } => {
                self.note(node, &format!("read {} ready at {index}", id.0));
                assert!(index >= self.read_floor[&id], "a read sees what was committed before it");
                assert_eq!(self.reads.insert(id, Some(index)), None, "one answer to a read");
            }
            Effect::ReadFailed { id } => {
                self.note(node, &format!("read {} failed", id.0));
                assert_eq!(self.reads.insert(id, None), None, "one answer to a read");
            }
            Effect::Fetch { fetch, first, last, bytes_max: _ } => {
                let entries = this.disk.view().into_iter();
                let wanted = entries.filter(|e| (first.0..=last.0).contains(&e.index)).take(3);
                let input = Input::Fetched { fetch, entries: wanted.collect() };
                let (at, life) = (self.now.plus(Micros(200)), this.life);
                self.schedule(at, Event::Fetched { node, life, input });
            }
            Effect::Config(config) => {
                let bound = config.voters.iter().filter(|member| member.store.is_some()).count();
                let learners = match config.learners.len() {
                    0 => String::new(),
                    count => format!(", {count} learning"),
                };
                self.note(
                    node,
                    &format!("config {:?}, {bound} disks known{learners}", config.mode),
                );
            }
            Effect::Halt(why) => {
                self.note(node, &format!("halt {why:?}"));
                this_halt(self.nodes.get_mut(&node).unwrap(), why);
            }
        }
    }

    fn role(&mut self, node: NodeId, role: Role, term: Term, leader: Option<NodeId>) {
        let leader = leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
        self.note(node, &format!("{role:?} term {term} under {leader}"));
        if role != Role::Leader {
            return;
        }
        let other = self.leaders.insert(term, node);
        assert!(other.is_none_or(|other| other == node), "one leader in term {term}");
        let log = self.nodes[&node].disk.view();
        // Votes may be so late that a newer leader commits before an older one learns that it won.
        let earlier = self.committed_in.iter().take_while(|committed| **committed < term).count();
        let committed = &self.committed[..earlier];
        assert_eq!(log.get(..earlier), Some(committed), "a leader has all committed entries");
    }

    fn commit(&mut self, node: NodeId, index: Index) {
        self.note(node, &format!("commit {index}"));
        let log = self.nodes[&node].disk.view();
        let term = self.replica(node).status().term;
        let this = self.nodes.get_mut(&node).unwrap();
        assert!(index > this.commit, "the commit index never goes back");
        this.commit = index;
        self.check_quorum_holds(node, index);
        let mine = log.get(..index.0 as usize).expect("what is committed is in the log");
        for (at, entry) in mine.iter().enumerate() {
            match self.committed.get(at) {
                Some(known) => assert_eq!(known, entry, "one history"),
                None => {
                    self.committed.push(entry.clone());
                    self.committed_in.push(term);
                }
            }
        }
    }

    /// What a leader commits is durable on a commit quorum of the configuration in force there, each
    /// copy on the very disk that it names.
    fn check_quorum_holds(&self, node: NodeId, index: Index) {
        if self.replica(node).status().role != Role::Leader {
            return;
        }
        let log = self.nodes[&node].disk.view();
        let entry = &log[index.0 as usize - 1];
        // What it appends after this commit is not in there yet.
        let newest = log.iter().rev().find(|entry| entry.kind == EntryKind::Config);
        let newest = newest.map(|entry| ClusterConfig::decode(&entry.payload).unwrap());
        let config = newest.as_ref().unwrap_or(&self.genesis);
        let voters = config.voters.iter().map(|member| member.node).collect();
        let electorate = election::Electorate::new(config.mode, voters).unwrap();
        let holds = |voter: NodeId| {
            let store = config.member(voter).and_then(|member| member.store);
            let ghosts = self.ghosts.values();
            let mut disks = self.nodes.values().chain(ghosts).filter(|node| node.id.node == voter);
            disks.any(|node| {
                let durable = node.disk.entries.get(index.0 as usize - 1);
                store.is_none_or(|store| store == node.id.store) && durable == Some(entry)
            })
        };
        assert!(electorate.commits(holds), "a quorum of the configuration in force holds {index}");
    }

    fn transmit(&mut self, node: NodeId, to: VoterId, message: Message) {
        let from = self.nodes[&node].id;
        if self.trace {
            self.note(node, &format!("-> {} {message:?}", to.node));
        }
        let known = self.nodes.get(&to.node).is_some_and(|peer| peer.id == to);
        if !known || !self.linked(from.node, to.node) || !self.is_alive(to.node) {
            return;
        }
        let lives = (self.nodes[&node].life, self.nodes[&to.node].life);
        let copies = if self.random.up_to(99) < self.weather.repeat_percent { 2 } else { 1 };
        for _ in 0..copies {
            if self.random.up_to(99) >= self.weather.drop_percent {
                let spread = self.weather.delay_max.0 - self.weather.delay_min.0;
                let delay = self.weather.delay_min.plus(Micros(self.random.up_to(spread)));
                let message = message.clone();
                self.schedule(self.now.plus(delay), Event::Deliver { from, to, lives, message });
            }
        }
    }

    fn schedule(&mut self, at: Micros, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn note(&mut self, node: NodeId, what: &str) {
        let (ms, us) = (self.now.0 / 1_000, self.now.0 % 1_000);
        self.journal.push(format!("{ms:>6}.{us:03} n{node} {what}"));
    }

    /// The next thing that happens, if it happens by `until`.
    pub(super) fn step(&mut self, until: Micros) -> bool {
        let event = self.events.first_key_value().map(|(at, _)| *at);
        let replicas = self.nodes.iter().filter_map(|(id, n)| Some((*id, n.replica.as_ref()?)));
        let wake = replicas.map(|(id, replica)| (replica.deadline(), id)).min();
        let at = event.map_or(Micros(u64::MAX), |(at, _)| at);
        match wake {
            Some((deadline, node)) if deadline < at && deadline <= until => {
                self.now = self.now.max(deadline);
                self.input(node, Input::Wake);
                true
            }
            _ if at <= until => {
                self.now = self.now.max(at);
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event);
                }
                true
            }
            _ => {
                self.now = until;
                false
            }
        }
    }

    pub(super) fn run_for(&mut self, span: Micros) {
        let until = self.now.plus(span);
        while self.step(until) {}
    }

    /// Run until it is so; panics after ten virtual seconds.
    pub(super) fn run_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let until = self.now.plus(Micros::from_millis(10_000));
        while !so(self) {
            assert!(self.step(until), "{what} in ten seconds:\n{}", self.journal.join("\n"));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, lives, message } => {
                let now = (self.nodes[&from.node].life, self.nodes[&to.node].life);
                let there = self.nodes[&to.node].id == to && self.nodes[&from.node].id == from;
                if there && lives == now && self.linked(from.node, to.node) {
                    self.input(to.node, Input::Message { from, message });
                }
            }
            Event::Durable { node, life, ticket } => {
                if self.nodes[&node].life == life && self.is_alive(node) {
                    self.sync(node, ticket);
                }
            }
            Event::Fetched { node, life, input } => {
                if self.nodes[&node].life == life {
                    self.input(node, input);
                }
            }
        }
    }

    fn sync(&mut self, node: NodeId, ticket: Ticket) {
        let this = self.nodes.get_mut(&node).unwrap();
        if this.stalled {
            return;
        }
        this.disk.sync(ticket);
        this.durable = ticket;
        let held = std::mem::take(&mut this.held);
        let (ready, held): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|(after, _, _)| *after <= ticket);
        this.held = held.into();
        for (_, to, message) in ready {
            self.transmit(node, to, message);
        }
        self.input(node, Input::Durable(ticket));
    }

    /// A stalled disk works again.
    pub(super) fn unstall(&mut self, node: NodeId) {
        let this = self.nodes.get_mut(&node).unwrap();
        this.stalled = false;
        if let Some((ticket, _)) = this.disk.pending.back() {
            let ticket = *ticket;
            this.issued = ticket;
            self.sync(node, ticket);
        }
    }

    /// Everybody holds the same committed log, and nothing that was answered is a lie.
    pub(super) fn check_settled(&self) {
        for node in self.nodes.values().filter(|node| node.halt.is_none()) {
            assert_eq!(node.disk.view(), self.committed, "node {} has the log", node.id.node);
        }
        let bodies: BTreeMap<&[u8], u64> = self
            .committed
            .iter()
            .filter(|entry| entry.kind == EntryKind::Command)
            .map(|entry| (&entry.payload[crate::STAMP_BYTES..], entry.index))
            .collect();
        for (id, outcome) in &self.outcomes {
            let Some(body) = self.bodies.get(id) else { continue };
            let stands = bodies.get(&body[..]).copied();
            match outcome {
                Outcome::Committed(index) => assert_eq!(stands, Some(index.0), "{id:?}"),
                Outcome::NotAccepted(_) => assert_eq!(stands, None, "{id:?} was refused"),
                Outcome::Unknown => {}
            }
        }
    }
}

fn this_halt(node: &mut Node, why: Halt) {
    node.halt = Some(why);
    node.replica = None;
    node.held.clear();
    node.disk.pending.clear();
}
