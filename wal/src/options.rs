//! Every bound of the log, with its unit, default and limits. None of them shapes the bytes on disk:
//! a log may be opened with other options than it was made with.

use crate::{
    Error,
    batch::batch_bytes,
    codec::{len_u64, to_usize},
    segment::{DATA_OFFSET, START_BYTES_MAX, footer_bytes},
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The smallest segment: header, the largest segment start, and some room for entries.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// The largest: offsets inside a segment are 32 bits wide.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How a log is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Size of a segment file in bytes; a multiple of 4 KiB from 64 KiB to 1 GiB. Default 64 MiB.
    pub segment_bytes: u64,
    /// Size in bytes of a segment that is made while someone waits for it: the first of a fresh log, and
    /// one that is needed before a spare is ready. A multiple of 4 KiB, at least 64 KiB, and taken as
    /// `segment_bytes` when that is less. Default 1 MiB.
    pub small_segment_bytes: u64,
    /// Zeroed segments kept ready; 0 to 8. With 0 each rotation makes its own. Default 2.
    pub spare_segments: usize,
    /// Largest payload of an entry in bytes; at least 1, and it must fit a small segment: about 40 KiB
    /// less than that, less its footer area (1/128 and 4 KiB). Default 512 KiB.
    pub entry_bytes_max: usize,
    /// Entries and records put into one batch, in bytes, at most; one entry may exceed it. From 4 KiB to
    /// 64 MiB. Default 4 MiB.
    pub batch_bytes_max: usize,
    /// Bytes that wait for the writer thread before it answers `Busy`; one operation is always taken by
    /// an empty queue. At least 4 KiB. Default 32 MiB.
    pub queue_bytes_max: usize,
    /// Bytes of the newest entries kept in memory for readers, at most, not counting what is not yet
    /// written. Default 32 MiB.
    pub tail_cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            small_segment_bytes: 1024 * 1024,
            spare_segments: 2,
            entry_bytes_max: 512 * KIB,
            batch_bytes_max: 4 * MIB,
            queue_bytes_max: 32 * MIB,
            tail_cache_bytes: 32 * MIB,
        }
    }
}

impl Options {
    /// The size of a small segment.
    pub(crate) fn small(&self) -> u64 {
        self.small_segment_bytes.min(self.segment_bytes)
    }

    /// Are all within their bounds?
    pub(crate) fn check(&self) -> Result<(), Error> {
        let whole = |bytes: u64| bytes.is_multiple_of(4096);
        let segments = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        let small = self.small();
        let overhead = to_usize(DATA_OFFSET) + START_BYTES_MAX + 2 * batch_bytes(0);
        let data_end = small.saturating_sub(footer_bytes(small));
        let entry_max = to_usize(data_end).saturating_sub(overhead + 64);
        let kib_4 = 4 * KIB;
        check(
            "segment_bytes",
            self.segment_bytes,
            segments.contains(&self.segment_bytes) && whole(self.segment_bytes),
            "a multiple of 4 KiB from 64 KiB to 1 GiB",
        )?;
        check(
            "small_segment_bytes",
            small,
            small >= SEGMENT_BYTES_MIN && whole(small),
            "a multiple of 4 KiB from 64 KiB on",
        )?;
        let spares = len_u64(self.spare_segments);
        check("spare_segments", spares, spares <= 8, "at most 8")?;
        check(
            "entry_bytes_max",
            len_u64(self.entry_bytes_max),
            (1..=entry_max).contains(&self.entry_bytes_max),
            "at least 1, and about 50 KiB less than small_segment_bytes",
        )?;
        check(
            "batch_bytes_max",
            len_u64(self.batch_bytes_max),
            (kib_4..=64 * MIB).contains(&self.batch_bytes_max),
            "from 4 KiB to 64 MiB",
        )?;
        let queue = self.queue_bytes_max;
        check("queue_bytes_max", len_u64(queue), queue >= kib_4, "at least 4 KiB")
    }
}

fn check(name: &'static str, value: u64, holds: bool, rule: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Options { name, value, rule }) }
}
