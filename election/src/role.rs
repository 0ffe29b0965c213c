//! The four roles, each owning what only it needs: nothing of one role can be read in another.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{Micros, NodeId, VoterId, effect::Role};

#[derive(Clone, Debug)]
pub(crate) enum State {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

/// Follows, or waits.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The leader of the current term, once heard.
    pub(crate) leader: Option<VoterId>,
    /// When it was heard last.
    pub(crate) heard: Micros,
    /// How long this node bears its silence.
    pub(crate) patience: Micros,
    /// The link to it broke: no loyalty until it is heard again.
    pub(crate) suspected: bool,
    /// When to stand.
    pub(crate) campaign_at: Micros,
}

/// Asks whether it could win. It believes in no leader any more (research trap 30).
#[derive(Clone, Debug)]
pub(crate) struct PreCandidate {
    pub(crate) granted: BTreeSet<NodeId>,
    pub(crate) ask_again_at: Micros,
}

/// Asks for votes.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Who granted; itself only once its own vote is durable.
    pub(crate) granted: BTreeSet<NodeId>,
    /// The leader before handed over to it.
    pub(crate) transfer: bool,
    pub(crate) ask_again_at: Micros,
    /// When the round is lost.
    pub(crate) give_up_at: Micros,
}

/// Leads, for as long as an election quorum answers.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// When each voter answered last.
    pub(crate) heard: BTreeMap<NodeId, Micros>,
    pub(crate) check_at: Micros,
}

impl State {
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}
