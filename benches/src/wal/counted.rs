//! A real directory that counts: how often something is flushed to the device, and how much is written.

use std::{
    io,
    ops::{Add, Sub},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use wal::{File, FileLayer, Io, IoLayer, RealIo};

/// So many flushes, so many bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Flushes of a file.
    pub syncs: u64,
    /// Bytes written.
    pub bytes: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { syncs: self.syncs + other.syncs, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { syncs: self.syncs - other.syncs, bytes: self.bytes - other.bytes }
    }
}

#[derive(Debug, Default)]
struct Counters {
    syncs: AtomicU64,
    bytes: AtomicU64,
}

/// The directory.
#[derive(Debug)]
pub struct Counted {
    inner: RealIo,
    counters: Arc<Counters>,
}

impl Counted {
    /// As [`RealIo::new`].
    ///
    /// # Errors
    /// When it cannot be made or is no directory.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self { inner: RealIo::new(dir)?, counters: Arc::default() })
    }

    /// What there was so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            syncs: self.counters.syncs.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }
}

impl IoLayer for Counted {
    fn below(&self) -> &dyn Io {
        &self.inner
    }

    fn file(&self, _name: &str, below: Box<dyn File>) -> Box<dyn File> {
        Box::new(CountedFile { inner: below, counters: Arc::clone(&self.counters) })
    }
}

#[derive(Debug)]
struct CountedFile {
    inner: Box<dyn File>,
    counters: Arc<Counters>,
}

impl FileLayer for CountedFile {
    fn below(&self) -> &dyn File {
        &*self.inner
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.inner.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_all()
    }
}
