//! The transport between nodes: QUIC with mutual TLS. The only module that names quinn or rustls.
//!
//! One connection per pair of nodes, one one-way stream per lane and direction. A message arrives
//! once, in the order of its lane, or its connection is lost and a [`LinkEvent`] says so; nothing is
//! sent again. Who a message is from is proved by the certificate and the hello of its connection.
//! Every queue and every frame has a bound; no peer, and no stranger, can make this module panic.

use core::fmt;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use election::{NodeId, VoterId};
use quinn::AsyncUdpSocket;
use tokio::{runtime::Handle, sync::mpsc};

use self::{error::CloseCode, identity::Credentials, peer::Node};
use crate::{Lane, LinkEvent, Message, codec::Packet};

mod endpoint;
mod error;
pub mod identity;
mod lane;
mod link;
mod peer;

pub use error::{StartError, TlsError};
pub use peer::GUESTS_MAX;

/// What the transport tells the driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// From the peer's core.
    Message {
        /// Proved by certificate and hello.
        from: VoterId,
        /// What it says.
        message: Message,
    },
    /// From the peer's driver.
    Report {
        /// Proved by certificate and hello.
        from: VoterId,
        /// What it says, at most [`REPORT_BYTES_MAX`](crate::codec::REPORT_BYTES_MAX).
        bytes: Bytes,
    },
    /// A node that is to join, mostly a guest, asks what the cluster started from.
    GenesisQuestion {
        /// Proved by certificate and hello.
        from: VoterId,
    },
    /// A peer's answer to that question.
    Genesis {
        /// Proved by certificate and hello.
        from: VoterId,
        /// What it says, at most [`GENESIS_BYTES_MAX`](crate::codec::GENESIS_BYTES_MAX).
        bytes: Bytes,
    },
    /// The link to a peer changed. Between `Up` and the event after it, every message of that peer
    /// is from the identity that `Up` named.
    Link {
        /// The peer's number.
        peer: NodeId,
        /// What happened.
        event: LinkEvent,
    },
}

/// The certificates as PEM text; reading the files is the caller's.
#[derive(Clone)]
pub struct TlsOptions {
    /// The cluster's certificate authority.
    pub ca_pem: Vec<u8>,
    /// This node's certificate, and any between it and the authority.
    pub cert_pem: Vec<u8>,
    /// This node's private key.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsOptions(..)")
    }
}

/// What a transport needs to start.
#[derive(Debug)]
pub struct Options {
    /// This node.
    pub me: VoterId,
    /// Its cluster.
    pub cluster: u128,
    /// Where peers reach it (UDP).
    pub listen: SocketAddr,
    /// Its certificates.
    pub tls: TlsOptions,
    /// Which run of the process this is: greater than at every earlier start of this data directory
    /// (the wall clock in microseconds will do). A connection of a later run replaces one of an earlier.
    pub epoch: u64,
    /// Where events go. While it is full the transport stops reading, and the peers' lanes fill: give
    /// it room for [`EVENTS_MAX`].
    pub events: mpsc::Sender<Event>,
    /// How much may wait in each lane to each peer.
    pub queues: QueueBounds,
}

/// How many events may wait for the driver.
pub const EVENTS_MAX: usize = 256;

/// The most bytes of frames that may wait to be sent to one peer. A lane that would hold more is
/// reset: the connection is closed and dialled again, and both cores are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueBounds {
    /// In [`Lane::Control`].
    pub control_bytes: usize,
    /// In [`Lane::Log`].
    pub log_bytes: usize,
    /// In [`Lane::Bulk`].
    pub bulk_bytes: usize,
}

/// The transport of one node. Dropping it closes every connection.
#[derive(Debug)]
pub struct Transport {
    node: Arc<Node>,
}

impl Transport {
    /// Bind the port and listen. Nobody is dialled or let in before [`Self::set_peers`]. Must be
    /// called within a tokio runtime, which then runs the connections.
    ///
    /// # Errors
    /// When the port cannot be had or the certificates are not fit for this node.
    pub fn start(options: Options) -> Result<Self, StartError> {
        Self::start_on(options, endpoint::bind)
    }

    /// The same on the socket that `bind` gives for the port.
    fn start_on(
        options: Options,
        bind: impl FnOnce(SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>,
    ) -> Result<Self, StartError> {
        let runtime = Handle::try_current()?;
        let credentials = Credentials::load(&options.tls, options.cluster, options.me.node)?;
        let (endpoint, local) = endpoint::listen(options.listen, bind, &credentials)?;
        let node = Arc::new(Node::new(options, endpoint, local, credentials, runtime));
        node.runtime.spawn(endpoint::accept(Arc::clone(&node)));
        Ok(Self { node })
    }

    /// Dial these (`HOST:PORT`) and let them in. Connections to nodes that are no longer named are
    /// closed. This node itself may be among them.
    ///
    /// Other nodes of the cluster may come as guests, [`GUESTS_MAX`] at a time: whoever wants to join,
    /// was removed, or joined while this node was away. A guest may ask for the genesis, and be heard
    /// and answered by the core; no link event speaks of it, and its proposals, reads and reports are
    /// dropped. It is a peer from the moment it is named.
    pub fn set_peers(&self, peers: Vec<(NodeId, String)>) {
        self.node.set_peers(peers);
    }

    /// Send, or drop: when there is no connection, when the peer is another identity than `to`, or
    /// when the lane is full. Never blocks.
    pub fn send(&self, to: VoterId, lane: Lane, packet: Packet) {
        self.node.send(to, lane, &packet);
    }

    /// Take new certificates for all connections from now on; those that stand are kept.
    ///
    /// # Errors
    /// When they are not fit for this node; then the old ones stay.
    pub fn set_tls(&self, tls: &TlsOptions) -> Result<(), StartError> {
        let credentials = Credentials::load(tls, self.node.cluster, self.node.me.node)?;
        self.node.endpoint.set_server_config(Some(endpoint::server_config(&credentials)?));
        self.node.set_credentials(credentials);
        Ok(())
    }

    /// Close every connection and say why; with `stepped_down` the peers get
    /// [`LinkEvent::SteppedDown`], else [`LinkEvent::Lost`]. Nothing is sent or delivered after.
    /// [`Self::closed`] waits until the peers have been told.
    pub fn close(&self, stepped_down: bool) {
        self.node.close(if stepped_down { CloseCode::SteppedDown } else { CloseCode::Stopped });
    }

    /// Wait, after [`Self::close`], until the peers have been told or cannot be reached. Takes three
    /// probe timeouts at most; give it a deadline.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let endpoint = self.node.endpoint.clone();
        async move { endpoint.wait_idle().await }
    }

    /// The round-trip time to a connected peer.
    #[must_use]
    pub fn rtt(&self, peer: NodeId) -> Option<Duration> {
        Some(self.node.link(peer)?.connection.rtt())
    }

    /// Where it listens: the port that was chosen when port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.node.local
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.close(false);
    }
}

#[cfg(test)]
mod tests;
