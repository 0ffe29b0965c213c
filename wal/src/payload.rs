//! What frames hold that are no entries: a node and its store, a faulty range.
//!
//! What always holds: no input makes decoding panic.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    FaultyKind, FaultyRange,
    codec::{Cursor, put},
};

/// A node number and a store.
pub(crate) const VOTE_BYTES: usize = 24;
/// Last index, highest term, kind.
pub(crate) const FAULTY_BYTES: usize = 24;

pub(crate) fn encode_vote(node: u64, store: u128) -> [u8; VOTE_BYTES] {
    let mut bytes = [0; VOTE_BYTES];
    put(&mut bytes, 0, &node.to_le_bytes());
    put(&mut bytes, 8, &store.to_le_bytes());
    bytes
}

pub(crate) fn encode_faulty(range: &FaultyRange) -> [u8; FAULTY_BYTES] {
    let mut bytes = [0; FAULTY_BYTES];
    put(&mut bytes, 0, &range.last.to_le_bytes());
    put(&mut bytes, 8, &range.term_max.to_le_bytes());
    put(&mut bytes, 16, &[range.kind as u8]);
    bytes
}

/// None when it is no range.
pub(crate) fn decode_faulty(first: u64, term_min: u64, payload: &[u8]) -> Option<FaultyRange> {
    let mut cursor = Cursor::new(payload);
    let (last, term_max) = cursor.u64().zip(cursor.u64())?;
    let kind = FaultyKind::from_u8(cursor.u8()?)?;
    cursor.bytes(7)?;
    let is_range = cursor.is_empty() && first > 0 && first <= last && term_min <= term_max;
    is_range.then_some(FaultyRange { first, last, term_min, term_max, kind })
}

pub(crate) fn decode_vote(payload: &[u8]) -> Option<(u64, u128)> {
    let mut cursor = Cursor::new(payload);
    let pair = cursor.u64().zip(cursor.u128())?;
    cursor.is_empty().then_some(pair)
}
