//! Why a transport does not start, and why a link does not come about or ends.

use std::{io, net::SocketAddr, time::Duration};

use election::NodeId;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use rustls::server::VerifierBuilderError;
use rustls_pki_types::pem;

use super::identity::IdentityError;
use crate::DecodeError;

/// Why a transport does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error(
        "cannot listen for peers on {listen} (UDP); is the port in use, the address this host's?"
    )]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key is not fit for this node.
    #[error("the {what} cannot be used; `node certs show` and `node certs renew` help")]
    Tls {
        /// Which: CA certificate, node certificate, node key.
        what: &'static str,
        /// What is wrong with it.
        source: TlsError,
    },
    /// Not called within a tokio runtime.
    #[error("the transport must be started within a tokio runtime")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
}

/// What is wrong with a certificate or a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not readable as PEM.
    #[error("not readable as PEM: {0}")]
    Pem(pem::Error),
    /// Not a certificate authority.
    #[error("not fit as an authority")]
    Verifier(#[source] VerifierBuilderError),
    /// Expired, not yet valid, of another authority, or not fit for TLS between nodes.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// Of another cluster or node.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why a link does not come about, or ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("cannot resolve the peer's address {address}")]
    Resolve { address: String, source: io::Error },
    #[error("the peer's address {address} has no IP address that this node's socket can reach")]
    NoAddress { address: String },
    #[error("cannot dial")]
    Dial(#[from] quinn::ConnectError),
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("no {what} within {limit:?}")]
    Timeout { what: &'static str, limit: Duration },
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the peer ended a stream")]
    StreamEnded,
    #[error(transparent)]
    Frame(#[from] DecodeError),
    #[error("{0} came out of its turn")]
    Unexpected(&'static str),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("node {0} is no member here")]
    NotMember(NodeId),
    #[error("node {0} is no member here, and there is no room for another guest")]
    NoGuestRoom(NodeId),
    #[error("the hello claims {claimed}, which is not what the certificate says")]
    ForgedHello { claimed: String },
    #[error("the peer speaks protocol versions {min} to {max}, this node {ours}")]
    Version { min: u16, max: u16, ours: u16 },
    #[error("another connection to this peer is kept")]
    Duplicate,
    #[error("the driver is gone")]
    NoDriver,
}

/// The application's close codes. Frozen: peers of every version read them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum CloseCode {
    /// The node stops, and it is not one that leads.
    Stopped = 1,
    /// The node will lead no more.
    SteppedDown = 2,
    /// Another connection is kept instead.
    Duplicate = 3,
    /// The peer is no member.
    NotMember = 4,
    /// The peer is not who it says it is.
    Identity = 5,
    /// No common protocol version.
    Version = 6,
    /// A malformed frame, or one out of its turn.
    Malformed = 7,
    /// A lane was full.
    LaneFull = 8,
    /// The peer said no hello.
    Timeout = 9,
    /// The peer is no member, and no further guest is let in now.
    NoGuestRoom = 10,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code as u32)
    }
}

impl LinkError {
    /// Did one of the two ends keep another connection instead?
    pub(super) fn is_duplicate(&self) -> bool {
        let is_told = |lost: &ConnectionError| {
            matches!(lost, ConnectionError::ApplicationClosed(close)
                if close.error_code == CloseCode::Duplicate.into())
        };
        matches!(self, Self::Duplicate)
            || matches!(self, Self::Connection(lost) if is_told(lost))
            || matches!(self, Self::Write(WriteError::ConnectionLost(lost)) if is_told(lost))
            || matches!(self, Self::Read(ReadError::ConnectionLost(lost)) if is_told(lost))
    }

    /// The code to close the connection with.
    pub(super) fn code(&self) -> CloseCode {
        match self {
            Self::Frame(DecodeError::Newer { .. }) | Self::Version { .. } => CloseCode::Version,
            Self::Frame(_) | Self::StreamEnded | Self::Unexpected(_) | Self::Read(_) => {
                CloseCode::Malformed
            }
            Self::Identity(_) | Self::ForgedHello { .. } | Self::Tls(_) => CloseCode::Identity,
            Self::NotMember(_) => CloseCode::NotMember,
            Self::NoGuestRoom(_) => CloseCode::NoGuestRoom,
            Self::Duplicate => CloseCode::Duplicate,
            Self::Timeout { .. } => CloseCode::Timeout,
            Self::Resolve { .. }
            | Self::NoAddress { .. }
            | Self::Dial(_)
            | Self::Connection(_)
            | Self::Write(_)
            | Self::NoDriver => CloseCode::Stopped,
        }
    }
}
