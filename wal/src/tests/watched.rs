//! A real directory whose flushes a test counts, holds up, fails or leaves out.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{File, Io, Lock, RealIo};

/// Called instead of flushing a file. True asks for the real flush.
type OnSync = Arc<dyn Fn() -> io::Result<bool> + Send + Sync>;

/// The directory.
pub(super) struct Watched {
    inner: RealIo,
    on_sync: OnSync,
    syncs: Arc<AtomicU64>,
}

impl Watched {
    pub(super) fn new(
        dir: &Path,
        on_sync: impl Fn() -> io::Result<bool> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let inner = RealIo::new(dir).unwrap();
        Arc::new(Self { inner, on_sync: Arc::new(on_sync), syncs: Arc::default() })
    }

    /// How many flushes of files were asked for.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn watched(&self, inner: Box<dyn File>) -> Box<dyn File> {
        let on_sync = Arc::clone(&self.on_sync);
        Box::new(WatchedFile { inner, on_sync, syncs: Arc::clone(&self.syncs) })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Io for Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.watched(self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.watched(self.inner.open(name)?))
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

struct WatchedFile {
    inner: Box<dyn File>,
    on_sync: OnSync,
    syncs: Arc<AtomicU64>,
}

impl WatchedFile {
    fn sync(&self, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if (self.on_sync)()? { real() } else { Ok(()) }
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").finish_non_exhaustive()
    }
}

impl File for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn write_directly(&self, wanted: bool) -> bool {
        self.inner.write_directly(wanted)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(|| self.inner.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(|| self.inner.sync_all())
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
