//! Whoever is not who it should be, or says what it should not, is refused, and the node goes on
//! serving the others.

use std::{net::UdpSocket, sync::Arc};

use bytes::{BufMut, Bytes};
use election::{NodeId, VoterId};
use quinn::ConnectionError;
use rcgen::ExtendedKeyUsagePurpose;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::kit::{
    CLUSTER, Ca, NOWHERE, Names, Node, Stranger, hello, pair, soon, still_talking, voter,
};
use crate::{
    Lane, LinkEvent,
    codec::{self, FRAME_BYTES_MAX, Hello, Packet},
    quic::{
        TlsOptions,
        error::CloseCode,
        identity::{ALPN, Credentials, san_uri},
    },
};

/// The TLS of a stranger who knows the cluster's authority, with any certificate or none.
fn reckless(ca: &Ca, certificate: Option<&TlsOptions>, alpn: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&ca.node(3).ca_pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => config.with_no_client_auth(),
        Some(tls) => {
            let chain = CertificateDer::pem_slice_iter(&tls.cert_pem).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(&tls.key_pem).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// How a stranger's connection to `node` ends who gets no further than the handshake.
async fn turned_away(node: &Node, config: rustls::ClientConfig) -> ConnectionError {
    match Stranger::with(node, config).await {
        Ok(stranger) => stranger.ended().await,
        Err(error) => error,
    }
}

#[tokio::test]
async fn strangers_are_turned_away_in_the_handshake() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let issue = |change: fn(&mut Names)| {
        let mut names = Names::of(3);
        change(&mut names);
        ca.issue(&names)
    };
    let cases = [
        ("no certificate", None, ALPN),
        ("another authority", Some(Ca::new().node(3)), ALPN),
        ("no authority but its own", Some(Names::of(3).self_signed()), ALPN),
        ("expired", Some(issue(|names| names.years = (2020, 2021))), ALPN),
        ("not yet valid", Some(issue(|names| names.years = (2110, 2120))), ALPN),
        (
            "for servers only",
            Some(issue(|names| names.usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
            ALPN,
        ),
        ("another cluster", Some(issue(|names| names.uris = vec![san_uri(7, NodeId(3))])), ALPN),
        ("no identity", Some(issue(|names| names.uris.clear())), ALPN),
        ("two identities", Some(issue(|names| names.uris.push(san_uri(CLUSTER, NodeId(2))))), ALPN),
        ("another protocol", Some(ca.node(3)), b"holdfast/2".as_slice()),
        ("no protocol", Some(ca.node(3)), b"h3".as_slice()),
    ];
    for (case, tls, alpn) in cases {
        let error = turned_away(&one, reckless(&ca, tls.as_ref(), alpn)).await;
        let ConnectionError::ConnectionClosed(close) = &error else { panic!("{case}: {error}") };
        // QUIC carries TLS alerts as 0x100 + alert.
        let code = u64::from(close.error_code);
        assert!((0x100..0x200).contains(&code), "{case}: {error}");
        still_talking(&mut one, &mut two).await;
    }
}

#[tokio::test]
async fn nobody_comes_as_the_node_itself_nor_before_the_members_are_named() {
    let ca = Ca::new();
    let early = Node::start(4, ca.node(4));
    let stranger = Stranger::connect(&early, &ca.node(9), 9).await;
    stranger.closed_with(CloseCode::NotMember).await;
    let (mut one, mut two) = pair(&ca).await;
    let stranger = Stranger::connect(&one, &ca.node(1), 1).await;
    stranger.closed_with(CloseCode::NotMember).await;
    still_talking(&mut one, &mut two).await;
}

/// Whoever dials wants one node, and takes no other in its place.
#[tokio::test]
async fn another_node_at_the_dialled_address_is_refused() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let credentials = |tls| Credentials::load(&tls, CLUSTER, NodeId(3)).unwrap();
    let dial = async |node: &Node, wanted| {
        let config = credentials(ca.node(3)).client(NodeId(wanted)).unwrap();
        let error = Stranger::with(node, config).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ConnectionError::TransportError(_)), "{error}");
        error.to_string()
    };
    // The name in the certificate is right, the identity is not.
    let error = dial(&one, 2).await;
    assert!(error.contains("of node 1, not of node 2"), "{error}");
    still_talking(&mut one, &mut two).await;

    // Through the front door: no link comes up, and the right node is found once the address is right.
    let mut three = Node::start(3, ca.node(3));
    three.meet(&[(2, one.address())]);
    three.meet(&[(2, two.address())]);
    three.up(2).await;
}

#[tokio::test]
async fn false_hellos_are_refused() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let honest = hello(3);
    let cases = [
        (Hello { from: VoterId { node: NodeId(2), ..honest.from }, ..honest }, CloseCode::Identity),
        (Hello { from: VoterId { node: NodeId(1), ..honest.from }, ..honest }, CloseCode::Identity),
        (Hello { cluster: 7, ..honest }, CloseCode::Identity),
        (Hello { version_min: 2, version_max: 9, ..honest }, CloseCode::Version),
        (Hello { version_min: 0, version_max: 0, ..honest }, CloseCode::Version),
        (Hello { version_min: 1, version_max: 0, ..honest }, CloseCode::Version),
    ];
    for (hello, code) in cases {
        let mut stranger = Stranger::connect(&one, &ca.node(3), 3).await;
        stranger.hello(hello).await;
        stranger.closed_with(code).await;
        still_talking(&mut one, &mut two).await;
    }
}

fn malformed() -> Vec<(&'static str, Vec<u8>, CloseCode)> {
    let good = codec::encode(&Packet::Report(Bytes::from_static(b"ok"))).unwrap();
    let edit = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        bytes
    };
    let length = |length: u32| length.to_le_bytes().to_vec();
    let mut damaged = wal::Entry::new(1, 1, wal::EntryKind::Command, Bytes::from_static(b"body"));
    damaged.checksum ^= 1;
    let damaged = Packet::Core(crate::Message::Append {
        term: election::Term(1),
        previous: election::EntryId::default(),
        commit: election::Index(0),
        entries: vec![damaged],
    });
    let trailing = {
        let mut bytes = good.to_vec();
        bytes.put_u8(0);
        bytes[0] += 1;
        bytes
    };
    let oversize = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    vec![
        ("length 0", length(0), CloseCode::Malformed),
        ("length too large", length(oversize), CloseCode::Malformed),
        ("length 2^32 - 1", length(u32::MAX), CloseCode::Malformed),
        ("wrong magic", edit(4, 0), CloseCode::Malformed),
        ("future format", edit(5, 2), CloseCode::Version),
        ("unknown packet", edit(6, 9), CloseCode::Malformed),
        ("trailing byte", trailing, CloseCode::Malformed),
        ("damaged entry", codec::encode(&damaged).unwrap().to_vec(), CloseCode::Malformed),
        ("garbage", vec![0xa5; 5000], CloseCode::Malformed),
    ]
}

#[tokio::test]
async fn malformed_frames_before_the_hello_are_refused() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let early = codec::encode(&Packet::Report(Bytes::new())).unwrap().to_vec();
    let cases = malformed().into_iter().chain([("no hello first", early, CloseCode::Malformed)]);
    for (case, bytes, code) in cases {
        let mut stranger = Stranger::connect(&one, &ca.node(3), 3).await;
        stranger.say(&bytes).await;
        let error = stranger.ended().await;
        let ConnectionError::ApplicationClosed(close) = &error else { panic!("{case}: {error}") };
        assert_eq!(close.error_code, code.into(), "{case}");
        still_talking(&mut one, &mut two).await;
    }
}

#[tokio::test]
async fn malformed_frames_on_a_link_end_it() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let second = codec::encode(&Packet::Hello(hello(3))).unwrap().to_vec();
    let cases = malformed().into_iter().chain([("a second hello", second, CloseCode::Malformed)]);
    for (case, bytes, code) in cases {
        let mut three = Stranger::connect(&one, &ca.node(3), 3).await;
        three.hello(hello(3)).await;
        assert_eq!(one.link(3).await, LinkEvent::Up(voter(3)), "{case}");
        // On the log lane: what a lane carries is treated alike.
        let mut log = three.connection.open_uni().await.unwrap();
        log.write_all(&bytes).await.unwrap();
        let error = three.ended().await;
        let ConnectionError::ApplicationClosed(close) = &error else { panic!("{case}: {error}") };
        assert_eq!(close.error_code, code.into(), "{case}");
        assert_eq!(one.link(3).await, LinkEvent::Lost, "{case}");
        still_talking(&mut one, &mut two).await;
    }
}

/// A stream that ends, or is reset in the middle of a frame, ends the link.
#[tokio::test]
async fn a_lane_that_ends_ends_the_link() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    for reset in [false, true] {
        let mut three = Stranger::connect(&one, &ca.node(3), 3).await;
        three.hello(hello(3)).await;
        assert_eq!(one.link(3).await, LinkEvent::Up(voter(3)));
        three.say(&[200, 0]).await;
        if reset {
            three.control.reset(quinn::VarInt::from_u32(0)).unwrap();
        } else {
            three.control.finish().unwrap();
        }
        three.closed_with(CloseCode::Malformed).await;
        assert_eq!(one.link(3).await, LinkEvent::Lost);
        still_talking(&mut one, &mut two).await;
    }
}

#[tokio::test]
async fn who_says_no_hello_is_not_waited_for() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut stranger = Stranger::connect(&one, &ca.node(3), 3).await;
    // One byte of one, and then silence.
    stranger.say(&[40]).await;
    stranger.closed_with(CloseCode::Timeout).await;
    still_talking(&mut one, &mut two).await;
}

/// Three streams, and no more: the limits are told in the handshake, and enforced.
#[tokio::test]
async fn nobody_opens_more_streams_than_there_are_lanes() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut three = Stranger::connect(&one, &ca.node(3), 3).await;
    three.hello(hello(3)).await;
    assert_eq!(one.link(3).await, LinkEvent::Up(voter(3)));
    let _log = three.connection.open_uni().await.unwrap();
    let _bulk = three.connection.open_uni().await.unwrap();
    let mut further = Box::pin(three.connection.open_uni());
    let mut both_ways = Box::pin(three.connection.open_bi());
    let ready = |context: &mut std::task::Context<'_>| {
        let none = further.as_mut().poll(context).is_pending()
            && both_ways.as_mut().poll(context).is_pending();
        std::task::Poll::Ready(none)
    };
    assert!(std::future::poll_fn(ready).await);
    assert!(three.connection.max_datagram_size().is_none());
    still_talking(&mut one, &mut two).await;
}

/// Those who hold their connections half open get no further than the bound, and keep nobody out
/// who has a link; once they are timed out, others get in.
#[tokio::test]
async fn half_open_connections_are_bounded() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let tls = ca.node(3);
    let config = Credentials::load(&tls, CLUSTER, NodeId(3)).unwrap().client(NodeId(1)).unwrap();
    let mut silent = Vec::new();
    for _ in 0..80 {
        if let Ok(stranger) = Stranger::with(&one, config.clone()).await {
            silent.push(stranger);
        }
    }
    assert!(silent.len() >= 16, "{} were let in", silent.len());
    still_talking(&mut one, &mut two).await;
    for stranger in silent {
        stranger.ended().await;
    }
    let mut three = Node::start(3, tls);
    three.meet(&[(1, one.address())]);
    three.up(1).await;
    one.up(3).await;
    still_talking(&mut one, &mut two).await;
}

/// Datagrams that are not QUIC, or only begin like it.
#[tokio::test]
async fn random_datagrams_are_ignored() {
    let (mut one, mut two) = pair(&Ca::new()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for length in (0..1500).step_by(7) {
        let mut bytes = Vec::with_capacity(length);
        for _ in 0..length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push(state.to_le_bytes()[7]);
        }
        // Every other one has the shape of a first packet of QUIC version 1.
        if length % 2 == 0 && length > 5 {
            bytes[..5].copy_from_slice(&[0xc0, 0, 0, 0, 1]);
        }
        socket.send_to(&bytes, one.transport.local_addr()).unwrap();
    }
    still_talking(&mut one, &mut two).await;
}

/// A peer that cannot be reached, or whose name cannot be resolved, costs the others nothing.
#[tokio::test]
async fn unreachable_peers_are_tried_on() {
    let ca = Ca::new();
    let mut one = Node::start(1, ca.node(1));
    let mut two = Node::start(2, ca.node(2));
    let bad = ["", "nonsense", "256.1.1.1:1", "127.0.0.1:99999", "127.0.0.1:0", "[::1]:1"];
    let peers = bad.iter().zip(10..).map(|(address, node)| (node, (*address).to_owned()));
    let peers: Vec<(u64, String)> = peers.chain([(2, two.address())]).collect();
    one.meet(&peers);
    two.meet(&[(1, NOWHERE.to_owned())]);
    one.up(2).await;
    two.up(1).await;
    still_talking(&mut one, &mut two).await;
    one.transport.send(voter(10), Lane::Log, Packet::Report(Bytes::new()));
    soon("goodbye", async {
        one.transport.close(false);
        one.transport.closed().await;
    })
    .await;
}
