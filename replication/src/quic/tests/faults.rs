//! Links over a network that loses, repeats, reorders and cuts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use election::{Index, NodeId, Term};
use quinn::ConnectionError;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::kit::{Ca, NOWHERE, Node, still_talking, voter};
use crate::{Lane, LinkEvent, Message, codec::Packet, quic::Event};

/// Stands between a node that dials and one that listens.
struct Network {
    address: SocketAddr,
    /// How many in 256 datagrams are lost, and how many of the others repeated or held back.
    faults: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

const CUT: u8 = u8::MAX;

impl Network {
    /// In front of the node at `listener`.
    async fn before(listener: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let faults = Arc::new(AtomicU8::new(0));
        let task = tokio::spawn(carry(socket, listener, Arc::clone(&faults)));
        Self { address, faults, task }
    }

    fn set_faults(&self, faults: u8) {
        self.faults.store(faults, Ordering::Relaxed);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(socket: UdpSocket, listener: SocketAddr, faults: Arc<AtomicU8>) {
    let (mut buffer, mut dialler, mut seed) = ([0; 2048], None, 1_u64);
    let mut held: Option<(Vec<u8>, SocketAddr)> = None;
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let to = if from == listener { dialler } else { Some(listener) };
        if from != listener {
            dialler = Some(from);
        }
        let (Some(to), datagram) = (to, &buffer[..length]) else { continue };
        let faults = faults.load(Ordering::Relaxed);
        let mut unlucky = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed.to_be_bytes()[0] < faults
        };
        if faults == CUT || unlucky() {
            continue;
        }
        if unlucky() {
            // After the next one.
            held = Some((datagram.to_vec(), to));
            continue;
        }
        for _ in 0..if unlucky() { 2 } else { 1 } {
            socket.send_to(datagram, to).await.unwrap();
        }
        if let Some((datagram, to)) = held.take() {
            socket.send_to(&datagram, to).await.unwrap();
        }
    }
}

/// Nodes 1 and 2 with a network between them.
async fn apart() -> (Node, Node, Network) {
    let ca = Ca::new();
    let mut one = Node::start(1, ca.node(1));
    let mut two = Node::start(2, ca.node(2));
    let network = Network::before(two.transport.local_addr()).await;
    two.meet(&[(1, NOWHERE.to_owned())]);
    one.meet(&[(2, network.address.to_string())]);
    one.up(2).await;
    two.up(1).await;
    (one, two, network)
}

#[tokio::test]
async fn a_bad_network_changes_neither_order_nor_content() {
    let (one, mut two, network) = apart().await;
    network.set_faults(20);
    for round in 0..500 {
        let message = Message::Heartbeat { term: Term(1), commit: Index(0), round };
        one.transport.send(voter(2), Lane::Log, Packet::Core(message));
        tokio::task::yield_now().await;
    }
    for round in 0..500 {
        let message = Message::Heartbeat { term: Term(1), commit: Index(0), round };
        assert_eq!(two.event().await, Event::Message { from: voter(1), message });
    }
}

/// Both sides notice a cut by silence, and find each other again when it heals.
#[tokio::test]
async fn a_cut_network_is_noticed_and_heals() {
    let (mut one, mut two, network) = apart().await;
    let cut = one.transport.node.link(NodeId(2)).unwrap().connection.clone();
    network.set_faults(CUT);
    assert_eq!(one.link(2).await, LinkEvent::Lost);
    assert_eq!(two.link(1).await, LinkEvent::Lost);
    assert_eq!(cut.close_reason(), Some(ConnectionError::TimedOut));
    one.report(2, "into the void");
    network.set_faults(0);
    one.up(2).await;
    two.up(1).await;
    still_talking(&mut one, &mut two).await;
}
