//! What replicas say to each other. Encoding and bounds are the codec's.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId, StoreId, Term};
use wal::Entry;

use crate::{Change, Lane, Refusal};

/// The newest term that is believed: at a thousand elections a second, for a hundred million years.
const TERM_MAX: Term = Term(1 << 62);

/// A message between replicas. The sender's identity comes from the transport, never from here.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Would you vote for me in `term`? (Raft thesis §9.6.) Changes nothing at either side.
    PreVote {
        /// The term an election would have.
        term: Term,
        /// The asker's last entry.
        last: EntryId,
    },
    /// The answer; a refusal carries the refuser's term, and the asker adopts a higher one (trap 29).
    PreVoteAnswer {
        /// The asked term when granted, else the refuser's own.
        term: Term,
        /// Would it?
        granted: bool,
    },
    /// Vote for me in `term` (Raft §5.2).
    Vote {
        /// The candidate's term.
        term: Term,
        /// The candidate's last entry.
        last: EntryId,
        /// The leader of `term - 1` handed over to this candidate: stickiness does not apply.
        transfer: bool,
    },
    /// The answer to [`Message::Vote`].
    VoteAnswer {
        /// The voter's term.
        term: Term,
        /// Did it?
        granted: bool,
    },
    /// I lead `term`.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// Committed, as far as the leader knows that the receiver's log matches (trap 37).
        commit: Index,
        /// The round, counted by the leader within its term; answers name it.
        round: u64,
        /// Up to where the leader counts on the receiver's log, by what the receiver acknowledged in this
        /// term.
        matched: Index,
    },
    /// The answer to a heartbeat.
    HeartbeatAnswer {
        /// The answerer's term; when it is higher the leader steps down.
        term: Term,
        /// The round answered.
        round: u64,
        /// The answerer's wall clock, microseconds since 1970.
        wall: Micros,
        /// How fit the answerer is to lead.
        fitness: Fitness,
        /// The newest feature level that the answerer's build understands.
        level: u16,
    },
    /// Append `entries` after `previous` (Raft §5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// The entry before the first.
        previous: EntryId,
        /// The leader's commit index.
        commit: Index,
        /// Dense, ascending; empty is a probe.
        entries: Vec<Entry>,
    },
    /// The answer to an append: the log matches the leader's up to `matched`, durably.
    Appended {
        /// The answerer's term.
        term: Term,
        /// Durable and matching up to here.
        matched: Index,
    },
    /// The answer to an append that does not fit: where to try next (Raft §5.3, fast back-up).
    Conflict {
        /// The answerer's term.
        term: Term,
        /// The `previous` that did not match.
        refused: EntryId,
        /// The answerer's entry at or below the refused index from which to go on: the last entry of a term not above the refused one.
        hint: EntryId,
    },
    /// Put `body` into the log for me.
    Forward {
        /// The asker's name for it.
        id: u64,
        /// The command.
        body: Bytes,
    },
    /// Change the cluster for me; answered like [`Message::Forward`].
    Reconfigure {
        /// The asker's name for it.
        id: u64,
        /// What is to change.
        change: Change,
    },
    /// The answer: it stands at this place of the leader's log, or was refused.
    Forwarded {
        /// The asker's name for it.
        id: u64,
        /// Where it stands.
        outcome: Result<EntryId, Refusal>,
    },
    /// What is committed now? (`ReadIndex`, Raft thesis §6.4.)
    Read {
        /// The asker's name for it.
        id: u64,
    },
    /// The answer, after a quorum round that started after the question came.
    ReadAnswer {
        /// The asker's name for it.
        id: u64,
        /// Apply at least this far; none when the answerer does not lead.
        index: Option<Index>,
    },
    /// Lead from now on: start an election in `term + 1` at once (Raft thesis §3.10).
    TimeoutNow {
        /// The term of the leader that hands over.
        term: Term,
    },
    /// Hand leadership over, and neither stand for election nor take a hand-over before this is undone
    /// or you are started again.
    Drain {
        /// You may lead again.
        undo: bool,
    },
    /// My log ends before what the leader of this term counts on: what I acknowledged is lost here.
    Regressed {
        /// That leader's term.
        term: Term,
        /// What it counted on.
        matched: Index,
        /// Up to here the log says what it holds.
        end: Index,
    },
    /// I cannot read some of my entries. What have you of these, if you hold `anchor`?
    Mend {
        /// The asker's name for the question.
        id: u64,
        /// The first entry wanted.
        first: Index,
        /// The last one; below `first` when only the end of the log is asked for.
        last: Index,
        /// An entry at or above the last one whose term the asker knows: in two logs that both hold it,
        /// all entries below it are the same (log matching).
        anchor: EntryId,
    },
    /// The answer to [`Message::Mend`].
    Mended {
        /// The asker's name for the question.
        id: u64,
        /// The answerer's term.
        term: Term,
        /// The end of the answerer's log, if it leads that term.
        end: Option<Index>,
        /// Does the answerer hold the anchor?
        holds: bool,
        /// The index of the first of the entries.
        first: Index,
        /// What it could read of what was asked for, dense; nothing when it does not hold the anchor.
        entries: Vec<Entry>,
    },
    /// The end of my log may be lost, and I hear no leader. How far can you read yours? Asked of every
    /// voter, in a term that asker and answerer are to persist first.
    Recall {
        /// The asker's name for the question.
        id: u64,
        /// The asker's term.
        term: Term,
    },
    /// The answer to [`Message::Recall`]: all that the answerer was ever told in a term before this one is
    /// in its log by now.
    Recalled {
        /// The asker's name for the question.
        id: u64,
        /// The answerer's term.
        term: Term,
        /// Does it hear a leader? Then that one will repair the asker, and no term was adopted.
        hears: bool,
        /// The last entry that it can read.
        readable: EntryId,
        /// Where the configuration in force stands in its log.
        config_index: Index,
        /// That configuration, as it is encoded there.
        config: Bytes,
    },
    /// Remember durably that I am this disk (first start; see the crate's documentation on genesis), or
    /// say who I am by now.
    Bind {
        /// The asker came after the genesis, and is to be bound by nobody.
        joined: bool,
    },
    /// What is bound to the asker's node number here, durably.
    Bound {
        /// The asker's node number.
        node: NodeId,
        /// The disk bound to it.
        store: StoreId,
    },
    /// The answer to [`Message::Bind`] after the genesis: a configuration entry names the asker, disk
    /// and all, so what a leader sends it is for it.
    Named {
        /// The asker's disk, as it is written there.
        store: StoreId,
        /// Where that configuration stands.
        index: Index,
    },
    /// A committed configuration names the receiver no longer.
    Removed {
        /// Where that configuration stands.
        index: Index,
    },
}

/// How fit a node is to lead, as it says itself with every answer to a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fitness {
    /// Its log has room for more entries.
    pub has_space: bool,
    /// Its disk has made nothing durable for too long.
    pub stalled: bool,
    /// It is to lead no more: it was asked so, or cannot read all of its log.
    pub draining: bool,
}

impl Default for Fitness {
    /// Nothing speaks against it.
    fn default() -> Self {
        Self { has_space: true, stalled: false, draining: false }
    }
}

impl Message {
    /// The stream it travels on: what must never wait is apart from what may be large.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self {
            Self::PreVote { .. }
            | Self::PreVoteAnswer { .. }
            | Self::Vote { .. }
            | Self::VoteAnswer { .. }
            | Self::Heartbeat { .. }
            | Self::HeartbeatAnswer { .. }
            | Self::Read { .. }
            | Self::ReadAnswer { .. }
            | Self::TimeoutNow { .. }
            | Self::Regressed { .. }
            | Self::Recall { .. }
            | Self::Recalled { .. }
            | Self::Drain { .. }
            | Self::Bind { .. }
            | Self::Bound { .. }
            | Self::Named { .. }
            | Self::Removed { .. } => Lane::Control,
            Self::Append { .. }
            | Self::Appended { .. }
            | Self::Conflict { .. }
            | Self::Forward { .. }
            | Self::Reconfigure { .. }
            | Self::Forwarded { .. } => Lane::Log,
            Self::Mend { .. } | Self::Mended { .. } => Lane::Bulk,
        }
    }

    /// Is its term one that a cluster can reach? Terms are counted up one by one; a number beyond
    /// this is an error of its sender, and adopting it would end all elections.
    pub(crate) fn is_plausible(&self) -> bool {
        let term = match self {
            Self::PreVote { term, .. }
            | Self::PreVoteAnswer { term, .. }
            | Self::Vote { term, .. }
            | Self::VoteAnswer { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::HeartbeatAnswer { term, .. }
            | Self::Append { term, .. }
            | Self::Appended { term, .. }
            | Self::Conflict { term, .. }
            | Self::TimeoutNow { term }
            | Self::Regressed { term, .. }
            | Self::Recall { term, .. }
            | Self::Recalled { term, .. }
            | Self::Mended { term, .. } => *term,
            Self::Forward { .. }
            | Self::Reconfigure { .. }
            | Self::Forwarded { .. }
            | Self::Read { .. }
            | Self::ReadAnswer { .. }
            | Self::Drain { .. }
            | Self::Mend { .. }
            | Self::Bind { .. }
            | Self::Bound { .. }
            | Self::Named { .. }
            | Self::Removed { .. } => Term(0),
        };
        term <= TERM_MAX
    }

    /// An answer to a candidate.
    pub(crate) const fn is_ballot_answer(&self) -> bool {
        matches!(self, Self::PreVoteAnswer { .. } | Self::VoteAnswer { .. })
    }

    /// What a leader or a candidate says, who may be in a configuration that the receiver has yet to
    /// learn of, and what answers a question to one.
    pub(crate) const fn is_for_strangers(&self) -> bool {
        self.is_about_binding()
            || matches!(
                self,
                Self::PreVote { .. }
                    | Self::Vote { .. }
                    | Self::Heartbeat { .. }
                    | Self::Append { .. }
                    | Self::TimeoutNow { .. }
                    | Self::Forwarded { .. }
                    | Self::ReadAnswer { .. }
                    | Self::Recalled { .. }
            )
    }

    /// The only messages that a node takes before it is bound, or from one that it does not know.
    pub(crate) const fn is_about_binding(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. } | Self::Bound { .. } | Self::Named { .. } | Self::Removed { .. }
        )
    }
}
