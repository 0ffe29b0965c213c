//! What can be saved of a batch whose body fails its checksum: the frames whose own checksums hold.
//!
//! What always holds: a frame that comes out was written to this very place; the work is bounded by a
//! multiple of the body's size, whatever is in it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    batch::{FRAME_ALIGN, FRAME_HEADER_BYTES, Frame, Seed, body_offset},
    codec::{Cursor, len_u64, to_usize},
};

/// How many bytes are checked for each byte of the body, at most. A false start is rare.
const EFFORT: usize = 8;

/// The good frames of a damaged body (`frames` without the filler), in order, each with its offset in the
/// segment.
pub(crate) fn salvage(frames: &[u8], seed: Seed, batch_offset: u64) -> Vec<(u64, Frame<'_>)> {
    let mut saved = Vec::new();
    let mut effort = frames.len().saturating_mul(EFFORT);
    let mut at: usize = 0;
    while let Some(rest) = frames.get(at..).filter(|rest| rest.len() >= FRAME_HEADER_BYTES) {
        let mut step = FRAME_ALIGN;
        if let Some(size) = plausible_bytes(rest) {
            let Some(left) = effort.checked_sub(size) else { break };
            effort = left;
            let offset = body_offset(batch_offset).saturating_add(len_u64(at));
            if let Ok((frame, size)) = Frame::decode(rest, seed, offset) {
                saved.push((offset, frame));
                step = size;
            }
        }
        at = at.saturating_add(step);
    }
    saved
}

/// How many bytes a checksum would cover if a frame began here, if one may.
fn plausible_bytes(bytes: &[u8]) -> Option<usize> {
    let mut cursor = Cursor::new(bytes);
    let len = to_usize(u64::from(cursor.u32()?));
    cursor.u32()?;
    let (kind, _) = (cursor.u8()?, cursor.u8()?);
    let zero = cursor.u16()?;
    let size = len.saturating_add(FRAME_HEADER_BYTES);
    (kind != 0 && zero == 0 && size <= bytes.len()).then_some(size)
}

#[cfg(test)]
mod tests;
