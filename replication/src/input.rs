//! What the world tells a [`Replica`](crate).

use bytes::Bytes;
use election::{Micros, NodeId, StoreId, Ticket, VoterId};
use wal::{Entry, FaultyRange};

use crate::{Member, Message};

/// The two clocks at the moment of an input, read by the driver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Never goes back; timers run on it.
    pub monotonic: Micros,
    /// Microseconds since 1970 on this node's wall clock; only log time is made of it.
    pub wall: Micros,
}

/// The driver's name for a proposal; unique while the process lives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ProposalId(pub u64);

/// The driver's name for a linearizable read; unique while the process lives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReadId(pub u64);

/// The core's name for a read of old log entries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FetchId(pub u64);

/// A change of who is in the cluster, or of who leads it. Each is one step. Asked for again once it is
/// done, it comes to the same, and nothing changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A new node: a learner, whose disk becomes known when it asks, and a voter once it has caught
    /// up. The cluster wants one voter more. A disk that is given with it is ignored.
    Add(Member),
    /// The node leaves for good. The cluster wants one voter less.
    Remove(NodeId),
    /// The node's disk is lost: it is struck out, and the number is a learner's with another disk.
    /// With a disk, that very one: when the number has another one by now, it was done before.
    Replace(NodeId, Option<StoreId>),
    /// Leadership goes to this voter, or to whichever is best; nobody joins or leaves.
    Transfer(Option<NodeId>),
}

/// How much room a log has. What a leader has taken finds room with followers whose disks fill up like
/// its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// Enough to lead with.
    Enough,
    /// Enough to take what a leader took, and to refuse commands in time.
    Low,
    /// None for commands; what goes on without them goes on.
    None,
}

/// What happened to the link to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkEvent {
    /// Connected, and the peer's certificate and hello name this identity. Whatever was in flight on
    /// an earlier connection is lost: the core probes again.
    Up(VoterId),
    /// Lost, for whatever reason. A suspicion, no proof of death.
    Lost,
    /// The peer closed it, authenticated, because it steps down or stops: a leader that says so
    /// will not lead on, so an election may start at once.
    SteppedDown,
}

/// One input. `handle` is total: no input, in any order, makes it panic, and a peer's least of all.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline has passed (or not: an early wake does nothing).
    Wake,
    /// A message came in from a peer whose identity the transport has verified. Also from one that
    /// is in no configuration known here: it may be in one that this node has yet to learn of.
    Message {
        /// Who sent it.
        from: VoterId,
        /// What it says.
        message: Message,
    },
    /// A client of this node wants `body` in the log. Answered by one [`Effect::Reply`](crate::Effect::Reply).
    Propose {
        /// The driver's name for it.
        id: ProposalId,
        /// The command's bytes; the leader puts its time stamp in front.
        body: Bytes,
    },
    /// The operator of this node wants the cluster changed. Answered by one
    /// [`Effect::Reply`](crate::Effect::Reply), with the index of the configuration entry.
    Reconfigure {
        /// The driver's name for it.
        id: ProposalId,
        /// What is to change.
        change: Change,
    },
    /// A client of this node wants to read what is committed by now. Answered by one
    /// [`Effect::ReadReady`](crate::Effect::ReadReady) or [`Effect::ReadFailed`](crate::Effect::ReadFailed).
    Read {
        /// The driver's name for it.
        id: ReadId,
    },
    /// Every persist operation up to this ticket is fsynced.
    Durable(Ticket),
    /// The answer to [`Effect::Fetch`](crate::Effect::Fetch): consecutive entries from the asked index on; fewer than
    /// asked is fine, none means that they are no longer there.
    Fetched {
        /// Which fetch.
        fetch: FetchId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// All that the log is known to hold and cannot read, when more of it was found than at the start.
    Damaged {
        /// Ascending and disjoint, as the log lists it.
        ranges: Vec<FaultyRange>,
    },
    /// The link to a peer changed.
    Link {
        /// The peer's number.
        peer: NodeId,
        /// What happened.
        event: LinkEvent,
    },
    /// How much room the log has for more entries.
    Space(Room),
    /// The process is asked to stop: hand leadership over and take no more proposals.
    Leave,
    /// An operator asks that this node leads no more: itself hands leadership over, and neither stands
    /// for election nor takes a hand-over before that is undone, or it is started again; another one is
    /// asked to.
    Drain {
        /// Who.
        node: NodeId,
        /// It may lead again.
        undo: bool,
    },
    /// How quick the world is, as the driver measured it; election timeouts follow.
    Pace {
        /// The 99th percentile of the round-trip time to the other voters.
        rtt: Micros,
        /// The 99th percentile of the time that one fsync of the log takes.
        fsync: Micros,
    },
}
