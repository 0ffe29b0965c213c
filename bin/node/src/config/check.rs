//! From what is written to what holds: every bound of `node.toml`, and complaints that name the
//! place.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use election::NodeId;

use super::{
    CLUSTER_NAME_ALLOWED, CLUSTER_NODES_MAX, ClientUrl, Cluster, ClusterNode, Config, HostPort,
    LISTEN_NAMES_MAX, Listen, Log, LogFormat, LogLevel, METRICS_TOKEN_FILE, Metrics, NODE_ID_MAX,
    Node, SEGMENT_ALIGN_BYTES, Storage, Timing, Tls, TlsClient, every_bounded, is_cluster_name,
    limits,
    raw::{At, RawClusterNode, RawConfig, RawLog, RawMetrics, RawStorage, RawTiming, RawTlsClient},
};

/// A configuration that no node can run: where, what and what would do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    file: PathBuf,
    line: Option<usize>,
    key: Option<String>,
    problem: String,
    allowed: Option<String>,
}

/// The text with the name of its file: makes complaints out of byte offsets.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

pub(super) fn check(source: &Source<'_>, raw: &RawConfig) -> Result<Config, ConfigError> {
    let folder = source.file.parent().unwrap_or_else(|| Path::new(""));
    let config = Config {
        file: source.file.to_path_buf(),
        node: Node {
            id: node_id(source, "node.id", &raw.node.id)?,
            data_dir: path(source, "node.data_dir", &raw.node.data_dir, folder)?,
        },
        cluster: cluster(source, raw)?,
        listen: Listen {
            peer: listen(source, "listen.peer", raw.listen.peer.as_ref(), 7410)?,
            client: listen(source, "listen.client", raw.listen.client.as_ref(), 7411)?,
            names: names(source, raw.listen.names.as_ref())?,
            metrics: listen_metrics(source, raw.listen.metrics.as_ref())?,
        },
        tls: Tls {
            ca: path(source, "tls.ca", &raw.tls.ca, folder)?,
            cert: path(source, "tls.cert", &raw.tls.cert, folder)?,
            key: path(source, "tls.key", &raw.tls.key, folder)?,
            client: tls_client(source, raw, folder)?,
        },
        timing: timing(source, &raw.timing)?,
        storage: storage(source, &raw.storage)?,
        limits: limits::check(source, &raw.limits)?,
        metrics: metrics(source, &raw.metrics, folder)?,
        log: log(source, &raw.log)?,
    };
    own_node_listed(source, raw, &config)?;
    plain_only_on_loopback(source, raw, &config)?;
    Ok(config)
}

/// The files and folders that the configuration names are there.
pub(super) fn files_present(
    source: &Source<'_>,
    raw: &RawConfig,
    config: &Config,
) -> Result<(), ConfigError> {
    let tls = [
        ("tls.ca", &raw.tls.ca, &config.tls.ca),
        ("tls.cert", &raw.tls.cert, &config.tls.cert),
        ("tls.key", &raw.tls.key, &config.tls.key),
    ];
    for (key, written, path) in tls {
        if !path.is_file() {
            return Err(source.at(written, key, no_file(path), "a PEM file, relative to this one"));
        }
    }
    if let (TlsClient::Files { cert, key }, Some(written)) = (&config.tls.client, &raw.tls.client) {
        for path in [cert, key] {
            if !path.is_file() {
                let allowed = "PEM files, relative to this one";
                return Err(source.at(written, "tls.client", no_file(path), allowed));
            }
        }
    }
    if let Some(written) = &raw.metrics.token_file {
        let file = &config.metrics.token_file;
        if !file.is_file() {
            let allowed = "a file whose content is the token, relative to this one";
            return Err(source.at(written, "metrics.token_file", no_file(file), allowed));
        }
    }
    if !config.node.data_dir.is_dir() {
        let problem = format!("there is no directory {}", config.node.data_dir.display());
        let allowed = "the data directory that `node init` or `node certs issue` made";
        return Err(source.at(&raw.node.data_dir, "node.data_dir", problem, allowed));
    }
    Ok(())
}

fn no_file(path: &Path) -> String {
    format!("there is no file {}", path.display())
}

fn node_id(source: &Source<'_>, key: &str, id: &At<u64>) -> Result<NodeId, ConfigError> {
    if (1..=NODE_ID_MAX).contains(id.get_ref()) {
        Ok(NodeId(*id.get_ref()))
    } else {
        let problem = format!("{} is out of bounds", id.get_ref());
        Err(source.at(id, key, problem, &format!("1 to {NODE_ID_MAX}")))
    }
}

fn path(
    source: &Source<'_>,
    key: &str,
    written: &At<String>,
    folder: &Path,
) -> Result<PathBuf, ConfigError> {
    if written.get_ref().is_empty() {
        return Err(source.at(written, key, "is empty", "a path, relative to this file"));
    }
    Ok(folder.join(written.get_ref()))
}

fn cluster(source: &Source<'_>, raw: &RawConfig) -> Result<Cluster, ConfigError> {
    let name = &raw.cluster.name;
    if !is_cluster_name(name.get_ref()) {
        let problem = format!("{:?} is no cluster name", name.get_ref());
        return Err(source.at(name, "cluster.name", problem, CLUSTER_NAME_ALLOWED));
    }
    let written = raw.cluster.nodes.get_ref();
    if !(1..=CLUSTER_NODES_MAX).contains(&written.len()) {
        let problem = format!("{} nodes are listed", written.len());
        let allowed = format!("1 to {CLUSTER_NODES_MAX}");
        return Err(source.at(&raw.cluster.nodes, "cluster.nodes", problem, &allowed));
    }
    let mut nodes: Vec<ClusterNode> = Vec::with_capacity(written.len());
    for one in written {
        let node = cluster_node(source, one)?;
        if nodes.iter().any(|other| other.id == node.id) {
            let problem = format!("node {} is listed twice", node.id);
            return Err(source.at(&one.id, "cluster.nodes.id", problem, "each id once"));
        }
        if nodes.iter().any(|other| other.peer == node.peer) {
            let problem = format!("{} is listed twice", node.peer);
            return Err(source.at(&one.peer, "cluster.nodes.peer", problem, "each address once"));
        }
        nodes.push(node);
    }
    nodes.sort_by_key(|node| node.id);
    Ok(Cluster { name: name.get_ref().clone(), nodes })
}

fn cluster_node(source: &Source<'_>, raw: &RawClusterNode) -> Result<ClusterNode, ConfigError> {
    let peer = raw.peer.get_ref().parse().map_err(|()| {
        let problem = format!("{:?} is no address", raw.peer.get_ref());
        source.at(&raw.peer, "cluster.nodes.peer", problem, HostPort::ALLOWED)
    })?;
    let client = raw.client.get_ref().parse().map_err(|()| {
        let problem = format!("{:?} is no client URL", raw.client.get_ref());
        source.at(&raw.client, "cluster.nodes.client", problem, ClientUrl::ALLOWED)
    })?;
    Ok(ClusterNode { id: node_id(source, "cluster.nodes.id", &raw.id)?, peer, client })
}

fn listen(
    source: &Source<'_>,
    key: &str,
    written: Option<&At<String>>,
    port_default: u16,
) -> Result<SocketAddr, ConfigError> {
    let Some(written) = written else {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port_default)));
    };
    match written.get_ref().parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) | Err(_) => {
            let problem = format!("{:?} is no address to listen on", written.get_ref());
            let allowed = "IP:PORT such as 0.0.0.0:7410 or [::]:7410, port 1 to 65535";
            Err(source.at(written, key, problem, allowed))
        }
    }
}

fn names(
    source: &Source<'_>,
    written: Option<&At<Vec<String>>>,
) -> Result<Vec<String>, ConfigError> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let key = "listen.names";
    let allowed = format!("0 to {LISTEN_NAMES_MAX} host names, without scheme and port");
    if written.get_ref().len() > LISTEN_NAMES_MAX {
        let problem = format!("{} names are listed", written.get_ref().len());
        return Err(source.at(written, key, problem, &allowed));
    }
    let name = |text: &String| {
        let parsed = HostPort::parse_or_port(text, 1).filter(|_| !text.contains(':'));
        parsed
            .map(|at| at.host)
            .ok_or_else(|| source.at(written, key, format!("{text:?} is no host name"), &allowed))
    };
    written.get_ref().iter().map(name).collect()
}

/// Whoever reaches the listener sees the metrics, so only this machine does.
fn listen_metrics(
    source: &Source<'_>,
    written: Option<&At<String>>,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(written) = written.filter(|written| written.get_ref() != "off") else {
        return Ok(None);
    };
    match written.get_ref().parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 && address.ip().is_loopback() => Ok(Some(address)),
        Ok(_) | Err(_) => {
            let problem = format!("{:?} is no loopback address to listen on", written.get_ref());
            let allowed = "\"off\", or IP:PORT such as 127.0.0.1:7412 or [::1]:7412";
            Err(source.at(written, "listen.metrics", problem, allowed))
        }
    }
}

fn metrics(source: &Source<'_>, raw: &RawMetrics, folder: &Path) -> Result<Metrics, ConfigError> {
    let token_file = match &raw.token_file {
        Some(written) => path(source, "metrics.token_file", written, folder)?,
        None => folder.join(METRICS_TOKEN_FILE),
    };
    Ok(Metrics { token_file })
}

fn tls_client(
    source: &Source<'_>,
    raw: &RawConfig,
    folder: &Path,
) -> Result<TlsClient, ConfigError> {
    let Some(written) = &raw.tls.client else {
        return Ok(TlsClient::Cluster);
    };
    match written.get_ref() {
        RawTlsClient::Files(files) => {
            Ok(TlsClient::Files { cert: folder.join(&files.cert), key: folder.join(&files.key) })
        }
        RawTlsClient::Word(word) if word == "cluster" => Ok(TlsClient::Cluster),
        RawTlsClient::Word(word) if word == "off" => Ok(TlsClient::Off),
        RawTlsClient::Word(word) => {
            let allowed = "\"cluster\", \"off\" or { cert = FILE, key = FILE }";
            Err(source.at(written, "tls.client", format!("{word:?} is unknown"), allowed))
        }
    }
}

fn timing(source: &Source<'_>, raw: &RawTiming) -> Result<Timing, ConfigError> {
    let timing = Timing {
        heartbeat_ms: number(source, "timing.heartbeat_ms", raw.heartbeat_ms.as_ref())?,
        election_ms: number(source, "timing.election_ms", raw.election_ms.as_ref())?,
        request_ms: number(source, "timing.request_ms", raw.request_ms.as_ref())?,
        drain_ms: number(source, "timing.drain_ms", raw.drain_ms.as_ref())?,
        handshake_ms: number(source, "timing.handshake_ms", raw.handshake_ms.as_ref())?,
        head_ms: number(source, "timing.head_ms", raw.head_ms.as_ref())?,
        body_ms: number(source, "timing.body_ms", raw.body_ms.as_ref())?,
        hello_ms: number(source, "timing.hello_ms", raw.hello_ms.as_ref())?,
    };
    let least = timing.heartbeat_ms * 2;
    if timing.election_ms < least {
        let (key, written) = match &raw.election_ms {
            Some(written) => ("timing.election_ms", Some(written)),
            None => ("timing.heartbeat_ms", raw.heartbeat_ms.as_ref()),
        };
        let problem = format!(
            "an election timeout of {} ms leaves no room for heartbeats every {} ms",
            timing.election_ms, timing.heartbeat_ms
        );
        let allowed = "election_ms of at least 2 * heartbeat_ms";
        return Err(source.complaint(written.map(At::span), key, problem, allowed));
    }
    Ok(timing)
}

fn storage(source: &Source<'_>, raw: &RawStorage) -> Result<Storage, ConfigError> {
    let storage = Storage {
        segment_bytes: number(source, "storage.segment_bytes", raw.segment_bytes.as_ref())?,
        spare_segments: number(source, "storage.spare_segments", raw.spare_segments.as_ref())?,
        reserve_bytes: number(source, "storage.reserve_bytes", raw.reserve_bytes.as_ref())?,
        scrub_bytes_per_s: number(
            source,
            "storage.scrub_bytes_per_s",
            raw.scrub_bytes_per_s.as_ref(),
        )?,
    };
    if !storage.segment_bytes.is_multiple_of(SEGMENT_ALIGN_BYTES) {
        let span = raw.segment_bytes.as_ref().map(At::span);
        let problem = format!("{} is not aligned", storage.segment_bytes);
        let allowed = format!("a multiple of {SEGMENT_ALIGN_BYTES}");
        return Err(source.complaint(span, "storage.segment_bytes", problem, &allowed));
    }
    Ok(storage)
}

fn log(source: &Source<'_>, raw: &RawLog) -> Result<Log, ConfigError> {
    Ok(Log {
        level: word(source, "log.level", raw.level.as_ref(), &LogLevel::NAMES)?
            .unwrap_or(LogLevel::Info),
        format: word(source, "log.format", raw.format.as_ref(), &LogFormat::NAMES)?
            .unwrap_or(LogFormat::Text),
    })
}

pub(super) fn number(
    source: &Source<'_>,
    key: &'static str,
    written: Option<&At<u64>>,
) -> Result<u64, ConfigError> {
    let bounded = every_bounded()
        .find(|bounded| bounded.key == key)
        .expect("every number of the file has its bounds in the table");
    let Some(written) = written else {
        return Ok(bounded.default);
    };
    let value = *written.get_ref();
    if (bounded.min..=bounded.max).contains(&value) {
        return Ok(value);
    }
    let allowed = format!(
        "{} to {} {} (default {})",
        bounded.min, bounded.max, bounded.unit, bounded.default
    );
    Err(source.at(written, key, format!("{value} is out of bounds"), &allowed))
}

fn word<T: Copy>(
    source: &Source<'_>,
    key: &str,
    written: Option<&At<String>>,
    names: &[(&str, T)],
) -> Result<Option<T>, ConfigError> {
    let Some(written) = written else {
        return Ok(None);
    };
    match names.iter().find(|(name, _)| name == written.get_ref()) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let allowed: Vec<String> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
            let problem = format!("{:?} is unknown", written.get_ref());
            Err(source.at(written, key, problem, &allowed.join(", ")))
        }
    }
}

fn own_node_listed(
    source: &Source<'_>,
    raw: &RawConfig,
    config: &Config,
) -> Result<(), ConfigError> {
    if config.cluster.nodes.iter().any(|node| node.id == config.node.id) {
        return Ok(());
    }
    let listed: Vec<String> = config.cluster.nodes.iter().map(|node| node.id.to_string()).collect();
    let problem = format!("node {} is not among [[cluster.nodes]]", config.node.id);
    Err(source.at(&raw.node.id, "node.id", problem, &format!("one of {}", listed.join(", "))))
}

/// Passwords and tokens never cross a network in clear.
fn plain_only_on_loopback(
    source: &Source<'_>,
    raw: &RawConfig,
    config: &Config,
) -> Result<(), ConfigError> {
    let off = config.tls.client == TlsClient::Off;
    if off && !config.listen.client.ip().is_loopback() {
        let span = raw.tls.client.as_ref().map(At::span);
        let problem = format!("clients of {} would be served in clear", config.listen.client);
        let allowed = "\"off\" with listen.client on 127.0.0.1 or [::1] only; else \"cluster\" or \
                       { cert = FILE, key = FILE }";
        return Err(source.complaint(span, "tls.client", problem, allowed));
    }
    let written =
        raw.cluster.nodes.get_ref().iter().find(|one| *one.id.get_ref() == config.node.id.0);
    let own = config.own();
    if own.client.https == off {
        let problem = format!("{} does not fit tls.client", own.client);
        let allowed = "http:// with tls.client = \"off\", https:// otherwise";
        let span = written.map(|one| one.client.span());
        return Err(source.complaint(span, "cluster.nodes.client", problem, allowed));
    }
    Ok(())
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    /// What the parser says, in the words of this file.
    pub(super) fn parse_error(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message();
        let (problem, allowed) = match message.split_once(", expected ") {
            Some((problem, allowed)) if message.starts_with("unknown field") => {
                (problem.replacen("unknown field", "unknown key", 1), Some(allowed))
            }
            Some((problem, allowed)) => (problem.to_owned(), Some(allowed)),
            None => match message.strip_prefix("expected ") {
                Some(allowed) => ("does not fit".to_owned(), Some(allowed)),
                None => (message.replacen("missing field", "missing key", 1), None),
            },
        };
        let allowed = allowed.map(|allowed| allowed.trim_start_matches("one of ").to_owned());
        let span = error.span();
        ConfigError {
            file: self.file.to_path_buf(),
            line: span.as_ref().map(|span| self.line_of(span.start)),
            key: span.and_then(|span| self.key_at(span.start)),
            problem,
            allowed,
        }
    }

    fn at<T>(
        &self,
        written: &At<T>,
        key: &str,
        problem: impl Into<String>,
        allowed: &str,
    ) -> ConfigError {
        self.complaint(Some(written.span()), key, problem, allowed)
    }

    fn complaint(
        &self,
        span: Option<std::ops::Range<usize>>,
        key: &str,
        problem: impl Into<String>,
        allowed: &str,
    ) -> ConfigError {
        ConfigError {
            file: self.file.to_path_buf(),
            line: span.map(|span| self.line_of(span.start)),
            key: Some(key.to_owned()),
            problem: problem.into(),
            allowed: Some(allowed.to_owned()),
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// `section.key` on the line of this offset, as far as a look at the text can tell.
    fn key_at(&self, offset: usize) -> Option<String> {
        let mut section = "";
        for line in self.text.lines().take(self.line_of(offset)) {
            if let Some(header) = line.trim_start().strip_prefix('[') {
                section = header.trim_start_matches('[').split(']').next().unwrap_or("").trim();
            }
        }
        let line = self.text.lines().nth(self.line_of(offset) - 1)?.trim();
        let key = match line.split_once('=') {
            Some((key, _)) if !line.starts_with('[') => key.trim(),
            Some(_) | None => "",
        };
        match (section, key) {
            ("", "") => None,
            ("", only) | (only, "") => Some(only.to_owned()),
            (section, key) => Some(format!("{section}.{key}")),
        }
    }
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, problem: String) -> Self {
        Self {
            file: file.to_path_buf(),
            line: None,
            key: None,
            problem: format!("cannot read it: {problem}"),
            allowed: Some("a node.toml, as `node init` writes it".to_owned()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.allowed {
            Some(allowed) => write!(f, "; allowed: {allowed}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
