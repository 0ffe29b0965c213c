//! A part of a segment in memory: through a map once nobody writes to it any more, by `pread` before, and
//! what neither can read by sectors, past the cache.
//!
//! What always holds: what the disk cannot read is [`Damage::Unreadable`] at its place and hides nothing
//! beyond its own sectors; after that nothing of the segment is read through a map, under which a disk
//! error ends the process (research F6).

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;

use crate::{
    batch::SECTOR_BYTES,
    codec::{len_u64, to_usize},
    error::{self, Damage, Error},
    segment::Segment,
};

/// A window that moves over one segment.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: Bytes,
    /// Something near could not be read: from now on no more is read at a time than is wanted.
    is_careful: bool,
}

impl<'a> Window<'a> {
    pub(crate) const fn of(segment: &'a Segment) -> Self {
        Self { segment, start: 0, bytes: Bytes::new(), is_careful: false }
    }

    /// All that it covers.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All from `offset` on, if it covers anything there.
    pub(crate) fn from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes.get(to_usize(offset.checked_sub(self.start)?)..)
    }

    /// `len` bytes at `offset`, if it covers them.
    pub(crate) fn at(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = to_usize(offset.checked_sub(self.start)?);
        self.bytes.get(from..from.checked_add(len)?)
    }

    /// Have it cover `len` bytes from `offset`, and up to `ahead`, as far as the segment has them.
    ///
    /// # Errors
    /// [`Damage::Unreadable`] when the disk cannot read them.
    pub(crate) fn cover(&mut self, offset: u64, len: usize, ahead: usize) -> Result<(), Error> {
        if self.at(offset, len).is_some() {
            return Ok(());
        }
        let left = to_usize(self.segment.data_end.saturating_sub(offset));
        if !self.is_careful {
            if let Ok(bytes) = self.segment.bytes(offset, ahead.max(len).min(left)) {
                (self.start, self.bytes) = (offset, bytes);
                return Ok(());
            }
            self.is_careful = true;
        }
        let sector = len_u64(SECTOR_BYTES);
        let start = offset & !sector.saturating_sub(1);
        let end = offset.saturating_add(len_u64(len.min(left))).next_multiple_of(sector);
        let mut bytes = vec![0; to_usize(end.saturating_sub(start))];
        match self.segment.file.read_from_disk(&mut bytes, start) {
            Ok(_) => {
                (self.start, self.bytes) = (start, bytes.into());
                Ok(())
            }
            Err(error) if error::is_of_disk(&error) => {
                self.segment.distrust();
                Err(self.segment.damaged(offset, Damage::Unreadable))
            }
            Err(error) => Err(Error::io("read", &self.segment.path)(error)),
        }
    }
}
