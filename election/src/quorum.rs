//! Quorum modes: who must agree to elect and to commit.

use crate::NodeId;

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
