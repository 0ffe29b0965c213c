//! Quorum modes: who must agree to elect and to commit, and which mode may follow which.
//!
//! | mode | election quorum | commit quorum |
//! |---|---|---|
//! | majority (3 voters and more) | majority | majority |
//! | pair {x, y} | both | both |
//! | armed {t, f} | any set with t | both |
//! | solo {t} | t | t |
//!
//! What always holds: within a mode and across every legal step, any two election quorums meet, and
//! any election quorum meets any commit quorum. That is not argued case by case but tried on all
//! subsets, each time a step is asked for.

use alloc::vec::Vec;
use core::fmt;

use crate::NodeId;

/// How many voters a cluster may have. All subsets of the voters of two successive configurations
/// are tried, at most 2^8 of them.
pub const VOTERS_MAX: usize = 7;

/// How many voters an election and a commit need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A majority elects and commits; three voters or more.
    Majority,
    /// Two voters; both elect, both commit.
    Pair,
    /// Two voters; any set with the survivor elects, both commit.
    Armed {
        /// The one that may go on alone.
        survivor: NodeId,
    },
    /// One voter.
    Solo,
}

/// Voters under a mode that fits them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Electorate {
    mode: Mode,
    voters: Vec<NodeId>,
}

/// Voters and mode do not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAnElectorate {
    /// The mode.
    pub mode: Mode,
    /// How many voters were given with it.
    pub voters: usize,
}

impl Electorate {
    /// Voters, distinct and ascending, under a mode.
    ///
    /// # Errors
    /// When the mode is not for these voters, or they are out of order, doubled or too many.
    pub fn new(mode: Mode, voters: Vec<NodeId>) -> Result<Self, NotAnElectorate> {
        let fits = match mode {
            Mode::Majority => (3..=VOTERS_MAX).contains(&voters.len()),
            Mode::Pair => voters.len() == 2,
            Mode::Armed { survivor } => voters.len() == 2 && voters.contains(&survivor),
            Mode::Solo => voters.len() == 1,
        };
        let ascending = voters.windows(2).all(|pair| pair[0] < pair[1]);
        if fits && ascending {
            Ok(Self { mode, voters })
        } else {
            Err(NotAnElectorate { mode, voters: voters.len() })
        }
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The voters, ascending.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Does this node vote?
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok()
    }

    /// Do those who agree elect a leader?
    pub fn elects(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        match self.mode {
            Mode::Majority => self.majority(agrees),
            Mode::Pair | Mode::Solo => self.voters.iter().all(|voter| agrees(*voter)),
            Mode::Armed { survivor } => agrees(survivor),
        }
    }

    /// Do those who hold an entry commit it?
    pub fn commits(&self, holds: impl Fn(NodeId) -> bool) -> bool {
        match self.mode {
            Mode::Majority => self.majority(holds),
            Mode::Pair | Mode::Armed { .. } | Mode::Solo => {
                self.voters.iter().all(|voter| holds(*voter))
            }
        }
    }

    /// May `next` be appended while this is in force? Changes one voter at most, and every quorum of
    /// the one that decides meets every electing quorum of the other (research traps 20, 21).
    #[must_use]
    pub fn may_become(&self, next: &Self) -> bool {
        let gone = self.voters.iter().filter(|voter| !next.contains(**voter)).count();
        let come = next.voters.iter().filter(|voter| !self.contains(**voter)).count();
        gone + come <= 1 && quorums_meet(self, next)
    }

    fn majority(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        self.voters.iter().filter(|voter| agrees(**voter)).count() > self.voters.len() / 2
    }
}

/// Do all election quorums of both meet each other, and all commit quorums of the other one? Tried
/// on every subset. Two disjoint quorums exist exactly if some set is one quorum and its complement
/// holds the other, because a set that contains a quorum is one.
fn quorums_meet(old: &Electorate, new: &Electorate) -> bool {
    let mut everyone = old.voters.clone();
    everyone.extend(new.voters.iter().filter(|voter| !old.contains(**voter)));
    (0_u32..1 << everyone.len()).all(|subset| {
        let chosen = |node: NodeId| {
            everyone.iter().position(|n| *n == node).is_some_and(|bit| subset >> bit & 1 == 1)
        };
        let others = |node: NodeId| !chosen(node);
        let apart = (old.elects(chosen) && new.elects(others))
            || (old.elects(chosen) && new.commits(others))
            || (old.commits(chosen) && new.elects(others));
        !apart
    })
}

impl fmt::Display for NotAnElectorate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} voters, distinct and ascending, are needed for this mode, not these {}",
            match self.mode {
                Mode::Majority => "3 to 7",
                Mode::Pair => "2",
                Mode::Armed { .. } => "2 with the survivor among them",
                Mode::Solo => "1",
            },
            self.voters
        )
    }
}

impl core::error::Error for NotAnElectorate {}
