//! The storage engine: an append-only, checksummed, group-committed log on one disk.

mod entry;
mod error;
mod io;
mod log;
mod op;
mod options;
mod recovery;
mod writer;

pub use entry::{Entry, EntryKind};
pub use error::{Damage, Error};
pub use io::{File, Io, Lock, RealIo};
pub use log::{Log, Reader};
pub use op::{HardState, Identity, Op, Vote};
pub use options::{Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use recovery::{Recovery, TailVerdict};
pub use writer::{Busy, OnDurable, Writer};
