//! What voters say to each other about elections.

use crate::{EntryId, Term};

/// A message about an election. Who sent it is the transport's to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// Would you vote for me in `term`? Changes nothing at either side (Raft thesis §9.6).
    PreVote {
        /// The term that the election would have.
        term: Term,
        /// The asker's last entry.
        last: EntryId,
    },
    /// The answer.
    PreVoteAnswer {
        /// The asked term when granted, else the refuser's own.
        term: Term,
        /// Would it?
        granted: bool,
    },
    /// Vote for me in `term`.
    Vote {
        /// The candidate's term.
        term: Term,
        /// The candidate's last entry.
        last: EntryId,
        /// The leader of `term - 1` handed over to this candidate.
        transfer: bool,
    },
    /// The answer.
    VoteAnswer {
        /// The voter's term.
        term: Term,
        /// Did it?
        granted: bool,
    },
}
