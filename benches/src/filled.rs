//! A log of a given size on disk, and its files read without the log.
//!
//! What always holds: a spare segment is always ready while it is filled, so that the same contents make
//! the same files on every machine; it is stopped in order; what is read cold comes from the disk, not
//! from the cache.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use rustix::{
    fs::{Advice, fadvise},
    process::geteuid,
};
use wal::{Entry, EntryKind, Identity, Io, Log, Op, Options, Reader, RealIo};

use crate::{is_full_run, payload};

const MIB: usize = 1024 * 1024;
/// Asked for at a time.
const READ_BYTES: usize = MIB;
const SECTOR_BYTES: usize = 512;
/// Batches written before one sync for all, so that filling does not take all day.
const SYNC_EVERY: u64 = 64;
/// Where the first batch of a segment lies, and what it begins with.
const DATA_OFFSET: u64 = 4096;
const BATCH_MAGIC: [u8; 4] = *b"WBAT";

/// What to fill a log with.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// Bytes of all payloads together.
    pub payload_bytes: usize,
    /// Bytes of one payload.
    pub entry_bytes: usize,
    /// Entries in a batch.
    pub batch: usize,
}

impl Fill {
    /// How many entries there will be.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        (self.payload_bytes / self.entry_bytes / self.batch * self.batch) as u64
    }
}

/// Whether the files are in the page cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cache {
    /// All of them.
    Warm,
    /// None of them.
    Cold,
}

/// The options of the logs that are measured; small segments in a smoke run.
#[must_use]
pub fn options() -> Options {
    let segment_bytes = if is_full_run() { Options::default().segment_bytes } else { 1 << 20 };
    Options { segment_bytes, spare_segments: 2, ..Options::default() }
}

/// Open the log in `dir`.
///
/// # Errors
/// As [`Log::open`].
pub fn open(dir: &Path) -> Result<(Log, wal::Recovery)> {
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir)?);
    Ok(Log::open(io, options())?)
}

/// Entry `index` and those after it, one batch of `fill`.
#[must_use]
pub fn batch(first: u64, fill: Fill, data: &Bytes) -> Vec<Entry> {
    let entry = |index| Entry::new(index, 1, EntryKind::Command, data.clone());
    (first..).take(fill.batch).map(entry).collect()
}

/// Make a log in `dir`, append to it batch by batch, stop it in order.
///
/// # Errors
/// When the log fails.
pub fn fill_log(dir: &Path, fill: Fill) -> Result<()> {
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir)?);
    Log::create(&io, Identity { cluster: 1, node: 1, store: 1 }, &options())?;
    let (mut log, _) = open(dir)?;
    let data = Bytes::from(payload(3, fill.entry_bytes));
    for (ticket, first) in (1..).zip((1..=fill.entries()).step_by(fill.batch)) {
        log.upkeep()?;
        log.stage(ticket, Op::Append(batch(first, fill, &data)));
        log.write()?;
        if ticket % SYNC_EVERY == 0 {
            log.sync()?;
        }
    }
    Ok(log.close()?)
}

/// The segments in use, each with how many of its bytes hold something, in the order of their numbers.
///
/// # Errors
/// When a file cannot be read.
pub fn used_segments(dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut used = Vec::new();
    for path in segment_paths(dir)? {
        let file = File::open(&path)?;
        let mut magic = [0; BATCH_MAGIC.len()];
        file.read_exact_at(&mut magic, DATA_OFFSET)?;
        if magic == BATCH_MAGIC {
            used.push((path, used_bytes(&file)?));
        }
    }
    Ok(used)
}

/// The bytes of the sectors of a file that are not all zero.
///
/// # Errors
/// When it cannot be read.
pub fn used_bytes(file: &File) -> io::Result<u64> {
    let mut bytes = vec![0; MIB];
    let (mut offset, mut used) = (0, 0);
    loop {
        let read = file.read_at(&mut bytes, offset)?;
        if read == 0 {
            return Ok(used);
        }
        let sectors = bytes[..read].chunks(SECTOR_BYTES);
        used += sectors
            .filter(|sector| sector.iter().any(|&byte| byte != 0))
            .map(<[u8]>::len)
            .sum::<usize>() as u64;
        offset += read as u64;
    }
}

fn segment_paths(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Read what is used of each file with large `pread`s, as a loop without a log would.
///
/// # Errors
/// When a file cannot be read.
pub fn raw_scan(files: &[(PathBuf, u64)]) -> io::Result<u64> {
    let mut buffer = vec![0; MIB];
    let mut total = 0;
    for (path, used) in files {
        let file = File::open(path)?;
        let mut offset = 0;
        while offset < *used {
            let read = file.read_at(&mut buffer, offset)? as u64;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += read;
        }
        total += offset;
    }
    Ok(total)
}

/// Bring every file in `dir` into the cache, or out of it.
///
/// # Errors
/// When a file cannot be read, or the cache not be dropped.
pub fn set_cache(dir: &Path, cache: Cache) -> io::Result<()> {
    let paths = fs::read_dir(dir)?.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    for path in &paths {
        let file = File::open(path)?;
        match cache {
            Cache::Warm => drop(raw_scan(&[(path.clone(), file.metadata()?.len())])?),
            Cache::Cold => {
                file.sync_all()?;
                fadvise(&file, 0, None, Advice::DontNeed)?;
            }
        }
    }
    // Names and inodes too, where that is allowed; a smoke run leaves the machine alone.
    if cache == Cache::Cold && is_full_run() && geteuid().is_root() {
        fs::write("/proc/sys/vm/drop_caches", "3")?;
    }
    Ok(())
}

/// Read every entry; returns the bytes of their payloads.
///
/// # Errors
/// When an entry is missing or damaged.
pub fn read_through(reader: &Reader, fill: Fill) -> Result<usize> {
    let (mut next, mut bytes) = (1, 0);
    while next <= fill.entries() {
        let entries = reader.read(next, fill.entries(), READ_BYTES)?;
        ensure!(!entries.is_empty(), "entry {next} is missing");
        next += entries.len() as u64;
        bytes += entries.iter().map(|entry| entry.payload.len()).sum::<usize>();
    }
    Ok(bytes)
}

/// Places at random, the same in every run.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    /// The next one, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}
