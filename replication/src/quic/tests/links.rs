//! Links come up, carry, break and come back.

use std::time::Duration;

use bytes::Bytes;
use election::{Index, NodeId, StoreId, Term, VoterId};
use quinn::ConnectionError;
use tokio::runtime::Runtime;
use wal::{Entry, EntryKind};

use super::kit::{Ca, NOWHERE, Node, options, pair, soon, still_talking, voter};
use crate::{
    Lane, LinkEvent, Message,
    codec::{PAYLOAD_BYTES_MAX, Packet},
    quic::{Event, TlsOptions, Transport},
};

fn heartbeat(round: u64) -> Message {
    Message::Heartbeat { term: Term(1), commit: Index(0), round, matched: Index(0) }
}

#[tokio::test]
async fn every_lane_carries_in_order_both_ways() {
    let (mut one, mut two) = pair(&Ca::new()).await;
    for lane in [Lane::Bulk, Lane::Log, Lane::Control] {
        for round in 0..100 {
            one.transport.send(voter(2), lane, Packet::Core(heartbeat(round)));
            two.transport.send(voter(1), lane, Packet::Core(heartbeat(round)));
        }
        for (node, from) in [(&mut one, voter(2)), (&mut two, voter(1))] {
            for round in 0..100 {
                let message = heartbeat(round);
                assert_eq!(node.event().await, Event::Message { from, message });
            }
        }
    }
    assert!(one.transport.rtt(NodeId(2)).unwrap() > Duration::ZERO);
    assert_eq!(one.transport.rtt(NodeId(3)), None);
}

#[tokio::test]
async fn the_largest_append_arrives() {
    let (one, mut two) = pair(&Ca::new()).await;
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES_MAX]);
    let message = Message::Append {
        term: Term(1),
        previous: election::EntryId::default(),
        commit: Index(0),
        entries: vec![Entry::new(1, 1, EntryKind::Command, payload)],
    };
    one.transport.send(voter(2), Lane::Log, Packet::Core(message.clone()));
    assert_eq!(two.event().await, Event::Message { from: voter(1), message });
}

/// Both dial at once; one connection remains, and both sides agree which.
#[tokio::test]
async fn dialling_each_other_leaves_one_link() {
    let ca = Ca::new();
    for _ in 0..5 {
        let mut one = Node::start(1, ca.node(1));
        let mut two = Node::start(2, ca.node(2));
        one.meet(&[(1, one.address()), (2, two.address())]);
        two.meet(&[(1, one.address()), (2, two.address())]);
        one.up(2).await;
        two.up(1).await;
        // Whichever connection had to give way has done so once a report gets through both ways.
        for attempt in 0.. {
            one.report(2, &format!("{attempt}"));
            two.report(1, &format!("{attempt}"));
            let both = async { (one.reported().await, two.reported().await) };
            if tokio::time::timeout(Duration::from_millis(100), both).await.is_ok() {
                break;
            }
        }
        let link = |node: &Node, peer| node.transport.node.link(NodeId(peer)).unwrap();
        assert_eq!(link(&one, 2).dialled_by, link(&two, 1).dialled_by);
    }
}

#[tokio::test]
async fn nothing_goes_to_another_identity() {
    let (one, mut two) = pair(&Ca::new()).await;
    let other_disk = VoterId { store: StoreId(1), ..voter(2) };
    one.transport.send(other_disk, Lane::Log, Packet::Core(heartbeat(1)));
    one.transport.send(voter(2), Lane::Log, Packet::Core(heartbeat(2)));
    let message = heartbeat(2);
    assert_eq!(two.event().await, Event::Message { from: voter(1), message });
}

#[tokio::test]
async fn a_close_says_whether_a_leader_steps_down() {
    for (stepped_down, expected) in [(true, LinkEvent::SteppedDown), (false, LinkEvent::Lost)] {
        let (one, mut two) = pair(&Ca::new()).await;
        one.transport.close(stepped_down);
        soon("goodbye", one.transport.closed()).await;
        assert_eq!(two.link(1).await, expected);
        one.report(2, "from beyond");
    }
}

#[tokio::test]
async fn who_is_no_longer_named_is_disconnected_and_stays_out() {
    let (mut one, mut two) = pair(&Ca::new()).await;
    two.meet(&[]);
    assert_eq!(two.link(1).await, LinkEvent::Lost);
    assert_eq!(one.link(2).await, LinkEvent::Lost);
    one.report(2, "nobody hears this");
    two.meet(&[(1, NOWHERE.to_owned())]);
    one.up(2).await;
    two.up(1).await;
    still_talking(&mut one, &mut two).await;
}

/// A driver that does not take its events stops the peer's lane, not the peer's memory.
#[tokio::test]
async fn a_full_lane_is_reset() {
    let (mut one, mut two) = pair(&Ca::new()).await;
    let link = one.transport.node.link(NodeId(2)).unwrap();
    let filler = || Packet::Report(Bytes::from_static(&[7; 4096]));
    // More than the windows, the event queue and the lane hold together.
    for _ in 0..100_000 {
        if link.connection.close_reason().is_some() {
            break;
        }
        one.transport.send(voter(2), Lane::Bulk, filler());
        tokio::task::yield_now().await;
    }
    assert!(link.connection.close_reason().is_some());
    assert_eq!(one.link(2).await, LinkEvent::Lost);
    assert_eq!(two.link(1).await, LinkEvent::Lost);
    one.up(2).await;
    two.up(1).await;
    still_talking(&mut one, &mut two).await;
}

/// Heartbeats pass while the bulk lane is choked.
#[tokio::test]
async fn control_does_not_wait_for_bulk() {
    let (one, mut two) = pair(&Ca::new()).await;
    for _ in 0..14 {
        one.transport.send(voter(2), Lane::Bulk, Packet::Report(Bytes::from_static(&[7; 4096])));
    }
    one.transport.send(voter(2), Lane::Control, Packet::Core(heartbeat(1)));
    let mut before = 0;
    while !matches!(two.event().await, Event::Message { .. }) {
        before += 1;
    }
    assert!(before < 14, "the heartbeat came last");
}

/// A node on a runtime of its own, which ends without a word when the runtime does: kill -9.
fn doomed(tls: TlsOptions, epoch: u64, port: u16) -> (Runtime, Node) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut options, events) = options(2, tls);
    options.listen.set_port(port);
    options.epoch = epoch;
    let guard = runtime.enter();
    let transport = Transport::start(options).unwrap();
    drop(guard);
    (runtime, Node { transport, events })
}

/// End a node without a word to its peers; its port is free afterwards.
async fn kill((runtime, node): (Runtime, Node)) {
    tokio::task::spawn_blocking(|| drop(runtime)).await.unwrap();
    drop(node);
}

/// The peer of a restarted node hears of its end from the restarted node itself, by a stateless reset
/// under the same key, long before the connection would have timed out.
#[tokio::test]
async fn a_restarted_node_is_noticed_at_once() {
    let ca = Ca::new();
    let tls = ca.node(2);
    let mut one = Node::start(1, ca.node(1));
    let mut two = doomed(tls.clone(), 1, 0);
    let address = two.1.address();
    let port = two.1.transport.local_addr().port();
    two.1.meet(&[(1, NOWHERE.to_owned())]);
    one.meet(&[(2, address)]);
    one.up(2).await;
    two.1.up(1).await;

    let dead = one.transport.node.link(NodeId(2)).unwrap().connection.clone();
    kill(two).await;
    let mut two = doomed(tls, 2, port);
    // It lets nobody in yet, and dials nobody: only the reset can tell.
    one.report(2, "anyone there?");
    assert_eq!(one.link(2).await, LinkEvent::Lost);
    assert_eq!(dead.close_reason(), Some(ConnectionError::Reset));
    two.1.meet(&[(1, NOWHERE.to_owned())]);
    one.up(2).await;
    two.1.up(1).await;
    still_talking(&mut one, &mut two.1).await;
    kill(two).await;
}

/// A restarted node dials, and its new connection replaces the dead one that the peer still believes in.
#[tokio::test]
async fn a_new_run_replaces_the_connection_of_the_old() {
    let ca = Ca::new();
    let mut one = Node::start(1, ca.node(1));
    let two = doomed(ca.node(2), 1, 0);
    one.meet(&[(2, NOWHERE.to_owned())]);
    two.1.meet(&[(1, one.address())]);
    one.up(2).await;
    let dead = one.transport.node.link(NodeId(2)).unwrap().connection.clone();
    kill(two).await;
    // At another port: no reset can come from it.
    let mut two = doomed(ca.node(2), 2, 0);
    two.1.meet(&[(1, one.address())]);
    one.up(2).await;
    assert_eq!(dead.close_reason(), Some(ConnectionError::LocallyClosed), "not timed out");
    two.1.up(1).await;
    still_talking(&mut one, &mut two.1).await;
    kill(two).await;
}

#[tokio::test]
async fn new_certificates_serve_new_connections() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    two.transport.set_tls(&ca.node(2)).unwrap();
    one.transport.set_tls(&ca.node(1)).unwrap();
    one.transport.set_tls(&ca.node(2)).unwrap_err();
    still_talking(&mut one, &mut two).await;
    two.meet(&[]);
    assert_eq!(two.link(1).await, LinkEvent::Lost);
    two.meet(&[(1, NOWHERE.to_owned())]);
    two.up(1).await;
    assert_eq!(one.link(2).await, LinkEvent::Lost);
    one.up(2).await;
    still_talking(&mut one, &mut two).await;
}
