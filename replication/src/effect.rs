//! What a [`Replica`](crate) wants done, in order.

use bytes::Bytes;
use election::{Index, NodeId, Term, Ticket, VoterId};

use crate::{ClusterConfig, FetchId, Message, ProposalId, ReadId};

/// The effects of one or more inputs, in the order in which they were decided.
pub type Effects = Vec<Effect>;

/// Streams to a peer. Lanes share no order with each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// Heartbeats, votes, reads: small, and never behind bulk data or an fsync.
    Control,
    /// Appends and forwarded proposals.
    Log,
    /// State transfer and repair: low priority.
    Bulk,
}

/// The part a node plays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads its term.
    Leader,
    /// Receives the log without a vote.
    Learner,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Committed at this index; the fold there decides what it does.
    Committed(Index),
    /// Provably not in the log, nor ever will be: there is no leader, or it refused. Try again
    /// when there is one.
    NotAccepted(Refusal),
    /// It may or may not be or come into the log: leadership changed or the link broke. The same request id asked
    /// again finds out.
    Unknown,
}

/// Why a proposal was refused before it got an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// No leader is known, or it has not heard the clocks of a majority yet.
    NoLeader,
    /// Too many bytes wait for commit.
    Busy,
    /// The leader's disk is full.
    NoSpace,
    /// The node is stopping or handing leadership over.
    Draining,
    /// Larger than an entry may be.
    TooLarge,
    /// Nobody may lead in this leader's place now: the node asked for, or every other voter, is out
    /// of reach, stalled, draining, or has no room.
    NoSuccessor,
    /// A change of the configuration waits for the one before it, or for the leader to be sure of the
    /// one in force. Try again.
    ConfigPending,
    /// A node with this number is in the configuration already.
    AlreadyMember,
    /// No node with this number is in the configuration.
    NotMember,
    /// The only voter can be neither removed nor replaced.
    LastVoter,
    /// As many voters or members as there may be are in the configuration.
    Full,
    /// Quorums before and after the change would not all meet.
    WouldSplit,
    /// Too few of the voters that remain have answered lately: nothing would be committed any more.
    NoQuorum,
}

/// Why a node must stop for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Halt {
    /// A peer knows this node number with another disk: this one was started before elsewhere, or
    /// was wiped. The mend is `chatctl cluster replace N`.
    BoundElsewhere {
        /// Who knows it.
        by: NodeId,
        /// The disk that holds the identity.
        bound: election::StoreId,
    },
    /// The cluster removed this identity.
    Removed,
    /// The cluster went on to a feature level that this build does not understand. Nothing of it was
    /// taken: a newer build goes on from here.
    TooOld {
        /// The level of the cluster.
        level: u16,
    },
    /// A leader's log contradicts an entry that is committed here: two histories, which must never
    /// be. Nothing more may be written; keep the data directory for inspection.
    Diverged {
        /// The committed index in question.
        at: Index,
    },
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Put `op` into the log, in ticket order.
    Persist {
        /// Its place in the order; dense, from the boot ticket + 1.
        ticket: Ticket,
        /// What to write.
        op: wal::Op,
    },
    /// Send `message` once everything up to `after` is durable.
    Send {
        /// To whom. The transport drops it when the connected peer has another identity.
        to: VoterId,
        /// On which stream.
        lane: Lane,
        /// What.
        message: Message,
        /// Not before this ticket is durable.
        after: Ticket,
    },
    /// Role, term or known leader changed.
    Role {
        /// The part played now.
        role: Role,
        /// In this term.
        term: Term,
        /// Under this leader, if one is known (itself, when leading).
        leader: Option<NodeId>,
    },
    /// Everything up to here is committed and present in the local log, though the last of it may
    /// not be durable here yet: a quorum elsewhere holds it. Never goes back.
    Commit(Index),
    /// The read may be answered once the fold has applied `index`.
    ReadReady {
        /// Which read.
        id: ReadId,
        /// Apply at least this far first.
        index: Index,
    },
    /// The read cannot be answered now: no leader confirmed itself. Nothing was done.
    ReadFailed {
        /// Which read.
        id: ReadId,
    },
    /// The one answer to a proposal.
    Reply {
        /// Which proposal.
        id: ProposalId,
        /// What became of it.
        outcome: Outcome,
    },
    /// Read entries `[first, last]` of the local log, at most `bytes_max` payload bytes (at least
    /// one entry), and feed them back as `Fetched`.
    Fetch {
        /// Name it so.
        fetch: FetchId,
        /// From here.
        first: Index,
        /// Up to here.
        last: Index,
        /// Stop after about so many bytes.
        bytes_max: u32,
    },
    /// The configuration in force changed: connect to these.
    Config(ClusterConfig),
    /// Stop the process; nothing more may be sent or written.
    Halt(Halt),
}

/// The leader's time stamp in front of a command's body: log entry payload = stamp, then body.
pub const STAMP_BYTES: usize = 8;

/// Take a command entry's payload apart: the leader's stamp in microseconds since 1970, and the body.
#[must_use]
pub fn split_stamp(payload: &Bytes) -> Option<(u64, Bytes)> {
    let stamp = payload.first_chunk::<STAMP_BYTES>()?;
    Some((u64::from_le_bytes(*stamp), payload.slice(STAMP_BYTES..)))
}
