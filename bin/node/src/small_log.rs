//! A new and small log for the tests that need a real one.
//!
//! What always holds: the log is empty, and of node 1 alone.

use std::{path::Path, sync::Arc};

use wal::{Identity, Io, Log, Options, RealIo};

/// Small segments, made when they are needed.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        small_segment_bytes: 1 << 20,
        spare_segments: 0,
        ..Options::default()
    }
}

/// Make a log in `dir`, and open it.
pub(crate) fn create(dir: &Path, options: Options) -> Log {
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir).unwrap());
    Log::create(&io, Identity { cluster: 1, node: 1, store: 1 }, &options).unwrap();
    Log::open(io, options).unwrap().0
}
