//! The leader's time stamp: the median of the voters' wall clocks, so that wrong clocks of a
//! minority, the leader's own included, do not move log time.
//!
//! A new leader has not heard the others' clocks yet. It stamps nothing before it knows those of a
//! majority, and counts what it does not know as late: a stamp is never ahead of every right clock,
//! and log time, which cannot be taken back, is never spoilt by one that is days ahead.

use election::Micros;

use super::Core;
use crate::Now;

/// How far a peer's wall clock is ahead of this one's, microseconds.
pub(crate) fn offset(theirs: Micros, ours: Micros) -> i64 {
    let ahead = i128::from(theirs.0) - i128::from(ours.0);
    i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN })
}

impl Core {
    /// The median of the voters' clocks now; of an even number the lower middle. None while a
    /// majority of them is not known.
    pub(crate) fn stamp(&self, now: Now) -> Option<u64> {
        let peers = self.lead.iter().flat_map(|lead| &lead.peers);
        let voters = peers.filter(|(node, _)| self.electorate.contains(**node));
        let mut offsets: Vec<i64> = voters.filter_map(|(_, peer)| peer.wall_offset).collect();
        offsets.push(0);
        offsets.sort_unstable();
        let majority = self.electorate.voters().len() / 2 + 1;
        let middle = offsets.len().checked_sub(majority)?;
        Some(now.wall.0.saturating_add_signed(offsets[middle]))
    }
}
