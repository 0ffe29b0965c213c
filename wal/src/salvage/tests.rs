//! Of what is saved, and of how much work it takes.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;
use crate::{
    Entry, EntryKind,
    batch::{BatchKind, Counts, Encoder, HEADER_BYTES, Place, Record},
};

const SEED: Seed = Seed(7);

fn body(count: u64, fill: u8) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.begin();
    for index in 1..=count {
        let payload = vec![fill; 100].into();
        let entry = Entry::new(index, 1, EntryKind::Command, payload);
        encoder.push(&Record::Entry(entry), SEED, 4096);
    }
    let place = Place {
        kind: BatchKind::Data,
        seq: 1,
        durable_seq: 0,
        first_index: 1,
        last_index: count,
        last_term: 1,
        epoch: 1,
        previous_crc: 0,
        counts: Counts::default(),
        end_in_doubt: false,
    };
    let (bytes, _) = encoder.finish(place, SEED, 4096);
    bytes[HEADER_BYTES..].to_vec()
}

fn indexes(frames: &[u8]) -> Vec<u64> {
    let saved = salvage(frames, SEED, 4096);
    let index = |(_, frame): &(u64, Frame<'_>)| match frame {
        Frame::Entry { index, .. } => *index,
        Frame::HardState(_)
        | Frame::TruncateAfter(_)
        | Frame::Bind { .. }
        | Frame::Repaired { .. }
        | Frame::Faulty(_)
        | Frame::Settled
        | Frame::Skipped => panic!("{frame:?} was not written"),
    };
    saved.iter().map(index).collect()
}

/// F16: everything around a damaged entry is kept.
#[test]
fn every_frame_but_the_damaged_one_is_saved() {
    let frames = 10 * (32 + 104);
    for at in 0..frames {
        let mut body = body(10, 3);
        body[at] ^= 1 << (at % 8);
        let lost = u64::try_from(at / 136 + 1).unwrap();
        let expected: Vec<u64> = (1..=10).filter(|index| *index != lost).collect();
        let padding = at % 136 >= 132;
        let saved = indexes(&body[..frames]);
        assert!(saved == expected || (padding && saved.len() == 10), "{at}: {saved:?}");
    }
}

/// Bytes that look like the beginning of a large frame again and again cost no more than the bound.
#[test]
fn the_work_is_bounded() {
    let mut hostile = Vec::new();
    let size = 1 << 20;
    while hostile.len() < size {
        let len = u32::try_from((size - hostile.len()).saturating_sub(32)).unwrap();
        hostile.extend_from_slice(&len.to_le_bytes());
        hostile.extend_from_slice(&[1; 4]);
        hostile.extend_from_slice(&[1, 1, 0, 0, 1, 1, 1, 1]);
    }
    hostile.truncate(size);
    assert_eq!(salvage(&hostile, SEED, 4096), []);
}
