//! Nodes on a simulated network and virtual time (turmoil): the transport as it is, over a socket
//! that delays, loses, repeats and reorders.
//!
//! Everything but the keys and connection ids that TLS and QUIC draw follows from the seed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use election::{NodeId, Random};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{sync::mpsc, time::Instant};
use turmoil::{Sim, net::UdpSocket};

use super::kit::{CLUSTER, Ca, QUEUES, voter};
use crate::{
    Lane, LinkEvent,
    codec::Packet,
    quic::{EVENTS_MAX, Event, Options, TlsOptions, Transport},
};

const PORT: u16 = 7410;
const ORDERS_MAX: usize = 1_024;
const TICK: Duration = Duration::from_millis(1);
const SPAN: Duration = Duration::from_millis(10);

/// How datagrams fare beside their delay.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) lost_percent: u64,
    pub(super) repeated_percent: u64,
    /// What the network takes from one node in [`SPAN`]; more is lost.
    pub(super) bytes_per_span: usize,
    random: Random,
}

/// A node: a process with a transport and a driver that only notes what it is told.
struct Process {
    node: u64,
    cluster: u128,
    tls: TlsOptions,
    weather: Arc<Mutex<Weather>>,
    runs: Cell<u64>,
    /// The driver takes no events.
    deaf: Cell<bool>,
    heard: RefCell<Vec<(Duration, Event)>>,
    orders: RefCell<Option<mpsc::Sender<Order>>>,
}

type Order = Box<dyn FnOnce(&Transport)>;

/// The nodes and what is between them.
pub(super) struct Network {
    pub(super) sim: Sim<'static>,
    pub(super) weather: Arc<Mutex<Weather>>,
    processes: BTreeMap<u64, Rc<Process>>,
}

impl Network {
    /// Nodes with certificates of one authority, each the peer of all others, started.
    pub(super) fn new(count: u64, seed: u64) -> Self {
        let ca = Ca::new();
        Self::with((1..=count).map(|node| (node, CLUSTER, ca.node(node))).collect(), seed)
    }

    /// Nodes of these clusters, with these certificates.
    pub(super) fn with(nodes: Vec<(u64, u128, TlsOptions)>, seed: u64) -> Self {
        let mut sim = turmoil::Builder::new()
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(4))
            .simulation_duration(Duration::from_secs(3_600))
            .udp_capacity(4_096)
            .rng_seed(seed)
            .build();
        let random = Random::new(seed);
        let (lost_percent, repeated_percent, bytes_per_span) = (0, 0, usize::MAX);
        let weather = Weather { lost_percent, repeated_percent, bytes_per_span, random };
        let weather = Arc::new(Mutex::new(weather));
        let all: Vec<u64> = nodes.iter().map(|(node, ..)| *node).collect();
        let mut processes = BTreeMap::new();
        for (node, cluster, tls) in nodes {
            let process = Rc::new(Process {
                node,
                cluster,
                tls,
                weather: Arc::clone(&weather),
                runs: Cell::new(0),
                deaf: Cell::new(false),
                heard: RefCell::default(),
                orders: RefCell::default(),
            });
            processes.insert(node, Rc::clone(&process));
            let peers: Vec<u64> = all.iter().copied().filter(|peer| *peer != node).collect();
            sim.host(name(node), move || live(Rc::clone(&process), peers.clone()));
        }
        Self { sim, weather, processes }
    }

    /// Two linked nodes, and nothing heard yet.
    pub(super) fn pair(seed: u64) -> Self {
        let mut network = Self::new(2, seed);
        network.linked();
        network
    }

    /// Run until all running nodes have links to each other, and forget what was heard so far.
    pub(super) fn linked(&mut self) {
        let all: Vec<u64> = self.processes.keys().copied().collect();
        self.until("all links", Duration::from_secs(10), |network| {
            all.iter().all(|node| {
                let peers = all.iter().filter(|peer| *peer != node);
                peers.into_iter().all(|peer| network.is_linked(*node, *peer))
            })
        });
        // A connection that has to give way has done so by then.
        self.run(Duration::from_millis(200));
        for (node, process) in &self.processes {
            // Of two connections dialled at once one may have come up and given way: what stands now
            // is all that a test builds on.
            let peers = all.iter().filter(|peer| *peer != node);
            let last = peers.map(|peer| {
                let (at, event) = *self.link_events(*node, *peer).last().unwrap();
                (at, Event::Link { peer: NodeId(*peer), event })
            });
            let last = last.collect();
            *process.heard.borrow_mut() = last;
        }
    }

    /// From now on no datagram between two nodes overtakes another.
    pub(super) fn keep_order(&self, a: u64, b: u64) {
        self.sim.set_link_latency(name(a), name(b), Duration::from_millis(2));
    }

    /// Let time pass until it is so; gives how long that took.
    pub(super) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        so: impl Fn(&Self) -> bool,
    ) -> Duration {
        let begun = self.sim.elapsed();
        while !so(self) {
            let took = self.sim.elapsed() - begun;
            assert!(took < limit, "{what}: not within {limit:?}; {:?}", self.links());
            self.sim.step().unwrap();
        }
        self.sim.elapsed() - begun
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.sim.elapsed() + span;
        while self.sim.elapsed() < end {
            self.sim.step().unwrap();
        }
    }

    /// Have the transport of a node do something, within its own time.
    pub(super) fn order(&self, node: u64, order: impl FnOnce(&Transport) + 'static) {
        let orders = self.processes[&node].orders.borrow();
        assert!(orders.as_ref().unwrap().try_send(Box::new(order)).is_ok(), "node {node} runs");
    }

    pub(super) fn send(&self, from: u64, to: u64, lane: Lane, packet: Packet) {
        self.order(from, move |transport| transport.send(voter(to), lane, packet));
    }

    /// Does the driver of a node take its events?
    pub(super) fn set_deaf(&self, node: u64, deaf: bool) {
        self.processes[&node].deaf.set(deaf);
        // So that it looks.
        self.order(node, |_| {});
    }

    pub(super) fn is_linked(&self, node: u64, peer: u64) -> bool {
        matches!(self.link_events(node, peer).last(), Some((_, LinkEvent::Up(_))))
    }

    /// What a node was told of the link to a peer.
    pub(super) fn link_events(&self, node: u64, peer: u64) -> Vec<(Duration, LinkEvent)> {
        let heard = self.processes[&node].heard.borrow();
        let events = heard.iter().filter_map(|(at, event)| {
            let Event::Link { peer: found, event } = event else { return None };
            (*found == NodeId(peer)).then_some((*at, *event))
        });
        events.collect()
    }

    /// What a node heard since the last look, with the time of its process.
    pub(super) fn take(&self, node: u64) -> Vec<(Duration, Event)> {
        let mut heard = self.processes[&node].heard.borrow_mut();
        let taken = heard.clone();
        heard.retain(|(_, event)| matches!(event, Event::Link { .. }));
        taken
    }

    /// End a process without a word.
    pub(super) fn kill(&mut self, node: u64) {
        self.sim.crash(name(node));
        *self.processes[&node].orders.borrow_mut() = None;
        self.processes[&node].heard.borrow_mut().clear();
    }

    /// A killed process lives again.
    pub(super) fn restart(&mut self, node: u64) {
        self.sim.bounce(name(node));
    }

    fn links(&self) -> Vec<(u64, u64, bool)> {
        let all: Vec<u64> = self.processes.keys().copied().collect();
        let pairs = all.iter().flat_map(|node| all.iter().map(move |peer| (*node, *peer)));
        let links = pairs.filter(|(node, peer)| node != peer);
        links.map(|(node, peer)| (node, peer, self.is_linked(node, peer))).collect()
    }
}

pub(super) fn name(node: u64) -> String {
    format!("n{node}")
}

/// One run of a process.
async fn live(me: Rc<Process>, peers: Vec<u64>) -> turmoil::Result {
    me.runs.set(me.runs.get() + 1);
    let (events, mut received) = mpsc::channel(EVENTS_MAX);
    let (orders, mut ordered) = mpsc::channel::<Order>(ORDERS_MAX);
    *me.orders.borrow_mut() = Some(orders);
    let options = Options {
        me: voter(me.node),
        cluster: me.cluster,
        listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
        tls: me.tls.clone(),
        epoch: me.runs.get(),
        events,
        queues: QUEUES,
    };
    let socket = Socket::bind(options.listen, Arc::clone(&me.weather)).await?;
    let transport = Transport::start_on(options, |_| Ok(Arc::new(socket)))?;
    let address = |peer| (NodeId(peer), format!("{}:{PORT}", turmoil::lookup(name(peer))));
    transport.set_peers(peers.into_iter().map(address).collect());
    loop {
        tokio::select! {
            Some(order) = ordered.recv() => order(&transport),
            Some(event) = received.recv(), if !me.deaf.get() => {
                me.heard.borrow_mut().push((turmoil::sim_elapsed().unwrap(), event));
            }
            else => return Ok(()),
        }
    }
}

/// A socket of the simulated network, as quinn wants one.
#[derive(Debug)]
struct Socket {
    udp: Arc<UdpSocket>,
    received: Mutex<mpsc::Receiver<(Bytes, SocketAddr)>>,
    weather: Arc<Mutex<Weather>>,
    /// The current span of time, and what was sent in it.
    sent: Mutex<(Instant, usize)>,
}

impl Socket {
    async fn bind(listen: SocketAddr, weather: Arc<Mutex<Weather>>) -> io::Result<Self> {
        let udp = Arc::new(UdpSocket::bind(listen).await?);
        let (hand_on, received) = mpsc::channel(1);
        let from = Arc::clone(&udp);
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, sender)) = from.recv_from(&mut buffer).await {
                let datagram = Bytes::copy_from_slice(&buffer[..length]);
                if hand_on.send((datagram, sender)).await.is_err() {
                    return;
                }
            }
        });
        let sent = Mutex::new((Instant::now(), 0));
        Ok(Self { udp, received: Mutex::new(received), weather, sent })
    }

    /// Does the link take so many bytes more at once?
    fn has_room(&self, bytes: usize, bytes_per_span: usize) -> bool {
        let mut sent = self.sent.lock().unwrap();
        if sent.0.elapsed() >= SPAN {
            *sent = (Instant::now(), 0);
        }
        sent.1 = sent.1.saturating_add(bytes);
        sent.1 <= bytes_per_span
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut weather = self.weather.lock().unwrap();
        let Weather { lost_percent, repeated_percent, bytes_per_span, .. } = *weather;
        let lost = weather.random.up_to(99) < lost_percent;
        let repeated = weather.random.up_to(99) < repeated_percent;
        if lost || !self.has_room(transmit.contents.len(), bytes_per_span) {
            return Ok(());
        }
        for _ in 0..if repeated { 2 } else { 1 } {
            // Where nobody is, nobody is reached.
            let _unreachable = self.udp.try_send_to(transmit.contents, transmit.destination);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.received.lock().unwrap().poll_recv(context);
        received.map(|received| {
            let (datagram, addr) = received.ok_or_else(|| io::Error::other("the host is gone"))?;
            let len = datagram.len();
            buffers[0][..len].copy_from_slice(&datagram);
            meta[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            Ok(1)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
