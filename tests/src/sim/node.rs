//! One node: its disk and clocks, which outlive its process, and the process.

use std::collections::{BTreeMap, VecDeque};

use chat::{Genesis, State};
use election::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};
use replication::{
    Boot, ClusterConfig, Lane, Limits, Member, Message, Mode, ProposalId, ReadId, Replica, Role,
    Timing,
};
use wal::{Identity, Log, Options, Reader, Recovery};

use super::{
    Mutant,
    checkers::Violation,
    clock::Clocks,
    disk::SimDisk,
    rng::Rng,
    shadow::{Image, Mark, Shadow},
    workload::Key,
};

/// The cluster of every seed.
const CLUSTER: u128 = 0x0051_b01d_fa57;
/// Small, so that segments turn over.
const SEGMENT_BYTES: u64 = 128 * 1024;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) id: NodeId,
    /// Drawn at the first start.
    store: Option<StoreId>,
    pub(super) disk: SimDisk,
    pub(super) clocks: Clocks,
    pub(super) shadow: Shadow,
    /// How often it was started.
    pub(super) life: u64,
    pub(super) process: Option<Process>,
    /// It gets no inputs before this.
    pub(super) paused_until: Micros,
    /// Its syncs take longer before this.
    pub(super) slow_until: Micros,
    /// The highest term that any released message rests on: a restart may not find a lower one.
    pub(super) promised_term: u64,
    setup: Setup,
}

/// What a node is started with.
#[derive(Clone, Debug)]
struct Setup {
    genesis: ClusterConfig,
    timing: Timing,
    limits: Limits,
    options: Options,
    mutant: Option<Mutant>,
}

/// What lives from a start to a crash.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) replica: Replica,
    pub(super) log: Log,
    pub(super) reader: Reader,
    pub(super) state: State,
    pub(super) commit: u64,
    pub(super) folded: u64,
    pub(super) is_folding: bool,
    pub(super) role: Role,
    pub(super) durable: Ticket,
    /// Operations staged since the last write.
    pub(super) staged: usize,
    /// A write is under way.
    pub(super) is_syncing: bool,
    /// Sends that wait for their ticket.
    pub(super) held: VecDeque<HeldSend>,
    pub(super) wake_at: Option<Micros>,
    pub(super) calls: Calls,
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
    pub(super) reads: BTreeMap<ReadId, Key>,
    /// Committed at this index, and to be answered once it is folded.
    pub(super) committed: BTreeMap<u64, Vec<Proposal>>,
    /// To be answered once this index is folded.
    pub(super) confirmed: BTreeMap<u64, Vec<Key>>,
    /// What each folded command was and came to: a forwarded write may be told its place late.
    pub(super) outcomes: BTreeMap<u64, (bytes::Bytes, chat::Outcome)>,
}

/// A write that a client of this node waits for.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(super) key: Key,
    pub(super) body: bytes::Bytes,
}

impl Node {
    /// The nodes of a seed, none of them started.
    pub(super) fn cluster(
        ids: &[NodeId],
        mutant: Option<Mutant>,
        rng: &mut Rng,
    ) -> BTreeMap<NodeId, Self> {
        let setup = Setup {
            genesis: genesis(ids),
            timing: draw_timing(rng),
            limits: draw_limits(rng),
            options: draw_options(rng),
            mutant,
        };
        let node = |&id: &NodeId| {
            let node = Self {
                id,
                store: None,
                disk: SimDisk::new(rng.next_u64()),
                clocks: Clocks::new(rng),
                shadow: Shadow::default(),
                life: 0,
                process: None,
                paused_until: Micros(0),
                slow_until: Micros(0),
                promised_term: 0,
                setup: setup.clone(),
            };
            (id, node)
        };
        ids.iter().map(node).collect()
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
        (process.role == Role::Leader).then(|| process.replica.status().term)
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

    /// Start the process: recover the log, check what it found, and begin a new life. Returns how
    /// many operations the crash before it took.
    pub(super) fn boot(&mut self, at: Micros, rng: &mut Rng) -> Result<usize, Violation> {
        assert!(self.process.is_none(), "node {} is up", self.id);
        self.life += 1;
        self.clocks.boot(at, rng);
        let store = *self.store.get_or_insert_with(|| StoreId(rng.next_u128()));
        let me = VoterId { node: self.id, store };
        let failed =
            |error: wal::Error| Violation(format!("node {me} cannot open its log: {error:?}"));
        let io = self.disk.io();
        if !Log::exists(&io).map_err(failed)? {
            let identity = Identity { cluster: CLUSTER, node: me.node.0, store: store.0 };
            Log::create(&io, identity, &self.setup.options).map_err(failed)?;
        }
        let (log, recovery) = Log::open(io, self.setup.options.clone()).map_err(failed)?;
        let reader = log.reader();
        let lost = self.compare(&reader, &recovery)?;
        let boot = self.boot_record(me, &recovery, rng)?;
        let now = self.clocks.now(at);
        let mut replica = Replica::new(now, boot);
        if let Some(mutant) = self.setup.mutant {
            mutant.plant(&mut replica);
        }
        self.process = Some(Process {
            replica,
            log,
            reader,
            state: State::new(Genesis { owner_token_hash: None }),
            commit: 0,
            folded: 0,
            is_folding: false,
            role: Role::Follower,
            durable: Ticket(0),
            staged: 0,
            is_syncing: false,
            held: VecDeque::new(),
            wake_at: None,
            calls: Calls::default(),
        });
        Ok(lost)
    }

    /// The recovered log must be what the shadow allows, and must keep every promise.
    fn compare(&mut self, reader: &Reader, recovery: &Recovery) -> Result<usize, Violation> {
        let node = self.id;
        let (first, last) = reader.bounds();
        let entries = reader
            .read(first, last, usize::MAX)
            .map_err(|error| Violation(format!("node {node} cannot read its log: {error:?}")))?;
        let entries: Vec<Mark> = entries
            .iter()
            .map(|entry| Mark { term: entry.term, checksum: entry.checksum })
            .collect();
        let image = Image { entries, hard_state: recovery.hard_state };
        if image.last() != recovery.last.0 || recovery.first_index != 1 {
            return Err(Violation(format!(
                "node {node} recovered {recovery:?} and reads {first}..={last}"
            )));
        }
        if recovery.hard_state.term < self.promised_term {
            return Err(Violation(format!(
                "the term of node {node} goes back from {} to {} across a restart",
                self.promised_term, recovery.hard_state.term
            )));
        }
        self.shadow
            .restart(image)
            .map_err(|Violation(reason)| Violation(format!("node {node}: {reason}")))
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
            first: Index(recovery.first_index),
            last: EntryId { term: Term(recovery.last.1), index: Index(recovery.last.0) },
            term_runs: recovery
                .term_runs
                .iter()
                .map(|&(index, term)| (Index(index), Term(term)))
                .collect(),
            configs: configs.collect::<Result<_, Violation>>()?,
            ticket: Ticket(0),
            seed: rng.next_u64(),
            timing: self.setup.timing,
            limits: self.setup.limits,
        })
    }
}

impl Calls {
    /// A number for the next proposal or read.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn genesis(ids: &[NodeId]) -> ClusterConfig {
    let member = |&node: &NodeId| Member {
        node,
        store: None,
        peer: format!("node-{node}:7410"),
        client: format!("http://node-{node}:7411"),
    };
    ClusterConfig {
        mode: Mode::Majority,
        voters: ids.iter().map(member).collect(),
        learners: Vec::new(),
        known: Vec::new(),
        target_size: u8::try_from(ids.len()).expect("a handful"),
        predecessor: Index(0),
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
        quorum_silence: Micros(election_us * 2),
        append_retry: Micros(rng.within(election_us / 2, election_us * 2)),
        answer: Micros(election_us * 3),
        disk_stall: Micros(election_us * rng.within(3, 20)),
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
        small_segment_bytes: SEGMENT_BYTES / 2,
        spare_segments: rng.slot(3),
        entry_bytes_max: 22 * 1024,
        batch_bytes_max: *rng.pick(&[32 * 1024, 4 * 1024 * 1024]),
        tail_cache_bytes: *rng.pick(&[0, 1 << 10, 1 << 20]),
        ..Options::default()
    }
}
