//! `node.toml`: read once, checked once, and then only typed values.
//!
//! `file -> RawConfig` (serde, unknown keys refused) `-> Config` (bounds, addresses, paths). What is
//! wrong is told with file, line, key and what is allowed; nothing is guessed or clamped. A
//! [`Config`] that exists is one that a node can run: every path in it is resolved against the
//! file's own folder, and every number lies within its [`Bounded`].

mod address;
mod check;
mod limits;
mod raw;
#[cfg(test)]
mod tests;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use election::NodeId;

pub use self::{
    address::{ClientUrl, HostPort, PEER_PORT_DEFAULT},
    check::ConfigError,
    limits::Limits,
};

/// A checked configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Which node this is.
    pub node: Node,
    /// Its cluster.
    pub cluster: Cluster,
    /// Where it listens.
    pub listen: Listen,
    /// Certificates and keys.
    pub tls: Tls,
    /// Timers.
    pub timing: Timing,
    /// The log on disk.
    pub storage: Storage,
    /// Bounds on what clients may take.
    pub limits: Limits,
    /// Who may see the metrics.
    pub metrics: Metrics,
    /// What is told to stderr.
    pub log: Log,
}

/// `[node]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// The node's number.
    pub id: NodeId,
    /// The data directory.
    pub data_dir: PathBuf,
}

/// `[cluster]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    /// The cluster's name, for people.
    pub name: String,
    /// `[[cluster.nodes]]`, ascending by id, this node among them.
    pub nodes: Vec<ClusterNode>,
}

/// One of `[[cluster.nodes]]`: addresses for the first start and for finding each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterNode {
    /// The node's number.
    pub id: NodeId,
    /// Where its peers reach it (QUIC, UDP).
    pub peer: HostPort,
    /// Where its clients reach it.
    pub client: ClientUrl,
}

/// `[listen]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listen {
    /// For peers (QUIC, UDP).
    pub peer: SocketAddr,
    /// For clients (HTTP, TCP).
    pub client: SocketAddr,
    /// Host names under which clients reach this node, besides those of the client URLs.
    pub names: Vec<String>,
    /// For the metrics alone, on loopback; none is nowhere.
    pub metrics: Option<SocketAddr>,
}

/// `[tls]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// The cluster's CA certificate.
    pub ca: PathBuf,
    /// This node's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What clients are served with.
    pub client: TlsClient,
}

/// What the client port is served with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TlsClient {
    /// The node's own certificate, under the cluster's CA.
    Cluster,
    /// Plain HTTP; on a loopback address only.
    Off,
    /// A certificate from elsewhere.
    Files {
        /// The certificate chain, PEM.
        cert: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
    },
}

/// `[timing]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// A leader speaks at least so often.
    pub heartbeat_ms: u64,
    /// A follower waits at least so long before it asks for an election.
    pub election_ms: u64,
    /// A client's request is answered within this time, if only with "outcome unknown".
    pub request_ms: u64,
    /// SIGTERM: handing over and draining take at most so long.
    pub drain_ms: u64,
    /// A client's TLS handshake ends within this time.
    pub handshake_ms: u64,
    /// A connection owes a request's head, and an idle one its next request, within this time.
    pub head_ms: u64,
    /// A request's body is there within this time.
    pub body_ms: u64,
    /// The first frame of a WebSocket is there within this time.
    pub hello_ms: u64,
}

/// `[storage]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Storage {
    /// Size of a log segment.
    pub segment_bytes: u64,
    /// Segments zeroed ahead.
    pub spare_segments: u64,
    /// Writes are refused while the disk has less free space than this.
    pub reserve_bytes: u64,
    /// Rate at which sealed segments are re-read to find damage; 0 is never.
    pub scrub_bytes_per_s: u64,
}

/// `[metrics]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metrics {
    /// The file whose content is the token that opens them; where there is none, no token does.
    pub token_file: PathBuf,
}

/// `[log]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Log {
    /// The least important that is told.
    pub level: LogLevel,
    /// In what form.
    pub format: LogFormat,
}

/// How important a message must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What an operator should look at.
    Warn,
    /// What changed: role, term, links.
    Info,
    /// Each step.
    Debug,
    /// Each message.
    Trace,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A number with its default, its bounds (both included) and its unit.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    /// `section.key` in `node.toml`.
    pub key: &'static str,
    /// What it is when not given.
    pub default: u64,
    /// The least allowed.
    pub min: u64,
    /// The most allowed.
    pub max: u64,
    /// Of what.
    pub unit: &'static str,
}

/// Every number in `node.toml` that has a default.
pub fn every_bounded() -> impl Iterator<Item = &'static Bounded> {
    BOUNDED.into_iter().chain(limits::TABLE)
}

const BOUNDED: [&Bounded; 12] = [
    &HEARTBEAT_MS,
    &ELECTION_MS,
    &REQUEST_MS,
    &DRAIN_MS,
    &HANDSHAKE_MS,
    &HEAD_MS,
    &BODY_MS,
    &HELLO_MS,
    &SEGMENT_BYTES,
    &SPARE_SEGMENTS,
    &RESERVE_BYTES,
    &SCRUB_BYTES_PER_S,
];

const HEARTBEAT_MS: Bounded = bounded("timing.heartbeat_ms", 50, 5, 5_000, "milliseconds");
const ELECTION_MS: Bounded = bounded("timing.election_ms", 150, 10, 60_000, "milliseconds");
const REQUEST_MS: Bounded = bounded("timing.request_ms", 10_000, 100, 600_000, "milliseconds");
const DRAIN_MS: Bounded = bounded("timing.drain_ms", 5_000, 100, 600_000, "milliseconds");
const HANDSHAKE_MS: Bounded = bounded("timing.handshake_ms", 5_000, 100, 600_000, "milliseconds");
const HEAD_MS: Bounded = bounded("timing.head_ms", 30_000, 100, 600_000, "milliseconds");
const BODY_MS: Bounded = bounded("timing.body_ms", 10_000, 100, 600_000, "milliseconds");
const HELLO_MS: Bounded = bounded("timing.hello_ms", 5_000, 100, 600_000, "milliseconds");
const SEGMENT_BYTES: Bounded =
    bounded("storage.segment_bytes", 64 << 20, 1 << 20, 1 << 30, "bytes");
const SPARE_SEGMENTS: Bounded = bounded("storage.spare_segments", 2, 0, 8, "segments");
const RESERVE_BYTES: Bounded = bounded("storage.reserve_bytes", 256 << 20, 0, 1 << 40, "bytes");
const SCRUB_BYTES_PER_S: Bounded =
    bounded("storage.scrub_bytes_per_s", 8 << 20, 0, 1 << 34, "bytes per second");

// Between reserve and half of it a leader refuses writes and its followers do not yet, though on all of
// them spares may be made meanwhile: these fit in. In the lower half fits what a leader had taken before
// it looked: a full line (32 MiB), and in the second between two looks what a disk writes.
const _: () = assert!(SPARE_SEGMENTS.default * SEGMENT_BYTES.default <= RESERVE_BYTES.default / 2);
const _: () = assert!((32 << 20) + (64 << 20) <= RESERVE_BYTES.default / 2);
const _: () = assert!(wal::SEGMENT_BYTES_MIN <= SEGMENT_BYTES.min);
const _: () = assert!(SEGMENT_BYTES.max <= wal::SEGMENT_BYTES_MAX);

/// `metrics.token_file` when it is not given; then the file may be missing.
pub const METRICS_TOKEN_FILE: &str = "metrics.token";
/// The shortest token in it, in bytes.
pub const METRICS_TOKEN_BYTES_MIN: usize = 16;
/// The longest.
pub const METRICS_TOKEN_BYTES_MAX: usize = 256;
/// A segment is a whole number of these.
pub const SEGMENT_ALIGN_BYTES: u64 = 4_096;
/// The largest `node.toml` that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// The largest node number.
pub const NODE_ID_MAX: u64 = 65_535;
/// The most `[[cluster.nodes]]`.
pub const CLUSTER_NODES_MAX: usize = replication::MEMBERS_MAX;
/// Names in `listen.names`.
pub const LISTEN_NAMES_MAX: usize = 16;
/// The longest cluster name.
pub const CLUSTER_NAME_BYTES_MAX: usize = 32;

const fn bounded(
    key: &'static str,
    default: u64,
    min: u64,
    max: u64,
    unit: &'static str,
) -> Bounded {
    assert!(min <= default && default <= max);
    Bounded { key, default, min, max, unit }
}

impl Config {
    /// Read, parse and check `file`, and that the files it names are there.
    ///
    /// # Errors
    /// What is wrong, with file, line, key and what is allowed.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = read_bounded(file).map_err(|problem| ConfigError::unreadable(file, problem))?;
        let (config, raw) = Self::parse_raw(file, &text)?;
        check::files_present(&check::Source::new(file, &text), &raw, &config)?;
        Ok(config)
    }

    /// Parse and check `text` as if it stood in `file`; nothing is read from disk.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        Ok(Self::parse_raw(file, text)?.0)
    }

    /// This node's own place in `[[cluster.nodes]]`.
    ///
    /// # Panics
    /// Never for a checked configuration: it lists its own node.
    #[must_use]
    pub fn own(&self) -> &ClusterNode {
        let own = self.cluster.nodes.iter().find(|node| node.id == self.node.id);
        own.expect("a checked configuration lists its own node")
    }

    fn parse_raw(file: &Path, text: &str) -> Result<(Self, raw::RawConfig), ConfigError> {
        let source = check::Source::new(file, text);
        let raw: raw::RawConfig =
            toml::from_str(text).map_err(|error| source.parse_error(&error))?;
        let config = check::check(&source, &raw)?;
        Ok((config, raw))
    }
}

impl LogLevel {
    /// Every level, as it is written.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl LogFormat {
    /// Every form, as it is written.
    pub const NAMES: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// Is this a name that a cluster may have?
#[must_use]
pub fn is_cluster_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=CLUSTER_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// What [`is_cluster_name`] allows, in words.
pub const CLUSTER_NAME_ALLOWED: &str =
    "1 to 32 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit";

fn read_bounded(file: &Path) -> Result<String, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{length} bytes are too many; at most {FILE_BYTES_MAX}"));
    }
    fs::read_to_string(file).map_err(|error| error.to_string())
}
