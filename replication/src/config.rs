//! The configuration entry: who votes, how many must, and who else is known.
//!
//! It takes effect when appended and is undone by truncation (Raft §6; research trap 22). The
//! genesis is the configuration at index 0, written by `node init`.

use election::{Index, NodeId, StoreId};

/// How many voters an election and a commit need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A majority elects and commits.
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

/// A node in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Its disk; none until a genesis node has been started and bound.
    pub store: Option<StoreId>,
    /// Where its peers reach it: `HOST:PORT` (QUIC, UDP).
    pub peer: String,
    /// Where its clients reach it: a URL.
    pub client: String,
}

/// Who is in the cluster, and in what part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterConfig {
    /// The quorums in force.
    pub mode: Mode,
    /// Those who vote, ascending by node.
    pub voters: Vec<Member>,
    /// Those who receive the log and do not vote, ascending by node.
    pub learners: Vec<Member>,
    /// Those removed by a shrink, who rejoin by themselves when they return, ascending by node.
    pub known: Vec<Member>,
    /// How many voters the cluster wants to have.
    pub target_size: u8,
    /// The index of the configuration that this one follows (compare-and-set; research trap 24).
    pub predecessor: Index,
}
