//! Every bound of the log, with its unit, default and limits. None of them shapes the bytes on disk:
//! a log may be opened with other options than it was made with.

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
    /// one that is needed before a spare is ready. A multiple of 4 KiB, from 64 KiB to `segment_bytes`.
    /// Default 1 MiB.
    pub small_segment_bytes: u64,
    /// Zeroed segments kept ready; 0 to 8. With 0 each rotation makes its own. Default 1.
    pub spare_segments: usize,
    /// Largest payload of an entry in bytes; 1 to `batch_bytes_max`, and it must fit a small segment.
    /// Default 512 KiB.
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
            spare_segments: 1,
            entry_bytes_max: 512 * KIB,
            batch_bytes_max: 4 * MIB,
            queue_bytes_max: 32 * MIB,
            tail_cache_bytes: 32 * MIB,
        }
    }
}
