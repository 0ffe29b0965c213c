//! Which node a certificate speaks for.
//!
//! A node's certificate carries two names that this module alone writes and reads: the URI
//! `holdfast://<cluster id, 32 hex digits>/node/<number>`, which is its identity, and the DNS name
//! `node-<number>.holdfast`, under which it is dialled. No readable identity means no.

use election::NodeId;

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

const SCHEME: &str = "holdfast://";
const NODE: &str = "/node/";

#[cfg(test)]
mod tests;
