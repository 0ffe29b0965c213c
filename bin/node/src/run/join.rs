//! The first start of a node that is to join: an empty data directory and a certificate.
//!
//! It dials the nodes that its configuration names and asks what their cluster started from. The
//! answer must name the cluster of its own certificate, and is durable before anything is built on it;
//! then the node starts like any other, in no configuration, and waits to be admitted. An empty
//! directory never founds a cluster, and one with a log and without a genesis is not empty.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use election::{NodeId, StoreId, VoterId};
use replication::{
    Lane, LinkEvent,
    codec::Packet,
    quic::{EVENTS_MAX, Event, Options, Transport},
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{Asked, Signals, boot, http_options};
use crate::{
    certs::{self, NodeCertificate},
    config::Config,
    durable::{self, Access},
    error::NodeError,
    genesis::{Genesis, random_u128},
    http,
    metrics::Metrics,
    systemd,
};

/// How often a node says what it waits for, and asks again.
pub(super) const REMINDER: Duration = Duration::from_secs(5);
/// What a crash in the middle of storing the genesis leaves.
const STAGED_FILE: &str = "genesis.new";

/// The command that admits this node.
pub(super) fn admission(config: &Config) -> String {
    let own = config.own();
    format!("chatctl cluster add {} --peer {} --client {}", own.id, own.peer, own.client)
}

/// Fetch and store the genesis, unless there is one. Says whether to go on: not when asked to stop.
pub(super) async fn fetch(config: &Config, signals: &mut Signals) -> Result<bool, NodeError> {
    let data_dir = &config.node.data_dir;
    if Genesis::load(data_dir)?.is_some() {
        return Ok(true);
    }
    if !is_empty(data_dir)? || config.cluster.nodes.len() < 2 {
        return Err(NodeError::NoGenesis(data_dir.clone()));
    }
    let certificate = certs::check_node_certificate(config, None)?;
    let waiting: Arc<str> = format!(
        "node {} waits for an answer of node {}: its data directory is empty, so it joins a cluster \
         that runs",
        config.node.id,
        others(config).map(|(node, _)| node.to_string()).collect::<Vec<_>>().join(" or "),
    )
    .into();
    let options = http_options(config)?;
    let (close, closed) = watch::channel(false);
    let clients = Metrics::new().clients;
    let gateway = http::serve_waiting(http::bind(&options)?, clients, Arc::clone(&waiting), closed);
    let gateway = tokio::spawn(gateway);
    systemd::notify(systemd::READY);
    let answered = ask(config, &certificate, &waiting, signals).await;
    close.send_replace(true);
    // The port is free again when it has ended, however that was.
    drop(gateway.await);
    let Some(genesis) = answered? else { return Ok(false) };
    let path = Genesis::path(data_dir);
    durable::replace_file(&path, &genesis.encode(), Access::Private)?;
    tracing::info!(cluster = %genesis.cluster, "the genesis of the cluster is stored");
    Ok(true)
}

/// Ask until there is an answer, or until asked to stop.
async fn ask(
    config: &Config,
    certificate: &NodeCertificate,
    waiting: &str,
    signals: &mut Signals,
) -> Result<Option<Genesis>, NodeError> {
    let (events, mut heard) = mpsc::channel(EVENTS_MAX);
    // It only dials, from any port: so the peer port is free when the node starts.
    let transport = Transport::start(Options {
        me: VoterId { node: config.node.id, store: StoreId(random_u128()) },
        cluster: certificate.cluster.0,
        listen: SocketAddr::new(config.listen.peer.ip(), 0),
        tls: boot::read_tls(config)?,
        // Before every epoch of a log: the node's own connections take the place of these.
        epoch: 0,
        events,
        queues: boot::QUEUES,
    })?;
    transport.set_peers(others(config).collect());
    let mut up = BTreeMap::new();
    let mut reminder = interval(REMINDER);
    reminder.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(event) = heard.recv() => match event {
                Event::Link { peer: _, event: LinkEvent::Up(voter) } => {
                    up.insert(voter.node, voter);
                    transport.send(voter, Lane::Bulk, Packet::GenesisQuestion);
                }
                Event::Link { peer, event: LinkEvent::Lost | LinkEvent::SteppedDown } => {
                    up.remove(&peer);
                }
                Event::Genesis { from, bytes } => match check(config, certificate, &bytes) {
                    Ok(genesis) => return Ok(Some(genesis)),
                    Err(problem) => {
                        tracing::warn!(peer = %from.node, problem, "refused an answer");
                    }
                },
                Event::Message { .. } | Event::Report { .. } | Event::GenesisQuestion { .. } => {}
            },
            _ = reminder.tick() => {
                tracing::warn!("{waiting}");
                for voter in up.values() {
                    transport.send(*voter, Lane::Bulk, Packet::GenesisQuestion);
                }
            }
            asked = signals.next() => match asked {
                Asked::Stop => return Ok(None),
                Asked::Reload => {}
            },
        }
    }
}

/// What a peer says the cluster started from, as this node's own genesis.
fn check(config: &Config, certificate: &NodeCertificate, bytes: &[u8]) -> Result<Genesis, String> {
    let genesis = Genesis::decode(bytes)?;
    if genesis.cluster != certificate.cluster {
        return Err(format!("it is of cluster {}", genesis.cluster));
    }
    if genesis.cluster_name != config.cluster.name {
        return Err(format!(
            "the cluster's name is \"{}\", and node.toml says \"{}\"",
            genesis.cluster_name, config.cluster.name
        ));
    }
    Ok(Genesis { node: config.node.id, joined: true, ..genesis })
}

/// The other nodes that `node.toml` names, and where they are.
pub(super) fn others(config: &Config) -> impl Iterator<Item = (NodeId, String)> {
    let nodes = config.cluster.nodes.iter().filter(|known| known.id != config.node.id);
    nodes.map(|known| (known.id, known.peer.to_string()))
}

/// Nothing in it but what an interrupted start left.
fn is_empty(data_dir: &Path) -> Result<bool, NodeError> {
    let failed = || NodeError::io("read", data_dir);
    for found in fs::read_dir(data_dir).map_err(failed())? {
        if found.map_err(failed())?.file_name() != STAGED_FILE {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use election::NodeId;

    use super::*;
    use crate::{
        args::{CertsCommand, InitArgs},
        config::HostPort,
        genesis::ClusterId,
        init::{self, Layout},
    };

    fn joiner(dir: &Path) -> (Config, Genesis) {
        let host = |text: &str| HostPort::parse_or_port(text, 7410).unwrap();
        let nodes = vec![host("a.example.org"), host("b.example.org")];
        let args = InitArgs { dir: dir.join("team"), nodes, name: "team".to_owned() };
        init::command(&args).unwrap();
        let dir = dir.join("team");
        let at = host("c.example.org");
        certs::command(&CertsCommand::Issue { dir: dir.clone(), node: 3, at }).unwrap();
        let folder = |node| Layout::new(&dir).node(NodeId(node)).join("node.toml");
        let founder = Config::load(&folder(1)).unwrap();
        let genesis = Genesis::load(&founder.node.data_dir).unwrap().unwrap();
        (Config::load(&folder(3)).unwrap(), genesis)
    }

    #[test]
    fn only_the_genesis_of_its_own_cluster_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (config, genesis) = joiner(dir.path());
        let certificate = certs::check_node_certificate(&config, None).unwrap();
        let taken = check(&config, &certificate, &genesis.encode()).unwrap();
        assert_eq!(taken, Genesis { node: NodeId(3), joined: true, ..genesis.clone() });
        assert!(!genesis.joined, "this one was there from the beginning");
        let told = check(&config, &certificate, &taken.encode()).unwrap();
        assert!(told.joined, "whoever it is heard from");
        assert_eq!(Genesis::decode(&taken.encode()).unwrap(), taken, "it can be stored and read");
        assert_eq!(taken.config(), genesis.config(), "it is no voter by its own word");

        let foreign = Genesis { cluster: ClusterId(7), ..genesis.clone() };
        let problem = check(&config, &certificate, &foreign.encode()).unwrap_err();
        assert!(problem.starts_with("it is of cluster 0000"), "{problem}");
        let renamed = Genesis { cluster_name: "other".to_owned(), ..genesis.clone() };
        check(&config, &certificate, &renamed.encode()).unwrap_err();
        let bytes = genesis.encode();
        check(&config, &certificate, &bytes[..bytes.len() - 1]).unwrap_err();
    }

    /// A log without its genesis is damage, not a node that never was.
    #[test]
    fn only_an_empty_directory_joins() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_empty(dir.path()).unwrap());
        fs::write(dir.path().join(STAGED_FILE), "half").unwrap();
        assert!(is_empty(dir.path()).unwrap());
        fs::write(dir.path().join("seg-0001.wal"), "").unwrap();
        assert!(!is_empty(dir.path()).unwrap());
    }

    #[test]
    fn the_command_that_admits_it_is_told_to_the_letter() {
        let dir = tempfile::tempdir().unwrap();
        let told = admission(&joiner(dir.path()).0);
        let wanted =
            "chatctl cluster add 3 --peer c.example.org:7410 --client https://c.example.org:7411";
        assert_eq!(told, wanted);
    }
}
