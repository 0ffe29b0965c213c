//! The storage engine: an append-only, checksummed, group-committed log on one disk.

mod entry;
mod op;

pub use entry::{Entry, EntryKind};
pub use op::{HardState, Identity, Op, Vote};
