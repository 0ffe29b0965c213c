//! What the log cannot read, and a state that is not that of the others.
//!
//! What always holds: the core hears of damage that a reader or the scrub found before anything rests
//! on it being whole; a node that has nobody to repair it stops, and so does one whose state at some
//! index is not that of a majority.

use std::time::{Duration, Instant};

use election::Index;
use replication::{Input, Status, Unread};
use wal::{FaultyKind, FaultyRange};

use super::{CoreError, Driver};

/// How long nodes may disagree, with no majority for any state, before none of them serves.
const SPLIT_MAX: Duration = Duration::from_secs(5);

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Known {
    faulty: Vec<FaultyRange>,
    /// What no voter could give.
    unread: Vec<Unread>,
    /// From where on entries were given up.
    given_up: Option<Index>,
    /// Since when there has been no majority for any state.
    split: Option<Instant>,
}

impl Known {
    pub(super) const fn new(faulty: Vec<FaultyRange>) -> Self {
        Self { faulty, unread: Vec::new(), given_up: None, split: None }
    }
}

/// Entries that cannot be read; a doubt about the end counts as one.
pub(crate) fn count(ranges: &[FaultyRange]) -> u64 {
    let entries = ranges.iter().map(|range| match range.kind {
        FaultyKind::EndUnknown => 1,
        FaultyKind::Corrupt | FaultyKind::Suspect => range.last - range.first + 1,
    });
    entries.sum()
}

impl Driver {
    /// Tell the core what was found since the last look.
    pub(super) fn look_for_damage(&mut self) -> Result<(), CoreError> {
        // What the core has decided and the log has not seen yet is not compared with it.
        if !self.parts.line.is_seen() {
            return Ok(());
        }
        let ranges = self.parts.reader.faulty();
        if ranges == self.known.faulty {
            return Ok(());
        }
        if let Some(range) = ranges.first().copied().filter(|_| self.view.is_alone()) {
            return Err(wal::Error::Faulty { index: range.first, range }.into());
        }
        let (before, now) = (count(&self.known.faulty), count(&ranges));
        if now == 0 {
            tracing::info!("the log is whole again");
        } else if now > before {
            tracing::error!(entries = now, "a part of the log cannot be read: asking the others");
        }
        self.known.faulty.clone_from(&ranges);
        self.handle(Input::Damaged { ranges });
        Ok(())
    }

    /// Say once what no voter can read, and what was given up for that.
    pub(super) fn tell_of_loss(&mut self, status: &Status) {
        if status.unread != self.known.unread {
            for lost in &status.unread {
                tracing::error!("{}", said_of(lost));
            }
            self.known.unread.clone_from(&status.unread);
        }
        if status.given_up != self.known.given_up {
            self.known.given_up = status.given_up;
            if let Some(first) = status.given_up {
                tracing::warn!(
                    "entries from {first} on may have been lost here, and no voter has them: none \
                     was ever acknowledged, and they are given up"
                );
            }
        }
    }

    /// Is this node's state that of the others?
    pub(super) fn compare_hashes(&mut self) -> Result<(), CoreError> {
        let voters: Vec<_> = self.view.config.voters.iter().map(|member| member.node).collect();
        match self.parts.reports.judge(&self.parts.fold.marks(), &voters) {
            Judgement::Agrees => self.known.split = None,
            Judgement::Odd { index } => return Err(CoreError::OddState { index }),
            Judgement::Split { index } => {
                let since = self.known.split.get_or_insert_with(Instant::now);
                if since.elapsed() >= SPLIT_MAX {
                    return Err(CoreError::SplitState { index });
                }
            }
        }
        Ok(())
    }
}

/// What no voter can read, and what helps.
fn said_of(Unread { first, last, asked }: &Unread) -> String {
    let what = match last {
        Some(last) if last == first => format!("entry {first}"),
        Some(last) => format!("entries {first} to {last}"),
        None => format!("entries from {first} on, if there were any,"),
    };
    let nodes: Vec<String> = asked.iter().map(ToString::to_string).collect();
    format!(
        "{what} cannot be read here, nor by any voter that answers (asked: {}): start the nodes that \
         are down, or restore the disk of one that held them",
        nodes.join(", ")
    )
}

/// What this node's state is beside those of the voters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    /// Nothing speaks against it.
    Agrees,
    /// A majority has another one at this index.
    Odd {
        /// Where.
        index: u64,
    },
    /// Somebody has another one at this index, and none has a majority.
    Split {
        /// Where.
        index: u64,
    },
}

impl Judgement {
    /// The worst one counts.
    pub(crate) const fn severity(&self) -> u8 {
        match self {
            Self::Agrees => 0,
            Self::Split { .. } => 1,
            Self::Odd { .. } => 2,
        }
    }
}

/// Judge the own hash at an index, beside those that voters reported for it, this node's own among them
/// if it votes.
pub(crate) fn judge(index: u64, own: u64, reported: &[u64], voters: usize) -> Judgement {
    let has_majority = |hash: u64| {
        let count = reported.iter().filter(|reported| **reported == hash).count();
        count * 2 > voters
    };
    let mut others = reported.iter().copied().filter(|hash| *hash != own).peekable();
    if others.peek().is_none() || has_majority(own) {
        return Judgement::Agrees;
    }
    if others.any(has_majority) { Judgement::Odd { index } } else { Judgement::Split { index } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_voter_can_read_is_named() {
        let lost = |first, last| Unread {
            first: Index(first),
            last,
            asked: vec![election::NodeId(2), election::NodeId(3)],
        };
        for (lost, start) in [
            (lost(7, Some(Index(9))), "entries 7 to 9 cannot be read here, nor by any voter"),
            (lost(7, Some(Index(7))), "entry 7 cannot be read here"),
            (lost(7, None), "entries from 7 on, if there were any, cannot be read here"),
        ] {
            let said = said_of(&lost);
            assert!(said.starts_with(start) && said.contains("(asked: 2, 3)"), "{said}");
        }
    }

    /// Trap 45: an odd node stops, and without a majority nobody serves.
    #[test]
    fn a_state_that_a_majority_contradicts_is_odd() {
        let index = 1_024;
        let odd = Judgement::Odd { index };
        let split = Judgement::Split { index };
        for (own, reported, voters, judgement) in [
            (1, vec![1], 3, Judgement::Agrees),
            (1, vec![1, 1, 1], 3, Judgement::Agrees),
            (1, vec![1, 2, 1], 3, Judgement::Agrees),
            (2, vec![1, 2, 1], 3, odd),
            (2, vec![1, 1], 3, odd),
            (2, vec![1, 2], 3, split),
            (2, vec![1, 2, 3], 3, split),
            (2, vec![1, 1, 2], 5, split),
            (2, vec![1, 1, 1, 2], 5, odd),
            (2, vec![1, 2], 2, split),
        ] {
            assert_eq!(judge(index, own, &reported, voters), judgement, "{own} in {reported:?}");
        }
    }
}
