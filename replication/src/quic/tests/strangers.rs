//! Those who do not even speak proper QUIC or TLS, or speak it too slowly.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use election::NodeId;
use quinn::Endpoint;
use rustls::client::Resumption;
use tokio::time::{Instant, interval};

use super::kit::{CLUSTER, Ca, Stranger, hello, pair, soon, still_talking, voter};
use crate::{
    LinkEvent,
    codec::{self, Packet},
    quic::{
        endpoint::client_config,
        error::CloseCode,
        identity::{Credentials, server_name},
    },
};

/// The first datagram of an honest node that dials.
async fn first_datagram(ca: &Ca) -> Vec<u8> {
    let listener = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let config = Credentials::load(&ca.node(3), CLUSTER, NodeId(3)).unwrap().client(NodeId(1));
    let to = listener.local_addr().unwrap();
    let name = server_name(NodeId(1));
    let _dialling = endpoint.connect_with(client_config(config.unwrap()), to, &name).unwrap();
    let mut datagram = vec![0; 2048];
    let bytes = soon("a datagram", listener.recv(&mut datagram)).await.unwrap();
    datagram.truncate(bytes);
    datagram
}

#[tokio::test]
async fn a_truncated_or_damaged_initial_is_ignored() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let whole = first_datagram(&ca).await;
    assert!(whole.len() >= 1200, "an Initial is padded: {}", whole.len());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = one.transport.local_addr();
    for bytes in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[bytes] ^= 0x41;
        socket.send_to(&whole[..bytes], to).unwrap();
        socket.send_to(&damaged, to).unwrap();
        if bytes % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    still_talking(&mut one, &mut two).await;
}

#[tokio::test]
async fn another_version_of_quic_is_told_which_are_spoken() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut datagram = first_datagram(&ca).await;
    datagram[1..5].copy_from_slice(&[0x0a; 4]);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&datagram, one.transport.local_addr()).await.unwrap();
    let mut answer = [0; 2048];
    let bytes = soon("an answer", socket.recv(&mut answer)).await.unwrap();
    // A negotiation has version 0; it is shorter than what asked for it.
    assert_eq!(answer[1..5], [0; 4]);
    assert!(bytes < datagram.len(), "nothing to amplify with: {bytes}");
    still_talking(&mut one, &mut two).await;
}

/// Nobody is offered to speak before the handshake is done, not even who was here before: what could
/// be said then could be said again by others.
#[tokio::test]
async fn early_data_is_not_offered() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let credentials = Credentials::load(&ca.node(3), CLUSTER, NodeId(3)).unwrap();
    let mut config = credentials.client(NodeId(1)).unwrap();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = client_config(config);
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    for _ in 0..2 {
        let (to, name) = (one.transport.local_addr(), server_name(NodeId(1)));
        let connecting = endpoint.connect_with(config.clone(), to, &name).unwrap();
        let connecting = connecting.into_0rtt().map(|_early| ()).expect_err("no early data");
        let connection = soon("a handshake", connecting).await.unwrap();
        // A ticket for the next time would come with the first data of the node.
        soon("its hello", connection.accept_uni()).await.unwrap();
        connection.close(0_u32.into(), b"");
    }
    still_talking(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_hello_byte_by_byte_is_not_waited_for() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut stranger = Stranger::connect(&one, &ca.node(3), 3).await;
    let bytes = codec::encode(&Packet::Hello(hello(3))).unwrap();
    let begun = Instant::now();
    let mut pause = interval(Duration::from_millis(100));
    for byte in &bytes {
        pause.tick().await;
        // The node has hung up in the middle.
        if stranger.control.write_all(&[*byte]).await.is_err() {
            break;
        }
    }
    stranger.closed_with(CloseCode::Timeout).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    still_talking(&mut one, &mut two).await;
}

/// A lane on which a large frame is begun and dribbled holds up no other lane and no other peer.
#[tokio::test]
async fn a_frame_byte_by_byte_holds_nobody_up() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut three = Stranger::connect(&one, &ca.node(3), 3).await;
    three.hello(hello(3)).await;
    assert_eq!(one.link(3).await, LinkEvent::Up(voter(3)));
    let mut log = three.connection.open_uni().await.unwrap();
    let largest = u32::try_from(codec::FRAME_BYTES_MAX).unwrap();
    log.write_all(&largest.to_le_bytes()).await.unwrap();
    let mut pause = interval(Duration::from_millis(20));
    for _ in 0..50 {
        pause.tick().await;
        log.write_all(&[0x48]).await.unwrap();
    }
    three
        .say(&codec::encode(&Packet::Report(bytes::Bytes::from_static(b"meanwhile"))).unwrap())
        .await;
    assert_eq!(one.reported().await, (voter(3), "meanwhile".to_owned()));
    still_talking(&mut one, &mut two).await;
}
