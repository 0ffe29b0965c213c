//! `node certs`: certificates in the directory that `node init` made.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use election::NodeId;

use super::{
    Authority, DAY_SECONDS, NodeCertificate, describe, parse, read_certificate, read_key,
    seconds_since_1970, show_time,
};
use crate::{
    NodeError,
    args::CertsCommand,
    config::{CLUSTER_NODES_MAX, Config, HostPort, NODE_ID_MAX, TlsClient},
    durable::{self, Access},
    genesis::Genesis,
    init::{self, Layout, PlannedNode},
};

/// Run the command; the answer is for stdout.
pub(crate) fn command(command: &CertsCommand) -> Result<String, NodeError> {
    match command {
        CertsCommand::Issue { dir, node, at } => issue(dir, NodeId(*node), at),
        CertsCommand::Renew { dir, node } => renew(dir, node.map(NodeId)),
        CertsCommand::Show { dir, node } => show(dir, node.map(NodeId)),
    }
}

fn issue(dir: &Path, node: NodeId, at: &HostPort) -> Result<String, NodeError> {
    let layout = Layout::new(dir);
    let (config, genesis) = founder(&layout)?;
    let folder = layout.node(node);
    if !(1..=NODE_ID_MAX).contains(&node.0) {
        return Err(NodeError::Usage(format!("--node {node}: allowed are 1 to {NODE_ID_MAX}")));
    }
    if folder.exists() || config.cluster.nodes.iter().any(|known| known.id == node) {
        let problem = "node numbers are never used again: take the next free one";
        return Err(NodeError::Usage(format!("there is a node {node} already; {problem}")));
    }
    if !layout.ca_key().is_file() {
        return Err(NodeError::Usage(format!(
            "{} is not there: run this where the cluster's certificate authority is kept",
            layout.ca_key().display()
        )));
    }
    // Like the others: those of `node dev` serve plain HTTP on loopback.
    let dev = config.tls.client == TlsClient::Off && at.ip().is_some_and(|ip| ip.is_loopback());
    let planned = PlannedNode { dev, ..PlannedNode::public(node, at.clone()) };
    let mut nodes = config.cluster.nodes;
    for folder in layout.node_folders()? {
        let own = Config::load(&folder.join("node.toml"))?.own().clone();
        if nodes.iter().all(|known| known.id != own.id) {
            nodes.push(own);
        }
    }
    nodes.push(planned.listed());
    if nodes.len() > CLUSTER_NODES_MAX {
        return Err(NodeError::Usage(format!("a cluster has at most {CLUSTER_NODES_MAX} nodes")));
    }
    let authority = Authority::load(&layout.ca_cert(), &layout.ca_key())?;
    let by = (genesis.cluster, &authority);
    init::write_node(&layout, &planned, &config.cluster.name, &nodes, by)?;
    let folder = folder.display();
    Ok(format!(
        "Made {folder}.\n\nCopy it to {}, start `node --config {folder}/node.toml` there, and admit \
         it:\n  chatctl cluster add {node} --peer {} --client {}\n",
        at.host,
        planned.peer,
        planned.client()
    ))
}

fn renew(dir: &Path, only: Option<NodeId>) -> Result<String, NodeError> {
    let layout = Layout::new(dir);
    let authority = Authority::load(&layout.ca_cert(), &layout.ca_key())?;
    let mut text = String::new();
    for folder in node_folders(dir, only)? {
        let config = Config::load(&folder.join("node.toml"))?;
        let old = read(&config.tls.cert)?;
        let key = read_key(&config.tls.key)?;
        let pem = authority.certify(old.cluster, old.node, &old.hosts, &key)?;
        durable::replace_file(&config.tls.cert, pem.as_bytes(), Access::Public)?;
        let new = read(&config.tls.cert)?;
        let path = config.tls.cert.display();
        write_line(&mut text, format_args!("{path}: good until {}", show_time(new.not_after_s)));
    }
    text.push_str("\nCopy each to its host, over the old one.\n");
    Ok(text)
}

fn show(dir: &Path, only: Option<NodeId>) -> Result<String, NodeError> {
    let now_s = seconds_since_1970(SystemTime::now());
    let mut text = String::new();
    for folder in node_folders(dir, only)? {
        let path = folder.join("node.pem");
        let found = read(&path)?;
        let day = i64::try_from(DAY_SECONDS).unwrap_or(i64::MAX);
        let days = (found.not_after_s - now_s).div_euclid(day);
        write_line(
            &mut text,
            format_args!(
                "{}: node {} of cluster {}, hosts {}, good until {} ({days} days)",
                path.display(),
                found.node,
                found.cluster,
                found.hosts.join(", "),
                show_time(found.not_after_s)
            ),
        );
    }
    Ok(text)
}

fn read(path: &Path) -> Result<NodeCertificate, NodeError> {
    let der = read_certificate(path)?;
    let certificate = parse(path, &der)?;
    describe(&certificate)
        .map_err(|problem| NodeError::Certificate { path: path.to_path_buf(), problem })
}

/// The configuration and genesis of a node that was there from the start.
fn founder(layout: &Layout) -> Result<(Config, Genesis), NodeError> {
    for folder in layout.node_folders()? {
        let config = Config::load(&folder.join("node.toml"))?;
        if let Some(genesis) = Genesis::load(&config.node.data_dir)? {
            return Ok((config, genesis));
        }
    }
    Err(NodeError::Usage(format!(
        "{} holds no node with a genesis: give the directory that `node init` made",
        layout.dir().display()
    )))
}

fn node_folders(dir: &Path, only: Option<NodeId>) -> Result<Vec<PathBuf>, NodeError> {
    let layout = Layout::new(dir);
    let folders = match only {
        Some(node) => vec![layout.node(node)],
        None => layout.node_folders()?,
    };
    match folders.first() {
        Some(folder) if folder.is_dir() => Ok(folders),
        Some(folder) => Err(NodeError::Usage(format!("there is no folder {}", folder.display()))),
        None => Err(NodeError::Usage(format!("{} holds no node", dir.display()))),
    }
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
