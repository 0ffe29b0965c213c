//! The one thread that writes and syncs.

use crate::{Error, Log, Op};

/// Called on the writer thread with the newest durable ticket after each sync, and once with the error
/// that ended it.
pub type OnDurable = Box<dyn FnMut(Result<u64, Error>) + Send>;

/// The queue is full (or the log has stopped after an error, which `on_durable` was told): the
/// operation comes back. The next call of `on_durable` means that there is room.
#[derive(Debug, PartialEq)]
pub struct Busy(pub Op);

/// A log and its thread.
#[derive(Debug)]
pub struct Writer {
    log: Log,
}

impl Writer {
    /// Start the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(log: Log, on_durable: OnDurable) -> Result<Self, Error> {
        drop(on_durable);
        Ok(Self { log })
    }

    /// Put `op` in line, without waiting. Readers see its entries from now on.
    ///
    /// # Errors
    /// [`Busy`] gives the operation back.
    pub fn submit(&self, ticket: u64, op: Op) -> Result<(), Busy> {
        let _ = ticket;
        Err(Busy(op))
    }

    /// Bytes in line.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        0
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> crate::Reader {
        self.log.reader()
    }

    /// Write and sync everything in line, close the log, end the thread.
    ///
    /// # Errors
    /// When writing or syncing failed, now or before.
    pub fn stop(self) -> Result<(), Error> {
        self.log.close()
    }
}
