//! A real directory whose flushes a test counts, holds up, fails or leaves out.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{File, FileLayer, Io, IoLayer, RealIo};

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
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl IoLayer for Watched {
    fn below(&self) -> &dyn Io {
        &self.inner
    }

    fn file(&self, _name: &str, below: Box<dyn File>) -> Box<dyn File> {
        let on_sync = Arc::clone(&self.on_sync);
        Box::new(WatchedFile { inner: below, on_sync, syncs: Arc::clone(&self.syncs) })
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

impl FileLayer for WatchedFile {
    fn below(&self) -> &dyn File {
        &*self.inner
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(|| self.inner.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(|| self.inner.sync_all())
    }
}
