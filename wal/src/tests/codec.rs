//! Batches and frames: what goes in comes out, and nothing else ever does.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use crate::{
    Entry, EntryKind, FaultyKind, FaultyRange, HardState, Vote,
    batch::{
        BatchKind, Counts, Encoder, Fault, Frame, Frames, HEADER_BYTES, Header, Place, Record,
        SECTOR_BYTES, Seed, batch_bytes, is_zero, zero_sectors,
    },
};

const SEED: Seed = Seed(0x1234_5678);
const AT: u64 = 4096 + 512 * 3;

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..100),
        (0..3000usize).prop_map(|len| vec![0; len]),
        (0..3000usize).prop_map(|len| vec![0xA5; len]),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let kind =
        prop_oneof![Just(EntryKind::Command), Just(EntryKind::NoOp), Just(EntryKind::Config)];
    prop_oneof![
        4 => (any::<u64>(), any::<u64>(), kind, payload()).prop_map(|(index, term, kind, payload)| {
            Record::Entry(Entry::new(index, term, kind, payload.into()))
        }),
        1 => (any::<u64>(), any::<Option<(u64, u128)>>()).prop_map(|(term, vote)| {
            let voted_for = vote.map(|(node, store)| Vote { node, store });
            Record::HardState(HardState { term, voted_for })
        }),
        1 => any::<u64>().prop_map(Record::TruncateAfter),
        1 => (any::<u64>(), any::<u128>()).prop_map(|(node, store)| Record::Bind { node, store }),
        1 => (any::<[u64; 2]>(), 0..200_usize).prop_map(|([index, term], len)| {
            let payload = vec![0x5A; len];
            Record::Repaired(Entry::new(index, term, EntryKind::Command, payload.into()))
        }),
        1 => (any::<[u32; 4]>(), 1..4_u8).prop_map(|(numbers, kind)| {
            let [first, more, term_min, later] = numbers.map(u64::from);
            let (first, kind) = (first + 1, FaultyKind::from_u8(kind).unwrap());
            let (last, term_max) = (first + more, term_min + later);
            Record::Faulty(FaultyRange { first, last, term_min, term_max, kind })
        }),
        1 => Just(Record::Settled),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    (any::<[u64; 5]>(), any::<[u32; 2]>(), any::<[u16; 2]>()).prop_map(|(long, short, counts)| {
        Place {
            kind: BatchKind::Data,
            seq: long[0] / 2,
            durable_seq: long[1],
            first_index: long[2],
            last_index: long[3],
            last_term: long[4],
            epoch: short[0],
            previous_crc: short[1],
            counts: Counts { truncations: counts[0], bindings: counts[1] },
            end_in_doubt: counts[0] % 2 == 1,
        }
    })
}

fn encode(records: &[Record], place: Place) -> (Vec<u8>, Vec<u64>) {
    let mut encoder = Encoder::default();
    encoder.begin();
    let offsets = records.iter().map(|record| encoder.push(record, SEED, AT)).collect();
    (encoder.finish(place, SEED, AT).0.to_vec(), offsets)
}

/// Everything in a batch, if it is whole: as opening does it.
fn decode(bytes: &[u8]) -> Result<(Header, Vec<(u64, Record)>), Fault> {
    let header = Header::decode(bytes, SEED, AT)?;
    let size = usize::try_from(header.batch_bytes()).unwrap();
    let body = bytes.get(HEADER_BYTES..size).ok_or(Fault::Checksum)?;
    if !header.body_holds(body, SEED, AT) {
        return Err(Fault::Checksum);
    }
    let frames = &body[..usize::try_from(header.body_len).unwrap()];
    let window = Bytes::copy_from_slice(frames);
    let records = Frames::new(&window, SEED, AT).map(|frame| {
        let (offset, frame) = frame?;
        let record = match frame {
            Frame::Entry { .. } => Record::Entry(frame.to_entry(&window).unwrap()),
            Frame::HardState(state) => Record::HardState(state),
            Frame::TruncateAfter(index) => Record::TruncateAfter(index),
            Frame::Bind { node, store } => Record::Bind { node, store },
            Frame::Repaired { .. } => Record::Repaired(frame.to_entry(&window).unwrap()),
            Frame::Faulty(range) => Record::Faulty(range),
            Frame::Settled => Record::Settled,
            Frame::Skipped => return Err(Fault::Contents),
        };
        Ok((offset, record))
    });
    Ok((header, records.collect::<Result<_, _>>()?))
}

proptest! {
    #[test]
    fn a_batch_comes_back(records in vec(record(), 0..12), place in place()) {
        let (bytes, offsets) = encode(&records, place);
        prop_assert_eq!(bytes.len() % SECTOR_BYTES, 0);
        let body: usize = records.iter().map(Record::frame_bytes).sum();
        prop_assert_eq!(bytes.len(), batch_bytes(body));
        let (header, found) = decode(&bytes).unwrap();
        prop_assert_eq!(header.seq, place.seq);
        prop_assert_eq!(header.durable_seq, place.durable_seq);
        prop_assert_eq!(header.first_index, place.first_index);
        prop_assert_eq!((header.last_index, header.last_term), (place.last_index, place.last_term));
        prop_assert_eq!((header.epoch, header.previous_crc), (place.epoch, place.previous_crc));
        prop_assert_eq!(usize::try_from(header.frame_count).unwrap(), records.len());
        prop_assert_eq!(header.counts, place.counts);
        let zeros = bytes.chunks(SECTOR_BYTES).filter(|sector| is_zero(sector)).count();
        prop_assert_eq!(usize::try_from(header.zero_sectors).unwrap(), zeros);
        prop_assert_eq!(zero_sectors(&bytes[HEADER_BYTES..]), header.zero_sectors);
        prop_assert_eq!(found, offsets.into_iter().zip(records).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_cut_anywhere_is_none(records in vec(record(), 1..4), place in place()) {
        let (bytes, _) = encode(&records, place);
        for len in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..len]), Err(Fault::Checksum));
        }
    }

    #[test]
    fn a_batch_with_any_flipped_bit_is_none(records in vec(record(), 1..3), place in place(), bit in 0..8) {
        let (mut bytes, _) = encode(&records, place);
        for at in 0..bytes.len() {
            bytes[at] ^= 1u8 << bit;
            prop_assert_eq!(decode(&bytes), Err(Fault::Checksum));
            bytes[at] ^= 1u8 << bit;
        }
    }

    #[test]
    fn a_lost_sector_shows(records in vec(record(), 1..6), place in place()) {
        let (bytes, _) = encode(&records, place);
        let (header, _) = decode(&bytes).unwrap();
        for sector in 1..bytes.len() / SECTOR_BYTES {
            let mut torn = bytes.clone();
            let lost = &mut torn[sector * SECTOR_BYTES..][..SECTOR_BYTES];
            if !is_zero(lost) {
                lost.fill(0);
                prop_assert_eq!(zero_sectors(&torn[HEADER_BYTES..]), header.zero_sectors + 1);
            }
        }
    }

    #[test]
    fn a_batch_elsewhere_is_none(records in vec(record(), 1..4), place in place(), moved in 1..9u64) {
        let (bytes, offsets) = encode(&records, place);
        let at = AT + moved * 512;
        prop_assert_eq!(Header::decode(&bytes, SEED, at), Err(Fault::Checksum));
        prop_assert_eq!(Header::decode(&bytes, Seed(SEED.0 ^ 1), AT), Err(Fault::Checksum));
        let frame = &bytes[usize::try_from(offsets[0] - AT).unwrap()..];
        prop_assert!(Frame::decode(frame, SEED, offsets[0]).is_ok());
        prop_assert_eq!(Frame::decode(frame, SEED, offsets[0] + 512), Err(Fault::Checksum));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..2000), at in any::<u64>()) {
        prop_assert!(Header::decode(&bytes, SEED, at).is_err());
        prop_assert!(Frame::decode(&bytes, SEED, at).is_err());
        prop_assert!(Frames::new(&bytes, SEED, at).all(|frame| frame.is_err()));
        zero_sectors(&bytes);
    }
}
