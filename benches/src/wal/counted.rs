//! A real directory that counts: how often something is flushed to the device, and how much is written.

use std::{
    io,
    ops::{Add, Sub},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use wal::{File, Io, Lock, RealIo};

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

    fn counted(&self, inner: Box<dyn File>) -> Box<dyn File> {
        Box::new(CountedFile { inner, counters: Arc::clone(&self.counters) })
    }
}

impl Io for Counted {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.counted(self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.counted(self.inner.open(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(name)
    }
}

#[derive(Debug)]
struct CountedFile {
    inner: Box<dyn File>,
    counters: Arc<Counters>,
}

impl File for CountedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.inner.write_at(bytes, offset)
    }

    fn write_directly(&self, wanted: bool) -> bool {
        self.inner.write_directly(wanted)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.inner.drop_cache()
    }

    fn map(&self) -> io::Result<Bytes> {
        self.inner.map()
    }
}
