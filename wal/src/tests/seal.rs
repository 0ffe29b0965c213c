//! The seal footer: what goes in comes out, and nothing else ever does.

use proptest::{collection::vec, prelude::*};

use crate::{
    HardState, Vote,
    batch::{Counts, Seed},
    seal::{Area, Sparse, Summary, TRAILER_BYTES, Trailer, encode, sparse_at, sparse_count},
};

const AREA: Area = Area { seed: Seed(0x9876_5432), data_end: 1 << 16, capacity: (1 << 16) + 8192 };

fn summary() -> impl Strategy<Value = Summary> {
    let vote = any::<Option<(u64, u128)>>();
    let lists = (vec(any::<(u64, u64)>(), 0..20), vec(any::<u32>(), 0..20));
    (any::<[u64; 7]>(), vote, any::<[u32; 2]>(), any::<[u16; 2]>(), lists).prop_map(
        |(long, vote, short, counts, (term_runs, notes))| Summary {
            first_seq: long[0],
            last_seq: long[1],
            end: long[2],
            first_index: long[3],
            last: (long[4], long[5]),
            hard_state: HardState {
                term: long[6],
                voted_for: vote.map(|(node, store)| Vote { node, store }),
            },
            chain: short[0],
            epoch: short[1],
            counts: Counts { truncations: counts[0], bindings: counts[1] },
            term_runs,
            notes,
        },
    )
}

fn sparse() -> impl Strategy<Value = Sparse> {
    any::<(u64, u64, u32)>().prop_map(|(index, term, offset)| Sparse { index, term, offset })
}

/// The whole footer area.
fn area_bytes(summary: &Summary, index: &[Sparse]) -> Option<Vec<u8>> {
    let encoded = encode(summary, index, AREA)?;
    let mut bytes = vec![0; 8192];
    let tail_at = usize::try_from(encoded.tail_at - AREA.data_end).unwrap();
    assert_eq!(encoded.index_at, AREA.data_end);
    assert_eq!(tail_at + encoded.tail.len(), bytes.len());
    bytes[..encoded.index.len()].copy_from_slice(&encoded.index);
    bytes[tail_at..].copy_from_slice(&encoded.tail);
    Some(bytes)
}

/// Everything in a footer area, if all of it holds.
fn decode(bytes: &[u8], area: Area) -> Option<(Summary, Vec<Sparse>)> {
    let trailer = Trailer::decode(bytes.get(bytes.len().checked_sub(TRAILER_BYTES)?..)?, area)?;
    let at = usize::try_from(trailer.summary_at(area) - area.data_end).unwrap();
    let summary = Summary::decode(bytes.get(at..at + trailer.summary_len())?, &trailer, area)?;
    let index = bytes.get(..trailer.index_len())?;
    if !trailer.index_holds(index, area) {
        return None;
    }
    Some((summary, (0..sparse_count(index)).map(|at| sparse_at(index, at).unwrap()).collect()))
}

proptest! {
    #[test]
    fn a_footer_comes_back(summary in summary(), index in vec(sparse(), 0..200)) {
        let bytes = area_bytes(&summary, &index).unwrap();
        prop_assert_eq!(decode(&bytes, AREA), Some((summary, index)));
    }

    /// F14, F19
    #[test]
    fn a_footer_with_any_flipped_bit_is_refused(
        summary in summary(),
        index in vec(sparse(), 0..20),
        bit in 0..8,
    ) {
        let mut bytes = area_bytes(&summary, &index).unwrap();
        let (index_end, tail) = (index.len() * 24, encode(&summary, &index, AREA).unwrap().tail);
        for at in (0..index_end).chain(bytes.len() - tail.len()..bytes.len()) {
            bytes[at] ^= 1u8 << bit;
            prop_assert_eq!(decode(&bytes, AREA), None, "byte {}", at);
            bytes[at] ^= 1u8 << bit;
        }
    }

    /// F14
    #[test]
    fn a_footer_of_another_place_is_refused(summary in summary(), moved in 1..9u64) {
        let bytes = area_bytes(&summary, &[]).unwrap();
        let by = moved * 512;
        let elsewhere = Area { data_end: AREA.data_end + by, capacity: AREA.capacity + by, ..AREA };
        prop_assert_eq!(decode(&bytes, elsewhere), None);
        prop_assert_eq!(decode(&bytes, Area { seed: Seed(AREA.seed.0 ^ 1), ..AREA }), None);
    }

    #[test]
    fn no_bytes_make_decoding_a_footer_panic(mut bytes in vec(any::<u8>(), 64..2000)) {
        prop_assert_eq!(Trailer::decode(&bytes, AREA), None);
        // With a checksum that holds, too.
        let end = bytes.len();
        bytes[end - 64..end - 52].copy_from_slice(b"HFWALSEL\x01\0\0\0");
        let crc = AREA.seed.crc(AREA.capacity - 64, &[&bytes[end - 64..end - 4]]);
        bytes[end - 4..].copy_from_slice(&crc.to_le_bytes());
        if let Some(trailer) = Trailer::decode(&bytes[end - 64..], AREA) {
            prop_assert_eq!(Summary::decode(&bytes, &trailer, AREA), None);
        }
    }
}

/// What does not fit is not written: the segment is scanned instead.
#[test]
fn a_footer_fills_its_area_at_most() {
    let sparse = Sparse { index: 1, term: 1, offset: 1 };
    let room = 8192 - 64 - 104;
    let fits = area_bytes(&Summary::default(), &vec![sparse; room / 24]);
    assert_eq!(decode(&fits.unwrap(), AREA).unwrap().1.len(), room / 24);
    let runs = Summary { term_runs: vec![(1, 1); room / 16], ..Summary::default() };
    assert_eq!(decode(&area_bytes(&runs, &[]).unwrap(), AREA), Some((runs.clone(), vec![])));
    assert!(encode(&Summary::default(), &vec![sparse; room / 24 + 1], AREA).is_none());
    assert!(encode(&runs, &[sparse], AREA).is_none());
}
