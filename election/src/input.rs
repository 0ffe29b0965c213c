//! What the election is told.

use crate::{Electorate, EntryId, Message, Micros, NodeId, Term, VoterId};

/// One input; every one of them is fine in every state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// The deadline may have passed.
    Wake,
    /// A voter said something.
    Message {
        /// Who.
        from: VoterId,
        /// What.
        message: Message,
    },
    /// A heartbeat or an append of the leader of `term` came.
    LeaderHeard {
        /// Who leads.
        leader: VoterId,
        /// In which term.
        term: Term,
    },
    /// A voter answered the leader that this node is, in its term.
    Answered {
        /// Who.
        from: NodeId,
    },
    /// Some answer carried this term.
    TermSeen(Term),
    /// The newest hard state that was handed out is durable.
    HardStateDurable,
    /// The link to a peer broke: a suspicion, no proof.
    LinkLost(NodeId),
    /// The peer said, authenticated, that it leads no longer.
    SteppedDown(NodeId),
    /// The leader hands over to this node.
    HandedOver,
    /// Lead no longer.
    StepDown,
    /// The last entry of the log.
    Last(EntryId),
    /// The last entry that the log may have held, what it cannot read included: no vote goes to a log
    /// that ends before it (research trap 13).
    Floor(EntryId),
    /// Who votes from now on.
    Electorate(Electorate),
    /// How quick the world is: the 99th percentiles of a round trip and of an fsync.
    Pace {
        /// To the other voters and back.
        rtt: Micros,
        /// Of the log.
        fsync: Micros,
    },
    /// Whether this node may stand for election at all.
    Electable(bool),
}
