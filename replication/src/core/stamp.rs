//! The leader's time stamp: the median of the voters' wall clocks, so that wrong clocks of a
//! minority, the leader's own included, do not move log time.
//!
//! A new leader has not heard the others' clocks yet. It stamps nothing before it knows those of a
//! majority, and counts what it does not know as late: a stamp is never ahead of every right clock,
//! and log time, which cannot be taken back, is never spoilt by one that is days ahead.

use election::Micros;

use super::Core;
use crate::Now;

/// How far a wall clock is ahead of this node's monotonic one, microseconds. Not of its wall clock:
/// that may be set between an answer and a stamp, and would take everybody's with it.
pub(crate) fn offset(wall: Micros, monotonic: Micros) -> i64 {
    let ahead = i128::from(wall.0) - i128::from(monotonic.0);
    i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN })
}

impl Core {
    /// The median of the voters' clocks now; of an even number the lower middle. None while a
    /// majority of them is not known.
    pub(crate) fn stamp(&self, now: Now) -> Option<u64> {
        let peers = self.lead.iter().flat_map(|lead| &lead.peers);
        let voters = peers.filter(|(node, _)| self.electorate.contains(**node));
        let mut offsets: Vec<i64> = voters.filter_map(|(_, peer)| peer.wall_offset).collect();
        offsets.push(offset(now.wall, now.monotonic));
        offsets.sort_unstable();
        let majority = self.electorate.voters().len() / 2 + 1;
        let middle = offsets.len().checked_sub(majority)?;
        Some(now.monotonic.0.saturating_add_signed(offsets[middle]))
    }
}
