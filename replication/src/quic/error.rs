//! Why a transport does not start.

use std::{io, net::SocketAddr};

/// Why a transport does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error(
        "cannot listen on {listen} (UDP): is another node running there, or the address not this host's?"
    )]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key is not fit for this node.
    #[error("the {what} cannot be used: {reason}")]
    Tls {
        /// Which file: CA certificate, node certificate, node key.
        what: &'static str,
        /// What is wrong, and the mend.
        reason: String,
    },
    /// Not called within a tokio runtime.
    #[error("the transport must be started within a tokio runtime")]
    NoRuntime,
}
