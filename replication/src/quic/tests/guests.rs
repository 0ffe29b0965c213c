//! Nodes of the cluster that are named nowhere: let in, heard, bounded in number, given no service.

use bytes::Bytes;
use election::{NodeId, Term};

use super::kit::{Ca, NOWHERE, Node, Stranger, hello, pair, still_talking, voter};
use crate::{
    Lane, LinkEvent, Message,
    codec::Packet,
    quic::{Event, GUESTS_MAX, error::CloseCode},
};

/// Node `number`, which knows node 1 and is not known to it.
fn guest(ca: &Ca, number: u64, one: &Node) -> Node {
    let guest = Node::start(number, ca.node(number));
    guest.meet(&[(1, one.address())]);
    guest
}

fn bind(guest: &Node) {
    guest.transport.send(voter(1), Lane::Control, Packet::Core(Message::Bind { joined: true }));
}

#[tokio::test]
async fn a_guest_is_heard_and_answered_and_gets_no_service() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut nine = guest(&ca, 9, &one);
    nine.up(1).await;
    let (me, them) = (voter(1), voter(9));
    // One lane, so in order.
    let say = |packet| nine.transport.send(me, Lane::Control, packet);
    say(Packet::Report(Bytes::from_static(b"dropped")));
    say(Packet::Core(Message::Forward { id: 1, body: Bytes::from_static(b"dropped") }));
    say(Packet::Core(Message::Read { id: 1 }));
    say(Packet::GenesisQuestion);
    // It may lead the cluster, and this node be the one that has not heard of it.
    let heartbeat = Message::Heartbeat {
        term: Term(7),
        commit: election::Index(0),
        round: 1,
        matched: election::Index(0),
    };
    say(Packet::Core(heartbeat.clone()));
    assert_eq!(one.event().await, Event::GenesisQuestion { from: them });
    assert_eq!(one.event().await, Event::Message { from: them, message: heartbeat });
    let bytes = Bytes::from_static(b"genesis");
    one.transport.send(them, Lane::Bulk, Packet::Genesis(bytes.clone()));
    assert_eq!(nine.event().await, Event::Genesis { from: me, bytes });
    still_talking(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_guest_is_a_peer_while_it_is_named() {
    let ca = Ca::new();
    let (mut one, two) = pair(&ca).await;
    let mut nine = guest(&ca, 9, &one);
    nine.up(1).await;
    bind(&nine);
    assert_eq!(
        one.event().await,
        Event::Message { from: voter(9), message: Message::Bind { joined: true } }
    );
    let named = [(2, two.address()), (9, nine.address())];
    one.meet(&named);
    // Over the connection that it has.
    assert_eq!(one.link(9).await, LinkEvent::Up(voter(9)));
    one.meet(&named);
    nine.report(1, "as a peer");
    assert_eq!(one.reported().await, (voter(9), "as a peer".to_owned()));

    one.meet(&[(2, two.address())]);
    assert_eq!(one.link(9).await, LinkEvent::Lost);
    assert_eq!(nine.link(1).await, LinkEvent::Lost);
    nine.up(1).await;
    bind(&nine);
    assert_eq!(
        one.event().await,
        Event::Message { from: voter(9), message: Message::Bind { joined: true } }
    );
    // It leaves as it came, without a word.
    nine.transport.close(true);
    two.report(1, "still there");
    assert_eq!(one.event().await, Event::Report { from: voter(2), bytes: "still there".into() });
}

/// A certificate of the cluster is no key to all of a node's memory.
#[tokio::test]
async fn guests_are_bounded() {
    let ca = Ca::new();
    let (mut one, mut two) = pair(&ca).await;
    let mut guests = Vec::new();
    for number in (10..).take(GUESTS_MAX) {
        let mut guest = guest(&ca, number, &one);
        guest.up(1).await;
        bind(&guest);
        let message = Message::Bind { joined: true };
        assert_eq!(one.event().await, Event::Message { from: voter(number), message });
        guests.push(guest);
    }
    let mut late = Stranger::connect(&one, &ca.node(9), 9).await;
    late.hello(hello(9)).await;
    late.closed_with(CloseCode::NoGuestRoom).await;
    still_talking(&mut one, &mut two).await;
    // Whoever is named has left a place to the next.
    one.transport.set_peers(vec![
        (NodeId(2), two.address()),
        (NodeId(3), NOWHERE.to_owned()),
        (NodeId(10), guests[0].address()),
    ]);
    assert_eq!(one.link(10).await, LinkEvent::Up(voter(10)));
    let mut nine = guest(&ca, 9, &one);
    nine.up(1).await;
    bind(&nine);
    assert_eq!(
        one.event().await,
        Event::Message { from: voter(9), message: Message::Bind { joined: true } }
    );
    still_talking(&mut one, &mut two).await;
}
