//! Reading a footer back to see what it is worth, without using it.
//!
//! What always holds: it is read by `pread`, so that a disk error is an answer; it counts as good only
//! when every checksum in it holds.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    batch::is_zero,
    codec::len_u64,
    seal::{Summary, TRAILER_BYTES, Trailer},
    segment::Segment,
};

/// What the footer of a full segment is worth. Without a good one the segment is read whole when the log
/// is opened; a crash leaves none or a bad one, and nothing is lost with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FooterState {
    /// There is none.
    None,
    /// It can be believed.
    Good,
    /// It fails its checksum or says other than the batches.
    Bad,
}

/// The footer of this segment, and what it says if its checksums hold.
pub(crate) fn look(segment: &Segment) -> (FooterState, Option<Summary>) {
    let area = segment.area();
    let trailer_at = area.capacity.saturating_sub(len_u64(TRAILER_BYTES));
    match segment.read(trailer_at, TRAILER_BYTES) {
        Ok(bytes) if is_zero(&bytes) => (FooterState::None, None),
        Ok(bytes) => match Trailer::decode(&bytes, area).and_then(|found| read(segment, &found)) {
            Some(summary) => (FooterState::Good, Some(summary)),
            None => (FooterState::Bad, None),
        },
        Err(_) => (FooterState::Bad, None),
    }
}

fn read(segment: &Segment, trailer: &Trailer) -> Option<Summary> {
    let area = segment.area();
    let index = segment.read(area.data_end, trailer.index_len()).ok()?;
    if !trailer.index_holds(&index, area) {
        return None;
    }
    let summary = segment.read(trailer.summary_at(area), trailer.summary_len()).ok()?;
    Summary::decode(&summary, trailer, area)
}
