//! The storage engine: an append-only, checksummed, group-committed log on one disk.
//!
//! An operation has a ticket. Once a ticket is called durable, it and all before it are on the disk and
//! every later opening finds them, in order, or says that the disk has lost or changed them. Nothing
//! else is ever found: no part of an operation that another one did not follow, no byte that was not
//! written.
//!
//! ```text
//! stage -> line --write--> active segment --sync--> durable       readers: memory, else segments
//!                          | header | batch | batch | zeros ... |
//! ```
//!
//! What is on disk, byte by byte, and how the end of a log is judged: `FORMAT.md`.

mod entry;
mod faulty;
mod op;

mod log;
mod reader;
mod writer;

mod commit;

mod fetch;
mod positions;
mod recovery;
mod replay;
mod salvage;
mod terms;
mod verdict;
mod view;

mod footer;
mod inspect;
mod overlay;
mod payload;
mod scrub;

mod batch;
mod directory;
mod manifest;
mod seal;
mod segment;
mod slots;
mod sparse;
mod vote;
mod window;

mod aligned;
mod codec;
mod error;
mod io;
mod layer;
mod options;

pub use entry::{Entry, EntryKind};
pub use error::{Damage, Error};
pub use faulty::{FAULTY_RANGES_MAX, Faulty, FaultyKind, FaultyRange, RepairError};
pub use footer::FooterState;
pub use inspect::{Inspection, SegmentState, SegmentView, SlotFile, SlotState, inspect, verify};
pub use io::{File, Io, Lock, RealIo};
pub use layer::{FileLayer, IoLayer};
pub use log::{BINDINGS_MAX, Log};
pub use op::{HardState, Identity, Op, Vote};
pub use options::{Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use overlay::{OVERLAY_BYTES_MAX, Overlay};
pub use reader::{Reader, Stats};
pub use recovery::{Found, Recovery, TailVerdict};
pub use scrub::{FINDINGS_MAX, Finding, Scrub, ScrubStep};
pub use segment::FORMAT_MAJOR as FORMAT_VERSION;
pub use writer::{Busy, NotAppended, OnDurable, Writer};

#[cfg(test)]
mod tests;
