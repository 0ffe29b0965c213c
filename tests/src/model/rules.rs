//! What can be taken away from the rules, and how far a search goes.

use std::fmt;

use super::state::{Config, ENTRIES_MAX, NODES_MAX, Set, TERMS_MAX};

/// One rule less. Each must lead to a violation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Naive {
    /// Trap 1: a crash forgets the vote.
    VoteForgotten,
    /// Trap 5: a crash takes an entry that was acknowledged.
    AcknowledgedEarly,
    /// Trap 13: a vote for a log that ends before what rot took from the voter.
    VoteOverTheLost,
    /// Trap 13: a candidate that cannot read all of its log.
    StandsOverTheLost,
    /// Trap 18: an empty disk under the number of a lost one.
    SameNumber,
    /// Trap 19: a candidate that goes by the members of the genesis.
    MembersOfTheGenesis,
    /// Trap 20: a change before the one before it is committed.
    TwoChanges,
    /// Trap 20: a change before an entry of the own term is committed (Ongaro, 2015).
    NoOwnEntry,
    /// Trap 21: a change to quorums that do not meet the old ones.
    QuorumsApart,
    /// Trap 22: a configuration that stays when its entry is cut.
    ConfigStays,
    /// Trap 25: the copy of a learner counts.
    LearnerCounts,
    /// Trap 31: an append of an older term is taken in.
    OldAppend,
    /// Trap 33: entries of older terms commit by counting.
    CommitByCounting,
    /// Trap 36: whatever follows what an append holds is cut.
    TruncatesAlways,
    /// Raft 5.4.1: a vote for any log.
    VoteForAnyLog,
}

impl Naive {
    /// Every one of them.
    pub const ALL: [Self; 15] = [
        Self::VoteForgotten,
        Self::AcknowledgedEarly,
        Self::VoteOverTheLost,
        Self::StandsOverTheLost,
        Self::SameNumber,
        Self::MembersOfTheGenesis,
        Self::TwoChanges,
        Self::NoOwnEntry,
        Self::QuorumsApart,
        Self::ConfigStays,
        Self::LearnerCounts,
        Self::OldAppend,
        Self::CommitByCounting,
        Self::TruncatesAlways,
        Self::VoteForAnyLog,
    ];
}

impl Naive {
    /// Bounds within which the violation lies.
    #[must_use]
    pub const fn bounds(self) -> Bounds {
        match self {
            Self::VoteForgotten | Self::SameNumber => Bounds { faults: 1, ..Bounds::of(3, 2, 1) },
            Self::AcknowledgedEarly | Self::VoteOverTheLost | Self::StandsOverTheLost => {
                Bounds { faults: 1, ..Bounds::of(3, 2, 2) }
            }
            Self::OldAppend | Self::TruncatesAlways | Self::VoteForAnyLog => Bounds::of(3, 2, 2),
            Self::CommitByCounting => Bounds::of(3, 4, 1),
            Self::MembersOfTheGenesis | Self::TwoChanges => {
                Bounds { changes: 2, ..Bounds::of(3, 2, 3) }
            }
            Self::NoOwnEntry => Bounds { changes: 1, ..Bounds::of(4, 3, 1) },
            Self::QuorumsApart => Bounds { changes: 1, armed: true, ..Bounds::of(3, 2, 2) },
            Self::ConfigStays => Bounds { voters: 2, changes: 1, ..Bounds::of(3, 3, 3) },
            Self::LearnerCounts => Bounds { voters: 3, ..Bounds::of(4, 2, 1) },
        }
    }
}

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Nodes, voters or not.
    pub nodes: usize,
    /// The first so many of them vote at first.
    pub voters: usize,
    /// Elections.
    pub terms: u8,
    /// Entries in a log.
    pub entries: u8,
    /// Configurations in a log.
    pub changes: usize,
    /// Entries lost to rot; crashes and wipes of a naive variant.
    pub faults: u8,
    /// Also pairs of which one may go on alone.
    pub armed: bool,
}

impl Bounds {
    /// So many voters, terms and entries; no change, and no fault.
    #[must_use]
    pub const fn of(nodes: usize, terms: u8, entries: u8) -> Self {
        Self { nodes, voters: nodes, terms, entries, changes: 0, faults: 0, armed: false }
    }

    /// Is there room for these in the model?
    ///
    /// # Errors
    /// In words, when there is not.
    pub fn check(&self) -> Result<(), String> {
        let terms = usize::from(self.terms);
        let entries = usize::from(self.entries);
        let fits = self.nodes <= NODES_MAX && terms <= TERMS_MAX && entries <= ENTRIES_MAX;
        if !fits || !(1..=self.nodes).contains(&self.voters) {
            let most = format!("{NODES_MAX} nodes, {TERMS_MAX} terms and {ENTRIES_MAX} entries");
            return Err(format!("at most {most}, and one voter at least"));
        }
        Ok(())
    }

    /// The genesis.
    pub(super) fn genesis(&self) -> Config {
        Config::new(Set::filter(self.nodes, |node| node < self.voters), None)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, voters, terms, entries, changes, faults, armed } = self;
        write!(f, "{nodes} nodes, {voters} voters, {terms} terms, {entries} entries, ")?;
        write!(f, "{changes} changes, {faults} faults")?;
        f.write_str(if *armed { ", armed pairs" } else { "" })
    }
}
