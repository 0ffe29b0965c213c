//! One connection to one peer: certificates, hello, lanes, end.
//!
//! The first stream of each side is its control lane, the second its log lane, the third its bulk
//! lane. Each side's first frame on its control lane is its hello; only when the peer's is found good
//! does the link come up, and nothing is read before.

use core::{convert::Infallible, fmt};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use election::{NodeId, VoterId};
use quinn::{Connection, ConnectionError, Incoming, SendStream, VarInt};
use rustls_pki_types::CertificateDer;
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::{
    Event, endpoint,
    endpoint::HalfOpen,
    error::{CloseCode, LinkError},
    identity::{IdentityError, read_identity, server_name},
    lane::{Full, Queue, Reader},
    peer::{GuestPlace, Node, Peer},
};
use crate::{
    Lane, LinkEvent,
    codec::{self, Hello, Packet},
};

/// The oldest protocol version spoken.
pub(super) const VERSION_MIN: u16 = 1;
/// The newest protocol version spoken.
pub(super) const VERSION_MAX: u16 = 1;

/// How long a handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How long the exchange of hellos may take.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_millis(1_000);

/// The longest reason that is sent with a close, in bytes.
const REASON_BYTES_MAX: usize = 200;

/// A connection whose peer has proved who it is.
pub(super) struct Link {
    /// Unique in this process.
    pub(super) id: u64,
    /// The identity of certificate and hello.
    pub(super) voter: VoterId,
    /// Which run of the peer's process.
    pub(super) epoch: u64,
    /// Which side dialled.
    pub(super) dialled_by: NodeId,
    /// When the hellos had been exchanged.
    pub(super) since: Instant,
    pub(super) connection: Connection,
    lanes: [Queue; 3],
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} to {})", self.id, self.voter)
    }
}

impl Link {
    /// Queue a packet. A full lane ends the connection.
    pub(super) fn send(&self, lane: Lane, packet: &Packet) {
        let frame = match codec::encode(packet) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(peer = %self.voter, ?lane, %error, "dropped a packet: this is a bug");
                return;
            }
        };
        if self.queue(lane).push(frame) == Err(Full) && self.connection.close_reason().is_none() {
            warn!(peer = %self.voter, ?lane, "the lane is full: closing the connection");
            self.close(CloseCode::LaneFull, "a lane is full");
        }
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        close(&self.connection, code, reason);
    }

    /// End the connection because one of its streams cannot go on, unless it has ended already.
    fn fail(&self, error: &LinkError) {
        if self.connection.close_reason().is_none() {
            warn!(peer = %self.voter, error = error as &dyn std::error::Error, "closing the connection");
            self.close(error.code(), &error.to_string());
        }
    }

    fn queue(&self, lane: Lane) -> &Queue {
        let [control, log, bulk] = &self.lanes;
        match lane {
            Lane::Control => control,
            Lane::Log => log,
            Lane::Bulk => bulk,
        }
    }
}

/// Dial a peer and serve the connection until it ends. An error means that no link came up.
pub(super) async fn dial(node: &Arc<Node>, peer: &Peer, attempt: usize) -> Result<(), LinkError> {
    let address = peer.address().ok_or(LinkError::NotMember(peer.node))?;
    let remote = timeout(HANDSHAKE_TIMEOUT, resolve(node, &address, attempt))
        .await
        .unwrap_or_else(|elapsed| {
            Err(LinkError::Resolve {
                address,
                source: io::Error::new(io::ErrorKind::TimedOut, elapsed),
            })
        })?;
    let config = endpoint::client_config(node.credentials().client(peer.node)?);
    let connecting = node.endpoint.connect_with(config, remote, &server_name(peer.node))?;
    let limit = HANDSHAKE_TIMEOUT;
    let connection =
        timeout(limit, connecting).await.unwrap_or_else(|_| Err(ConnectionError::TimedOut))?;
    // On a task of its own: a dialler that is no longer wanted ends at once, a link with its event.
    let serving = tokio::spawn(serve(Arc::clone(node), connection, Side::Dialled));
    serving.await.unwrap_or(Ok(()))
}

/// Let a peer in and serve the connection until it ends. An error means that no link came up.
pub(super) async fn accept(
    node: &Arc<Node>,
    incoming: Incoming,
    half_open: HalfOpen,
) -> Result<(), LinkError> {
    let connection = timeout(HANDSHAKE_TIMEOUT, incoming)
        .await
        .unwrap_or_else(|_| Err(ConnectionError::TimedOut))?;
    serve(Arc::clone(node), connection, Side::Incoming(half_open)).await
}

/// Where the peer is. Of several addresses, each attempt takes the next.
async fn resolve(node: &Node, address: &str, attempt: usize) -> Result<SocketAddr, LinkError> {
    let found = lookup_host(address)
        .await
        .map_err(|source| LinkError::Resolve { address: address.to_owned(), source })?;
    let fits = |remote: &SocketAddr| node.local.is_ipv6() || remote.is_ipv4();
    let found: Vec<SocketAddr> = found.filter(fits).collect();
    let chosen = attempt.checked_rem(found.len()).and_then(|at| found.get(at).copied());
    chosen.ok_or_else(|| LinkError::NoAddress { address: address.to_owned() })
}

/// Which side dialled.
enum Side {
    Dialled,
    Incoming(#[expect(dead_code, reason = "counted while it lives")] HalfOpen),
}

async fn serve(node: Arc<Node>, connection: Connection, side: Side) -> Result<(), LinkError> {
    let limit = HELLO_TIMEOUT;
    let greeted = timeout(limit, greet(&node, &connection, &side))
        .await
        .unwrap_or(Err(LinkError::Timeout { what: "hello", limit }));
    let greeted = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            close(&connection, error.code(), &error.to_string());
            return Err(error);
        }
    };
    let Greeted { peer, link, place, sender, reader } = greeted;
    let is_guest = place.is_some();
    if let Err(error) = peer.register(&node, &link, place).await {
        link.close(error.code(), &error.to_string());
        return Err(error);
    }
    // No longer half open.
    drop(side);
    info!(peer = %link.voter, remote = %connection.remote_address(), is_guest, "link up");
    let event = run(&node, &peer, &link, sender, reader).await;
    peer.unregister(&node, &link, event).await;
    Ok(())
}

struct Greeted {
    peer: Arc<Peer>,
    link: Arc<Link>,
    /// Of a guest.
    place: Option<GuestPlace>,
    sender: SendStream,
    reader: Reader,
}

/// Exchange hellos, and find out who the peer is.
async fn greet(node: &Node, connection: &Connection, side: &Side) -> Result<Greeted, LinkError> {
    let certified = identity(connection, node.cluster)?;
    let (peer, place) = node.peer(certified)?;

    let mut sender = open(connection, Lane::Control).await?;
    let hello = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: node.cluster,
        from: node.me,
        epoch: node.epoch,
    };
    let frame = codec::encode(&Packet::Hello(hello)).expect("a hello is within every bound");
    sender.write_chunk(frame).await?;

    let mut reader = Reader::new(connection.accept_uni().await?);
    let Packet::Hello(hello) = reader.next().await? else {
        return Err(LinkError::Unexpected("a packet before the hello"));
    };
    check(&hello, node.cluster, certified)?;
    let link = Link {
        id: node.next_link_id(),
        voter: hello.from,
        epoch: hello.epoch,
        dialled_by: match side {
            Side::Dialled => node.me.node,
            Side::Incoming(_) => certified,
        },
        since: Instant::now(),
        connection: connection.clone(),
        lanes: [
            Queue::new(node.queues.control_bytes),
            Queue::new(node.queues.log_bytes),
            Queue::new(node.queues.bulk_bytes),
        ],
    };
    Ok(Greeted { peer, link: Arc::new(link), place, sender, reader })
}

/// A hello must say what the certificate proves, and a version that this node speaks.
fn check(hello: &Hello, cluster: u128, certified: NodeId) -> Result<(), LinkError> {
    let &Hello { version_min: min, version_max: max, .. } = hello;
    if min > VERSION_MAX || max < VERSION_MIN || min > max {
        return Err(LinkError::Version { min, max, ours: VERSION_MAX });
    }
    if hello.cluster != cluster {
        let claimed = format!("cluster {:032x}", hello.cluster);
        return Err(LinkError::ForgedHello { claimed });
    }
    if hello.from.node != certified {
        return Err(LinkError::ForgedHello { claimed: format!("node {}", hello.from.node) });
    }
    Ok(())
}

/// Whom the peer's certificate, which the handshake has verified, speaks for.
fn identity(connection: &Connection, cluster: u128) -> Result<NodeId, IdentityError> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    read_identity(certificate.ok_or(IdentityError::Absent)?, cluster)
}

/// Write and read the lanes until the connection is closed, and say what that means to the core.
async fn run(
    node: &Arc<Node>,
    peer: &Arc<Peer>,
    link: &Arc<Link>,
    sender: SendStream,
    reader: Reader,
) -> LinkEvent {
    let mut writers = JoinSet::new();
    writers.spawn(write(Arc::clone(link), Lane::Control, Some(sender)));
    writers.spawn(write(Arc::clone(link), Lane::Log, None));
    writers.spawn(write(Arc::clone(link), Lane::Bulk, None));
    // What comes in is treated alike, whatever its lane.
    let mut readers = JoinSet::new();
    for reader in [Some(reader), None, None] {
        readers.spawn(read(Arc::clone(node), Arc::clone(peer), Arc::clone(link), reader));
    }
    let reason = link.connection.closed().await;
    drop(writers);
    // What came in before the end is still handed on.
    while readers.join_next().await.is_some() {}
    info!(peer = %link.voter, %reason, "link lost");
    if let ConnectionError::ApplicationClosed(close) = reason
        && close.error_code == CloseCode::SteppedDown.into()
    {
        return LinkEvent::SteppedDown;
    }
    LinkEvent::Lost
}

/// Write one lane. The control lane's stream has been opened for the hello.
async fn write(link: Arc<Link>, lane: Lane, stream: Option<SendStream>) {
    let stream = match stream {
        Some(stream) => Ok(stream),
        None => open(&link.connection, lane).await,
    };
    let error = match stream {
        Ok(stream) => link.queue(lane).write_to(stream).await,
        Err(error) => error,
    };
    link.fail(&error);
}

/// Read one stream, the next that the peer opens if none is given, and hand on what it says.
async fn read(node: Arc<Node>, peer: Arc<Peer>, link: Arc<Link>, reader: Option<Reader>) {
    let from = link.voter;
    let reading = async {
        let mut reader = match reader {
            Some(reader) => reader,
            None => Reader::new(link.connection.accept_uni().await?),
        };
        loop {
            let event = match reader.next().await? {
                Packet::Core(message) => Event::Message { from, message },
                Packet::Report(bytes) => Event::Report { from, bytes },
                Packet::GenesisQuestion => Event::GenesisQuestion { from },
                Packet::Genesis(bytes) => Event::Genesis { from, bytes },
                Packet::Hello(_) => return Err(LinkError::Unexpected("a second hello")),
            };
            peer.deliver(&node, &link, event).await?;
        }
    };
    let done: Result<Infallible, LinkError> = reading.await;
    let Err(error) = done;
    link.fail(&error);
}

async fn open(connection: &Connection, lane: Lane) -> Result<SendStream, LinkError> {
    let stream = connection.open_uni().await?;
    let priority = match lane {
        Lane::Control => 2,
        Lane::Log => 1,
        Lane::Bulk => 0,
    };
    // Fails only for a stream that has ended, and this one has just been opened.
    stream.set_priority(priority).map_err(quinn::WriteError::from)?;
    Ok(stream)
}

fn close(connection: &Connection, code: CloseCode, reason: &str) {
    let bytes = reason.as_bytes();
    connection.close(VarInt::from(code), bytes.get(..REASON_BYTES_MAX).unwrap_or(bytes));
}
