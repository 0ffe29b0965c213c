//! The feature level: what a build understands, as one number.
//!
//! A cluster's level stands in its log and rises by itself when the last node runs a build that
//! understands the next one. What is new in the log, a command or a kind of entry, belongs to a level
//! of its own, and is proposed only when the cluster has reached it: so a rolling upgrade never gives
//! a node what it cannot read.
//!
//! | level | brings |
//! |---|---|
//! | 1 | everything so far |

/// The newest level that this build understands.
pub(crate) const FEATURE_LEVEL: u16 = 1;
