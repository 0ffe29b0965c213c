//! Before anything is started: the directory holds a whole cluster, and its ports are free.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use election::NodeId;

use crate::{
    NodeError,
    args::DevArgs,
    config::{Config, HostPort, TlsClient},
    init::{self, Layout, Plan, PlannedNode},
};

const NODES_DEFAULT: u8 = 5;
const BASE_PORT_DEFAULT: u16 = 7400;
const PORTS_PER_NODE: u16 = 10;

/// A cluster on this machine.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Its directory, absolute.
    pub(super) dir: PathBuf,
    /// Its nodes, ascending.
    pub(super) nodes: Vec<Config>,
    /// The owner's sign-up token; it works once.
    pub(super) owner_token: String,
}

/// Make what is missing, and check what is there.
pub(super) fn prepare(args: &DevArgs) -> Result<Cluster, NodeError> {
    let layout = Layout::new(&absolute(&args.dir)?);
    if args.fresh {
        clear(&layout)?;
    }
    if is_empty(layout.dir())? {
        let plan = plan(args);
        init::create(&layout, &plan)?;
    }
    let cluster = load(&layout)?;
    check_asked(args, &cluster)?;
    check_ports(&cluster.nodes)?;
    Ok(cluster)
}

impl Cluster {
    /// The folder of one node.
    pub(super) fn folder(&self, node: NodeId) -> PathBuf {
        Layout::new(&self.dir).node(node)
    }

    /// Where one node's stdout and stderr go.
    pub(super) fn log(&self, node: NodeId) -> PathBuf {
        self.folder(node).join("node.log")
    }

    /// Where one node's process id stands while it runs.
    pub(super) fn pid_file(&self, node: NodeId) -> PathBuf {
        self.folder(node).join("pid")
    }
}

fn plan(args: &DevArgs) -> Plan {
    let base = args.base_port.unwrap_or(BASE_PORT_DEFAULT);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let node = |number: u8| PlannedNode {
        id: NodeId(u64::from(number)),
        peer: HostPort {
            host: loopback.to_string(),
            port: base + PORTS_PER_NODE * u16::from(number),
        },
        listen: loopback,
        dev: true,
    };
    let nodes = (1..=args.nodes.unwrap_or(NODES_DEFAULT)).map(node).collect();
    Plan { name: "dev".to_owned(), nodes }
}

fn load(layout: &Layout) -> Result<Cluster, NodeError> {
    let dir = layout.dir();
    let Ok(owner_token) = fs::read_to_string(layout.owner_token()) else {
        return Err(NodeError::Usage(format!(
            "{} holds no whole cluster (owner-token is missing): `node dev --fresh` makes it anew",
            dir.display()
        )));
    };
    let mut nodes = Vec::new();
    for folder in layout.node_folders()? {
        let config = Config::load(&folder.join("node.toml"))?;
        refuse_foreign(&config)?;
        nodes.push(config);
    }
    Ok(Cluster { dir: dir.to_path_buf(), nodes, owner_token: owner_token.trim_end().to_owned() })
}

/// Only a cluster that `node dev` made is run or deleted by it.
fn refuse_foreign(config: &Config) -> Result<(), NodeError> {
    if config.tls.client == TlsClient::Off && config.listen.peer.ip().is_loopback() {
        return Ok(());
    }
    Err(NodeError::Usage(format!(
        "{} was not made by `node dev`: give another --dir",
        config.file.display()
    )))
}

fn check_asked(args: &DevArgs, cluster: &Cluster) -> Result<(), NodeError> {
    let dir = cluster.dir.display();
    let hint = "leave the option out to resume it, or give --fresh to delete it and start anew";
    let count = cluster.nodes.len();
    if args.nodes.is_some_and(|asked| usize::from(asked) != count) {
        let problem = format!("{dir} holds a cluster of {count} nodes; {hint}");
        return Err(NodeError::Usage(problem));
    }
    for config in &cluster.nodes {
        let offset = u64::from(PORTS_PER_NODE) * config.node.id.0;
        let wanted = args.base_port.map(|base| u64::from(base) + offset);
        let port = u64::from(config.listen.peer.port());
        if wanted.is_some_and(|wanted| wanted != port) {
            let base = port.saturating_sub(offset);
            let problem = format!("{dir} holds a cluster with base port {base}; {hint}");
            return Err(NodeError::Usage(problem));
        }
    }
    Ok(())
}

fn check_ports(nodes: &[Config]) -> Result<(), NodeError> {
    for config in nodes {
        let (peer, client) = (config.listen.peer, config.listen.client);
        let refused = |what, address| move |source| NodeError::Listen { what, address, source };
        drop(UdpSocket::bind(peer).map_err(refused("peers", peer))?);
        drop(TcpListener::bind(client).map_err(refused("clients", client))?);
    }
    Ok(())
}

/// Delete an earlier cluster of `node dev`, and nothing else.
fn clear(layout: &Layout) -> Result<(), NodeError> {
    let dir = layout.dir();
    if is_empty(dir)? {
        return Ok(());
    }
    let mut configs = Vec::new();
    for folder in layout.node_folders()? {
        let file = folder.join("node.toml");
        if file.exists() {
            let config = Config::load(&file)?;
            refuse_foreign(&config)?;
            configs.push(config);
        }
    }
    // Not under the feet of one that runs.
    check_ports(&configs)?;
    let nodes = layout.node_folders()?;
    let named = ["ca", "chatctl.toml", "owner-token"].map(|name| dir.join(name));
    let ours = |path: &Path| named.iter().chain(&nodes).any(|known| known == path);
    let found = entries(dir)?;
    if let Some(other) = found.iter().find(|path| !ours(path)) {
        return Err(NodeError::Usage(format!(
            "{} is not of `node dev`: nothing was deleted; give another --dir",
            other.display()
        )));
    }
    for path in found {
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(NodeError::io("remove", &path))?;
    }
    Ok(())
}

fn is_empty(dir: &Path) -> Result<bool, NodeError> {
    Ok(entries(dir)?.is_empty())
}

/// What is in a directory; nothing, when there is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let failed = || NodeError::io("read", dir);
    match fs::read_dir(dir) {
        Ok(found) => found.map(|entry| Ok(entry.map_err(failed())?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed()(error)),
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, NodeError> {
    let dir = std::path::absolute(dir).map_err(NodeError::io("find", dir))?;
    // `./` in the middle reads badly in what is printed.
    Ok(dir.components().collect())
}
