//! A stranger whose first datagram is sound, but for the transport parameters in it: no honest library
//! writes these, so the datagram is made here.

use std::{sync::Arc, time::Duration};

use election::{NodeId, Random};
use rustls::{
    SupportedCipherSuite,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{ClientConnection, Keys, Version},
};
use tokio::{net::UdpSocket, time::timeout};

use super::kit::{CLUSTER, Ca, Node, pair, soon, still_talking};
use crate::quic::identity::{Credentials, server_name};

/// `TRANSPORT_PARAMETER_ERROR`.
const PARAMETER_ERROR: u64 = 8;
/// The connection id under which a client goes, repeated: the one parameter that it must give.
const NAMES_ITSELF: [u8; 10] = [0x0f, 8, 7, 7, 7, 7, 7, 7, 7, 7];

/// Those of a client that gave the node this connection id: another for each client.
fn keys(id: [u8; 8]) -> Keys {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { panic!("TLS 1.3") };
    let side = rustls::Side::Client;
    Keys::initial(Version::V1, suite, suite.quic.unwrap(), &id, side)
}

/// The first datagram of a client with these parameters.
fn first_datagram(credentials: &Credentials, id: [u8; 8], parameters: Vec<u8>) -> Vec<u8> {
    let config = Arc::new(credentials.client(NodeId(1)).unwrap());
    let name = server_name(NodeId(1)).try_into().unwrap();
    let mut client = ClientConnection::new(config, Version::V1, name, parameters).unwrap();
    let mut hello = Vec::new();
    assert!(client.write_hs(&mut hello).is_none());

    let length = |bytes: usize| u16::try_from(0x4000 | bytes).unwrap().to_be_bytes();
    // CRYPTO at offset 0, then padding.
    let mut payload = vec![6, 0];
    payload.extend_from_slice(&length(hello.len()));
    payload.extend_from_slice(&hello);
    payload.resize(payload.len().max(1_200), 0);
    // A long header: Initial, with a packet number of two bytes.
    let mut header = vec![0xc1, 0, 0, 0, 1, 8];
    header.extend_from_slice(&id);
    header.push(8);
    header.extend_from_slice(&NAMES_ITSELF[2..]);
    header.push(0);
    header.extend_from_slice(&length(2 + payload.len() + 16));
    header.extend_from_slice(&[0, 0]);
    let keys = keys(id).local;
    let tag = keys.packet.encrypt_in_place(0, &header, &mut payload).unwrap();
    payload.extend_from_slice(tag.as_ref());
    let (start, number) = header.split_at_mut(26);
    assert_eq!(number.len(), 2);
    // The sample starts four bytes behind the start of the packet number.
    keys.header.encrypt_in_place(&payload[2..18], &mut start[0], number).unwrap();
    header.extend_from_slice(&payload);
    header
}

/// A number of QUIC's, taken off the front.
fn number(bytes: &mut &[u8]) -> u64 {
    let length = 1 << (bytes[0] >> 6);
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken[1..].iter().fold(u64::from(taken[0] & 0x3f), |sum, byte| sum << 8 | u64::from(*byte))
}

/// The code with which the node closes the connection in its first packet; none when it goes on.
fn close_code(id: [u8; 8], mut datagram: Vec<u8>) -> Option<u64> {
    // First byte, version, our connection id, its own, no token.
    let mut rest = &datagram[5 + 1 + 8..];
    rest = &rest[1 + usize::from(rest[0])..];
    assert_eq!(number(&mut rest), 0);
    let length = usize::try_from(number(&mut rest)).unwrap();
    let at = datagram.len() - rest.len();
    let keys = keys(id).remote;
    let (start, behind) = datagram.split_at_mut(at);
    let (numbers, sample) = behind.split_at_mut(4);
    keys.header.decrypt_in_place(&sample[..16], &mut start[0], numbers).unwrap();
    let width = usize::from(start[0] & 3) + 1;
    let packet = numbers[..width].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (header, payload) = datagram[..at + length].split_at_mut(at + width);
    let mut frames: &[u8] = keys.packet.decrypt_in_place(packet, header, payload).unwrap();
    while let Some((kind, rest)) = frames.split_first() {
        frames = rest;
        match kind {
            0 | 1 => {}
            // An acknowledgement of one range.
            2 => (0..4).for_each(|_| _ = number(&mut frames)),
            0x1c => return Some(number(&mut frames)),
            _ => return None,
        }
    }
    None
}

struct Stranger {
    credentials: Credentials,
    to: std::net::SocketAddr,
}

impl Stranger {
    fn before(node: &Node, ca: &Ca) -> Self {
        let credentials = Credentials::load(&ca.node(3), CLUSTER, NodeId(3)).unwrap();
        Self { credentials, to: node.transport.local_addr() }
    }

    /// How the node answers these parameters, if it does.
    async fn says(&self, nth: u64, parameters: Vec<u8>) -> Option<Option<u64>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let id = nth.to_le_bytes();
        let datagram = first_datagram(&self.credentials, id, parameters);
        socket.send_to(&datagram, self.to).await.unwrap();
        let mut answer = vec![0; 2048];
        let received = timeout(Duration::from_millis(500), socket.recv(&mut answer)).await.ok()?;
        answer.truncate(received.unwrap());
        Some(close_code(id, answer))
    }
}

#[tokio::test]
async fn parameters_that_contradict_themselves_are_refused_with_a_reason() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let stranger = Stranger::before(&one, &ca);
    let sound = soon("an answer", stranger.says(0, NAMES_ITSELF.to_vec())).await;
    assert_eq!(sound, Some(None), "the datagram itself is sound");
    let cases: [(&str, &[u8]); 9] = [
        ("another name", &[0x0f, 8, 8, 8, 8, 8, 8, 8, 8, 8]),
        ("no name", &[]),
        ("longer than there is", &[4, 0x40]),
        ("longer than can be", &[4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a number too short", &[4, 4, 0x80, 0, 0]),
        ("given twice", &[4, 1, 0, 4, 1, 0]),
        ("datagrams too small", &[3, 2, 0x44, 0x00]),
        ("a server's token", &[2, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("acknowledgements too late", &[0x0b, 4, 0x80, 0x01, 0, 0]),
    ];
    for (nth, (case, parameters)) in (1..).zip(cases) {
        let named = if case.contains("name") { &[][..] } else { &NAMES_ITSELF };
        let code = stranger.says(nth, [named, parameters].concat()).await;
        assert_eq!(code, Some(Some(PARAMETER_ERROR)), "{case}");
    }
    still_talking(&mut one, &mut two).await;
}

#[tokio::test]
async fn random_parameters_harm_nobody() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let stranger = Stranger::before(&one, &ca);
    let mut random = Random::new(1);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for nth in 0_u64..300 {
        let mut parameters = NAMES_ITSELF.to_vec();
        for _ in 0..random.up_to(4) {
            // A known parameter mostly, of about the length it says.
            parameters.push(random.up_to(0x20).to_le_bytes()[0]);
            let length = random.up_to(20);
            parameters.push((length + random.up_to(9) / 9).to_le_bytes()[0]);
            parameters.extend((0..length).map(|_| random.next().to_le_bytes()[0]));
        }
        // Never sound as a whole, so that none stays half open and the next is read as well.
        parameters.extend_from_slice(&[4, 0x40]);
        let datagram = first_datagram(&stranger.credentials, nth.to_le_bytes(), parameters);
        socket.send_to(&datagram, stranger.to).await.unwrap();
        tokio::task::yield_now().await;
    }
    still_talking(&mut one, &mut two).await;
}
