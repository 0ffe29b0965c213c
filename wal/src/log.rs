//! The engine.

use std::sync::Arc;

use crate::{Entry, Error, Identity, Io, Op, Options, Recovery};

/// The engine: one owner, no thread, no clock. The writer thread drives it in production, the
/// simulator directly.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Make a log in an empty directory. A half-made one is made anew.
    ///
    /// # Errors
    /// When a log is there already, or something fails.
    pub fn create(io: &Arc<dyn Io>, identity: Identity, options: &Options) -> Result<(), Error> {
        let _ = (io, identity, options);
        Err(Error::Poisoned)
    }

    /// Is there a log? A half-made one is none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn exists(io: &Arc<dyn Io>) -> Result<bool, Error> {
        Ok(io.list().is_err())
    }

    /// Take the lock, read everything, cut a torn tail.
    ///
    /// # Errors
    /// When the log is held by another, damaged, or something fails.
    pub fn open(io: Arc<dyn Io>, options: Options) -> Result<(Self, Recovery), Error> {
        drop((io, options));
        Err(Error::Poisoned)
    }

    /// Put `op` in line. Tickets are dense and ascending; the first may be any. Readers see the
    /// entries from now on.
    pub fn stage(&mut self, ticket: u64, op: Op) {
        drop((ticket, op));
    }

    /// Write everything staged: one batch and one `pwrite` unless it exceeds a bound or a segment.
    ///
    /// # Errors
    /// [`Error::Io`] the first time, [`Error::Poisoned`] ever after.
    pub fn write(&mut self) -> Result<(), Error> {
        Err(Error::Poisoned)
    }

    /// Make everything written durable. Returns the newest durable ticket; 0 when there is none.
    ///
    /// # Errors
    /// [`Error::Io`] the first time, [`Error::Poisoned`] ever after.
    pub fn sync(&mut self) -> Result<u64, Error> {
        Err(Error::Poisoned)
    }

    /// Make the spare segments that are missing, here and now. The writer has a thread for this.
    ///
    /// # Errors
    /// When something other than space fails.
    pub fn prepare_spares(&mut self) -> Result<(), Error> {
        Err(Error::Poisoned)
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {}
    }

    /// Write and sync what is staged, and say in the log that nothing is missing.
    ///
    /// # Errors
    /// As `write` and `sync`.
    pub fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads entries from any thread, from memory or the segment files.
#[derive(Clone, Debug)]
pub struct Reader {}

impl Reader {
    /// Entries from `first` on up to `last`, dense; at most about `bytes_max` bytes (32 per entry and the
    /// payload), but at least one entry if `first` exists. Empty when it does not (any more).
    ///
    /// # Errors
    /// When an entry cannot be read or fails its checksum, or the log is poisoned.
    pub fn read(&self, first: u64, last: u64, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let _ = (first, last, bytes_max);
        Err(Error::Poisoned)
    }

    /// The entry at `index`, if the log holds it.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, Error> {
        Ok(self.read(index, index, 0)?.pop())
    }

    /// The term of the entry at `index`; 0 at index 0, none beyond the end.
    #[must_use]
    pub fn term_of(&self, index: u64) -> Option<u64> {
        let _ = index;
        None
    }

    /// First and last index; the last is one below the first when the log is empty.
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        (1, 0)
    }
}
