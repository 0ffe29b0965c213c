//! A directory seen through a sheet of glass: everything can be read, opened and written, and nothing
//! below changes. What is written stays in memory and is read back from there.
//!
//! So whatever opening or mending a log would do can be done for show, by the code that does it in
//! earnest: there is no second opinion about what a log holds.
//!
//! What always holds: no call that changes anything reaches the directory below, but its lock is held as
//! long as this lives; what is kept in memory is bounded ([`OVERLAY_BYTES_MAX`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, ErrorKind},
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Error, File, Io, Lock,
    codec::{len_u64, to_usize},
    log::take_lock,
};

/// What may be written to an [`Overlay`] in all, in bytes, not counting pages of zeros; beyond, writes fail as on
/// a full disk.
pub const OVERLAY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What is kept of a file is kept in pieces of this size.
const PAGE_BYTES: usize = 4096;

/// A directory below, and what was written above it.
#[derive(Debug)]
pub struct Overlay {
    base: Arc<dyn Io>,
    above: Arc<Mutex<Above>>,
    _lock: Box<dyn Lock>,
}

/// What differs from the directory below.
#[derive(Debug, Default)]
struct Above {
    /// The files opened or made, by name.
    files: BTreeMap<String, Arc<Mutex<Sheet>>>,
    removed: BTreeSet<String>,
    bytes: Arc<AtomicUsize>,
}

/// What was written to one file. A page of zeros takes no room.
struct Sheet {
    /// None for a file that is not there below.
    base: Option<Box<dyn File>>,
    base_len: u64,
    len: u64,
    pages: BTreeMap<u64, Option<Box<[u8; PAGE_BYTES]>>>,
    /// Bytes of the pages of all sheets.
    bytes: Arc<AtomicUsize>,
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages.len();
        f.debug_struct("Sheet").field("len", &self.len).field("pages", &pages).finish()
    }
}

impl Overlay {
    /// Over the directory `base`, whose lock it takes and holds.
    ///
    /// # Errors
    /// When another process has the log, or the lock cannot be taken.
    pub fn over(base: Arc<dyn Io>) -> Result<Self, Error> {
        let lock = take_lock(&*base)?;
        Ok(Self { base, above: Arc::default(), _lock: lock })
    }

    fn enter(&self, name: &str, base: Option<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        let mut above = lock(&self.above);
        let len = base.as_ref().map_or(Ok(0), |file| file.len())?;
        let (pages, bytes) = (BTreeMap::new(), Arc::clone(&above.bytes));
        let sheet = Arc::new(Mutex::new(Sheet { base, base_len: len, len, pages, bytes }));
        above.files.insert(name.to_owned(), Arc::clone(&sheet));
        Ok(Box::new(OverlayFile { sheet }))
    }
}

impl Io for Overlay {
    fn path(&self, name: &str) -> PathBuf {
        self.base.path(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        if self.list()?.iter().any(|there| there == name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.enter(name, None)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        {
            let above = lock(&self.above);
            if let Some(sheet) = above.files.get(name) {
                return Ok(Box::new(OverlayFile { sheet: Arc::clone(sheet) }));
            }
            if above.removed.contains(name) {
                return Err(ErrorKind::NotFound.into());
            }
        }
        self.enter(name, Some(self.base.open(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let below = self.base.list()?;
        let above = lock(&self.above);
        let left = below.into_iter().filter(|name| !above.removed.contains(name));
        let names: BTreeSet<String> = left.chain(above.files.keys().cloned()).collect();
        Ok(names.into_iter().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.list()?.iter().any(|there| there == name) {
            return Err(ErrorKind::NotFound.into());
        }
        let mut above = lock(&self.above);
        above.files.remove(name);
        above.removed.insert(name.to_owned());
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(Held))
    }
}

/// The overlay itself holds the lock.
#[derive(Debug)]
struct Held;

impl Lock for Held {}

#[derive(Debug)]
struct OverlayFile {
    sheet: Arc<Mutex<Sheet>>,
}

impl File for OverlayFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        lock(&self.sheet).read(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        lock(&self.sheet).write(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.sheet).len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut sheet = lock(&self.sheet);
        assert!(len >= sheet.len, "no file of a log is ever cut short");
        sheet.len = len;
        Ok(())
    }

    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        // What is below is read from the disk and not from what a dead process left in the cache.
        lock(&self.sheet).base.as_ref().map_or(Ok(()), |file| file.drop_cache(range))
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; to_usize(range.end.saturating_sub(range.start))];
        lock(&self.sheet).read(&mut bytes, range.start)?;
        Ok(bytes.into())
    }
}

impl Sheet {
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(len_u64(buffer.len()));
        if end > self.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.read_below(buffer, offset)?;
        let page_bytes = len_u64(PAGE_BYTES);
        for (number, page) in self.pages.range(offset / page_bytes..end.div_ceil(page_bytes)) {
            let start = number * page_bytes;
            let (from, to) = (start.max(offset), end.min(start + page_bytes));
            let target = &mut buffer[to_usize(from - offset)..to_usize(to - offset)];
            match page {
                Some(page) => {
                    target.copy_from_slice(&page[to_usize(from - start)..to_usize(to - start)]);
                }
                None => target.fill(0),
            }
        }
        Ok(())
    }

    /// What is below, zeros where it ends.
    fn read_below(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(base) = &self.base else {
            buffer.fill(0);
            return Ok(());
        };
        let there = self.base_len.saturating_sub(offset).min(len_u64(buffer.len()));
        let (found, beyond) = buffer.split_at_mut(to_usize(there));
        beyond.fill(0);
        base.read_at(found, offset)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let page_bytes = len_u64(PAGE_BYTES);
        let end = offset + len_u64(bytes.len());
        for number in offset / page_bytes..end.div_ceil(page_bytes) {
            let start = number * page_bytes;
            let (from, to) = (start.max(offset), end.min(start + page_bytes));
            let part = &bytes[to_usize(from - offset)..to_usize(to - offset)];
            self.write_page(number, part, to_usize(from - start))?;
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn write_page(&mut self, number: u64, part: &[u8], at: usize) -> io::Result<()> {
        let mut page = Box::new([0; PAGE_BYTES]);
        if part.len() < PAGE_BYTES {
            match self.pages.get(&number) {
                Some(Some(before)) => page = before.clone(),
                Some(None) => {}
                None => self.read_below(&mut *page, number * len_u64(PAGE_BYTES))?,
            }
        }
        page[at..at + part.len()].copy_from_slice(part);
        let is_zero = page.iter().all(|byte| *byte == 0);
        if !is_zero && !matches!(self.pages.get(&number), Some(Some(_))) {
            let kept = self.bytes.fetch_add(PAGE_BYTES, Ordering::Relaxed);
            if kept + PAGE_BYTES > OVERLAY_BYTES_MAX {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        self.pages.insert(number, (!is_zero).then_some(page));
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
