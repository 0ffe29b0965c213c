//! One node: its disk and clocks, which outlive its process, and the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chat::{AccountId, Genesis, RequestId, State};
use election::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};
use replication::{
    Boot, ClusterConfig, Lane, Limits, Member, Message, Mode, ProposalId, ReadId, Replica, Role,
    Room, Timing,
};
use wal::{FaultyKind, FaultyRange, Identity, Log, Options, Reader, Recovery, Scrub, TailVerdict};

use super::{
    checkers::Violation,
    clock::Clocks,
    disk::SimDisk,
    rng::Rng,
    shadow::{HOLE, Harm, Image, Mark, Shadow},
    workload::Key,
};

/// The cluster of every seed.
const CLUSTER: u128 = 0x0051_b01d_fa57;
/// Small, so that segments turn over.
const SEGMENT_BYTES: u64 = 128 * 1024;
/// Room for an entry of 22 KiB.
const SMALL_SEGMENT_BYTES: u64 = 72 * 1024;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) id: NodeId,
    /// The newest feature level that its build understands.
    pub(super) build: u16,
    /// Drawn at the first start.
    store: Option<StoreId>,
    pub(super) disk: SimDisk,
    pub(super) clocks: Clocks,
    pub(super) shadow: Shadow,
    /// What its disks held before they were lost or damaged: copies that counted when they were.
    ghosts: Vec<Image>,
    /// Its disk is another one than that with which the cluster began.
    was_wiped: bool,
    /// How often it was started.
    pub(super) life: u64,
    pub(super) process: Option<Process>,
    /// It gets no inputs before this.
    pub(super) paused_until: Micros,
    /// A call to its disk was made to fail: an error is no surprise, and ends the process.
    pub(super) disk_fault: Option<DiskFault>,
    /// Its disk was damaged, and it has not said since that it is whole.
    pub(super) damaged_at: Option<Micros>,
    was_damaged: bool,
    /// A crash left garbage where a write was under way, and it has not said since that it is whole.
    pub(super) is_garbled: bool,
    was_garbled: bool,
    /// Its syncs take longer before this.
    pub(super) slow_until: Micros,
    /// The highest term that any released message rests on: a restart may not find a lower one.
    pub(super) promised_term: u64,
    setup: Setup,
}

/// What a node is started with.
#[derive(Clone, Debug)]
struct Setup {
    /// That of a new machine.
    build: u16,
    genesis: ClusterConfig,
    timing: Timing,
    limits: Limits,
    options: Options,
}

/// What lives from a start to a crash.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) replica: Replica,
    pub(super) log: Log,
    pub(super) reader: Reader,
    pub(super) scrub: Scrub,
    /// What its core was told that the log cannot read.
    pub(super) known: Vec<FaultyRange>,
    /// What its core was told of the room on its disk.
    pub(super) room: Room,
    pub(super) state: State,
    pub(super) commit: u64,
    pub(super) folded: u64,
    pub(super) is_folding: bool,
    pub(super) role: Role,
    /// As of its last word about its role.
    pub(super) term: u64,
    pub(super) durable: Ticket,
    /// Operations staged since the last write.
    pub(super) staged: usize,
    /// A write is under way.
    pub(super) is_syncing: bool,
    /// Sends that wait for their ticket.
    pub(super) held: VecDeque<HeldSend>,
    /// The one wake that counts: when, and which of all that were set.
    pub(super) wake_at: Option<Micros>,
    pub(super) wakes: u64,
    pub(super) calls: Calls,
}

/// How a disk was made to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DiskFault {
    /// One call fails.
    Error,
    /// All calls fail until the machine is started again.
    PowerCut,
}

/// What a start found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Operations that the crash before it took.
    pub(super) lost: usize,
    /// How the log ended.
    pub(super) tail: TailVerdict,
}

/// Why a node does not start.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its log cannot be opened.
    Disk(wal::Error),
    /// What it found breaks a law.
    Law(Violation),
}

/// A send that waits for its ticket.
#[derive(Debug)]
pub(crate) struct HeldSend {
    pub(super) to: VoterId,
    pub(super) lane: Lane,
    pub(super) message: Message,
    pub(super) after: Ticket,
}

/// What clients of this node wait for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    next: u64,
    pub(super) proposals: BTreeMap<ProposalId, Proposal>,
    pub(super) reads: BTreeMap<ReadId, Question>,
    /// Changes that an operator waits for.
    pub(super) changes: BTreeSet<ProposalId>,
    /// Committed at this index, and to be answered once it is folded.
    pub(super) committed: BTreeMap<u64, Vec<Proposal>>,
    /// To be answered once this index is folded.
    pub(super) confirmed: BTreeMap<u64, Vec<Question>>,
    /// What each folded command was and came to: a forwarded write may be told its place late.
    pub(super) outcomes: BTreeMap<u64, (bytes::Bytes, chat::Outcome)>,
}

/// A read that a client of this node waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(super) key: Key,
    /// Who reads the lobby.
    pub(super) reader: Option<AccountId>,
}

/// A write that a client of this node waits for.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// The term in which it came.
    pub(super) term: u64,
    pub(super) key: Key,
    pub(super) request: RequestId,
    pub(super) body: bytes::Bytes,
}

impl Node {
    /// The nodes of a seed, none of them started.
    pub(super) fn cluster(
        ids: &[NodeId],
        genesis: &ClusterConfig,
        rng: &mut Rng,
    ) -> BTreeMap<NodeId, Self> {
        let setup = Setup {
            build: *rng.pick(&[1, 1, 2]),
            genesis: genesis.clone(),
            timing: draw_timing(rng),
            limits: draw_limits(rng),
            options: draw_options(rng),
        };
        let node = |&id: &NodeId| (id, Self::new(id, setup.clone(), rng));
        let mut nodes: BTreeMap<NodeId, Self> = ids.iter().map(node).collect();
        // A minority may have any time at all: the median of the voters' clocks is right.
        let minority = (ids.len() - 1) / 2;
        if minority > 0 && rng.chance(300) {
            let wrong = rng.slot(minority) + 1;
            for node in nodes.values_mut().take(wrong) {
                node.clocks.set_wrong(rng);
            }
        }
        nodes
    }

    fn new(id: NodeId, setup: Setup, rng: &mut Rng) -> Self {
        Self {
            id,
            build: setup.build,
            store: None,
            disk: SimDisk::new(rng.next_u64()),
            clocks: Clocks::new(rng),
            shadow: Shadow::default(),
            ghosts: Vec::new(),
            was_wiped: false,
            life: 0,
            process: None,
            paused_until: Micros(0),
            disk_fault: None,
            damaged_at: None,
            was_damaged: false,
            is_garbled: false,
            was_garbled: false,
            slow_until: Micros(0),
            promised_term: 0,
            setup,
        }
    }

    /// Another machine for the cluster that this one is of.
    pub(super) fn newcomer(&self, id: NodeId, rng: &mut Rng) -> Self {
        // It has lost nothing, but like one that has, it is nobody yet.
        Self { was_wiped: true, ..Self::new(id, self.setup.clone(), rng) }
    }

    /// The disk is lost; the next one is empty.
    pub(super) fn wipe(&mut self, seed: u64) {
        assert!(self.process.is_none(), "node {} is up", self.id);
        self.disk = SimDisk::new(seed);
        self.ghosts.push(std::mem::take(&mut self.shadow).durable);
        self.was_wiped = true;
        self.store = None;
        self.promised_term = 0;
        (self.damaged_at, self.was_damaged) = (None, false);
        (self.is_garbled, self.was_garbled) = (false, false);
    }

    /// Is its disk another one than that with which the cluster began?
    pub(super) const fn was_wiped(&self) -> bool {
        self.was_wiped
    }

    /// Can all of its log be read from its disk? A copy of it is opened, and the node knows nothing of that.
    pub(super) fn is_readable(&self) -> bool {
        let copy = self.disk.fork(0);
        let opened = Log::open(copy.io(), self.setup.options.clone());
        opened.is_ok_and(|(log, recovery)| {
            let reader = log.reader();
            recovery.faulty.is_empty() && marks(&reader).is_ok_and(|marks| !marks.contains(&HOLE))
        })
    }

    /// May a place of its log fail its checksum, which costs no entry or does?
    pub(super) const fn may_lack(&self, nothing: bool) -> bool {
        self.was_damaged || self.was_garbled && nothing
    }

    /// May it lack what it has to be given before it votes?
    pub(super) const fn may_be_in_need(&self) -> bool {
        self.damaged_at.is_some() || self.is_garbled
    }

    /// The next crash of its machine leaves garbage.
    pub(super) fn garble(&mut self) {
        (self.is_garbled, self.was_garbled) = (true, true);
        self.disk.set_garbage(true);
    }

    /// Its disk is being damaged.
    pub(super) const fn is_damaged_from(&mut self, at: Micros) {
        (self.damaged_at, self.was_damaged) = (Some(at), true);
    }

    /// Does its disk do what is asked of it, whatever it holds?
    pub(super) fn disk_is_well(&self) -> bool {
        self.disk_fault.is_none() && self.disk.free_bytes().is_none()
    }

    /// Is this entry durable here, or was it before the disk was lost or damaged?
    pub(super) fn held(&self, index: u64, mark: Mark) -> bool {
        let ghosts = self.ghosts.iter();
        ghosts.chain([&self.shadow.durable]).any(|image| image.at(index) == Some(mark))
    }

    pub(super) const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Who it is; known from its first start on.
    pub(super) fn identity(&self) -> Option<VoterId> {
        Some(VoterId { node: self.id, store: self.store? })
    }

    /// The term that it leads, if it does.
    pub(super) fn leads(&self) -> Option<Term> {
        let process = self.process.as_ref()?;
        (process.role == Role::Leader).then_some(Term(process.term))
    }

    /// The newest term it knows of, if it is up.
    pub(super) fn term(&self) -> Option<Term> {
        self.process.as_ref().map(|process| process.replica.status().term)
    }

    /// The spans that it runs on.
    pub(super) const fn timing(&self) -> Timing {
        self.setup.timing
    }

    /// How far it has folded, if it is up.
    pub(super) fn folded(&self) -> Option<u64> {
        self.process.as_ref().map(|process| process.folded)
    }

    /// One line for a report.
    pub(super) fn standing(&self) -> String {
        let Some(process) = &self.process else {
            return format!("node {} is down", self.id);
        };
        let status = process.replica.status();
        format!(
            "node {} is {:?} of term {} under {:?}, last {}, durable {}, commit {}, folded {}, \
             bound {}",
            self.id,
            status.role,
            status.term,
            status.leader,
            status.last.index,
            status.durable,
            status.commit,
            process.folded,
            status.bound,
        )
    }

    /// Start the process: recover the log, check what it found, and begin a new life.
    pub(super) fn boot(&mut self, at: Micros, rng: &mut Rng) -> Result<Found, Failure> {
        assert!(self.process.is_none(), "node {} is up", self.id);
        self.life += 1;
        self.clocks.boot(at, rng);
        let io = self.disk.io();
        if !Log::exists(&io)? {
            let identity = Identity { cluster: CLUSTER, node: self.id.0, store: rng.next_u128() };
            Log::create(&io, identity, &self.setup.options)?;
        }
        let (log, recovery) = Log::open(io, self.setup.options.clone())?;
        let me = VoterId { node: self.id, store: StoreId(recovery.identity.store) };
        let reader = log.reader();
        let lost = self.compare(&reader, &recovery)?;
        self.store = Some(me.store);
        let faulty = reader.faulty();
        let boot = Boot { faulty: faulty.clone(), ..self.boot_record(me, &recovery, rng)? };
        let now = self.clocks.now(at);
        let replica = Replica::new(now, boot);
        self.process = Some(Process {
            replica,
            log,
            scrub: Scrub::new(&reader),
            known: faulty,
            reader,
            room: Room::Enough,
            state: State::new(Genesis { owner_token_hash: None }),
            commit: 0,
            folded: 0,
            is_folding: false,
            role: Role::Follower,
            term: recovery.hard_state.term,
            durable: Ticket(0),
            staged: 0,
            is_syncing: false,
            held: VecDeque::new(),
            wake_at: None,
            wakes: 0,
            calls: Calls::default(),
        });
        Ok(Found { lost, tail: recovery.tail })
    }

    /// The recovered log must be what the shadow allows, and must keep every promise.
    fn compare(&mut self, reader: &Reader, recovery: &Recovery) -> Result<usize, Failure> {
        let node = self.id;
        let (first, last) = reader.bounds();
        let entries = marks(reader)?;
        let bindings = recovery.bindings.clone();
        let faulty = reader.faulty();
        let is_end_unknown = faulty.iter().any(|range| range.kind == FaultyKind::EndUnknown);
        let image = Image { entries, is_end_unknown, hard_state: recovery.hard_state, bindings };
        if image.last() != recovery.last.0 || recovery.first_index != 1 {
            return law(format!("node {node} recovered {recovery:?} and reads {first}..={last}"));
        }
        if recovery.hard_state.term < self.promised_term {
            return law(format!(
                "the term of node {node} goes back from {} to {} across a restart",
                self.promised_term, recovery.hard_state.term
            ));
        }
        let found = recovery.identity;
        let is_known = self.store.is_none_or(|store| store.0 == found.store);
        if (found.cluster, found.node) != (CLUSTER, node.0) || !is_known {
            return law(format!("node {node} finds the log of {found:?}"));
        }
        // Also long after: what was damaged may be met only now.
        self.was_damaged |= self.damaged_at.is_some();
        if self.was_damaged {
            self.ghosts.push(self.shadow.durable.clone());
        }
        let harm = if self.was_damaged {
            Harm::Damaged
        } else if self.was_garbled {
            Harm::Garbled
        } else {
            Harm::None
        };
        self.shadow
            .restart(image, harm)
            .or_else(|Violation(reason)| law(format!("node {node}: {reason}")))
    }

    fn boot_record(
        &self,
        me: VoterId,
        recovery: &Recovery,
        rng: &mut Rng,
    ) -> Result<Boot, Violation> {
        let vote =
            |vote: wal::Vote| VoterId { node: NodeId(vote.node), store: StoreId(vote.store) };
        let configs = recovery.configs.iter().map(|entry| {
            let config = ClusterConfig::decode(&entry.payload).map_err(|error| {
                Violation(format!("the configuration {}: {error}", entry.index))
            })?;
            Ok((Index(entry.index), config))
        });
        Ok(Boot {
            me,
            genesis: self.setup.genesis.clone(),
            hard_state: HardState {
                term: Term(recovery.hard_state.term),
                voted_for: recovery.hard_state.voted_for.map(vote),
            },
            bindings: recovery
                .bindings
                .iter()
                .map(|(&node, &store)| (NodeId(node), StoreId(store)))
                .collect(),
            joined: self.was_wiped(),
            first: Index(recovery.first_index),
            last: EntryId { term: Term(recovery.last.1), index: Index(recovery.last.0) },
            term_runs: recovery
                .term_runs
                .iter()
                .map(|&(index, term)| (Index(index), Term(term)))
                .collect(),
            configs: configs.collect::<Result<_, Violation>>()?,
            faulty: recovery.faulty.clone(),
            ticket: Ticket(0),
            seed: rng.next_u64(),
            level: self.build,
            timing: self.setup.timing,
            limits: self.setup.limits,
        })
    }
}

/// All entries of a log, with a hole for each that it cannot read.
fn marks(reader: &Reader) -> Result<Vec<Mark>, wal::Error> {
    let (first, last) = reader.bounds();
    let mut marks = Vec::new();
    let mut next = first;
    while next <= last {
        match reader.read(next, last, usize::MAX) {
            Ok(entries) => {
                marks.extend(entries.iter().map(|e| Mark { term: e.term, checksum: e.checksum }));
                if entries.is_empty() {
                    break;
                }
            }
            Err(wal::Error::Faulty { .. }) => marks.push(HOLE),
            Err(error) => return Err(error),
        }
        next = first + u64::try_from(marks.len()).expect("a length fits 64 bits");
    }
    Ok(marks)
}

impl From<wal::Error> for Failure {
    fn from(error: wal::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Law(violation)
    }
}

fn law<T>(reason: String) -> Result<T, Failure> {
    Err(Failure::Law(Violation(reason)))
}

impl Calls {
    /// A number for the next proposal or read.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The configuration with which a cluster of these begins.
pub(super) fn genesis(ids: &[NodeId]) -> ClusterConfig {
    ClusterConfig {
        mode: match ids.len() {
            1 => Mode::Solo,
            2 => Mode::Pair,
            _ => Mode::Majority,
        },
        voters: ids.iter().copied().map(member).collect(),
        learners: Vec::new(),
        known: Vec::new(),
        target_size: u8::try_from(ids.len()).expect("a handful"),
        predecessor: Index(0),
        level: 1,
    }
}

pub(super) fn member(node: NodeId) -> Member {
    Member {
        node,
        store: None,
        peer: format!("node-{node}:7410"),
        client: format!("http://node-{node}:7411"),
    }
}

/// Everything in proportion to one drawn election time-out.
fn draw_timing(rng: &mut Rng) -> Timing {
    let election_us = *rng.pick(&[20_000, 50_000, 150_000]);
    Timing {
        heartbeat: Micros(election_us / 3),
        election_timeout: Micros(election_us),
        slot: Micros(election_us / 4),
        jitter: Micros(rng.within(election_us / 5, election_us)),
        quorum_silence: Micros(election_us * rng.within(2, 6)),
        append_retry: Micros(rng.within(election_us / 2, election_us * 2)),
        answer: Micros(election_us * 3),
        disk_stall: Micros(election_us * rng.within(3, 20)),
        promote_after: Micros(election_us * rng.within(1, 5)),
    }
}

fn draw_limits(rng: &mut Rng) -> Limits {
    Limits {
        append_bytes_max: *rng.pick(&[1 << 10, 8 << 10, 256 << 10]),
        append_entries_max: *rng.pick(&[1, 4, 1_024]),
        inflight_bytes_max: *rng.pick(&[2 << 10, 4 << 20]),
        inflight_appends_max: *rng.pick(&[1, 2, 16]),
        uncommitted_bytes_max: *rng.pick(&[4 << 10, 16 << 20]),
        pending_proposals_max: *rng.pick(&[4, 16_384]),
        tail_bytes_max: *rng.pick(&[1 << 10, 16 << 20]),
        ..Limits::default()
    }
}

fn draw_options(rng: &mut Rng) -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        small_segment_bytes: SMALL_SEGMENT_BYTES,
        spare_segments: rng.slot(3),
        entry_bytes_max: 22 * 1024,
        batch_bytes_max: *rng.pick(&[32 * 1024, 4 * 1024 * 1024]),
        tail_cache_bytes: *rng.pick(&[0, 1 << 10, 1 << 20]),
        ..Options::default()
    }
}
