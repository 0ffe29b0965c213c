//! What a node starts from: its genesis, its log, its identity.
//!
//! A data directory is first started exactly once: then the store id is drawn, and it is durable
//! before anybody hears it.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use election::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};
use replication::{
    Boot as ReplicaBoot, ClusterConfig, Limits, Now, Replica, Timing,
    quic::{self, QueueBounds, TlsOptions},
};
use tokio::sync::mpsc;
use wal::{Io, Log, RealIo, Recovery};

use crate::{
    certs,
    config::Config,
    error::NodeError,
    genesis::Genesis,
    level,
    metrics::{Disk, TimedIo},
    run::promise,
};

/// What the disk gives a node to start with.
pub(super) struct Boot {
    pub(super) me: VoterId,
    pub(super) replica: Replica,
    pub(super) log: Log,
    pub(super) chat: chat::Genesis,
    /// What is told to whoever joins.
    pub(super) genesis: Bytes,
    cluster: u128,
    epoch: u64,
    tls: TlsOptions,
}

/// How much may wait for each peer: several appends of the largest size, and few control messages.
pub(super) const QUEUES: QueueBounds =
    QueueBounds { control_bytes: 1 << 20, log_bytes: 16 << 20, bulk_bytes: 4 << 20 };

impl Boot {
    /// What the transport starts with.
    pub(super) fn transport_options(
        &self,
        listen: SocketAddr,
        events: mpsc::Sender<quic::Event>,
    ) -> quic::Options {
        quic::Options {
            me: self.me,
            cluster: self.cluster,
            listen,
            tls: self.tls.clone(),
            epoch: self.epoch,
            events,
            queues: QUEUES,
        }
    }
}

/// Open the data directory that `config` names; at its first start, make the log.
pub(super) fn open(config: &Config, now: Now, metrics: &Disk) -> Result<Boot, NodeError> {
    let data_dir = &config.node.data_dir;
    let genesis = Genesis::load(data_dir)?.ok_or_else(|| NodeError::NoGenesis(data_dir.clone()))?;
    genesis.check_owner(config)?;
    certs::check_node_certificate(config, Some(&genesis))?;
    let tls = read_tls(config)?;
    let options = log_options(config);
    let failed = |source| wal::Error::Io { action: "open", path: data_dir.clone(), source };
    let disk = RealIo::new(data_dir).map_err(failed)?;
    let io: Arc<dyn Io> = Arc::new(TimedIo::new(disk, metrics.clone()));
    if !Log::exists(&io)? {
        let store = random_u128()?;
        let identity = wal::Identity { cluster: genesis.cluster.0, node: config.node.id.0, store };
        Log::create(&io, identity, &options)?;
    }
    let begun = Instant::now();
    let (log, recovery) = Log::open(io, options)?;
    let took = begun.elapsed();
    if is_alone(&genesis, &recovery) {
        recovery.check_whole()?;
    }
    check_identity(config, &genesis, &recovery)?;
    // Only now: it writes, and until here the directory may be another's.
    promise::check(data_dir);
    metrics.opened(took, recovery.scanned_bytes, log.reader());
    for wal::Found { path, damage, .. } in &recovery.rebuilt {
        tracing::warn!(path = %path.display(), %damage, "a file of the log was lost and made anew");
    }
    for wal::FaultyRange { first, last, kind, .. } in &recovery.faulty {
        tracing::error!(first, last, ?kind, "entries cannot be read: asking the other nodes");
    }
    let (last_index, last_term) = recovery.last;
    tracing::info!(
        last_index,
        last_term,
        tail = ?recovery.tail,
        scanned_bytes = recovery.scanned_bytes,
        ?took,
        "log open"
    );
    if !log.writes_directly() {
        tracing::debug!(
            "the file system of the log does not write past the page cache: through it"
        );
    }
    let me = VoterId { node: config.node.id, store: StoreId(recovery.identity.store) };
    let boot = replica_boot(config, &genesis, me, &recovery)?;
    Ok(Boot {
        me,
        genesis: genesis.encode().into(),
        cluster: genesis.cluster.0,
        epoch: u64::from(recovery.epoch),
        tls,
        replica: Replica::new(now, boot),
        log,
        chat: chat::Genesis { owner_token_hash: Some(genesis.owner_token_hash) },
    })
}

fn log_options(config: &Config) -> wal::Options {
    let storage = &config.storage;
    wal::Options {
        segment_bytes: storage.segment_bytes,
        spare_segments: usize::try_from(storage.spare_segments).unwrap_or(usize::MAX),
        ..wal::Options::default()
    }
}

/// The files that this node and its peers know each other by.
pub(super) fn read_tls(config: &Config) -> Result<TlsOptions, NodeError> {
    let read = |path: &Path| fs::read(path).map_err(NodeError::io("read", path));
    Ok(TlsOptions {
        ca_pem: read(&config.tls.ca)?,
        cert_pem: read(&config.tls.cert)?,
        key_pem: read(&config.tls.key)?,
    })
}

/// Is there nobody who could give back what a damaged log has lost?
fn is_alone(genesis: &Genesis, recovery: &Recovery) -> bool {
    let newest = recovery.configs.last().map(|entry| ClusterConfig::decode(&entry.payload));
    let voters = match newest {
        Some(Ok(config)) => config.voters.len(),
        // What cannot be read is told of later.
        Some(Err(_)) | None => genesis.config().voters.len(),
    };
    voters == 1
}

/// The log must be this node's own: a directory copied from another host is refused untouched.
fn check_identity(config: &Config, genesis: &Genesis, found: &Recovery) -> Result<(), NodeError> {
    let identity = found.identity;
    if identity.cluster == genesis.cluster.0 && identity.node == config.node.id.0 {
        return Ok(());
    }
    Err(NodeError::ForeignData {
        path: config.node.data_dir.clone(),
        found: format!("node {} of cluster {:032x}", identity.node, identity.cluster),
        wanted: format!("node {} of cluster {}", config.node.id, genesis.cluster),
    })
}

fn replica_boot(
    config: &Config,
    genesis: &Genesis,
    me: VoterId,
    recovery: &Recovery,
) -> Result<ReplicaBoot, NodeError> {
    let configs = recovery
        .configs
        .iter()
        .map(|entry| {
            let decoded = ClusterConfig::decode(&entry.payload);
            let config = decoded.map_err(|error| NodeError::UnreadableConfig {
                index: entry.index,
                reason: error.to_string(),
            })?;
            Ok((Index(entry.index), config))
        })
        .collect::<Result<Vec<_>, NodeError>>()?;
    let (last_index, last_term) = recovery.last;
    // Alone in its genesis and told of others: a copy of the first directory may have grown since.
    let is_late_alone = genesis.nodes.len() == 1 && config.cluster.nodes.len() > 1;
    Ok(ReplicaBoot {
        me,
        genesis: genesis.config(),
        hard_state: HardState {
            term: Term(recovery.hard_state.term),
            voted_for: recovery
                .hard_state
                .voted_for
                .map(|vote| VoterId { node: NodeId(vote.node), store: StoreId(vote.store) }),
        },
        bindings: recovery
            .bindings
            .iter()
            .map(|(node, store)| (NodeId(*node), StoreId(*store)))
            .collect(),
        joined: genesis.joined || is_late_alone,
        first: Index(recovery.first_index),
        last: EntryId { term: Term(last_term), index: Index(last_index) },
        term_runs: recovery
            .term_runs
            .iter()
            .map(|(index, term)| (Index(*index), Term(*term)))
            .collect(),
        configs,
        faulty: recovery.faulty.clone(),
        ticket: Ticket(0),
        seed: random_u64()?,
        level: level::understood(),
        timing: timing(config.timing.heartbeat_ms, config.timing.election_ms),
        limits: Limits::default(),
    })
}

/// What follows from the two settings: a leader must hear several heartbeats answered before it may
/// take its voters for silent, however slow they are set.
fn timing(heartbeat_ms: u64, election_ms: u64) -> Timing {
    let default = Timing::default();
    let election_timeout = Micros::from_millis(election_ms);
    Timing {
        heartbeat: Micros::from_millis(heartbeat_ms),
        election_timeout,
        quorum_silence: default.quorum_silence.max(election_timeout.plus(election_timeout)),
        ..default
    }
}

fn random_u64() -> Result<u64, NodeError> {
    getrandom::u64().map_err(|error| {
        let source = std::io::Error::other(error.to_string());
        NodeError::System { action: "draw a random number", source }
    })
}

fn random_u128() -> Result<u128, NodeError> {
    Ok(u128::from(random_u64()?) << 64 | u128::from(random_u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_bears_the_silence_between_slow_heartbeats() {
        assert_eq!(timing(50, 150), Timing::default());
        for (heartbeat_ms, election_ms) in [(5, 10), (150, 300), (5_000, 10_000), (5_000, 60_000)] {
            let timing = timing(heartbeat_ms, election_ms);
            assert!(timing.quorum_silence >= Micros::from_millis(4 * heartbeat_ms));
            assert!(timing.quorum_silence > timing.election_timeout);
        }
    }
}
