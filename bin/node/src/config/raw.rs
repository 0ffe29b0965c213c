//! `node.toml` as it is written: names and types only. Bounds are judged in `check`.

use serde::Deserialize;
use toml::Spanned;

use super::limits::RawLimits;

/// A value that remembers where it stands, so that a complaint can name the line.
pub(super) type At<T> = Spanned<T>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) node: RawNode,
    pub(super) cluster: RawCluster,
    #[serde(default)]
    pub(super) listen: RawListen,
    pub(super) tls: RawTls,
    #[serde(default)]
    pub(super) timing: RawTiming,
    #[serde(default)]
    pub(super) storage: RawStorage,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) metrics: RawMetrics,
    #[serde(default)]
    pub(super) log: RawLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    pub(super) id: At<u64>,
    pub(super) data_dir: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCluster {
    pub(super) name: At<String>,
    pub(super) nodes: At<Vec<RawClusterNode>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClusterNode {
    pub(super) id: At<u64>,
    pub(super) peer: At<String>,
    pub(super) client: At<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    pub(super) peer: Option<At<String>>,
    pub(super) client: Option<At<String>>,
    pub(super) names: Option<At<Vec<String>>>,
    pub(super) metrics: Option<At<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) ca: At<String>,
    pub(super) cert: At<String>,
    pub(super) key: At<String>,
    pub(super) client: Option<At<RawTlsClient>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"cluster\", \"off\" or { cert = FILE, key = FILE }")]
pub(super) enum RawTlsClient {
    Word(String),
    Files(RawTlsFiles),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTlsFiles {
    pub(super) cert: String,
    pub(super) key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTiming {
    pub(super) heartbeat_ms: Option<At<u64>>,
    pub(super) election_ms: Option<At<u64>>,
    pub(super) request_ms: Option<At<u64>>,
    pub(super) drain_ms: Option<At<u64>>,
    pub(super) handshake_ms: Option<At<u64>>,
    pub(super) head_ms: Option<At<u64>>,
    pub(super) body_ms: Option<At<u64>>,
    pub(super) hello_ms: Option<At<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStorage {
    pub(super) segment_bytes: Option<At<u64>>,
    pub(super) spare_segments: Option<At<u64>>,
    pub(super) reserve_bytes: Option<At<u64>>,
    pub(super) scrub_bytes_per_s: Option<At<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) token_file: Option<At<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: Option<At<String>>,
    pub(super) format: Option<At<String>>,
}
