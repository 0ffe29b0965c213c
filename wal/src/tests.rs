//! Tests of the whole engine on a real directory; what needs a disk that crashes is in the `tests`
//! package.

mod bad_disk;
mod codec;
mod direct;
mod engine;
mod footers;
mod group_commit;
mod inspect;
mod scrub;
mod seal;
mod unreadable;
mod versions;
mod waiting;
mod watched;

use std::{path::Path, sync::Arc};

use bytes::Bytes;

use crate::{Entry, EntryKind, Identity, Io, Log, Op, Options, RealIo, Recovery};

const IDENTITY: Identity = Identity { cluster: 7, node: 2, store: 0xfeed };

fn io(dir: &Path) -> Arc<dyn Io> {
    Arc::new(RealIo::new(dir).unwrap())
}

fn small() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        small_segment_bytes: 64 * 1024,
        spare_segments: 1,
        entry_bytes_max: 16 * 1024,
        batch_bytes_max: 8 * 1024,
        queue_bytes_max: 16 * 1024,
        tail_cache_bytes: 4 * 1024,
    }
}

fn fresh(dir: &Path, options: &Options) -> (Log, Recovery) {
    let io = io(dir);
    Log::create(&io, IDENTITY, options).unwrap();
    Log::open(io, options.clone()).unwrap()
}

fn reopen(dir: &Path, options: &Options) -> (Log, Recovery) {
    Log::open(io(dir), options.clone()).unwrap()
}

/// An entry whose payload can be told from every other's.
fn entry(index: u64, term: u64, len: usize) -> Entry {
    let first = index * 31 + term * 7;
    let payload: Vec<u8> = (first..).map(|n| n.to_le_bytes()[0]).take(len).collect();
    Entry::new(index, term, EntryKind::Command, Bytes::from(payload))
}

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64, len: usize) -> Vec<Entry> {
    indexes.map(|index| entry(index, term, len)).collect()
}

fn append(indexes: std::ops::RangeInclusive<u64>, term: u64, len: usize) -> Op {
    Op::Append(entries(indexes, term, len))
}
