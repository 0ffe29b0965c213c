//! Which node a certificate speaks for.
//!
//! A node's certificate carries two names that this module alone writes and reads: the URI
//! `holdfast://<cluster id, 32 hex digits>/node/<number>`, which is its identity, and the DNS name
//! `node-<number>.holdfast`, under which it is dialled. No readable identity means no.

use election::NodeId;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

mod verify;

pub(super) use verify::Credentials;

/// The protocol spoken between nodes, as TLS negotiates it (ALPN).
pub const ALPN: &[u8] = b"holdfast/1";

/// The URI in the certificate of `node` (subject alternative name): its identity.
#[must_use]
pub fn san_uri(cluster: u128, node: NodeId) -> String {
    format!("{SCHEME}{cluster:032x}{NODE}{node}")
}

/// The DNS name in the certificate of `node` (subject alternative name), under which its peers dial
/// it. It is never looked up.
#[must_use]
pub fn server_name(node: NodeId) -> String {
    format!("node-{node}.holdfast")
}

/// The reverse of [`san_uri`]; none for anything that it did not write.
#[must_use]
pub fn parse_san_uri(uri: &str) -> Option<(u128, NodeId)> {
    let (cluster, node) = uri.strip_prefix(SCHEME)?.split_once(NODE)?;
    let cluster = u128::from_str_radix(cluster, 16).ok()?;
    let node = NodeId(node.parse().ok()?);
    (san_uri(cluster, node) == uri).then_some((cluster, node))
}

/// Why a certificate speaks for nobody, or for the wrong one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// Not a certificate.
    #[error("the certificate cannot be parsed")]
    Unreadable,
    /// Without the URI of [`san_uri`], or with several of them.
    #[error("the certificate names no node: it needs exactly one URI {SCHEME}CLUSTER{NODE}NUMBER")]
    Absent,
    /// Of another cluster.
    #[error("the certificate is of cluster {found:032x}, not of this one, {expected:032x}")]
    Cluster {
        /// The certificate's.
        found: u128,
        /// This one's.
        expected: u128,
    },
    /// Of another node.
    #[error("the certificate is of node {found}, not of node {expected}")]
    Node {
        /// The certificate's.
        found: NodeId,
        /// The one that is expected.
        expected: NodeId,
    },
}

/// The node that a certificate in DER form speaks for. Says nothing about who issued it.
///
/// # Errors
/// When it names no node of this cluster.
pub fn read_identity(certificate: &[u8], cluster: u128) -> Result<NodeId, IdentityError> {
    let Ok(([], certificate)) = parse_x509_certificate(certificate) else {
        return Err(IdentityError::Unreadable);
    };
    let Ok(names) = certificate.subject_alternative_name() else {
        return Err(IdentityError::Unreadable);
    };
    let names = names.map_or(&[][..], |names| names.value.general_names.as_slice());
    let mut ours = names.iter().filter_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        uri.starts_with(SCHEME).then_some(*uri)
    });
    let (Some(uri), None) = (ours.next(), ours.next()) else {
        return Err(IdentityError::Absent);
    };
    let (found, node) = parse_san_uri(uri).ok_or(IdentityError::Absent)?;
    if found != cluster {
        return Err(IdentityError::Cluster { found, expected: cluster });
    }
    Ok(node)
}

const SCHEME: &str = "holdfast://";
const NODE: &str = "/node/";

#[cfg(test)]
mod tests;
