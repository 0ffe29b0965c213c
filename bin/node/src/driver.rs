//! The driver: feeds one [`Replica`] its inputs and does what it says, literally.
//!
//! What always holds (the driver's contract):
//! - persist operations go to the log in ticket order;
//! - an effect with `after = n` leaves only when everything up to ticket `n` is fsynced;
//! - an I/O error ends the process: nothing is retried, nothing more is sent.
//!
//! ```text
//!  transport ──events──►┐                      ┌──► wal writer thread ──durable──┐
//!  services ──requests─►│ driver: one thread,  │──► transport (lanes)            │
//!  deadline ───────────►│ owns the Replica     │──► fold thread ──► answers      │
//!           ┌──────────►┘                      └──► status (watch)               │
//!           └────────────────────────────────────────────────────────────────────┘
//! ```

pub(crate) mod apply;
pub(crate) mod clock;
pub(crate) mod damage;
pub(crate) mod ears;
mod error;
pub(crate) mod fetch;
pub(crate) mod kept;
pub(crate) mod line;
pub(crate) mod report;
pub(crate) mod space;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use election::{Index, Micros, NodeId, Term, Ticket, VoterId};
use replication::{
    Change, ClusterConfig, Effect, Effects, Halt, Input, Lane, LinkEvent, Message, Outcome,
    ProposalId, ReadId, Refusal, Replica, Role, Room, Status,
    codec::Packet,
    quic::{self, Transport},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};

pub use self::error::CoreError;
use self::{
    apply::{Answer, Fold, deliver},
    clock::Clock,
    fetch::{Fetch, Fetched, Fetches},
    line::Line,
    report::{Report, Reports},
};
use crate::metrics::{Metrics, Recent, Waiting};

/// Events of the transport that wait for the driver; a full queue slows the peers' streams.
pub(crate) const PEER_EVENTS_MAX: usize = quic::EVENTS_MAX;
/// Inputs handled between two looks at the deadline.
const INPUTS_PER_TURN_MAX: usize = 256;
/// How often the peers hear how this node does, when that changes.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// Every so many intervals they hear it though nothing changed: a sign of life.
const REPORT_ANYWAY: u32 = 4;
/// Every so many intervals the core hears how quick the world is.
const PACE_EVERY: u32 = 20;

/// What a gateway asks of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    /// Put a command into the log; answered once it is folded, or with why not.
    Propose { body: Bytes, answer: Answer },
    /// Tell the index that a linearizable read must wait for; none: no leader confirmed itself.
    Read { answer: oneshot::Sender<Option<u64>> },
    /// Change the cluster; answered once that is committed, or with why not.
    Reconfigure { change: Change, answer: oneshot::Sender<Outcome> },
    /// Have this node or another lead no more, or undo that.
    Drain { node: NodeId, undo: bool },
    /// Hand leadership over and take no more proposals.
    Leave,
    /// End the loop.
    Stop,
}

/// Why a proposal has no outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It is provably not in the log.
    NotAccepted(Refusal),
    /// It may be in the log.
    Unknown,
}

/// What everybody may know about the core, published when it changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) commit: Index,
    pub(crate) config: Arc<ClusterConfig>,
    /// What needs a higher feature level must not be proposed.
    pub(crate) level: u16,
}

/// The newest ticket that the log has fsynced, or the error that ended it.
#[derive(Clone, Debug)]
pub(crate) enum Durability {
    /// Everything up to this ticket.
    Upto(u64),
    /// The log is poisoned.
    Failed(String),
}

impl View {
    /// What a replica knows that has not run yet.
    pub(crate) fn of(replica: &Replica) -> Self {
        let status = replica.status();
        Self {
            role: status.role,
            term: status.term,
            leader: status.leader,
            commit: status.commit,
            config: Arc::new(status.config),
            level: status.level,
        }
    }

    /// Is there no other voter to hand leadership to?
    pub(crate) fn is_alone(&self) -> bool {
        self.config.voters.len() == 1
    }
}

/// The parts that a driver is made of.
pub(crate) struct Parts {
    pub(crate) me: VoterId,
    pub(crate) replica: Replica,
    pub(crate) line: Line,
    pub(crate) reader: wal::Reader,
    pub(crate) fetches: Fetches,
    pub(crate) fetched: mpsc::Receiver<Fetched>,
    pub(crate) durability: watch::Receiver<Durability>,
    /// Is there room for more entries?
    pub(crate) space: watch::Receiver<Room>,
    pub(crate) transport: Arc<Transport>,
    /// The nodes to ask for admission while no configuration names this one.
    pub(crate) seeds: Vec<(NodeId, String)>,
    /// What the cluster started from, for whoever joins.
    pub(crate) genesis: Bytes,
    pub(crate) peer_events: mpsc::Receiver<quic::Event>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) fold: Arc<Fold>,
    pub(crate) view: watch::Sender<View>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) metrics: Metrics,
}

/// The loop around one replica.
pub(crate) struct Driver {
    parts: Parts,
    /// What has come in during this turn.
    inputs: Vec<Input>,
    effects: Effects,
    view: View,
    durable: Ticket,
    /// Messages that wait for durability, by ticket.
    held: BTreeMap<Ticket, Vec<(VoterId, Lane, Message)>>,
    proposals: BTreeMap<ProposalId, Answer>,
    changes: BTreeMap<ProposalId, oneshot::Sender<Outcome>>,
    /// Proposals that were committed in this turn, for the fold to answer.
    committed: Vec<(u64, Answer)>,
    /// What the fold knows is committed.
    told: Index,
    reads: BTreeMap<ReadId, oneshot::Sender<Option<u64>>>,
    next_id: u64,
    /// Report intervals since the last report.
    unreported: u32,
    round_trips: Recent,
    /// Report intervals since the core was last told how quick the world is.
    unpaced: u32,
    known: damage::Known,
    halted: Option<Halt>,
}

impl Driver {
    /// A driver that has not run yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let view = parts.view.borrow().clone();
        let known = damage::Known::new(parts.reader.faulty());
        Self {
            parts,
            view,
            inputs: Vec::new(),
            effects: Effects::new(),
            durable: Ticket(0),
            held: BTreeMap::new(),
            proposals: BTreeMap::new(),
            changes: BTreeMap::new(),
            committed: Vec::new(),
            told: Index(0),
            reads: BTreeMap::new(),
            next_id: 1,
            unreported: 0,
            round_trips: Recent::default(),
            unpaced: 0,
            known,
            halted: None,
        }
    }

    /// Run until asked to stop.
    ///
    /// # Errors
    /// The log failed, or the core halted: in both cases nothing more may leave this process.
    pub(crate) async fn run(mut self) -> Result<(), CoreError> {
        self.handle(Input::Wake);
        self.on_space();
        self.perform()?;
        let mut report = tokio::time::interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = Instant::from_std(self.parts.clock.instant(self.parts.replica.deadline()));
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(wake) => {}
                changed = self.parts.durability.changed() => {
                    changed.map_err(|_closed| CoreError::Ended("log"))?;
                    self.on_durable()?;
                }
                Ok(()) = self.parts.space.changed() => self.on_space(),
                Some(event) = self.parts.peer_events.recv() => self.on_peer(event),
                Some(fetched) = self.parts.fetched.recv() => self.on_fetched(fetched)?,
                Some(request) = self.parts.requests.recv() => {
                    if self.on_request(request) {
                        break;
                    }
                }
                _ = report.tick() => {
                    self.look_for_damage()?;
                    self.compare_hashes()?;
                    self.report();
                }
            }
            if self.drain()? {
                break;
            }
            // Last, so that a node that was held up does not take for silence what waits unread.
            if self.parts.clock.now().monotonic >= self.parts.replica.deadline() {
                self.handle(Input::Wake);
            }
            self.perform()?;
        }
        Ok(self.parts.line.stop()?)
    }

    /// Handle what has come in meanwhile, without waiting. Says whether to stop.
    fn drain(&mut self) -> Result<bool, CoreError> {
        for _ in 0..INPUTS_PER_TURN_MAX {
            if self.parts.durability.has_changed().unwrap_or(false) {
                self.on_durable()?;
            }
            let event = self.parts.peer_events.try_recv();
            let request = self.parts.requests.try_recv();
            if event.is_err() && request.is_err() {
                break;
            }
            if let Ok(event) = event {
                self.on_peer(event);
            }
            if let Ok(request) = request
                && self.on_request(request)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The core is given it with whatever else comes in during this turn.
    fn handle(&mut self, input: Input) {
        self.inputs.push(input);
    }

    fn on_space(&mut self) {
        let room = *self.parts.space.borrow_and_update();
        self.handle(Input::Space(room));
    }

    fn on_durable(&mut self) -> Result<(), CoreError> {
        let durability = self.parts.durability.borrow_and_update().clone();
        let upto = match durability {
            Durability::Upto(ticket) => Ticket(ticket),
            Durability::Failed(reason) => return Err(CoreError::LogFailed(reason)),
        };
        self.durable = self.durable.max(upto);
        self.handle(Input::Durable(self.durable));
        let waiting = self.held.split_off(&Ticket(self.durable.0 + 1));
        for (to, lane, message) in
            std::mem::replace(&mut self.held, waiting).into_values().flatten()
        {
            self.send(to, lane, message);
        }
        Ok(())
    }

    fn on_fetched(&mut self, (fetch, read): Fetched) -> Result<(), CoreError> {
        let entries = match read {
            // The core hears of it at the next look.
            Err(wal::Error::Faulty { .. }) => Vec::new(),
            read => read?,
        };
        self.handle(Input::Fetched { fetch, entries });
        Ok(())
    }

    fn send(&self, to: VoterId, lane: Lane, message: Message) {
        self.parts.metrics.core.sent(lane);
        self.parts.transport.send(to, lane, Packet::Core(message));
    }

    fn on_peer(&mut self, event: quic::Event) {
        match event {
            quic::Event::Message { from, message } => {
                if matches!(message, Message::Bind { .. }) {
                    self.parts.reports.knocked(from.node);
                }
                self.handle(Input::Message { from, message });
            }
            quic::Event::Report { from, bytes } => self.parts.reports.heard(from.node, &bytes),
            quic::Event::GenesisQuestion { from } => {
                let genesis = Packet::Genesis(self.parts.genesis.clone());
                self.parts.transport.send(from, Lane::Bulk, genesis);
            }
            // This node has its own.
            quic::Event::Genesis { .. } => {}
            quic::Event::Link { peer, event } => {
                match event {
                    LinkEvent::Up(voter) => self.parts.reports.connected(voter),
                    LinkEvent::Lost | LinkEvent::SteppedDown => self.parts.reports.lost(peer),
                }
                tracing::debug!(%peer, ?event, "link");
                self.handle(Input::Link { peer, event });
            }
        }
    }

    /// Says whether to stop.
    fn on_request(&mut self, request: Request) -> bool {
        match request {
            Request::Propose { body, answer } => {
                let id = ProposalId(self.fresh_id());
                self.proposals.insert(id, answer);
                self.handle(Input::Propose { id, body });
            }
            Request::Read { answer } => {
                let id = ReadId(self.fresh_id());
                self.reads.insert(id, answer);
                self.handle(Input::Read { id });
            }
            Request::Reconfigure { change, answer } => {
                let id = ProposalId(self.fresh_id());
                self.changes.insert(id, answer);
                self.handle(Input::Reconfigure { id, change });
            }
            Request::Drain { node, undo } => self.handle(Input::Drain { node, undo }),
            Request::Leave => self.handle(Input::Leave),
            Request::Stop => return true,
        }
        false
    }

    fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Have the core take what has come in, and do what it decided, in order.
    fn perform(&mut self) -> Result<(), CoreError> {
        self.parts.line.advance();
        while !self.inputs.is_empty() {
            let now = self.parts.clock.now();
            self.parts.replica.handle_all(now, self.inputs.drain(..), &mut self.effects);
            for effect in std::mem::take(&mut self.effects) {
                self.perform_one(effect)?;
            }
        }
        // Until then the log shows the fold no entry there, or one that was overwritten.
        let seen = if self.parts.line.is_seen() { self.view.commit } else { self.told };
        if seen > self.told || !self.committed.is_empty() {
            self.told = seen;
            self.parts.fold.commit(seen.0, self.committed.drain(..));
        }
        self.view.level = self.parts.replica.level();
        self.publish();
        match self.halted.take() {
            Some(halt) => Err(CoreError::Halted { node: self.parts.me.node, halt }),
            None => Ok(()),
        }
    }

    fn perform_one(&mut self, effect: Effect) -> Result<(), CoreError> {
        match effect {
            Effect::Persist { ticket, op } => {
                self.parts.metrics.disk.submitted(ticket.0, &op);
                self.parts.line.submit(ticket, op);
            }
            Effect::Send { to, lane, message, after } => {
                if after <= self.durable {
                    self.send(to, lane, message);
                } else {
                    self.held.entry(after).or_default().push((to, lane, message));
                }
            }
            Effect::Role { role, term, leader } => {
                tracing::info!(?role, %term, leader = leader.map(|node| node.0), "role");
                let before = (self.view.role, self.view.term, self.view.leader);
                self.parts.metrics.core.role(before, (role, term, leader));
                (self.view.role, self.view.term, self.view.leader) = (role, term, leader);
            }
            Effect::Commit(index) => self.view.commit = index,
            Effect::ReadReady { id, index } => self.answer_read(id, Some(index.0)),
            Effect::ReadFailed { id } => self.answer_read(id, None),
            Effect::Reply { id, outcome } => self.answer_proposal(id, outcome),
            Effect::Fetch { fetch, first, last, bytes_max } => {
                let asked = Fetch { name: fetch, first, last, bytes_max };
                if !self.parts.fetches.ask(asked) {
                    // The core looks again after a while.
                    self.handle(Input::Fetched { fetch, entries: Vec::new() });
                }
            }
            Effect::Config(config) => {
                self.connect(&config);
                self.view.config = Arc::new(config);
            }
            Effect::Halt(halt) => self.halted = Some(halt),
        }
        Ok(())
    }

    fn answer_read(&mut self, id: ReadId, index: Option<u64>) {
        if let Some(answer) = self.reads.remove(&id) {
            // A reader that has given up needs no answer.
            deliver(answer, index);
        }
    }

    fn answer_proposal(&mut self, id: ProposalId, outcome: Outcome) {
        if let Some(answer) = self.changes.remove(&id) {
            // An operator who has given up needs no answer.
            return deliver(answer, outcome);
        }
        let Some(answer) = self.proposals.remove(&id) else { return };
        self.parts.metrics.core.outcome(outcome);
        let refusal = match outcome {
            Outcome::Committed(index) => {
                self.committed.push((index.0, answer));
                return;
            }
            Outcome::NotAccepted(refusal) => Refused::NotAccepted(refusal),
            Outcome::Unknown => Refused::Unknown,
        };
        // A client that has given up needs no answer.
        deliver(answer, Err(refusal));
    }

    fn connect(&self, config: &ClusterConfig) {
        let me = self.parts.me.node;
        // The voters that a newcomer knows may have left long ago.
        let unknown = |seed: &&(NodeId, String)| config.member(seed.0).is_none();
        let is_member = config.member(me).is_some();
        let seeds = self.parts.seeds.iter().filter(unknown).filter(|_| !is_member).cloned();
        let peers = config
            .voters
            .iter()
            .chain(&config.learners)
            .chain(&config.known)
            .filter(|member| member.node != me)
            .map(|member| (member.node, member.peer.clone()))
            .chain(seeds)
            .collect();
        self.parts.transport.set_peers(peers);
    }

    /// Tell those who watch, if anything changed.
    fn publish(&self) {
        self.parts.view.send_if_modified(|published| {
            let changed = *published != self.view;
            if changed {
                published.clone_from(&self.view);
            }
            changed
        });
    }

    fn report(&mut self) {
        let status = self.parts.replica.status();
        self.sample(&status);
        self.measure(&status);
        self.tell_of_loss(&status);
        let report = Report::of(&self.view, (status.durable, status.draining), &self.parts.fold)
            .lacking(damage::count(&status.faulty));
        self.unreported += 1;
        if self.unreported < REPORT_ANYWAY && !self.parts.reports.is_news(&report) {
            return;
        }
        self.unreported = 0;
        let bytes = report.encode();
        for member in self.parts.reports.audience() {
            self.parts.transport.send(member, Lane::Control, Packet::Report(bytes.clone()));
        }
        self.parts.reports.own(report);
    }

    /// How quick the world is, for the election timeouts. The farthest node counts: it may lead next.
    fn measure(&mut self, status: &Status) {
        let (now, connected) = (Instant::now().into_std(), status.peers.iter());
        let connected = connected.filter(|peer| peer.connected);
        let farthest = connected.filter_map(|peer| self.parts.transport.rtt(peer.node)).max();
        if let Some(rtt) = farthest {
            self.round_trips.add(now, rtt);
        }
        self.unpaced += 1;
        if self.unpaced == PACE_EVERY {
            self.unpaced = 0;
            let micros =
                |span: Duration| Micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
            let rtt = micros(self.round_trips.p99(now));
            let fsync = micros(self.parts.metrics.disk.sync_p99());
            self.handle(Input::Pace { rtt, fsync });
        }
    }

    fn sample(&self, status: &Status) {
        let (queue_bytes, queue_ops) = self.parts.line.queued();
        let waiting = Waiting { queue_bytes, queue_ops, proposals: self.proposals.len() };
        self.parts.metrics.core.sample(status, waiting, |peer| self.parts.transport.rtt(peer));
    }
}
