//! What ends the core of a node. Nothing may be answered after any of these.

use election::NodeId;
use replication::Halt;

use crate::level;

/// Why the core of the node cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The log could not be read.
    #[error("the log")]
    Log(#[from] wal::Error),
    /// A write or fsync of the log failed: what reached the disk is unknown, so nothing more may be
    /// said. A restart finds out.
    #[error("the log failed ({0}): check the disk, then start the node again")]
    LogFailed(String),
    /// A committed entry that this version cannot apply. Skipping it would make two histories.
    #[error(
        "entry {index} of the log is no command that this version understands ({reason}): run the \
         version that the other nodes run"
    )]
    UnreadableCommand {
        /// Where.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// A majority has another state at the same index.
    #[error(
        "the state of this node behind entry {index} is not that of a majority of the voters: it \
         serves no more. Its log is kept and read anew at the next start; if this comes again, keep a \
         copy of its data directory and admit it anew with `chatctl cluster replace N`"
    )]
    OddState {
        /// Where.
        index: u64,
    },
    /// Nodes have different states at the same index, and none of these has a majority.
    #[error(
        "the nodes have different states behind entry {index}, and no majority has the same: nobody \
         serves. Their logs are kept and read anew at the next start; if this comes again, keep a copy \
         of every data directory"
    )]
    SplitState {
        /// Where.
        index: u64,
    },
    /// Consensus refuses to go on.
    #[error("{}", describe(*.node, .halt))]
    Halted {
        /// This node.
        node: NodeId,
        /// Why.
        halt: Halt,
    },
    /// A part ended without a word.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
}

/// Why the core halted, and what to do.
fn describe(node: NodeId, halt: &Halt) -> String {
    match halt {
        Halt::BoundElsewhere { by, bound } => format!(
            "node {by} knows this node with another disk ({bound}): this one was started before \
             elsewhere, or was wiped. Nothing was changed. If the other disk is lost, admit this one \
             with `chatctl cluster replace {node}` and start it again"
        ),
        Halt::Removed => format!(
            "this node was removed from the cluster: do not start its data again. To return, this \
             machine joins as a node of another number (`node certs issue`), or was replaced and \
             starts as node {node} with an empty data directory"
        ),
        Halt::TooOld { level } => format!(
            "the cluster went on to feature level {level}, and this version understands only {}: \
             nothing was changed; run the version that the other nodes run",
            level::understood()
        ),
        Halt::Diverged { at } => format!(
            "a leader's log contradicts the entry committed at {at}: keep the data directory for \
             inspection and do not start this node again"
        ),
    }
}
