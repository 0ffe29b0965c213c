//! Frames: golden bytes per message, bounds, and refusal of everything else.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the bytes are the test's own"
)]

use bytes::{BufMut, Bytes, BytesMut};
use election::{EntryId, Index, Micros, NodeId, StoreId, Term, VoterId};
use proptest::prelude::*;
use wal::{Entry, EntryKind};

use super::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, BODY_BYTES_MAX, ENTRY_OVERHEAD_BYTES, FORMAT,
    FRAME_BYTES_MAX, GENESIS_BYTES_MAX, Hello, MAGIC, PAYLOAD_BYTES_MAX, Packet, REPORT_BYTES_MAX,
    TooLarge, decode, encode, split,
};
use crate::{
    ADDRESS_BYTES_MAX, CONFIG_BYTES_MAX, Change, DecodeError, Fitness, Member, Message, Refusal,
};

const TERM: Term = Term(300);
const ID: EntryId = EntryId { term: Term(3), index: Index(128) };
const STORE: StoreId = StoreId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn entry(index: u64, payload: &'static [u8]) -> Entry {
    Entry::new(index, 3, EntryKind::Command, Bytes::from_static(payload))
}

fn append(entries: Vec<Entry>) -> Packet {
    let previous = ID;
    Packet::Core(Message::Append { term: TERM, previous, commit: Index(127), entries })
}

fn member(peer: &str, client: &str) -> Member {
    let (peer, client) = (peer.to_owned(), client.to_owned());
    Member { node: NodeId(4), store: None, peer, client }
}

/// What is said about a change of members, with the bytes it has had since format 1.
fn golden_members() -> Vec<(Message, &'static str)> {
    vec![
        (Message::Forwarded { id: 8, outcome: Err(Refusal::ConfigPending) }, "010a080106"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::AlreadyMember) }, "010a080107"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::NotMember) }, "010a080108"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::LastVoter) }, "010a080109"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::Full) }, "010a08010a"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::WouldSplit) }, "010a08010b"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::NoQuorum) }, "010a08010c"),
        (
            Message::Reconfigure { id: 8, change: Change::Add(member("h:1", "https://h:2")) },
            "01110800040003683a310b68747470733a2f2f683a32",
        ),
        (Message::Reconfigure { id: 8, change: Change::Remove(NodeId(300)) }, "01110801ac02"),
        (Message::Reconfigure { id: 8, change: Change::Replace(NodeId(4), None) }, "011108020400"),
        (
            Message::Reconfigure { id: 8, change: Change::Replace(NodeId(4), Some(STORE)) },
            "0111080204010102030405060708090a0b0c0d0e0f10",
        ),
        (Message::Reconfigure { id: 8, change: Change::Transfer(None) }, "0111080300"),
        (Message::Reconfigure { id: 8, change: Change::Transfer(Some(NodeId(4))) }, "011108030104"),
        (
            Message::Named { store: STORE, index: Index(128) },
            "01120102030405060708090a0b0c0d0e0f108001",
        ),
        (Message::Removed { index: Index(128) }, "01138001"),
    ]
}

fn recalled(config: Bytes) -> Message {
    let (readable, config_index) = (ID, Index(128));
    Message::Recalled { id: 9, term: TERM, hears: true, readable, config_index, config }
}

fn mended(entries: Vec<Entry>) -> Packet {
    let (end, first) = (Some(Index(130)), Index(129));
    Packet::Core(Message::Mended { id: 9, term: TERM, end, holds: true, first, entries })
}

fn hello() -> Hello {
    let from = VoterId { node: NodeId(4), store: STORE };
    Hello { version_min: 1, version_max: 300, cluster: 0xab, from, epoch: 129 }
}

/// One of each, with the bytes it has had since format 1.
fn golden() -> Vec<(Packet, &'static str)> {
    let core = [
        (Message::PreVote { term: TERM, last: ID }, "0100ac02038001"),
        (Message::PreVoteAnswer { term: TERM, granted: true }, "0101ac0201"),
        (Message::Vote { term: TERM, last: ID, transfer: true }, "0102ac0203800101"),
        (Message::VoteAnswer { term: TERM, granted: false }, "0103ac0200"),
        (
            Message::Heartbeat { term: TERM, commit: Index(5), round: 9, matched: Index(6) },
            "0104ac02050906",
        ),
        (
            Message::HeartbeatAnswer {
                term: TERM,
                round: 9,
                wall: Micros(u64::MAX),
                fitness: Fitness::default(),
                level: 300,
            },
            "0105ac0209ffffffffffffffffff01010000ac02",
        ),
        (Message::Appended { term: TERM, matched: Index(7) }, "0107ac0207"),
        (
            Message::Conflict { term: TERM, refused: ID, hint: EntryId::default() },
            "0108ac020380010000",
        ),
        (Message::Forward { id: 8, body: Bytes::from_static(b"body") }, "01090804626f6479"),
        (Message::Forwarded { id: 8, outcome: Ok(ID) }, "010a0800038001"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::NoLeader) }, "010a080100"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::Busy) }, "010a080101"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::NoSpace) }, "010a080102"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::Draining) }, "010a080103"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::TooLarge) }, "010a080104"),
        (Message::Forwarded { id: 8, outcome: Err(Refusal::NoSuccessor) }, "010a080105"),
        (Message::Read { id: 1 }, "010b01"),
        (Message::ReadAnswer { id: 1, index: Some(Index(2)) }, "010c010102"),
        (Message::ReadAnswer { id: 1, index: None }, "010c0100"),
        (Message::TimeoutNow { term: TERM }, "010dac02"),
        (Message::Bind { joined: false }, "010e00"),
        (Message::Bind { joined: true }, "010e01"),
        (
            Message::Bound { node: NodeId(4), store: STORE },
            "010f040102030405060708090a0b0c0d0e0f10",
        ),
        (Message::Drain { undo: false }, "011000"),
        (Message::Drain { undo: true }, "011001"),
        (Message::Regressed { term: TERM, matched: Index(7), end: Index(6) }, "0114ac020706"),
        (Message::Mend { id: 9, first: Index(1), last: Index(2), anchor: ID }, "0115090102038001"),
        (Message::Recall { id: 9, term: TERM }, "011709ac02"),
        (recalled(Bytes::from_static(b"ok")), "011809ac02010380018001026f6b"),
    ];
    let mut all = vec![
        (
            Packet::Hello(hello()),
            "0001ac02000000000000000000000000000000ab040102030405060708090a0b0c0d0e0f108101",
        ),
        (Packet::Report(Bytes::from_static(b"ok")), "02026f6b"),
        (Packet::GenesisQuestion, "03"),
        (Packet::Genesis(Bytes::from_static(b"ok")), "04026f6b"),
        (mended(vec![entry(129, b"hi")]), "011609ac020182010181010181010301079aae3e026869"),
        (append(vec![]), "0106ac020380017f00"),
        (append(vec![entry(129, b"hi")]), "0106ac020380017f0181010301079aae3e026869"),
    ];
    let core = core.into_iter().chain(golden_members());
    all.extend(core.map(|(message, bytes)| (Packet::Core(message), bytes)));
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frame(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32_le(u32::try_from(body.len() + 2).unwrap());
    frame.put_u8(MAGIC);
    frame.put_u8(FORMAT);
    frame.put_slice(body);
    frame.freeze()
}

#[test]
fn golden_v1() {
    for (packet, bytes) in golden() {
        let encoded = encode(&packet).unwrap();
        assert_eq!(hex(&encoded[6..]), bytes, "{packet:?}");
        assert_eq!(encoded[..4], u32::try_from(encoded.len() - 4).unwrap().to_le_bytes());
        assert_eq!(encoded[4..6], [0x48, 1]);
        assert_eq!(decode(encoded), Ok(packet));
    }
}

#[test]
fn payloads_share_the_memory_of_the_frame() {
    let frame = encode(&append(vec![entry(129, b"shared")])).unwrap();
    let range = frame.as_ptr_range();
    let Ok(Packet::Core(Message::Append { entries, .. })) = decode(frame.clone()) else { panic!() };
    assert!(range.contains(&entries[0].payload.as_ptr()));
}

#[test]
fn bounds_hold_on_both_sides() {
    let blob = |bytes| Bytes::from(vec![7; bytes]);
    let one = |bytes| append(vec![Entry::new(129, u64::MAX, EntryKind::Command, blob(bytes))]);
    let many = |count: usize| append((129..129 + count as u64).map(|i| entry(i, b"")).collect());
    let two =
        |bytes| append(vec![entry(129, b""), Entry::new(130, 3, EntryKind::NoOp, blob(bytes))]);
    let forward = |bytes| Packet::Core(Message::Forward { id: u64::MAX, body: blob(bytes) });
    let address = |bytes| "a".repeat(bytes);
    let add = |peer, client| {
        let change = Change::Add(member(&address(peer), &address(client)));
        Packet::Core(Message::Reconfigure { id: u64::MAX, change })
    };
    let recall = |bytes| Packet::Core(recalled(blob(bytes)));
    let longest = ADDRESS_BYTES_MAX;
    let cases = [
        (add(longest, longest), add(longest + 1, 0)),
        (add(longest, longest), add(0, longest + 1)),
        (one(PAYLOAD_BYTES_MAX), one(PAYLOAD_BYTES_MAX + 1)),
        (
            two(PAYLOAD_BYTES_MAX - ENTRY_OVERHEAD_BYTES),
            two(PAYLOAD_BYTES_MAX - ENTRY_OVERHEAD_BYTES + 1),
        ),
        (many(APPEND_ENTRIES_MAX), many(APPEND_ENTRIES_MAX + 1)),
        (forward(BODY_BYTES_MAX), forward(BODY_BYTES_MAX + 1)),
        (Packet::Report(blob(REPORT_BYTES_MAX)), Packet::Report(blob(REPORT_BYTES_MAX + 1))),
        (Packet::Genesis(blob(GENESIS_BYTES_MAX)), Packet::Genesis(blob(GENESIS_BYTES_MAX + 1))),
        (recall(CONFIG_BYTES_MAX), recall(CONFIG_BYTES_MAX + 1)),
    ];
    for (largest, beyond) in cases {
        let encoded = encode(&largest).unwrap();
        assert!(encoded.len() <= 4 + FRAME_BYTES_MAX);
        assert_eq!(decode(encoded), Ok(largest));

        let TooLarge { found, max, .. } = encode(&beyond).unwrap_err();
        assert!(found > max, "{found} {max}");
        let forged = postcard::to_allocvec(&super::v1::Packet::from(&beyond)).unwrap();
        decode(frame(&forged)).unwrap_err();
    }
}

/// The largest numbers do not take an entry beyond what it is counted.
#[test]
fn no_entry_has_more_overhead_than_it_is_counted() {
    let largest = Entry::new(u64::MAX, u64::MAX, EntryKind::Config, Bytes::from(vec![0; 70_000]));
    let encoded = postcard::to_allocvec(&super::v1::EntryV1::from(&largest)).unwrap();
    assert!(encoded.len() <= 70_000 + ENTRY_OVERHEAD_BYTES, "{}", encoded.len());
    const { assert!(BODY_BYTES_MAX + ENTRY_OVERHEAD_BYTES < FRAME_BYTES_MAX) };
    const { assert!(APPEND_BYTES_MAX + 100 < FRAME_BYTES_MAX) };
}

#[test]
fn lengths_are_refused_before_anything_is_stored() {
    for length in [0, 1, 2, FRAME_BYTES_MAX + 1, 0xffff_ffff] {
        let mut stream = BytesMut::new();
        stream.put_u32_le(u32::try_from(length).unwrap());
        let capacity = stream.capacity();
        assert!(split(&mut stream).is_err(), "{length}");
        assert_eq!(stream.capacity(), capacity);
        assert!(decode(stream.freeze()).is_err(), "{length}");
    }
    let mut stream = BytesMut::new();
    stream.put_u32_le(u32::try_from(FRAME_BYTES_MAX).unwrap());
    assert_eq!(split(&mut stream), Ok(None));
}

#[test]
fn frames_are_split_wherever_the_stream_is_cut() {
    let packets: Vec<Packet> = golden().into_iter().map(|(packet, _)| packet).collect();
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(packet).unwrap()).collect();
    for step in [1, 2, 3, 7, 50, bytes.len()] {
        let (mut stream, mut seen) = (BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(step) {
            stream.extend_from_slice(chunk);
            while let Some(frame) = split(&mut stream).unwrap() {
                seen.push(decode(frame).unwrap());
            }
        }
        assert_eq!(seen, packets);
        assert!(stream.is_empty());
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    let good = encode(&append(vec![entry(129, b"hi")])).unwrap();
    for cut in 0..good.len() {
        assert!(decode(good.slice(..cut)).is_err(), "cut at {cut}");
    }
    let changed = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        decode(bytes.into())
    };
    let behind = [&good[..], &[0]].concat();
    let inside = frame(&[&good[6..], &[0]].concat());
    assert!(matches!(decode(behind.into()), Err(DecodeError::Trailing { bytes: 1, .. })));
    assert!(matches!(decode(inside), Err(DecodeError::Trailing { bytes: 1, .. })));
    assert!(matches!(changed(4, 0), Err(DecodeError::Invalid { .. })), "magic");
    assert!(matches!(changed(5, 0), Err(DecodeError::Invalid { .. })), "no such format");
    assert!(matches!(changed(5, 2), Err(DecodeError::Newer { found: 2, known: 1, .. })));
    assert!(matches!(changed(6, 100), Err(DecodeError::Malformed { .. })), "unknown packet");
    assert!(matches!(changed(7, 100), Err(DecodeError::Malformed { .. })), "unknown message");
    let last = good.len() - 1;
    assert_eq!(changed(last, b'!'), Err(DecodeError::Damaged { index: 129 }));
    let refused = decode(frame(&[1, 6, 1, 0, 0, 0, 1, 1, 1, 9, 0, 0, 0, 0, 0]));
    assert_eq!(refused, Err(DecodeError::Invalid { what: "the kind of an entry" }));
    for index in [0, 128, 130, u64::MAX] {
        let refused = Err(DecodeError::Invalid { what: "the index of an entry" });
        assert_eq!(decode(encode(&append(vec![entry(index, b"")])).unwrap()), refused);
    }
    let padded = decode(frame(&[1, 11, 0x81, 0]));
    assert!(matches!(padded, Err(DecodeError::NotCanonical { .. })), "{padded:?}");
}

/// An append that claims 2^64 - 1 entries of any size is refused, and reserves nothing for them.
#[test]
fn a_claimed_length_reserves_nothing() {
    let mut body = vec![1, 6, 1, 0, 0, 0];
    body.extend_from_slice(&[0xff; 9]);
    body.push(1);
    decode(frame(&body)).unwrap_err();
}

proptest! {
    /// Any bytes: an error, or a packet that encodes to the same bytes.
    #[test]
    fn decoding_is_total_and_canonical(body in prop::collection::vec(any::<u8>(), 1..300)) {
        let frame = frame(&body);
        if let Ok(packet) = decode(frame.clone()) {
            prop_assert_eq!(encode(&packet).unwrap(), frame);
        }
    }

    /// As above, from frames that are nearly right.
    #[test]
    fn changed_frames_never_panic(
        which in 0_usize..100,
        changes in prop::collection::vec((0_usize..100, any::<u8>()), 1..4),
    ) {
        let all = golden();
        let mut bytes = encode(&all[which % all.len()].0).unwrap().to_vec();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        let frame = Bytes::from(bytes);
        if let Ok(packet) = decode(frame.clone()) {
            prop_assert_eq!(encode(&packet).unwrap(), frame);
        }
    }

    /// Any stream: frames or an error, never more memory than one frame ahead.
    #[test]
    fn splitting_is_total(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut stream = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = split(&mut stream) {
            let _ignored = decode(frame);
        }
        prop_assert!(stream.capacity() <= 2 * (FRAME_BYTES_MAX + 4));
    }
}
