//! The peers: whom to dial, whom to let in, and which one connection to each is the link.
//!
//! A node of the cluster that is not named is a guest: it is let in when it knocks, in bounded
//! number, and is not dialled. What a guest says reaches the core, for it may lead the cluster and
//! this node be the one that has not heard of it yet; what asks for a service does not.
//!
//! Every change of a peer's link, and every event of it, passes through the peer's gate. So the driver
//! sees `Up` before the first message of a link, nothing of it after its end, and never two links to
//! one peer at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use election::{NodeId, VoterId};
use quinn::Endpoint;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

use super::{
    Event, QueueBounds,
    error::{CloseCode, LinkError},
    identity::Credentials,
    link::{self, HANDSHAKE_TIMEOUT, HELLO_TIMEOUT, Link},
};
use crate::{Lane, LinkEvent, Message, codec::Packet};

/// How many guests are let in at a time.
pub const GUESTS_MAX: usize = 8;
/// The pause after the first failure to dial. Each pause is drawn from its upper half.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);
/// How much longer the node with the greater number waits before it dials, so that mostly only one
/// side does.
const YIELD: Duration = Duration::from_millis(30);
/// A link that lasted so long was good: the next dial follows at once.
const GOOD_LINK: Duration = Duration::from_millis(1_000);
/// Two connections that came up within this may have been dialled at the same time.
const SIMULTANEOUS: Duration =
    Duration::from_millis(500).saturating_add(HANDSHAKE_TIMEOUT).saturating_add(HELLO_TIMEOUT);
/// At most one line about refused strangers per so many milliseconds.
const COMPLAINT_INTERVAL_MS: u64 = 1_000;

/// What all tasks of one transport share.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) me: VoterId,
    pub(super) cluster: u128,
    pub(super) epoch: u64,
    pub(super) local: SocketAddr,
    pub(super) queues: QueueBounds,
    pub(super) endpoint: Endpoint,
    pub(super) runtime: Handle,
    events: mpsc::Sender<Event>,
    credentials: RwLock<Arc<Credentials>>,
    peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
    links: AtomicU64,
    guests: Arc<AtomicUsize>,
    /// Whether it has been said who the peers are: before, nobody is let in.
    open: AtomicBool,
    closed: AtomicBool,
    started: Instant,
    complained_ms: AtomicU64,
}

/// One other node.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    state: Mutex<State>,
    /// The link that may deliver. Held while an event is handed over.
    gate: tokio::sync::Mutex<Option<Pass>>,
    linked: watch::Sender<bool>,
}

/// Whose events pass the gate.
#[derive(Debug)]
struct Pass {
    link: u64,
    /// Its place among the guests, while it is one.
    guest: Option<GuestPlace>,
}

/// One of the [`GUESTS_MAX`] places, while this lives.
#[derive(Debug)]
pub(super) struct GuestPlace(Arc<AtomicUsize>);

impl GuestPlace {
    fn take(count: &Arc<AtomicUsize>) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(count));
        (before < GUESTS_MAX).then_some(place)
    }
}

impl Drop for GuestPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    /// Where to dial it; none when it is no member.
    address: Option<String>,
    dialler: Option<AbortHandle>,
    link: Option<Arc<Link>>,
}

impl Node {
    pub(super) fn new(
        options: super::Options,
        endpoint: Endpoint,
        local: SocketAddr,
        credentials: Credentials,
        runtime: Handle,
    ) -> Self {
        let super::Options { me, cluster, epoch, events, queues, .. } = options;
        Self {
            me,
            cluster,
            epoch,
            local,
            queues,
            endpoint,
            runtime,
            events,
            credentials: RwLock::new(Arc::new(credentials)),
            peers: RwLock::default(),
            links: AtomicU64::new(1),
            guests: Arc::default(),
            open: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            started: Instant::now(),
            complained_ms: AtomicU64::new(0),
        }
    }

    /// Dial these, let these in, and no others.
    pub(super) fn set_peers(self: &Arc<Self>, named: Vec<(NodeId, String)>) {
        let named: BTreeMap<NodeId, String> =
            named.into_iter().filter(|(node, _)| *node != self.me.node).collect();
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeSet<NodeId> = named.keys().chain(peers.keys()).copied().collect();
        for node in all {
            let peer = peers.entry(node).or_insert_with(|| Arc::new(Peer::new(node)));
            peer.set_address(self, named.get(&node).cloned());
        }
        self.open.store(true, Ordering::Relaxed);
    }

    /// The peer with this number, with a place among the guests if it is not named.
    pub(super) fn peer(&self, node: NodeId) -> Result<(Arc<Peer>, Option<GuestPlace>), LinkError> {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&node).filter(|peer| peer.state().address.is_some()) {
            return Ok((Arc::clone(peer), None));
        }
        if node == self.me.node || !self.open.load(Ordering::Relaxed) {
            return Err(LinkError::NotMember(node));
        }
        let place = GuestPlace::take(&self.guests).ok_or(LinkError::NoGuestRoom(node))?;
        // Kept for good: there is one for each number that the cluster's authority has certified.
        let peer = peers.entry(node).or_insert_with(|| Arc::new(Peer::new(node)));
        Ok((Arc::clone(peer), Some(place)))
    }

    pub(super) fn send(&self, to: VoterId, lane: Lane, packet: &Packet) {
        if let Some(link) = self.link(to.node).filter(|link| link.voter == to) {
            link.send(lane, packet);
        }
    }

    pub(super) fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(&node)?.state().link.clone()
    }

    pub(super) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_credentials(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
    }

    /// Stop dialling, close every connection, and deliver nothing more.
    pub(super) fn close(&self, code: CloseCode) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        for peer in peers.values() {
            if let Some(dialler) = peer.state().dialler.take() {
                dialler.abort();
            }
        }
        self.endpoint.close(code.into(), b"stopping");
    }

    pub(super) fn next_link_id(&self) -> u64 {
        self.links.fetch_add(1, Ordering::Relaxed)
    }

    /// May another line about a stranger be logged? Strangers must not fill the log.
    pub(super) fn may_complain(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.complained_ms.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= COMPLAINT_INTERVAL_MS;
        let swap = |_| due.then_some(now.max(1));
        self.complained_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, swap).is_ok()
    }

    async fn tell(&self, event: Event) -> Result<(), LinkError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(LinkError::NoDriver);
        }
        self.events.send(event).await.map_err(|_event| LinkError::NoDriver)
    }
}

impl Peer {
    fn new(node: NodeId) -> Self {
        let (linked, _) = watch::channel(false);
        Self { node, state: Mutex::default(), gate: tokio::sync::Mutex::default(), linked }
    }

    pub(super) fn address(&self) -> Option<String> {
        self.state().address.clone()
    }

    /// Make `link` the link to this peer, unless a better one is.
    pub(super) async fn register(
        &self,
        node: &Node,
        link: &Arc<Link>,
        place: Option<GuestPlace>,
    ) -> Result<(), LinkError> {
        let mut gate = self.gate.lock().await;
        let (replaced, guest) = {
            let mut state = self.state();
            // It may have been named or removed since it was greeted.
            let guest = if state.address.is_some() { None } else { place };
            if state.address.is_none() && guest.is_none() {
                return Err(LinkError::NotMember(self.node));
            }
            let current = state.link.as_ref().filter(|old| old.connection.close_reason().is_none());
            if let Some(current) = current {
                let age = link.since.saturating_duration_since(current.since);
                if !Claim::of(link).beats(Claim::of(current), age) {
                    return Err(LinkError::Duplicate);
                }
            }
            (state.link.replace(Arc::clone(link)), guest)
        };
        if let Some(old) = replaced {
            old.close(CloseCode::Duplicate, "replaced by another connection");
        }
        let is_peer = guest.is_none();
        *gate = Some(Pass { link: link.id, guest });
        self.linked.send_replace(true);
        if is_peer { self.tell_up(node, link).await } else { Ok(()) }
    }

    async fn tell_up(&self, node: &Node, link: &Link) -> Result<(), LinkError> {
        node.tell(Event::Link { peer: self.node, event: LinkEvent::Up(link.voter) }).await
    }

    /// It has been named: if it was here as a guest over `link`, it is a peer from now on.
    async fn admit(self: Arc<Self>, node: Arc<Node>, link: Arc<Link>) {
        let mut gate = self.gate.lock().await;
        let pass = gate.as_mut().filter(|pass| pass.link == link.id);
        let place = pass.and_then(|pass| pass.guest.take());
        if place.is_some() && self.tell_up(&node, &link).await.is_err() {
            debug!(peer = %self.node, "nobody is left to hear of a new peer");
        }
    }

    /// Hand an event of `link` over, if it is still the link.
    pub(super) async fn deliver(
        &self,
        node: &Node,
        link: &Link,
        event: Event,
    ) -> Result<(), LinkError> {
        let gate = self.gate.lock().await;
        match gate.as_ref() {
            Some(pass) if pass.link == link.id => {
                if pass.guest.is_some() && asks_service(&event) {
                    debug!(peer = %link.voter, "dropped what a guest asks for");
                    return Ok(());
                }
                node.tell(event).await
            }
            Some(_) | None => Err(LinkError::Duplicate),
        }
    }

    /// The connection of `link` has ended. Says so, unless another has taken its place.
    pub(super) async fn unregister(&self, node: &Node, link: &Link, event: LinkEvent) {
        let mut gate = self.gate.lock().await;
        if gate.as_ref().is_none_or(|pass| pass.link != link.id) {
            return;
        }
        let guest = gate.take().and_then(|pass| pass.guest);
        self.state().link = None;
        let told = Event::Link { peer: self.node, event };
        if guest.is_none() && node.tell(told).await.is_err() {
            debug!(peer = %self.node, "nobody is left to hear of a lost link");
        }
        self.linked.send_replace(false);
    }

    fn set_address(self: &Arc<Self>, node: &Arc<Node>, address: Option<String>) {
        let mut state = self.state();
        let wanted = address.is_some() && !node.closed.load(Ordering::Relaxed);
        let was_named = state.address.is_some();
        state.address = address;
        if wanted
            && !was_named
            && let Some(link) = &state.link
        {
            node.runtime.spawn(Arc::clone(self).admit(Arc::clone(node), Arc::clone(link)));
        }
        if !wanted {
            if let Some(dialler) = state.dialler.take() {
                dialler.abort();
            }
            if let Some(link) = state.link.as_ref().filter(|_| was_named) {
                link.close(CloseCode::NotMember, "no longer a member");
            }
        } else if state.dialler.is_none() {
            let dialler = keep_dialling(Arc::clone(node), Arc::clone(self));
            state.dialler = Some(node.runtime.spawn(dialler).abort_handle());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does this ask for what only members get?
const fn asks_service(event: &Event) -> bool {
    matches!(
        event,
        Event::Report { .. }
            | Event::Message {
                message: Message::Forward { .. }
                    | Message::Reconfigure { .. }
                    | Message::Read { .. }
                    | Message::Drain { .. },
                ..
            }
    )
}

/// What decides between two connections to one peer.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// Which run of the peer's process.
    epoch: u64,
    dialled_by: NodeId,
}

impl Claim {
    fn of(link: &Link) -> Self {
        Self { epoch: link.epoch, dialled_by: link.dialled_by }
    }

    /// Does this connection take the place of `current`, which came up `age` before it? Both sides
    /// decide alike. A connection of a later run of the peer's process wins at once. Of two that were
    /// dialled at the same time, the one of the smaller node wins. Otherwise whoever dialled the new
    /// one has lost the old one, whatever this side still believes.
    fn beats(self, current: Self, age: Duration) -> bool {
        if self.epoch != current.epoch {
            return self.epoch > current.epoch;
        }
        self.dialled_by <= current.dialled_by || age > SIMULTANEOUS
    }
}

/// Dial the peer whenever there is no link to it, until aborted.
async fn keep_dialling(node: Arc<Node>, peer: Arc<Peer>) {
    let mut linked = peer.linked.subscribe();
    let mut backoff = Backoff::new(node.me.node > peer.node);
    let mut complaint = String::new();
    for attempt in 0.. {
        let since = *linked.borrow_and_update();
        let waiting = Instant::now();
        if linked.wait_for(|linked| !linked).await.is_err() {
            return;
        }
        if since && waiting.elapsed() >= GOOD_LINK {
            backoff.reset();
        }
        sleep(backoff.next()).await;
        if *linked.borrow() {
            continue;
        }
        match link::dial(&node, &peer, attempt).await {
            Ok(()) => complaint.clear(),
            // The peer and this node keep the other connection: no complaint.
            Err(error) if error.is_duplicate() => {}
            Err(error) => {
                // A dead peer is worth one line, not one a second.
                let new = describe(&error);
                if new == complaint {
                    debug!(peer = %peer.node, error = new, "cannot connect");
                } else {
                    warn!(peer = %peer.node, error = new, "cannot connect; trying on");
                    complaint = new;
                }
            }
        }
    }
}

/// An error and its causes in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Growing, jittered pauses.
struct Backoff {
    random: SystemRandom,
    yielding: Duration,
    next: Duration,
}

impl Backoff {
    fn new(yields: bool) -> Self {
        let yielding = if yields { YIELD } else { Duration::ZERO };
        Self { random: SystemRandom::new(), yielding, next: Duration::ZERO }
    }

    /// No pause next.
    fn reset(&mut self) {
        self.next = Duration::ZERO;
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        let mut random = [0; 4];
        // Without random bytes the pauses are merely even.
        if self.random.fill(&mut random).is_err() {
            random = [0; 4];
        }
        let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        self.yielding + pause.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use election::NodeId;

    use super::{BACKOFF_MAX, BACKOFF_MIN, Backoff, Claim, SIMULTANEOUS, YIELD};

    #[test]
    fn both_sides_keep_the_same_connection() {
        let by = |node| Claim { epoch: 5, dialled_by: NodeId(node) };
        let now = Duration::ZERO;
        assert!(by(1).beats(by(2), now));
        assert!(!by(2).beats(by(1), now));
        // Dialled again by the side that has lost it.
        assert!(by(1).beats(by(1), now));
        assert!(!by(2).beats(by(1), SIMULTANEOUS));
        assert!(by(2).beats(by(1), SIMULTANEOUS + Duration::from_millis(1)));
    }

    #[test]
    fn a_restarted_peer_replaces_its_dead_connection_at_once() {
        let old = Claim { epoch: 5, dialled_by: NodeId(1) };
        let new = Claim { epoch: 6, dialled_by: NodeId(2) };
        assert!(new.beats(old, Duration::ZERO));
        assert!(!old.beats(new, Duration::MAX));
    }

    #[test]
    fn pauses_grow_to_their_bound_and_start_over() {
        let mut backoff = Backoff::new(true);
        assert_eq!(backoff.next(), YIELD);
        let mut expected = BACKOFF_MIN;
        for _ in 0..10 {
            let pause = backoff.next() - YIELD;
            assert!(pause >= expected / 2 && pause <= expected, "{pause:?} {expected:?}");
            expected = (expected * 2).min(BACKOFF_MAX);
        }
        backoff.reset();
        assert_eq!(backoff.next(), YIELD);
    }
}
