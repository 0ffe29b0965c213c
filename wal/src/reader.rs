//! Reading entries, from any thread: the newest from memory, older ones from the segment files.
//!
//! What always holds: what comes from disk has passed its checksum (research F19); the entries of one
//! answer are of one history, the one in force when the read began.

use std::sync::Arc;

use crate::{
    Entry, Error, FaultyKind, FaultyRange, RepairError,
    codec::len_u64,
    fetch::{Piece, entry_bytes},
    view::{Plan, Shared},
};

/// Reads entries from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// How much there is of a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Segments in use.
    pub segments: usize,
    /// Segments made ahead.
    pub spare_segments: usize,
    /// Entries that the log holds and cannot read.
    pub faulty_entries: u64,
}

impl Reader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The entries from `first` up to `last`, dense; at most `bytes_max` bytes (32 for each entry, and
    /// its payload), but at least one if `first` exists. None when it does not, or not any more.
    ///
    /// # Errors
    /// [`Error::Faulty`] when the first one is damaged: it was found so before, or is now. Otherwise when
    /// an entry cannot be read, or the log is poisoned.
    pub fn read(&self, first: u64, last: u64, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let Plan { on_disk, in_memory } = {
            let view = self.shared.lock();
            if view.poisoned {
                return Err(Error::Poisoned);
            }
            view.plan(first, last, bytes_max)
                .map_err(|range| Error::Faulty { index: first, range })?
        };
        let mut entries = Vec::new();
        let mut budget = bytes_max;
        for piece in on_disk {
            let before = entries.len();
            match piece.read(&mut budget, &mut entries) {
                Ok(true) => {}
                Ok(false) => return Ok(entries),
                Err(Error::Damaged { path, offset, damage }) => {
                    let faulty = self.mark(&piece, entries.len() - before);
                    if entries.is_empty() {
                        return Err(faulty.unwrap_or(Error::Damaged { path, offset, damage }));
                    }
                    // What comes before it can be had; who asks for it is told.
                    return Ok(entries);
                }
                Err(error) => return Err(error),
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

    /// Remember that the entry after the first `done` of a piece is damaged.
    fn mark(&self, piece: &Piece, done: usize) -> Option<Error> {
        let index = piece.first() + len_u64(done);
        let range = self.shared.lock().found_faulty(index, piece)?;
        Some(Error::Faulty { index, range })
    }

    /// What the log holds and cannot read, ascending; [`FaultyKind::EndUnknown`](crate::FaultyKind) comes
    /// last.
    #[must_use]
    pub fn faulty(&self) -> Vec<FaultyRange> {
        self.shared.lock().terms.faulty.list()
    }

    /// May [`Op::Repair`](crate::Op::Repair) put this entry in the place of a lost one?
    ///
    /// # Errors
    /// When nothing is lost there, something else was, or the entry is no better.
    pub fn can_repair(&self, entry: &Entry) -> Result<(), RepairError> {
        self.shared.lock().can_repair(entry)
    }

    /// The entry at `index`, if the log holds it.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, Error> {
        Ok(self.read(index, index, 0)?.pop())
    }

    /// The term of the entry at `index`; 0 at index 0, none beyond the end and when the entry is faulty and
    /// its term not known.
    #[must_use]
    pub fn term_of(&self, index: u64) -> Option<u64> {
        self.shared.lock().terms.term_of(index)
    }

    /// How much there is of it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = self.shared.lock();
        let faulty = view.terms.faulty.list().into_iter();
        let faulty = faulty.filter(|range| range.kind != FaultyKind::EndUnknown);
        Stats {
            segments: view.used.len(),
            spare_segments: view.spares,
            faulty_entries: faulty.map(|range| range.last - range.first + 1).sum(),
        }
    }

    /// First and last index; the last is one below the first when the log is empty.
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        (1, self.shared.lock().terms.last.0)
    }
}
