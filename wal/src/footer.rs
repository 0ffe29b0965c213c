//! Reading a footer back to see what it is worth, without using it.
//!
//! What always holds: it is read by `pread`, so that a disk error is an answer; it counts as good only
//! when every checksum in it holds.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    batch::is_zero,
    codec::len_u64,
    seal::{Area, Summary, TRAILER_BYTES, Trailer},
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

/// The footer of this segment, and what it says if its checksums hold. `read` reads so many bytes at an
/// offset, if it can.
pub(crate) fn look(
    segment: &Segment,
    mut read: impl FnMut(u64, usize) -> Option<Vec<u8>>,
) -> (FooterState, Option<Summary>) {
    let area = segment.area();
    let trailer_at = area.capacity.saturating_sub(len_u64(TRAILER_BYTES));
    let trailer = read(trailer_at, TRAILER_BYTES);
    if trailer.as_deref().is_some_and(is_zero) {
        return (FooterState::None, None);
    }
    let trailer = trailer.and_then(|bytes| Trailer::decode(&bytes, area));
    match trailer.and_then(|trailer| summary(&trailer, area, &mut read)) {
        Some(summary) => (FooterState::Good, Some(summary)),
        None => (FooterState::Bad, None),
    }
}

fn summary(
    trailer: &Trailer,
    area: Area,
    read: &mut impl FnMut(u64, usize) -> Option<Vec<u8>>,
) -> Option<Summary> {
    let index = read(area.data_end, trailer.index_len())?;
    if !trailer.index_holds(&index, area) {
        return None;
    }
    let summary = read(trailer.summary_at(area), trailer.summary_len())?;
    Summary::decode(&summary, trailer, area)
}
