//! Links through bad weather: what a simulated network may do to a connection.

use std::time::Duration;

use bytes::Bytes;
use election::{Index, NodeId, Term};

use super::{
    kit::{CLUSTER, Ca, Names, QUEUES, voter},
    network::{Network, name},
};
use crate::{
    Lane, LinkEvent, Message,
    codec::Packet,
    quic::{EVENTS_MAX, Event, identity::san_uri},
};

const LANES: [Lane; 3] = [Lane::Control, Lane::Log, Lane::Bulk];
/// The idle timeout, which starts with the first probe after the last sign of life.
const NOTICED: Duration = Duration::from_millis(1_500 + 400 + 50);
/// The longest pause between two attempts to dial, a handshake that fails, and one that does not.
const FOUND_AGAIN: Duration = Duration::from_millis(2_500);

fn heartbeat(round: u64) -> Packet {
    Packet::Core(Message::Heartbeat { term: Term(1), commit: Index(0), round, matched: Index(0) })
}

fn bulk() -> Packet {
    Packet::Report(Bytes::from_static(&[7; 4096]))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The heartbeats among what was heard.
fn rounds(heard: &[(Duration, Event)]) -> Vec<(Duration, u64)> {
    let rounds = heard.iter().filter_map(|(at, event)| {
        let Event::Message { message, .. } = event else { return None };
        let Message::Heartbeat { round, .. } = message else { return None };
        Some((*at, *round))
    });
    rounds.collect()
}

fn never_lost(network: &Network, node: u64, peer: u64) -> bool {
    let events = network.link_events(node, peer);
    events.iter().all(|(_, event)| *event == LinkEvent::Up(voter(peer)))
}

/// Each message arrives once, unchanged, in the order of its lane, whatever becomes of the datagrams.
#[test]
fn a_bad_network_changes_neither_order_nor_content() {
    for seed in 1..=5 {
        let mut network = Network::pair(seed);
        {
            let mut weather = network.weather.lock().unwrap();
            weather.lost_percent = 4 * seed;
            weather.repeated_percent = 20;
        }
        for round in 0..200 {
            for (nth, lane) in (0..).zip(LANES) {
                network.send(1, 2, lane, heartbeat(round * 3 + nth));
                network.send(2, 1, lane, heartbeat(round * 3 + nth));
            }
            network.run(ms(1));
        }
        network.run(Duration::from_secs(3));
        for node in [1, 2] {
            let rounds: Vec<u64> =
                rounds(&network.take(node)).iter().map(|(_, round)| *round).collect();
            for lane in 0..3 {
                let lane: Vec<u64> = rounds.iter().copied().filter(|r| r % 3 == lane).collect();
                assert!(lane.is_sorted_by(|a, b| a < b), "seed {seed}: {lane:?}");
                assert_eq!(lane.len(), 200, "seed {seed}");
            }
            assert!(never_lost(&network, node, 3 - node), "seed {seed}");
        }
    }
}

/// An idle link is kept alive, for ever; a cut one is noticed by silence on both sides, and found again
/// when it heals. What was sent into the cut never comes, nor anything twice.
#[test]
fn a_partition_is_noticed_and_heals() {
    let mut network = Network::pair(1);
    network.run(Duration::from_secs(60));
    assert!(never_lost(&network, 1, 2) && never_lost(&network, 2, 1));
    for cut in 0..3 {
        network.sim.partition(name(1), name(2));
        for round in 0..50 {
            network.send(1, 2, Lane::Log, heartbeat(1_000 * cut + round));
        }
        let lost = |network: &Network| !network.is_linked(1, 2) && !network.is_linked(2, 1);
        network.until("both notice", NOTICED, lost);
        network.run(Duration::from_secs(5 * cut));
        network.sim.repair(name(1), name(2));
        let up = |network: &Network| network.is_linked(1, 2) && network.is_linked(2, 1);
        network.until("both meet again", FOUND_AGAIN, up);
        // The first connection may give way to one dialled at the same time.
        network.run(ms(200));
        network.send(1, 2, Lane::Log, heartbeat(1_000 * cut + 900));
        network.run(ms(500));
        let rounds: Vec<u64> = rounds(&network.take(2)).iter().map(|(_, round)| *round).collect();
        assert_eq!(rounds, [1_000 * cut + 900]);
    }
}

/// A side that still hears the other gives the link up as well: nothing it says arrives.
#[test]
fn half_a_partition_is_noticed_by_both() {
    for (from, to) in [(1, 2), (2, 1)] {
        let mut network = Network::pair(2);
        network.sim.partition_oneway(name(from), name(to));
        let lost = |network: &Network| !network.is_linked(1, 2) && !network.is_linked(2, 1);
        network.until("both notice", 2 * NOTICED, lost);
        network.sim.repair_oneway(name(from), name(to));
        network.linked();
    }
}

/// A process that ends without a word is noticed by silence; its next run is met under a new epoch, and
/// nothing of its life before is delivered.
#[test]
fn a_dead_peer_is_noticed_and_met_again() {
    let mut network = Network::pair(3);
    for round in 0..20 {
        network.send(2, 1, Lane::Bulk, heartbeat(round));
    }
    network.run(ms(1));
    network.kill(2);
    network.until("the survivor notices", NOTICED, |network| !network.is_linked(1, 2));
    network.take(1);
    network.restart(2);
    network.linked();
    network.send(2, 1, Lane::Bulk, heartbeat(100));
    network.run(ms(100));
    let rounds: Vec<u64> = rounds(&network.take(1)).iter().map(|(_, round)| *round).collect();
    assert_eq!(rounds, [100]);
}

/// A process that is back before its silence was noticed says itself that the old link is dead.
#[test]
fn a_quick_restart_is_noticed_at_once() {
    let mut network = Network::pair(4);
    network.run(Duration::from_secs(2));
    network.kill(2);
    network.restart(2);
    let seen = network.link_events(1, 2).len();
    let took = network.until("a new link", FOUND_AGAIN, |network| {
        network.is_linked(2, 1) && network.link_events(1, 2).len() > seen
    });
    assert!(took < ms(600), "{took:?}");
    network.linked();
}

/// Heartbeats arrive in time though the other lanes are full of what the network takes a second to carry.
#[test]
fn full_lanes_do_not_delay_control() {
    let mut network = Network::pair(5);
    network.keep_order(1, 2);
    network.weather.lock().unwrap().bytes_per_span = 25_000;
    let mut sent = Vec::new();
    for round in 0..60 {
        // As much as the lanes may hold, each time that they are nearly empty.
        if round % 20 == 0 {
            for _ in 0..14 {
                network.send(1, 2, Lane::Bulk, bulk());
            }
            for _ in 0..450 {
                network.send(1, 2, Lane::Log, bulk());
            }
        }
        sent.push(network.sim.elapsed());
        network.send(1, 2, Lane::Control, heartbeat(round));
        network.run(ms(50));
    }
    network.run(Duration::from_secs(2));
    let heard = network.take(2);
    let reports = heard.iter().filter(|(_, event)| matches!(event, Event::Report { .. }));
    assert_eq!(reports.clone().count(), 3 * 464);
    let rounds = rounds(&heard);
    assert!(rounds.iter().map(|(_, round)| *round).eq(0..60));
    let late = rounds.iter().zip(&sent).map(|((at, _), sent)| *at - *sent).max().unwrap();
    assert!(late < ms(50), "{late:?}");
    // The lanes were not empty meanwhile.
    assert!(reports.last().is_some_and(|(at, _)| *at > sent[50]));
    assert!(never_lost(&network, 1, 2));
}

/// A driver that takes nothing stops its peers, not their memory: what they hold for it is bounded, and
/// then the connection is reset. The others do not notice.
#[test]
fn a_slow_peer_is_cut_off_and_holds_nobody_up() {
    let mut network = Network::new(3, 6);
    network.linked();
    network.keep_order(1, 3);
    network.set_deaf(2, true);
    let before = network.link_events(1, 2).len();
    let mut sent = 0;
    while network.link_events(1, 2).len() == before {
        for _ in 0..20 {
            network.send(1, 2, Lane::Log, bulk());
            network.send(1, 3, Lane::Log, bulk());
            sent += 1;
        }
        network.run(ms(10));
    }
    // The lane, what may be under way, and the events that wait for the driver.
    let bound = QUEUES.log_bytes + (4 << 20) + 2 * EVENTS_MAX * 4096;
    assert!(sent * 4096 < bound, "{sent} reports");
    assert_eq!(network.link_events(1, 2)[before].1, LinkEvent::Lost);
    network.run(ms(500));
    let heard = network.take(3);
    let reports = heard.iter().filter(|(_, event)| matches!(event, Event::Report { .. }));
    assert_eq!(reports.count(), sent);
    assert!(never_lost(&network, 1, 3) && never_lost(&network, 3, 1));
    network.set_deaf(2, false);
    network.linked();
}

/// A close says whether a leader steps down, and only its own close says that: a cut says that the link
/// is lost, also when the close is lost in it.
#[test]
fn only_an_authenticated_close_says_that_a_leader_steps_down() {
    let last = |network: &Network| network.link_events(1, 2).last().map(|(_, event)| *event);
    for seed in 0..10 {
        let mut network = Network::pair(seed);
        network.weather.lock().unwrap().lost_percent = 30;
        network.order(2, |transport| transport.close(true));
        network.until("the end is seen", NOTICED, |network| !network.is_linked(1, 2));
        // The one datagram may be lost; then it is sent again for whatever comes.
        assert!(matches!(last(&network), Some(LinkEvent::SteppedDown | LinkEvent::Lost)));
    }
    let mut network = Network::pair(7);
    network.order(2, |transport| transport.close(true));
    network.until("the close", ms(20), |network| !network.is_linked(1, 2));
    assert_eq!(last(&network), Some(LinkEvent::SteppedDown));
    let mut network = Network::pair(7);
    network.order(2, |transport| transport.close(false));
    network.until("the close", ms(20), |network| !network.is_linked(1, 2));
    assert_eq!(last(&network), Some(LinkEvent::Lost));
    let mut network = Network::pair(7);
    network.sim.partition(name(1), name(2));
    network.order(2, |transport| transport.close(true));
    network.until("the silence", NOTICED, |network| !network.is_linked(1, 2));
    assert_eq!(last(&network), Some(LinkEvent::Lost));
}

/// Nodes of another cluster or authority get no link, however long they try, and the members keep
/// theirs.
#[test]
fn who_is_of_another_cluster_gets_no_link() {
    let ca = Ca::new();
    let other = Names { uris: vec![san_uri(7, NodeId(3))], ..Names::of(3) };
    let strangers = [
        (CLUSTER, Ca::new().node(3)),
        (CLUSTER, Names::of(3).self_signed()),
        (7, ca.issue(&other)),
    ];
    for (cluster, tls) in strangers {
        let member = |node| (node, CLUSTER, ca.node(node));
        let mut network = Network::with(vec![member(1), member(2), (3, cluster, tls)], 8);
        network.until("the members", Duration::from_secs(5), |network| {
            network.is_linked(1, 2) && network.is_linked(2, 1)
        });
        network.run(Duration::from_secs(1));
        let links = [(1, 2), (2, 1)].map(|(node, peer)| network.link_events(node, peer));
        network.run(Duration::from_secs(10));
        for (node, peer) in [(1, 3), (2, 3), (3, 1), (3, 2)] {
            assert_eq!(network.link_events(node, peer), []);
        }
        let after = [(1, 2), (2, 1)].map(|(node, peer)| network.link_events(node, peer));
        assert_eq!(after, links);
    }
}
