//! Opening a full segment, or the last one after an orderly stop, by its footer instead of a scan.
//!
//! What always holds: a footer is believed only when the batch after the segment, or the `CLEAN` batch at
//! its end, proves that it speaks of the very batches that are there; whatever does not fit makes the
//! segment be scanned, which decides. What comes out is what the scan would have found.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Entry, EntryKind,
    batch::{BatchKind, FRAME_HEADER_BYTES, Frame, HEADER_BYTES, Header, SECTOR_BYTES, is_zero},
    codec::{len_u64, to_usize},
    error::Error,
    positions::{Places, Run},
    replay::Replay,
    seal::{Gathered, Sparse, Summary, TRAILER_BYTES, Trailer, sparse_at, sparse_count},
    segment::{DATA_OFFSET, START_BYTES_MAX, Segment},
    view::may_follow,
};

/// So much is read from the end of a segment: almost always all but the sparse index.
const TAIL_BYTES: usize = 4096;
/// So much is read where a frame is: almost always all of it.
const FRAME_BYTES: usize = 1024;

/// What shows that a footer speaks of the batches that are there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof<'a> {
    /// The next segment begins with this batch, which is whole.
    Next(&'a Header),
    /// It is the last one; this is the manifest's epoch.
    Stopped(u32),
}

/// A footer that can be believed, and what opening needs beside it.
#[derive(Debug)]
pub(super) struct Footer {
    summary: Summary,
    notes: Vec<(u32, Note)>,
    places: Places,
    trailer: Trailer,
}

/// What lies at an offset that a summary lists.
#[derive(Debug)]
enum Note {
    Config(Entry),
    Bind { node: u64, store: u128 },
}

/// Is the first batch of a segment whole, of which this is the header, and `sector` the first sector?
pub(super) fn is_start_whole(
    segment: &Segment,
    header: &Header,
    sector: Vec<u8>,
) -> Result<bool, Error> {
    let size = to_usize(header.batch_bytes());
    if size > START_BYTES_MAX {
        return Ok(false);
    }
    let batch = if size > sector.len() { segment.read(DATA_OFFSET, size)? } else { sector };
    let body = batch.get(HEADER_BYTES..).unwrap_or_default();
    Ok(header.body_holds(body, segment.seed, DATA_OFFSET))
}

impl Footer {
    /// The footer of the segment that begins with `start`, if all of this holds.
    pub(super) fn read(
        segment: &Segment,
        start: &Header,
        replay: &Replay,
        proof: Proof<'_>,
    ) -> Option<Self> {
        // What cannot be read is no footer; the scan will say what is wrong with the disk.
        let tail_at = segment.capacity.checked_sub(len_u64(TAIL_BYTES))?;
        let tail = segment.read(tail_at, TAIL_BYTES).ok()?;
        let trailer_from = TAIL_BYTES.checked_sub(TRAILER_BYTES)?;
        let trailer = Trailer::decode(tail.get(trailer_from..)?, segment.area())?;
        let summary = match trailer_from.checked_sub(trailer.summary_len()) {
            Some(from) => Summary::decode(tail.get(from..trailer_from)?, &trailer, segment.area())?,
            None => {
                let at = trailer.summary_at(segment.area());
                let bytes = segment.read(at, trailer.summary_len()).ok()?;
                Summary::decode(&bytes, &trailer, segment.area())?
            }
        };
        if !replay.admits(start) || start.seq != summary.first_seq || !follows(&summary, replay) {
            return None;
        }
        let places = match proof {
            Proof::Next(next) => {
                let follows = summary.last_seq.checked_add(1) == Some(next.seq)
                    && next.previous_crc == summary.chain
                    && next.durable_seq <= summary.last_seq
                    && next.epoch >= summary.epoch;
                follows.then_some(Places::Footer)?
            }
            Proof::Stopped(epoch) => {
                let stopped = summary.epoch == epoch
                    && ends_clean(segment, &summary)
                    && nothing_follows(segment, &summary);
                // It will be written to again, and so will not be mapped.
                let index = stopped.then(|| sparse_index(segment, &trailer))??;
                Places::Sparse(Arc::new(index))
            }
        };
        let notes = summary.notes.iter();
        let notes = notes.map(|&offset| Some((offset, note(segment, &summary, offset)?)));
        let notes: Vec<_> = notes.collect::<Option<_>>()?;
        Some(Self { summary, notes, places, trailer })
    }

    /// Put it in place of the segment's batches. Returns where they end; none when it does not fit after
    /// all, and `replay` is as it was.
    pub(super) fn apply(self, replay: &mut Replay, segment: &Arc<Segment>) -> Option<u64> {
        let Self { summary, notes, places, trailer } = self;
        let mut bindings = replay.bindings.clone();
        let mut gathered = Gathered::begin(summary.first_seq, summary.first_index);
        let mut configs = Vec::new();
        for (offset, note) in notes {
            match note {
                Note::Config(entry) => {
                    gathered.config(entry.index, u64::from(offset));
                    configs.push(entry);
                }
                Note::Bind { node, store } => {
                    gathered.note(u64::from(offset));
                    bindings.entry(node).or_insert(store);
                }
            }
        }
        if bindings.len() != usize::from(summary.counts.bindings)
            || !configs.is_sorted_by(|a, b| a.index < b.index)
        {
            return None;
        }
        let below = summary.first_index.saturating_sub(1);
        replay.bindings = bindings;
        replay.truncations = summary.counts.truncations;
        replay.hard_state = summary.hard_state;
        replay.hard_state_unsure = false;
        replay.terms.truncate_after(below);
        for (index, term) in &summary.term_runs {
            replay.terms.push(*index, *term);
        }
        replay.terms.last = summary.last;
        replay.configs.retain(|config| config.index <= below);
        replay.configs.extend(configs);
        replay.positions.truncate_after(below);
        let is_full = matches!(places, Places::Footer);
        let (first, last) = (summary.first_index, summary.last.0);
        replay.positions.push_run(Run { segment: Arc::clone(segment), first, last, places });
        (replay.seq, replay.chain) = (summary.last_seq, summary.chain);
        (replay.epoch, replay.is_clean) = (summary.epoch, !is_full);
        replay.gathered = gathered;
        if is_full {
            segment.seal(Some(trailer));
        }
        Some(summary.end)
    }
}

/// Could a segment with this summary come next?
fn follows(summary: &Summary, replay: &Replay) -> bool {
    let Some(below) = summary.first_index.checked_sub(1) else { return false };
    let Some(term_below) = replay.terms.term_of(below) else { return false };
    let (last_index, last_term) = summary.last;
    // Terms rise from what is below up to the last one, each within the segment.
    let mut terms = (below, term_below);
    for &(index, term) in &summary.term_runs {
        let is_first = terms.0 == below;
        let rises = if is_first { term >= terms.1 } else { term > terms.1 };
        if index <= terms.0 || !rises || (is_first && index != summary.first_index) {
            return false;
        }
        terms = (index, term);
    }
    summary.last_seq >= summary.first_seq
        && summary.epoch >= replay.epoch
        && may_follow(replay.hard_state, summary.hard_state)
        && last_index >= terms.0
        && last_term == terms.1
        && (last_index == below) == summary.term_runs.is_empty()
}

/// Does the segment end with the `CLEAN` batch that the summary names?
fn ends_clean(segment: &Segment, summary: &Summary) -> bool {
    let size = len_u64(SECTOR_BYTES);
    let Some(offset) = summary.end.checked_sub(size) else { return false };
    if offset < DATA_OFFSET || summary.end > segment.data_end {
        return false;
    }
    let Ok(sector) = segment.read(offset, SECTOR_BYTES) else { return false };
    let Ok(header) = Header::decode(&sector, segment.seed, offset) else { return false };
    header.kind == BatchKind::Clean
        && header.batch_bytes() == size
        && (header.seq, header.epoch) == (summary.last_seq, summary.epoch)
        && (header.last_index, header.last_term) == summary.last
        && header.counts == summary.counts
        && Header::crc_of(&sector) == Some(summary.chain)
        && header.body_holds(sector.get(HEADER_BYTES..).unwrap_or_default(), segment.seed, offset)
}

/// Is there no sign of a batch after the `CLEAN` one? There is when the manifest is older than it should be.
fn nothing_follows(segment: &Segment, summary: &Summary) -> bool {
    let left = segment.data_end.saturating_sub(summary.end);
    let len = to_usize(left.min(len_u64(SECTOR_BYTES)));
    segment.read(summary.end, len).is_ok_and(|bytes| is_zero(&bytes))
}

fn sparse_index(segment: &Segment, trailer: &Trailer) -> Option<Vec<Sparse>> {
    let bytes = segment.read(segment.data_end, trailer.index_len()).ok()?;
    if !trailer.index_holds(&bytes, segment.area()) {
        return None;
    }
    (0..sparse_count(&bytes)).map(|number| sparse_at(&bytes, number)).collect()
}

/// The frame that a summary lists, if it is one to be listed.
fn note(segment: &Segment, summary: &Summary, offset: u32) -> Option<Note> {
    let at = u64::from(offset);
    let left = to_usize(summary.end.min(segment.data_end).checked_sub(at)?);
    if at < DATA_OFFSET || left < FRAME_HEADER_BYTES {
        return None;
    }
    let mut bytes: Bytes = segment.read(at, left.min(FRAME_BYTES)).ok()?.into();
    if Frame::decode(&bytes, segment.seed, at).is_err() {
        let size = Frame::size(&bytes).filter(|size| *size > bytes.len() && *size <= left)?;
        bytes = segment.read(at, size).ok()?.into();
    }
    let (frame, _) = Frame::decode(&bytes, segment.seed, at).ok()?;
    match frame {
        Frame::Entry { index, term, kind: EntryKind::Config, checksum, payload } => {
            let is_live = (summary.first_index..=summary.last.0).contains(&index)
                && summary.term_of(index) == term;
            // On its own, so that it does not keep what was read around it.
            let payload = Bytes::copy_from_slice(payload);
            let kind = EntryKind::Config;
            is_live.then_some(Note::Config(Entry { index, term, kind, checksum, payload }))
        }
        Frame::Bind { node, store } => Some(Note::Bind { node, store }),
        Frame::Entry { .. }
        | Frame::HardState(_)
        | Frame::TruncateAfter(_)
        | Frame::Repaired { .. }
        | Frame::Faulty(_)
        | Frame::Settled
        | Frame::Skipped => None,
    }
}
