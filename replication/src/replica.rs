//! One voter as one machine: `election` and the log's core composed.
//!
//! It is all that the driver and the simulator know of consensus. The contract is three lines
//! (`Effect::Persist` in ticket order; an effect with `after` waits for `Durable`; an I/O error ends
//! the process), and everything else follows from the inputs alone: no clock, randomness, file,
//! socket, thread or hash order.

use std::collections::BTreeMap;

use election::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};

use crate::{ClusterConfig, Effects, Input, Now, Role};

/// What a node finds in its data directory when it starts.
#[derive(Clone, Debug)]
pub struct Boot {
    /// This node and its disk.
    pub me: VoterId,
    /// The configuration at index 0, as `node init` wrote it.
    pub genesis: ClusterConfig,
    /// Term and vote.
    pub hard_state: HardState,
    /// Which node is which disk, as remembered by `Op::Bind`. A node that finds itself in here is
    /// bound; one that does not is at its first start and asks the others before it votes.
    pub bindings: BTreeMap<NodeId, StoreId>,
    /// The first entry that the log can still be asked for; 1 in a log that was never cut.
    pub first: Index,
    /// The last entry of the log; term 0 and index 0 when there is none.
    pub last: EntryId,
    /// The first index of each run of entries of one term, from `first` on, ascending.
    pub term_runs: Vec<(Index, Term)>,
    /// The configuration entries in the log, ascending.
    pub configs: Vec<(Index, ClusterConfig)>,
    /// The newest durable ticket; the first operation gets the next one.
    pub ticket: Ticket,
    /// Everything that the replica draws follows from it; another one at each start.
    pub seed: u64,
    /// How long things take.
    pub timing: Timing,
    /// How much there may be of them.
    pub limits: Limits,
}

/// How long things take (research §4 has the figures behind the defaults).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// From one heartbeat to the next.
    pub heartbeat: Micros,
    /// Silence of the leader after which a follower of rank 0 asks for an election; also the span in
    /// which a voter that heard the leader refuses to elect another.
    pub election_timeout: Micros,
    /// Ranks stand for election this much apart.
    pub slot: Micros,
    /// At most this much is added at random.
    pub jitter: Micros,
    /// A leader that for so long has not heard an election quorum steps down.
    pub quorum_silence: Micros,
    /// An append unanswered for so long is probed for again.
    pub append_retry: Micros,
    /// A question to a leader unanswered for so long is given up.
    pub answer: Micros,
    /// A leader whose disk made nothing durable for so long steps down (research trap 32).
    pub disk_stall: Micros,
}

/// How much there may be. Sizes count payload and [`ENTRY_OVERHEAD_BYTES`] per entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Payload bytes of one entry, the stamp included.
    pub entry_bytes_max: usize,
    /// Bytes of one append (at least one entry always fits).
    pub append_bytes_max: usize,
    /// Entries of one append.
    pub append_entries_max: usize,
    /// Bytes sent to a peer and not acknowledged.
    pub inflight_bytes_max: usize,
    /// Appends sent to a peer and not acknowledged.
    pub inflight_appends_max: usize,
    /// Bytes of the leader's own entries that wait for commit.
    pub uncommitted_bytes_max: usize,
    /// Proposals of this node's clients that wait for their outcome.
    pub pending_proposals_max: usize,
    /// Reads that wait for a quorum round.
    pub pending_reads_max: usize,
    /// Bytes of recent entries kept in memory; more only while they are not yet durable.
    pub tail_bytes_max: usize,
}

/// What an entry counts beyond its payload.
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Micros::from_millis(50),
            election_timeout: Micros::from_millis(150),
            slot: Micros::from_millis(40),
            jitter: Micros::from_millis(30),
            quorum_silence: Micros::from_millis(300),
            append_retry: Micros::from_millis(150),
            answer: Micros::from_millis(500),
            disk_stall: Micros::from_millis(1_000),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entry_bytes_max: 64 << 10,
            append_bytes_max: 256 << 10,
            append_entries_max: 1_024,
            inflight_bytes_max: 4 << 20,
            inflight_appends_max: 16,
            uncommitted_bytes_max: 16 << 20,
            pending_proposals_max: 16_384,
            pending_reads_max: 16_384,
            tail_bytes_max: 16 << 20,
        }
    }
}

/// What a replica knows of itself, for pages, health checks and tests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// This node and its disk.
    pub me: VoterId,
    /// The part it plays.
    pub role: Role,
    /// The newest term it has seen.
    pub term: Term,
    /// Whom it follows, if anyone; itself when leading.
    pub leader: Option<NodeId>,
    /// Committed up to here, as far as it knows.
    pub commit: Index,
    /// The last entry of its log.
    pub last: EntryId,
    /// Its log is durable up to here.
    pub durable: Index,
    /// The configuration in force.
    pub config: ClusterConfig,
    /// Where that stands in the log; 0 is the genesis.
    pub config_index: Index,
    /// Whether the cluster knows this disk, so that it may vote.
    pub bound: bool,
    /// Whether it hands over or has handed over and takes no more proposals.
    pub draining: bool,
    /// The other members; progress and hearing only at the leader.
    pub peers: Vec<PeerStatus>,
}

/// What a replica knows of another member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Its number.
    pub node: NodeId,
    /// Its disk, when known.
    pub store: Option<StoreId>,
    /// Whether the link to it is up.
    pub connected: bool,
    /// Durable and matching up to here; only the leader knows.
    pub matched: Option<Index>,
    /// When it last answered (monotonic); only the leader knows.
    pub heard: Option<Micros>,
}

/// A planted bug that the simulator must find.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutant {
    /// Appends are acknowledged, and the leader's own copy counted, before the fsync.
    AckBeforeFsync,
    /// Entries of older terms are committed by counting copies, with no own entry above them
    /// (Raft figure 8).
    CommitOlderTermByCounting,
    /// A vote is granted and not remembered on disk.
    VoteNotDurable,
}

/// One voter.
#[derive(Debug)]
pub struct Replica {
    boot: Boot,
}

impl Replica {
    /// Start from what the data directory holds. The first [`Replica::deadline`] is `now`: wake it,
    /// and it says what it wants.
    #[must_use]
    pub fn new(_now: Now, boot: Boot) -> Self {
        Self { boot }
    }

    /// Take one input; append what is to be done about it to `effects`, in order.
    pub fn handle(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    /// When to wake it at the latest, on the monotonic clock; `u64::MAX` is never.
    #[must_use]
    pub fn deadline(&self) -> Micros {
        Micros(u64::MAX)
    }

    /// What it knows now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            me: self.boot.me,
            role: Role::Follower,
            term: self.boot.hard_state.term,
            leader: None,
            commit: Index(0),
            last: self.boot.last,
            durable: self.boot.last.index,
            config: self.boot.genesis.clone(),
            config_index: Index(0),
            bound: false,
            draining: false,
            peers: Vec::new(),
        }
    }

    /// Plant a bug.
    #[cfg(feature = "mutants")]
    pub fn plant(&mut self, _mutant: Mutant) {}
}
