//! Opening a log.

use std::collections::BTreeMap;

use crate::{Entry, HardState, Identity};

/// What was found at the end of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TailVerdict {
    /// Stopped in order: nothing can be missing.
    Stopped,
    /// A crash, with nothing written beyond the last batch.
    CleanEnd,
    /// A crash in the middle of a write that was never acknowledged: cut off.
    Torn {
        /// Bytes that were zeroed, in whole sectors.
        cut_bytes: u64,
    },
}

/// What the log holds, found when it was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// Whose log it is. The caller compares it with its configuration.
    pub identity: Identity,
    /// Term and vote: the newest of log and vote file.
    pub hard_state: HardState,
    /// Node number to disk.
    pub bindings: BTreeMap<u64, u128>,
    /// The first index that the log can hold: 1.
    pub first_index: u64,
    /// Index and term of the last entry; (0, 0) when there is none.
    pub last: (u64, u64),
    /// Where each term begins: (first index, term), ascending.
    pub term_runs: Vec<(u64, u64)>,
    /// Every configuration entry in the log, ascending.
    pub configs: Vec<Entry>,
    /// What was found at the end.
    pub tail: TailVerdict,
    /// How often this log has been opened, this time included.
    pub epoch: u32,
    /// Bytes read to find all this.
    pub scanned_bytes: u64,
}
