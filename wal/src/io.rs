//! The crate's only door to the operating system: one directory of files.
//!
//! What always holds: nothing else in the crate names `std::fs`; every write is a `pwrite` (maps are
//! read-only and only of sealed files, research F4); a simulated disk stands in for [`RealIo`] and
//! sees every call that matters for what survives a crash.

use std::{
    fmt,
    fs::{self, OpenOptions, TryLockError},
    io,
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use memmap2::Mmap;
use rustix::fs::{Advice, AtFlags, OFlags, StatxFlags, fadvise, statx};

use crate::{
    aligned::{ALIGN, Aligned},
    batch::SECTOR_BYTES,
    codec::{len_u64, to_usize},
};

/// What is cached together and forgotten together is at most so large, and begins at a multiple of its size.
pub(crate) const CACHED_BYTES: u64 = 2 * 1024 * 1024;

/// Of a map so much is asked for at a time before it is touched.
const PIECE_BYTES: usize = 64 * 1024;
/// Whoever reads on from piece to piece has the disk read ahead, so much at a time.
const AHEAD_BYTES: usize = 1024 * 1024;

/// One directory.
pub trait Io: fmt::Debug + Send + Sync {
    /// Where `name` is, for messages.
    fn path(&self, name: &str) -> PathBuf;
    /// Make `name`, which must not exist. Its directory entry is durable after [`Io::sync_dir`].
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Open `name` for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// The names of all files, ascending.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Remove `name`. Durable after [`Io::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Make every creation and removal before it durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Take the lock file `name`, made if missing: `WouldBlock` when another holds it. It is held until
    /// the guard is dropped or the process dies.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
}

/// One file; every method may be called from any thread.
pub trait File: fmt::Debug + Send + Sync {
    /// Fill `buffer` from `offset`; `UnexpectedEof` when the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// The same, of what the disk holds, whatever is cached or mapped of the file. Says whether it is so:
    /// where the file system lets nobody past its cache, that is asked to forget the bytes first, and keeps
    /// what is mapped or not yet written.
    fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.drop_cache(offset..offset.saturating_add(len_u64(buffer.len())))?;
        self.read_at(buffer, offset)?;
        Ok(false)
    }
    /// Write all of `bytes` at `offset`. Durable after [`File::sync_data`]; until then a crash may keep
    /// any subset of its sectors.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// From now on, if `wanted`, write whole sectors that lie aligned in memory past the page cache, where
    /// the file system can and the owner of the directory lets it: they then take no memory there, and an
    /// error of the device is that of the write. What they mean is the same. Says whether it will be so.
    fn write_directly(&self, wanted: bool) -> bool {
        let _ = wanted;
        false
    }
    /// `fdatasync`: everything written, and the length. After an error nothing may be retried.
    fn sync_data(&self) -> io::Result<()>;
    /// `fsync`: as above, and all metadata of the file.
    fn sync_all(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Is it empty?
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Set the length in bytes; what is added reads as zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Forget what is cached of this range, and clean, so that the next read asks the disk (research F2).
    /// More than the range may be forgotten. A hint.
    fn drop_cache(&self, range: Range<u64>) -> io::Result<()>;
    /// The bytes of this range, read-only and not copied where that can be. Only of files that nobody will
    /// write to again. An error as [`File::read_at`] gives one, also where only a part cannot be read.
    fn map(&self, range: Range<u64>) -> io::Result<Bytes>;
}

/// A held lock; dropping it lets go.
pub trait Lock: fmt::Debug + Send + Sync {}

/// A real directory.
#[derive(Debug)]
pub struct RealIo {
    dir: PathBuf,
    /// Files are opened for reading alone, and nothing is made or removed.
    read_only: bool,
    /// Nothing is written past the page cache.
    buffered: bool,
}

impl RealIo {
    /// The directory `dir`, which is made if it is missing (its parent must be there).
    ///
    /// # Errors
    /// When it cannot be made or is no directory.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        match fs::create_dir(&dir) {
            Ok(()) => sync_directory(parent_of(&dir))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if !fs::metadata(&dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { dir, read_only: false, buffered: false })
    }

    /// The directory `dir` as it is: no call changes anything in it, and it may lie on a file system
    /// that cannot be written.
    ///
    /// # Errors
    /// When it is not there or is no directory.
    pub fn read_only(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        if !fs::metadata(&dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { dir, read_only: true, buffered: true })
    }

    /// Write through the page cache only.
    #[must_use]
    pub fn buffered(self) -> Self {
        Self { buffered: true, ..self }
    }

    fn real_file(&self, file: fs::File, name: &str) -> Box<dyn File> {
        let (path, buffered) = (self.path(name), self.buffered);
        Box::new(RealFile { file, path, buffered, direct: Mutex::new(None), map: OnceLock::new() })
    }

    fn may_change(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl Io for RealIo {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.may_change()?;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name))?;
        Ok(self.real_file(file, name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(!self.read_only).open(self.path(name))?;
        Ok(self.real_file(file, name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_directory(&self.dir)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.read_only).create(!self.read_only).truncate(false);
        let file = match options.open(self.path(name)) {
            // Whoever has the log open made it.
            Err(error) if self.read_only && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Box::new(Unneeded));
            }
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealLock {
    file: fs::File,
}

impl Lock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread is just starting holds a copy for a
        // moment, and a lock ends with its last copy or by this. If it fails, closing is what is left.
        drop(self.file.unlock());
    }
}

/// Nobody has ever held the lock, and a look does not make one.
#[derive(Debug)]
struct Unneeded;

impl Lock for Unneeded {}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
    /// It is written through the page cache only.
    buffered: bool,
    direct: Mutex<Option<Direct>>,
    map: OnceLock<Mapped>,
}

/// A file in memory, whole.
#[derive(Debug)]
struct Mapped {
    map: Arc<Mmap>,
    bytes: Bytes,
    /// The pieces of it that could be read once, a bit each.
    readable: Box<[AtomicU64]>,
}

/// What keeps a map alive as long as anyone has bytes of it.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A file opened a second time, to get past the page cache. The kernel keeps the two in step.
#[derive(Debug)]
struct Direct {
    file: fs::File,
    /// To how many bytes memory, and offset and length, must be aligned.
    memory: usize,
    sector: usize,
}

impl Direct {
    /// For writing. None where the file system cannot or does not say how.
    fn to_write(path: &Path) -> Option<Self> {
        let file = open_direct(path, OpenOptions::new().write(true))?;
        let (memory, sector) = alignment(&file)?;
        let fits = (1..=ALIGN).contains(&memory) && (1..=SECTOR_BYTES).contains(&sector);
        fits.then_some(Self { file, memory, sector })
    }

    /// For reading. None where the file system cannot.
    fn to_read(path: &Path) -> Option<Self> {
        let file = open_direct(path, OpenOptions::new().read(true))?;
        let (memory, sector) = alignment(&file).unwrap_or((ALIGN, ALIGN));
        let fits = (1..=ALIGN).contains(&memory) && (1..=ALIGN).contains(&sector);
        fits.then_some(Self { file, memory, sector })
    }

    /// Read the sectors around the wanted bytes, and take those.
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let before = offset % len_u64(self.sector);
        let skipped = to_usize(before);
        let wanted = skipped + buffer.len();
        let mut sectors = Aligned::zeros(wanted.next_multiple_of(self.sector));
        let mut done = 0;
        while done < wanted {
            // The last sector of a file may be cut short.
            match self
                .file
                .read_at(&mut sectors.as_mut_slice()[done..], offset - before + len_u64(done))
            {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.copy_from_slice(&sectors.as_slice()[skipped..wanted]);
        Ok(())
    }

    fn takes(&self, bytes: &[u8], offset: u64) -> bool {
        bytes.as_ptr().addr().is_multiple_of(self.memory)
            && bytes.len().is_multiple_of(self.sector)
            && offset.is_multiple_of(len_u64(self.sector))
    }
}

fn open_direct(path: &Path, options: &mut OpenOptions) -> Option<fs::File> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    options.custom_flags(flags).open(path).ok()
}

/// What memory, and what offset and length must be aligned to; none when the file system does not say.
fn alignment(file: &fs::File) -> Option<(usize, usize)> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    let memory = usize::try_from(found.stx_dio_mem_align).ok()?;
    let sector = usize::try_from(found.stx_dio_offset_align).ok()?;
    (memory > 0 && sector > 0).then_some((memory, sector))
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        if let Some(direct) = Direct::to_read(&self.path) {
            match direct.read(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                read => return read.map(|()| true),
            }
        }
        self.drop_cache(offset..offset.saturating_add(len_u64(buffer.len())))?;
        self.read_at(buffer, offset)?;
        Ok(false)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &*self.direct() {
            Some(direct) if direct.takes(bytes, offset) => direct.file.write_all_at(bytes, offset),
            Some(_) | None => self.file.write_all_at(bytes, offset),
        }
    }

    fn write_directly(&self, wanted: bool) -> bool {
        let mut direct = self.direct();
        if !wanted || self.buffered {
            *direct = None;
        } else if direct.is_none() {
            *direct = Direct::to_write(&self.path);
        }
        direct.is_some()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        // What the range has only a part of would stay.
        let start = range.start / CACHED_BYTES * CACHED_BYTES;
        let end = range.end.checked_next_multiple_of(CACHED_BYTES);
        // None is up to the end of the file.
        let len = end.and_then(|end| NonZeroU64::new(end.saturating_sub(start)));
        Ok(fadvise(&self.file, start, len, Advice::DontNeed)?)
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        let Mapped { map, bytes, readable } = self.mapped()?;
        let range = to_usize(range.start)..to_usize(range.end);
        if range.start > range.end || range.end > bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bit = |piece: usize| 1_u64 << (piece % 64);
        let is_readable =
            |piece: usize| readable[piece / 64].load(Ordering::Relaxed) & bit(piece) != 0;
        for piece in range.start / PIECE_BYTES..range.end.div_ceil(PIECE_BYTES) {
            if !is_readable(piece) {
                let start = piece * PIECE_BYTES;
                let len = PIECE_BYTES.min(bytes.len() - start);
                let is_read_on = piece > 0 && is_readable(piece - 1);
                if is_read_on && start.is_multiple_of(AHEAD_BYTES) {
                    let ahead = (2 * AHEAD_BYTES).min(bytes.len() - start);
                    map.advise_range(memmap2::Advice::WillNeed, start, ahead)?;
                }
                // What cannot be read is an error here, and would be SIGBUS later. Before Linux 5.14 it is
                // refused, and nothing is read through a map.
                map.advise_range(memmap2::Advice::PopulateRead, start, len)?;
                readable[piece / 64].fetch_or(bit(piece), Ordering::Relaxed);
            }
        }
        Ok(bytes.slice(range))
    }
}

impl RealFile {
    fn direct(&self) -> MutexGuard<'_, Option<Direct>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mapped(&self) -> io::Result<&Mapped> {
        if let Some(mapped) = self.map.get() {
            return Ok(mapped);
        }
        #[expect(unsafe_code, reason = "mapping a file is the one thing Rust cannot check")]
        // SAFETY: a map is undefined behaviour when the file changes under it. Only sealed segments are
        // mapped: their writer has moved on to another file for good, a sealed file is never written,
        // truncated or reused but only unlinked, which leaves the mapped pages as they are, and the LOCK
        // file keeps every other process of ours away. Each piece is asked for before it
        // is touched; a disk error when it has left the cache since is SIGBUS, the end of the process, and
        // not wrong bytes.
        let map = Arc::new(unsafe { Mmap::map(&self.file)? });
        let bytes = Bytes::from_owner(Owner(Arc::clone(&map)));
        let words = bytes.len().div_ceil(PIECE_BYTES).div_ceil(64);
        let readable = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(self.map.get_or_init(|| Mapped { map, bytes, readable }))
    }
}

fn sync_directory(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

fn parent_of(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}
