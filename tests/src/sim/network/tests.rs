//! Epochs keep connections apart, and partitions hold what they must.

use bytes::Bytes;
use election::{NodeId, StoreId, VoterId};
use replication::Lane;

use super::{Admission, NetEvent, Network, Packet, Pair};
use crate::sim::{clock::Queue, mix::Weather, rng::Rng};

const A: VoterId = VoterId { node: NodeId(1), store: StoreId(1) };
const B: VoterId = VoterId { node: NodeId(2), store: StoreId(2) };

struct Bench {
    network: Network,
    queue: Queue<NetEvent>,
}

impl Bench {
    fn new() -> Self {
        let network = Network::new(&[A.node, B.node], Weather::CALM, Rng::new(1));
        Self { network, queue: Queue::new() }
    }

    fn connected() -> Self {
        let mut bench = Self::new();
        bench.network.dial_all(&mut bench.queue);
        bench.drain();
        bench
    }

    fn send(&mut self, text: &'static str) {
        let bytes = Bytes::from_static(text.as_bytes());
        self.network.send((A, B), Lane::Log, bytes, &mut self.queue);
    }

    /// Let everything happen; gives the arrivals that are admitted.
    fn drain(&mut self) -> Vec<Bytes> {
        let mut arrived = Vec::new();
        while let Some(event) = self.queue.next() {
            match event {
                NetEvent::Dial(pair) => self.network.dial(pair, true, &mut self.queue),
                NetEvent::Up { at, peer, epoch } => {
                    self.network.learn_up(at, peer, epoch);
                }
                NetEvent::Lost { at, peer, epoch, .. } => {
                    self.network.learn_lost(at, peer, epoch);
                }
                NetEvent::Idle { pair, epoch } => self.network.idle(pair, epoch, &mut self.queue),
                NetEvent::Arrive(packet) => arrived.extend(self.admitted(packet)),
            }
        }
        arrived
    }

    fn admitted(&mut self, packet: Packet) -> Option<Bytes> {
        (self.network.admit(&packet) != Admission::Drop).then_some(packet.bytes)
    }

    fn sever(&mut self) {
        self.network.break_connection(Pair::new(A.node, B.node), &mut self.queue);
    }
}

#[test]
fn a_calm_lane_delivers_in_order() {
    let mut bench = Bench::connected();
    let texts = ["1", "2", "3", "4", "5", "6"];
    texts.iter().for_each(|text| bench.send(text));
    assert_eq!(bench.drain(), texts);
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut bench = Bench::new();
    bench.send("lost");
    assert!(bench.drain().is_empty());
}

#[test]
fn what_was_in_flight_when_a_connection_broke_never_arrives() {
    let mut bench = Bench::connected();
    bench.send("old");
    bench.sever();
    assert!(bench.drain().is_empty());
    bench.send("new");
    assert_eq!(bench.drain(), ["new"]);
}

#[test]
fn a_lane_reset_loses_what_is_in_flight_and_nothing_else() {
    let mut bench = Bench::connected();
    bench.send("old");
    bench.network.reset_lane(A.node, B.node, Lane::Log);
    bench.send("new");
    assert_eq!(bench.drain(), ["new"]);
}

#[test]
fn a_short_partition_delays() {
    let mut bench = Bench::connected();
    bench.network.block(A.node, B.node, &mut bench.queue);
    bench.send("held");
    bench.network.unblock(A.node, B.node, &mut bench.queue);
    assert_eq!(bench.drain(), ["held"]);
}

#[test]
fn a_long_partition_breaks_the_connection() {
    let mut bench = Bench::connected();
    bench.network.block(A.node, B.node, &mut bench.queue);
    bench.send("lost");
    // Until the idle time is over; dials go on and on behind the partition.
    while bench.queue.now().0 < 2 * Weather::CALM.idle_us {
        match bench.queue.next().unwrap() {
            NetEvent::Idle { pair, epoch } => bench.network.idle(pair, epoch, &mut bench.queue),
            NetEvent::Dial(pair) => bench.network.dial(pair, true, &mut bench.queue),
            NetEvent::Lost { at, peer, epoch, .. } => {
                assert!(bench.network.learn_lost(at, peer, epoch));
            }
            other @ (NetEvent::Up { .. } | NetEvent::Arrive(_)) => panic!("{other:?}"),
        }
    }
    bench.network.unblock(A.node, B.node, &mut bench.queue);
    assert!(bench.drain().is_empty());
    bench.send("new");
    assert_eq!(bench.drain(), ["new"]);
}
