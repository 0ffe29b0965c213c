//! A node starts with its own certificate of its own cluster, in its time, and with no other.

use std::{sync::Arc, time::UNIX_EPOCH};

use super::*;
use crate::{
    args::{CertsCommand, InitArgs},
    config::HostPort,
    init::{self, Layout},
};

const NOW_S: u64 = 1_800_000_000;

#[test]
fn what_init_made_is_accepted() {
    let cluster = Cluster::new();
    let (config, genesis) = cluster.node(1);
    let found = check_node_certificate(&config, Some(&genesis)).unwrap();
    assert_eq!((found.cluster, found.node), (genesis.cluster, NodeId(1)));
    assert_eq!(found.hosts, ["a.example.org"]);
    let year = i64::try_from(NODE_DAYS * DAY_SECONDS).unwrap();
    let left = found.not_after_s - seconds_since_1970(SystemTime::now());
    assert!((year - 120..=year).contains(&left), "{left} seconds are left");
    // A node that asks to join has no genesis.
    assert_eq!(check_node_certificate(&config, None).unwrap(), found);
    assert_eq!(cluster.node(2).0.node.id, NodeId(2));
    let (config, genesis) = cluster.node(2);
    assert_eq!(check_node_certificate(&config, Some(&genesis)).unwrap().hosts, ["10.0.0.2"]);
}

/// As the nodes and the clients see it: rustls takes the certificate for dialling and for serving.
#[test]
fn rustls_accepts_what_is_issued() {
    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        server::WebPkiClientVerifier,
    };
    use rustls_pki_types::{ServerName, UnixTime};

    let cluster = Cluster::new();
    let (config, _) = cluster.node(2);
    let mut roots = RootCertStore::empty();
    roots.add(read_certificate(&config.tls.ca).unwrap()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = read_certificate(&config.tls.cert).unwrap();
    let servers =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let servers = servers.build().unwrap();
    let now = UnixTime::now();
    let serves = |name: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        servers.verify_server_cert(&certificate, &[], &name, &[], now).map(|_| ())
    };
    serves("node-2.holdfast").unwrap();
    serves("10.0.0.2").unwrap();
    serves("node-1.holdfast").unwrap_err();
    serves("a.example.org").unwrap_err();
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
    clients.verify_client_cert(&certificate, &[], now).unwrap();
}

#[test]
fn one_of_another_cluster_is_refused() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let (mut config, genesis) = ours.node(1);
    let (foreign, _) = theirs.node(1);
    config.tls.cert = foreign.tls.cert.clone();
    config.tls.key = foreign.tls.key.clone();
    refused(&config, &genesis, &config.tls.cert, "it is a certificate of cluster ");
    config.tls.ca = foreign.tls.ca;
    refused(&config, &genesis, &config.tls.cert, "it is a certificate of cluster ");
}

#[test]
fn one_of_another_node_is_refused() {
    let cluster = Cluster::new();
    let (mut config, genesis) = cluster.node(1);
    config.tls = cluster.node(2).0.tls;
    let wanted = "it is the certificate of node 2, and this is node 1: use ";
    refused(&config, &genesis, &config.tls.cert, wanted);
}

#[test]
fn one_of_another_ca_is_refused() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let (mut config, genesis) = ours.node(1);
    config.tls.ca = theirs.node(1).0.tls.ca;
    refused(&config, &genesis, &config.tls.cert, "it was not issued by the CA in ");
}

#[test]
fn another_key_is_refused() {
    let cluster = Cluster::new();
    let (mut config, genesis) = cluster.node(1);
    config.tls.key = cluster.node(2).0.tls.key;
    refused(&config, &genesis, &config.tls.key, "it is not the key of the node's certificate");
}

#[test]
fn one_that_names_no_node_is_refused() {
    let cluster = Cluster::new();
    let (mut config, genesis) = cluster.node(1);
    config.tls.cert = config.tls.ca.clone();
    refused(&config, &genesis, &config.tls.cert, "it names neither cluster nor node");
    let garbage = cluster.layout.dir().join("garbage.pem");
    fs::write(&garbage, "garbage").unwrap();
    config.tls.cert = garbage;
    refused(&config, &genesis, &config.tls.cert, "it is no PEM certificate");
}

#[test]
fn dates_are_held_to_the_second() {
    let cluster = Cluster::new();
    let (mut config, genesis) = cluster.node(1);
    let made = UNIX_EPOCH + Duration::from_secs(NOW_S);
    let (authority, kept) = Authority::create_from(genesis.cluster, "team", made).unwrap();
    let issued = authority.issue(genesis.cluster, NodeId(1), &[]).unwrap();
    let keep = |name: &str, pem: &str| {
        let path = cluster.layout.dir().join(name);
        fs::write(&path, pem).unwrap();
        path
    };
    config.tls.ca = keep("old-ca.pem", &kept.cert_pem);
    config.tls.cert = keep("old.pem", &issued.cert_pem);
    config.tls.key = keep("old.key", &issued.key_pem);
    let at = |now_s: u64| {
        let checked = check_at(&config, Some(&genesis), i64::try_from(now_s).unwrap());
        checked.map(|_| ()).map_err(|error| error.to_string())
    };
    let (first, last) = (NOW_S - DAY_SECONDS, NOW_S + NODE_DAYS * DAY_SECONDS);
    assert_eq!((at(first), at(last)), (Ok(()), Ok(())));
    let late = at(last + 1).unwrap_err();
    let wanted = "old.pem: it expired at 2028-01-15T08:00:00Z: issue a new one with `node certs \
                  renew --node 1`";
    assert!(late.ends_with(wanted), "{late}");
    let early = at(first - 1).unwrap_err();
    let wanted = "it is not valid before 2027-01-14T08:00:00Z: check this host's clock";
    assert!(early.ends_with(wanted), "{early}");
    let ca = at(NOW_S + CA_DAYS * DAY_SECONDS + 1).unwrap_err();
    assert!(ca.contains("old-ca.pem: it expired at 2037-01-15"), "{ca}");
}

#[test]
fn one_more_node_gets_a_folder_without_a_genesis() {
    let cluster = Cluster::new();
    let issue = |node: u64, host: &str| {
        let at = HostPort::parse_or_port(host, 7410).unwrap();
        command(&CertsCommand::Issue { dir: cluster.layout.dir().to_path_buf(), node, at })
    };
    let told = issue(3, "c.example.org:7500").unwrap();
    let admit =
        "chatctl cluster add 3 --peer c.example.org:7500 --client https://c.example.org:7501";
    assert!(told.contains(admit), "{told}");
    let config = Config::load(&cluster.layout.node(NodeId(3)).join("node.toml")).unwrap();
    assert_eq!(config.cluster.nodes.len(), 3);
    assert_eq!(Genesis::load(&config.node.data_dir).unwrap(), None);
    let found = check_node_certificate(&config, None).unwrap();
    assert_eq!((found.cluster, found.node), (cluster.node(1).1.cluster, NodeId(3)));
    let twice = issue(3, "d.example.org").unwrap_err();
    assert!(twice.to_string().starts_with("there is a node 3 already"), "{twice}");
    assert!(issue(0, "d.example.org").unwrap_err().to_string().starts_with("--node 0: allowed"));
    // The next one is told of this one.
    issue(4, "d.example.org").unwrap();
    let next = Config::load(&cluster.layout.node(NodeId(4)).join("node.toml")).unwrap();
    assert_eq!(next.cluster.nodes.iter().map(|known| known.id.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    fs::remove_file(cluster.layout.ca_key()).unwrap();
    let keyless = issue(5, "e.example.org").unwrap_err().to_string();
    assert!(keyless.contains("ca.key is not there: run this where"), "{keyless}");
}

#[test]
fn renewing_keeps_key_and_names() {
    let cluster = Cluster::new();
    let (config, genesis) = cluster.node(2);
    let before = fs::read(&config.tls.cert).unwrap();
    let key = fs::read(&config.tls.key).unwrap();
    let dir = cluster.layout.dir().to_path_buf();
    command(&CertsCommand::Renew { dir: dir.clone(), node: Some(2) }).unwrap();
    assert_ne!(fs::read(&config.tls.cert).unwrap(), before);
    assert_eq!(fs::read(&config.tls.key).unwrap(), key);
    let found = check_node_certificate(&config, Some(&genesis)).unwrap();
    assert_eq!(found.hosts, ["10.0.0.2"]);
    let shown = command(&CertsCommand::Show { dir: dir.clone(), node: None }).unwrap();
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.contains(&format!("node 2 of cluster {}, hosts 10.0.0.2, ", genesis.cluster)));
    assert!(shown.contains("(365 days)") || shown.contains("(364 days)"), "{shown}");
    let missing = command(&CertsCommand::Show { dir, node: Some(9) }).unwrap_err();
    assert!(missing.to_string().starts_with("there is no folder "), "{missing}");
}

struct Cluster {
    layout: Layout,
    _dir: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let hosts = ["a.example.org", "10.0.0.2"];
        let nodes = hosts.map(|host| HostPort::parse_or_port(host, 7410).unwrap()).to_vec();
        let args = InitArgs { dir: dir.path().to_path_buf(), nodes, name: "team".to_owned() };
        init::command(&args).unwrap();
        Self { layout, _dir: dir }
    }

    fn node(&self, number: u64) -> (Config, Genesis) {
        let config = Config::load(&self.layout.node(NodeId(number)).join("node.toml")).unwrap();
        let genesis = Genesis::load(&config.node.data_dir).unwrap().unwrap();
        (config, genesis)
    }
}

#[track_caller]
fn refused(config: &Config, genesis: &Genesis, path: &Path, wanted: &str) {
    let error = check_node_certificate(config, Some(genesis)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    let wanted = format!("{}: {wanted}", path.display());
    assert!(text.starts_with(&wanted), "{text}\nshould start with\n{wanted}");
}
