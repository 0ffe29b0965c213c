//! What the election wants done.

use alloc::vec::Vec;

use crate::{HardState, Message, NodeId, Term};

/// Effects in the order in which they were decided.
pub type Effects = Vec<Effect>;

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
}

/// One effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Write term and vote; whatever follows waits until they are durable.
    Persist(HardState),
    /// Send `message` once everything persisted so far is durable.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
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
}
