//! Reading entries, from any thread: the newest from memory, older ones from the segment files.
//!
//! What always holds: what comes from disk has passed its checksum (research F19); the entries of one
//! answer are of one history, the one in force when the read began.

use std::sync::Arc;

use crate::{
    Entry, Error,
    segment::entry_bytes,
    view::{Plan, Shared},
};

/// Reads entries from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The entries from `first` up to `last`, dense; at most `bytes_max` bytes (32 for each entry, and
    /// its payload), but at least one if `first` exists. None when it does not, or not any more.
    ///
    /// # Errors
    /// When an entry cannot be read or fails its checksum, or the log is poisoned.
    pub fn read(&self, first: u64, last: u64, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let Plan { on_disk, in_memory } = {
            let view = self.shared.lock();
            if view.poisoned {
                return Err(Error::Poisoned);
            }
            view.plan(first, last, bytes_max)
        };
        let mut entries = Vec::new();
        let mut budget = bytes_max;
        for piece in on_disk {
            let segment = &piece.segment;
            if !segment.read_entries(piece.first, &piece.offsets, &mut budget, &mut entries)? {
                return Ok(entries);
            }
        }
        for entry in in_memory {
            let size = entry_bytes(&entry);
            if size > budget && !entries.is_empty() {
                break;
            }
            budget = budget.saturating_sub(size);
            entries.push(entry);
        }
        Ok(entries)
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
        self.shared.lock().terms.term_of(index)
    }

    /// First and last index; the last is one below the first when the log is empty.
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        (1, self.shared.lock().terms.last.0)
    }
}
