//! `node init`: everything a new cluster needs, in one directory.
//!
//! ```text
//! DIR/ca/ca.pem ca.key       who holds the key can make nodes: keep it away from them
//! DIR/node-N/                one per node: copy it to its host
//!     node.toml node.pem node.key ca.pem data/genesis
//! DIR/chatctl.toml           endpoints and CA, for chatctl
//! DIR/owner-token            signs up the owner, once; written last, so it marks a whole directory
//! ```
//! Each file is fsynced before the next is begun, and none is ever overwritten.

#[cfg(test)]
mod tests;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use election::NodeId;

use crate::{
    NodeError,
    args::InitArgs,
    certs::Authority,
    config::{ClientUrl, ClusterNode, HostPort},
    durable::{self, Access},
    genesis::{ClusterId, Genesis, GenesisNode, VOTERS_MAX, random_u128, token_hash},
};

const DEV_SEGMENT_BYTES: u64 = 16 << 20;

/// A cluster to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) name: String,
    /// Its nodes, ascending from 1.
    pub(crate) nodes: Vec<PlannedNode>,
}

/// A node to be made.
#[derive(Clone, Debug)]
pub(crate) struct PlannedNode {
    /// Its number.
    pub(crate) id: NodeId,
    /// Where its peers reach it; clients reach it at the next port.
    pub(crate) peer: HostPort,
    /// The address to listen on, for both.
    pub(crate) listen: IpAddr,
    /// One of `node dev`: plain HTTP on loopback, and small segments, since all share a disk.
    pub(crate) dev: bool,
}

/// The names in the directory of a cluster.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

/// Run `node init`; the answer is for stdout.
pub(crate) fn command(args: &InitArgs) -> Result<String, NodeError> {
    let nodes = (1..).zip(&args.nodes);
    let nodes: Vec<PlannedNode> =
        nodes.map(|(id, at)| PlannedNode::public(NodeId(id), at.clone())).collect();
    let plan = Plan { name: args.name.clone(), nodes };
    let layout = Layout::new(&args.dir);
    create(&layout, &plan)?;
    let dir = args.dir.display();
    let count = plan.nodes.len();
    let first = plan.nodes.first().map_or("", |node| node.peer.host.as_str());
    Ok(format!(
        "Made cluster \"{}\" of {count} node{} in {dir}.\n\n\
         Copy each folder to its host:   scp -r {dir}/node-1 {first}:\n\
         Start each one there:           node --config node-1/node.toml\n\
         Sign up as the owner:           chatctl --config {dir}/chatctl.toml register NAME --invite \
         \"$(cat {dir}/owner-token)\"\n\n\
         Keep {dir}/ca away from the nodes: who has its key can make nodes.\n",
        plan.name,
        if count == 1 { "" } else { "s" },
    ))
}

/// Make the directory of a new cluster; the answer is the owner's sign-up token.
pub(crate) fn create(layout: &Layout, plan: &Plan) -> Result<String, NodeError> {
    check_plan(plan)?;
    make_empty(&layout.dir)?;
    let cluster = ClusterId(random_u128());
    let owner_token = format!("{:032x}", random_u128());
    let (authority, kept) = Authority::create(cluster, &plan.name)?;

    durable::create_dir(&layout.dir.join("ca"))?;
    durable::create_file(&layout.ca_cert(), kept.cert_pem.as_bytes(), Access::Public)?;
    durable::create_file(&layout.ca_key(), kept.key_pem.as_bytes(), Access::Private)?;
    let listed: Vec<ClusterNode> = plan.nodes.iter().map(PlannedNode::listed).collect();
    for node in &plan.nodes {
        write_node(layout, node, &plan.name, &listed, (cluster, &authority))?;
        let genesis = genesis(cluster, plan, node.id, &owner_token);
        let path = Genesis::path(&layout.data(node.id));
        durable::create_file(&path, &genesis.encode(), Access::Private)?;
    }
    let chatctl = chatctl_toml(plan);
    durable::create_file(&layout.dir.join("chatctl.toml"), chatctl.as_bytes(), Access::Public)?;
    let token = format!("{owner_token}\n");
    durable::create_file(&layout.owner_token(), token.as_bytes(), Access::Private)?;
    Ok(owner_token)
}

/// Make one node's folder, with an empty data directory.
pub(crate) fn write_node(
    layout: &Layout,
    node: &PlannedNode,
    cluster_name: &str,
    listed: &[ClusterNode],
    (cluster, authority): (ClusterId, &Authority),
) -> Result<(), NodeError> {
    let folder = layout.node(node.id);
    let issued = authority.issue(cluster, node.id, std::slice::from_ref(&node.peer.host))?;
    let ca = fs::read(layout.ca_cert()).map_err(NodeError::io("read", layout.ca_cert()))?;
    let toml = node_toml(node, cluster_name, listed);
    durable::create_dir(&folder)?;
    durable::create_dir(&layout.data(node.id))?;
    durable::create_file(&folder.join("ca.pem"), &ca, Access::Public)?;
    durable::create_file(&folder.join("node.pem"), issued.cert_pem.as_bytes(), Access::Public)?;
    durable::create_file(&folder.join("node.key"), issued.key_pem.as_bytes(), Access::Private)?;
    durable::create_file(&folder.join("node.toml"), toml.as_bytes(), Access::Public)
}

impl PlannedNode {
    /// A node that others reach at `peer`. It listens on all addresses, or on loopback when `peer`
    /// is a loopback address.
    pub(crate) fn public(id: NodeId, peer: HostPort) -> Self {
        let listen = match peer.ip() {
            Some(ip) if ip.is_loopback() => ip,
            Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Some(IpAddr::V4(_)) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        Self { id, peer, listen, dev: false }
    }

    /// Where its clients reach it.
    pub(crate) fn client(&self) -> ClientUrl {
        let at = HostPort { host: self.peer.host.clone(), port: self.peer.port + 1 };
        ClientUrl { https: !self.dev, at }
    }

    /// Its place in `[[cluster.nodes]]`.
    pub(crate) fn listed(&self) -> ClusterNode {
        ClusterNode { id: self.id, peer: self.peer.clone(), client: self.client() }
    }
}

impl Layout {
    /// Of this directory.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn ca_cert(&self) -> PathBuf {
        self.dir.join("ca").join("ca.pem")
    }

    pub(crate) fn ca_key(&self) -> PathBuf {
        self.dir.join("ca").join("ca.key")
    }

    /// One node's folder.
    pub(crate) fn node(&self, node: NodeId) -> PathBuf {
        self.dir.join(format!("node-{node}"))
    }

    pub(crate) fn data(&self, node: NodeId) -> PathBuf {
        self.node(node).join("data")
    }

    pub(crate) fn owner_token(&self) -> PathBuf {
        self.dir.join("owner-token")
    }

    /// The folders of all nodes, ascending by number.
    pub(crate) fn node_folders(&self) -> Result<Vec<PathBuf>, NodeError> {
        let failed = || NodeError::io("read", &self.dir);
        let mut numbers = Vec::new();
        for found in fs::read_dir(&self.dir).map_err(failed())? {
            let name = found.map_err(failed())?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("node-"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(|number| self.node(NodeId(number))).collect())
    }
}

fn check_plan(plan: &Plan) -> Result<(), NodeError> {
    let count = plan.nodes.len();
    if !(1..=VOTERS_MAX).contains(&count) {
        return Err(NodeError::Usage(format!(
            "--nodes names {count} nodes: 1 to {VOTERS_MAX} are allowed, and 3 or 5 are best"
        )));
    }
    for (at, node) in plan.nodes.iter().enumerate() {
        if plan.nodes.iter().take(at).any(|other| other.peer == node.peer) {
            return Err(NodeError::Usage(format!(
                "--nodes names {} twice: each node needs an address of its own",
                node.peer
            )));
        }
    }
    Ok(())
}

/// The directory is there and empty afterwards.
fn make_empty(dir: &Path) -> Result<(), NodeError> {
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(0) => Ok(()),
        Ok(_) => Err(NodeError::Usage(format!(
            "{} is not empty: nothing was changed in it; give a new directory",
            dir.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                fs::create_dir_all(parent).map_err(NodeError::io("create", parent))?;
            }
            durable::create_dir(dir)
        }
        Err(error) => Err(NodeError::io("read", dir)(error)),
    }
}

fn genesis(cluster: ClusterId, plan: &Plan, node: NodeId, owner_token: &str) -> Genesis {
    let voter = |planned: &PlannedNode| GenesisNode {
        node: planned.id,
        peer: planned.peer.to_string(),
        client: planned.client().to_string(),
    };
    Genesis {
        cluster,
        cluster_name: plan.name.clone(),
        node,
        joined: false,
        nodes: plan.nodes.iter().map(voter).collect(),
        owner_token_hash: token_hash(owner_token),
    }
}

fn node_toml(node: &PlannedNode, cluster_name: &str, listed: &[ClusterNode]) -> String {
    let listed: String = listed
        .iter()
        .map(|one| {
            let ClusterNode { id, peer, client } = one;
            format!("[[cluster.nodes]]\nid = {id}\npeer = \"{peer}\"\nclient = \"{client}\"\n\n")
        })
        .collect();
    let peer = SocketAddr::new(node.listen, node.peer.port);
    let client = SocketAddr::new(node.listen, node.peer.port + 1);
    let tls_client = if node.dev { "off" } else { "cluster" };
    let storage = if node.dev {
        format!("\n[storage]\nsegment_bytes = {DEV_SEGMENT_BYTES}\n")
    } else {
        String::new()
    };
    format!(
        "# Node {id} of cluster {cluster_name}. Every other key, with its unit, default and bound, \
         is in node.example.toml.\n\n\
         [node]\nid = {id}\ndata_dir = \"data\"\n\n\
         [cluster]\nname = \"{cluster_name}\"\n\n\
         {listed}\
         [listen]\npeer = \"{peer}\"\nclient = \"{client}\"\n\n\
         [tls]\nca = \"ca.pem\"\ncert = \"node.pem\"\nkey = \"node.key\"\nclient = \"{tls_client}\"\n{storage}",
        id = node.id,
    )
}

fn chatctl_toml(plan: &Plan) -> String {
    let urls: Vec<String> =
        plan.nodes.iter().map(|node| format!("  \"{}\",\n", node.client())).collect();
    let ca = if plan.nodes.iter().any(|node| node.dev) { "" } else { "ca = \"ca/ca.pem\"\n" };
    format!(
        "# chatctl --config FILE, or HOLDFAST_CONFIG. Paths are relative to this file.\n\
         endpoints = [\n{}]\n{ca}",
        urls.concat()
    )
}
