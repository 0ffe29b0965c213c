//! The socket, its limits, and those who knock.
//!
//! quinn's own limits are open; every one that matters is set here. What a stranger can hold is
//! bounded by [`HALF_OPEN_MAX`], what a peer can hold by the windows.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout,
    Incoming, Runtime, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use ring::rand::{SecureRandom, SystemRandom};
use tracing::{debug, warn};

use super::{
    error::{LinkError, StartError, TlsError},
    identity::Credentials,
    link,
    peer::Node,
};

/// A connection without a sign of life for so long is lost. Above three probe timeouts on any network
/// that a cluster can live on.
const IDLE_TIMEOUT_MS: u32 = 1_500;
/// An idle connection is probed this often; several probes fit into the idle timeout.
const KEEP_ALIVE_INTERVAL_MS: u64 = 400;
/// Assumed before it is measured: a LAN, so that a lost first packet costs little.
const INITIAL_RTT_MS: u64 = 20;
/// What one lane may have in flight.
const LANE_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// What a connection may have in flight: all lanes at once, so that none takes another's room.
const CONNECTION_WINDOW_BYTES: u32 = 4 * LANE_WINDOW_BYTES;
/// One for each lane.
const STREAMS_MAX: u32 = 3;
/// Connections whose peer has not said who it is. Beyond these, newcomers are refused.
const HALF_OPEN_MAX: usize = 64;
/// Beyond so many, newcomers must first prove their address (Retry).
const HALF_OPEN_RETRY: usize = 16;
/// What strangers' first packets may occupy together.
const INCOMING_BYTES_MAX: u64 = 1024 * 1024;

const _: () = assert!(KEEP_ALIVE_INTERVAL_MS * 3 < IDLE_TIMEOUT_MS as u64);
const _: () = assert!(LANE_WINDOW_BYTES * STREAMS_MAX < CONNECTION_WINDOW_BYTES);

/// The port that peers reach.
pub(super) fn bind(listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    TokioRuntime.wrap_udp_socket(UdpSocket::bind(listen)?)
}

/// Listen on the socket that `bind` gives for the port.
pub(super) fn listen(
    listen: SocketAddr,
    bind: impl FnOnce(SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>,
    credentials: &Credentials,
) -> Result<(Endpoint, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { listen, source };
    let mut config = EndpointConfig::new(Arc::new(credentials.reset_key()));
    config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
    let server = Some(server_config(credentials)?);
    let socket = bind(listen).map_err(failed)?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new_with_abstract_socket(config, server, socket, runtime);
    let endpoint = endpoint.map_err(failed)?;
    let local = endpoint.local_addr().map_err(failed)?;
    Ok((endpoint, local))
}

/// To let peers in.
pub(super) fn server_config(credentials: &Credentials) -> Result<ServerConfig, StartError> {
    let unfit =
        |error| StartError::Tls { what: "node certificate", source: TlsError::Rustls(error) };
    let tls = credentials.server().map_err(unfit)?;
    let tls = QuicServerConfig::try_from(tls).expect("the ring provider has QUIC's first cipher");
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport_config()))
        .migration(false)
        .max_incoming(HALF_OPEN_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX / HALF_OPEN_MAX as u64)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    Ok(config)
}

/// To dial one peer.
pub(super) fn client_config(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let tls = QuicClientConfig::try_from(tls).expect("the ring provider has QUIC's first cipher");
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport_config()));
    config
}

fn transport_config() -> TransportConfig {
    let idle = IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS));
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(Duration::from_millis(KEEP_ALIVE_INTERVAL_MS)))
        .initial_rtt(Duration::from_millis(INITIAL_RTT_MS))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(LANE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .datagram_receive_buffer_size(None);
    config
}

/// Connection ids without a key, so that a restarted process answers to the ids of the one before it:
/// with a stateless reset that the peer recognises.
struct RandomIds(SystemRandom);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        self.0.fill(&mut id).expect("the system gives random bytes");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// A connection whose peer has not said who it is, while this lives.
#[derive(Debug)]
pub(super) struct HalfOpen(Arc<AtomicUsize>);

impl HalfOpen {
    /// Count one more; the second value is how many there were.
    fn enter(count: &Arc<AtomicUsize>) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(Arc::clone(count)), before)
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Let peers in until the endpoint is closed.
pub(super) async fn accept(node: Arc<Node>) {
    let half_open = Arc::default();
    let endpoint = node.endpoint.clone();
    while let Some(incoming) = endpoint.accept().await {
        let (guard, before) = HalfOpen::enter(&half_open);
        if before >= HALF_OPEN_RETRY && incoming.may_retry() {
            // Fails only for an address that has proved itself, and that one may not retry.
            if incoming.retry().is_err() {
                debug!("a stranger could not be asked to prove its address");
            }
            continue;
        }
        if before >= HALF_OPEN_MAX {
            incoming.refuse();
            continue;
        }
        tokio::spawn(admit(Arc::clone(&node), incoming, guard));
    }
}

async fn admit(node: Arc<Node>, incoming: Incoming, half_open: HalfOpen) {
    let remote = incoming.remote_address();
    match link::accept(&node, incoming, half_open).await {
        // The peer's dialler knows better than this side, and says so there.
        Ok(())
        | Err(LinkError::Duplicate | LinkError::Connection(quinn::ConnectionError::TimedOut)) => {}
        Err(error) if node.may_complain() => {
            warn!(%remote, error = &error as &dyn std::error::Error, "refused a connection");
        }
        Err(error) => debug!(%remote, %error, "refused a connection"),
    }
}
