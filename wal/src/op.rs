//! What can be written to the log, and whose log it is.

use crate::Entry;

/// Whose data directory this is. Checked at every open, against the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The cluster, drawn by `node init`.
    pub cluster: u128,
    /// The node's number.
    pub node: u64,
    /// This disk, drawn at its first start.
    pub store: u128,
}

/// The whole identity of a voter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vote {
    /// The node voted for.
    pub node: u64,
    /// Its disk.
    pub store: u128,
}

/// Term and vote: one record, never two (research trap 2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HardState {
    /// The newest term seen.
    pub term: u64,
    /// The vote given in that term.
    pub voted_for: Option<Vote>,
}

/// One operation. Operations become durable strictly in the order of their tickets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Append entries. The first follows the last entry of the log; indexes are dense. Every one is
    /// intact: [`Entry::new`] made it, or [`Entry::is_intact`] was asked where it came in from elsewhere
    /// (decoding a message does so). The log itself checks it in debug builds only.
    Append(Vec<Entry>),
    /// Drop every entry above this index. A record: nothing is overwritten.
    TruncateAfter(u64),
    /// Remember term and vote.
    HardState(HardState),
    /// Remember that `node` is the disk `store`; the first binding of a node wins and stays.
    Bind {
        /// The node's number.
        node: u64,
        /// Its disk.
        store: u128,
    },
    /// Put an entry where the log lost it: only at a faulty index, and only within the terms that the lost
    /// one can have ([`Log::can_repair`](crate::Log::can_repair)). Where the log can read an entry of this
    /// term it writes nothing: it is the same one, and who repairs may know less of the log than it does.
    Repair(Entry),
    /// There may have been more than the log holds, though nothing here says so: somebody who counts on it
    /// knows. Remembered like a doubt that an opening found, until [`Op::Settle`].
    Doubt,
    /// The end of the log is no longer in doubt: whatever it may have lost has been found or is known not
    /// to matter.
    Settle,
}
