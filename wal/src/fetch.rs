//! Reading consecutive entries of one segment: through a map once it is sealed, by `pread` before.
//!
//! ```text
//! sparse entry -> frame -> frame -> [batch header] -> frame -> the wanted one
//! ```
//!
//! What always holds: an entry handed out has passed its checksum and has the index asked for (research
//! F19), so a walk that damage leads astray finds nothing wrong but at worst nothing; then it is looked
//! for place by place; what the disk cannot read is damage like another.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    Entry,
    batch::{self, FRAME_ALIGN, FRAME_HEADER_BYTES, Fault, Frame, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    error::{Damage, Error},
    positions::{Places, Run},
    segment::Segment,
    sparse::{Stride, Strides},
    window::Window,
};

/// Entries of a segment that is still written to are read at least this far ahead, and at most so far.
const READ_AHEAD_BYTES: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Consecutive entries of one segment, to be read without the lock.
#[derive(Debug)]
pub(crate) struct Piece {
    run: Run,
    first: u64,
    last: u64,
}

impl Piece {
    /// A part of a run.
    pub(crate) fn new(run: &Run, first: u64, last: u64) -> Self {
        Self { run: run.part(first, last), first, last }
    }

    /// Its first entry.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// What it is a part of.
    pub(crate) const fn run(&self) -> &Run {
        &self.run
    }

    /// How many entries it has.
    pub(crate) const fn count(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Read the entries until `budget` bytes are used up; the first of all is read whatever its size.
    /// False when the budget ended it.
    pub(crate) fn read(&self, budget: &mut usize, entries: &mut Vec<Entry>) -> Result<bool, Error> {
        let mut reading = Reading {
            segment: &self.run.segment,
            window: Window::of(&self.run.segment),
            read_ahead: READ_AHEAD_BYTES,
        };
        let mut strides = Strides::of(&self.run.segment, &self.run.places)?;
        let mut stride: Option<Stride> = None;
        let mut next_offset = 0;
        for index in self.first..=self.last {
            // No further than what is still wanted: a megabyte more would be read, and thrown away.
            reading.read_ahead = (*budget).clamp(READ_AHEAD_BYTES, READ_BYTES_MAX);
            let found = if let Places::Dense(offsets) = &self.run.places {
                let at = to_usize(index.saturating_sub(self.run.first));
                let offset = offsets.get(at).copied().map(u64::from);
                let offset = offset.ok_or_else(|| self.run.segment.damaged(0, Damage::Entry))?;
                match reading.next(index, offset) {
                    Some(found) => Ok(found),
                    None => reading.entry_at(index, offset),
                }
            } else {
                let (now, offset) = match stride {
                    Some(stride) if index < stride.next_index => (Some(stride), next_offset),
                    Some(stride) => beginning(strides.after(stride)?),
                    None => beginning(strides.find(index)?),
                };
                stride = now;
                let now = now.ok_or_else(|| self.run.segment.damaged(0, Damage::Entry))?;
                match reading.next(index, offset).filter(|_| offset < now.to) {
                    Some(found) => Ok(found),
                    None => reading.find(index, offset, now),
                }
            };
            let (entry, end) = found?;
            next_offset = end;
            let size = entry_bytes(&entry);
            if size > *budget && !entries.is_empty() {
                return Ok(false);
            }
            *budget = budget.saturating_sub(size);
            entries.push(entry);
        }
        Ok(true)
    }
}

/// A stride and where it begins.
fn beginning(stride: Option<Stride>) -> (Option<Stride>, u64) {
    (stride, stride.map_or(0, |stride| stride.from))
}

/// What an entry counts against a reader's budget.
pub(crate) const fn entry_bytes(entry: &Entry) -> usize {
    entry.payload.len().saturating_add(FRAME_HEADER_BYTES)
}

/// Where a read of one piece stands.
struct Reading<'a> {
    segment: &'a Segment,
    window: Window<'a>,
    read_ahead: usize,
}

impl Reading<'_> {
    /// The entry and where its frame ends, if a good frame of it begins here in what is in memory: the
    /// short way, which most entries go.
    fn next(&self, index: u64, offset: u64) -> Option<(Entry, u64)> {
        let bytes = self.window.from(offset)?;
        let (frame, size) = Frame::decode(bytes, self.segment.seed, offset).ok()?;
        let is_it = matches!(frame, Frame::Entry { index: found, .. } if found == index);
        let entry = if is_it { frame.to_entry(self.window.bytes()) } else { None };
        Some((entry?, offset.saturating_add(len_u64(size))))
    }

    /// The entry whose frame is at `offset`, and where the frame ends.
    fn entry_at(&mut self, index: u64, offset: u64) -> Result<(Entry, u64), Error> {
        let (segment, left) = (self.segment, self.segment.data_end.saturating_sub(offset));
        self.cover(offset, FRAME_HEADER_BYTES)?;
        let size = self.window.at(offset, FRAME_HEADER_BYTES).and_then(Frame::size);
        let Some(size) = size.filter(|size| len_u64(*size) <= left) else {
            return Err(segment.damaged(offset, Damage::Entry));
        };
        self.cover(offset, size)?;
        let bytes = self.window.at(offset, size).unwrap_or_default();
        let frame = match Frame::decode(bytes, segment.seed, offset) {
            Ok((frame, _)) => frame,
            Err(Fault::Checksum) => return Err(segment.damaged(offset, Damage::Entry)),
            Err(Fault::Contents | Fault::Version) => {
                return Err(segment.damaged(offset, Damage::Contents));
            }
        };
        match frame.to_entry(self.window.bytes()) {
            Some(entry) if entry.index == index => {
                Ok((entry, offset.saturating_add(len_u64(size))))
            }
            Some(_) | None => Err(segment.damaged(offset, Damage::Misplaced)),
        }
    }

    /// Walk from `offset` to the entry, which lies in this stride. When the walk leads nowhere, a length on
    /// the way is damaged, or the entry is: it is looked for everywhere in the stride.
    fn find(&mut self, index: u64, offset: u64, stride: Stride) -> Result<(Entry, u64), Error> {
        let found = match self.walk(index, offset, stride.to) {
            Ok(Some(at)) => self.entry_at(index, at),
            Ok(None) => Err(self.segment.damaged(stride.from, Damage::Entry)),
            Err(error) => Err(error),
        };
        match found {
            Err(error @ Error::Damaged { .. }) => self.search(index, stride)?.ok_or(error),
            other => other,
        }
    }

    /// Where a frame of this entry seems to be.
    fn walk(&mut self, index: u64, from: u64, to: u64) -> Result<Option<u64>, Error> {
        let mut offset = from;
        while offset < to {
            self.cover(offset, FRAME_HEADER_BYTES)?;
            let bytes = self.window.at(offset, FRAME_HEADER_BYTES).unwrap_or_default();
            match batch::peek(bytes, offset) {
                Some(peeked) if peeked.entry_index == Some(index) => return Ok(Some(offset)),
                Some(peeked) => offset = peeked.next_offset,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The slow way, past damaged lengths.
    fn search(&mut self, index: u64, stride: Stride) -> Result<Option<(Entry, u64)>, Error> {
        let mut offset = stride.from;
        while offset < stride.to {
            if let Err(error) = self.cover(offset, FRAME_HEADER_BYTES) {
                if !matches!(error, Error::Damaged { .. }) {
                    return Err(error);
                }
                offset = offset.saturating_add(1).next_multiple_of(len_u64(SECTOR_BYTES));
                continue;
            }
            let bytes = self.window.at(offset, FRAME_HEADER_BYTES).unwrap_or_default();
            if batch::peek(bytes, offset).is_some_and(|peeked| peeked.entry_index == Some(index)) {
                match self.entry_at(index, offset) {
                    Err(Error::Damaged { .. }) => {}
                    found => return found.map(Some),
                }
            }
            offset = offset.saturating_add(len_u64(FRAME_ALIGN));
        }
        Ok(None)
    }

    /// Have the window cover `len` bytes from `offset`, as far as the segment has them.
    fn cover(&mut self, offset: u64, len: usize) -> Result<(), Error> {
        self.window.cover(offset, len, self.read_ahead)
    }
}
