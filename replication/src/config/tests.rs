//! The encoding of a configuration: frozen bytes, bounds, and refusal of everything else.

use election::{Index, NodeId, StoreId};
use proptest::prelude::*;

use super::{ADDRESS_BYTES_MAX, CONFIG_BYTES_MAX, ClusterConfig, MEMBERS_MAX, Member, Mode};
use crate::DecodeError;

fn member(node: u64) -> Member {
    Member {
        node: NodeId(node),
        store: Some(StoreId(u128::from(node) << 64 | 7)),
        peer: format!("h{node}:7410"),
        client: format!("https://h{node}:7411"),
    }
}

fn sample() -> ClusterConfig {
    ClusterConfig {
        mode: Mode::Armed { survivor: NodeId(2) },
        voters: vec![Member { store: None, ..member(1) }, member(2)],
        learners: vec![],
        known: vec![member(300)],
        target_size: 3,
        predecessor: Index(300),
        level: 1,
    }
}

#[test]
fn golden_v1() {
    let mut golden = vec![0, 2, 2, 2];
    golden.extend_from_slice(b"\x01\x00\x07h1:7410\x0fhttps://h1:7411");
    golden.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]);
    golden.extend_from_slice(b"\x07h2:7410\x0fhttps://h2:7411");
    golden.extend_from_slice(&[0, 1, 0xac, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0x2c, 0, 0, 0, 0, 0, 0]);
    golden.extend_from_slice(b"\x00\x07\x09h300:7410\x11https://h300:7411");
    golden.extend_from_slice(&[3, 0xac, 2, 1]);
    assert_eq!(sample().encode(), golden);
    assert_eq!(ClusterConfig::decode(&golden), Ok(sample()));
}

#[test]
fn the_largest_configuration_fits_and_one_more_does_not() {
    let long = |node| Member {
        node: NodeId(u64::MAX - node),
        peer: "p".repeat(ADDRESS_BYTES_MAX),
        client: "c".repeat(ADDRESS_BYTES_MAX),
        ..member(node)
    };
    let mut config = ClusterConfig {
        voters: (0..MEMBERS_MAX as u64).rev().map(long).collect(),
        known: vec![],
        predecessor: Index(u64::MAX),
        ..sample()
    };
    let bytes = config.encode();
    assert!(bytes.len() <= CONFIG_BYTES_MAX);
    assert_eq!(ClusterConfig::decode(&bytes), Ok(config.clone()));

    config.known = vec![member(1)];
    let refused = DecodeError::TooLarge { what: "members", found: 17, max: MEMBERS_MAX };
    assert_eq!(config.check(), Err(refused.clone()));
    assert_eq!(ClusterConfig::decode(&super::wire::encode(&config)), Err(refused));

    config.known.clear();
    config.voters[0].peer.push('p');
    let refused = DecodeError::TooLarge { what: "address bytes", found: 256, max: 255 };
    assert_eq!(ClusterConfig::decode(&super::wire::encode(&config)), Err(refused));

    let oversize = vec![0; CONFIG_BYTES_MAX + 1];
    assert!(matches!(ClusterConfig::decode(&oversize), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn members_are_ascending_and_named_once() {
    let unsorted = ClusterConfig { voters: vec![member(2), member(1)], ..sample() };
    let twice = ClusterConfig { learners: vec![member(2)], ..sample() };
    let unsorted = ClusterConfig::decode(&super::wire::encode(&unsorted));
    assert!(matches!(unsorted, Err(DecodeError::NotCanonical { .. })), "{unsorted:?}");
    let twice = ClusterConfig::decode(&super::wire::encode(&twice));
    assert_eq!(twice, Err(DecodeError::Invalid { what: "a node named twice" }));
}

#[test]
fn what_is_no_configuration_is_refused() {
    let good = sample().encode();
    for cut in 0..good.len() {
        assert!(ClusterConfig::decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    let trailing = [good.as_slice(), &[0]].concat();
    assert!(matches!(ClusterConfig::decode(&trailing), Err(DecodeError::Trailing { .. })));

    // The same target size and predecessor, the latter with a longer varint than it needs.
    let mut padded = good[..good.len() - 1].to_vec();
    padded.extend_from_slice(&[0x82, 0]);
    assert!(matches!(ClusterConfig::decode(&padded), Err(DecodeError::NotCanonical { .. })));

    let mut newer = good;
    newer[0] = 1;
    assert!(matches!(ClusterConfig::decode(&newer), Err(DecodeError::Malformed { .. })));
}

proptest! {
    /// Any bytes: an error, or a configuration that encodes to the same bytes.
    #[test]
    fn decoding_is_total_and_canonical(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(config) = ClusterConfig::decode(&bytes) {
            prop_assert_eq!(config.encode(), bytes);
        }
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0_usize..100, value: u8) {
        let mut bytes = sample().encode();
        let length = bytes.len();
        bytes[at % length] = value;
        if let Ok(config) = ClusterConfig::decode(&bytes) {
            prop_assert_eq!(config.encode(), bytes);
        }
    }
}
