//! The leader's time stamp: the median of the voters' wall clocks, so that one wrong clock, the
//! leader's own included, moves log time by nothing.

use election::Micros;

use super::Core;
use crate::Now;

/// How far a peer's wall clock is ahead of this one's, microseconds.
pub(crate) fn offset(theirs: Micros, ours: Micros) -> i64 {
    let ahead = i128::from(theirs.0) - i128::from(ours.0);
    i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN })
}

impl Core {
    /// The median of the voters' clocks now, as far as they are known; of an even number the lower
    /// middle.
    pub(crate) fn stamp(&self, now: Now) -> u64 {
        let peers = self.lead.iter().flat_map(|lead| &lead.peers);
        let voters = peers.filter(|(node, _)| self.electorate.contains(**node));
        let mut offsets: Vec<i64> = voters.filter_map(|(_, peer)| peer.wall_offset).collect();
        offsets.push(0);
        offsets.sort_unstable();
        now.wall.0.saturating_add_signed(offsets[(offsets.len() - 1) / 2])
    }
}
