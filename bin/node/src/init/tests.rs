//! What `node init` leaves behind, and what it refuses.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use super::*;
use crate::config::{Config, TlsClient};

#[test]
fn the_tree_is_whole_and_secrets_are_for_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    command(&args(dir.path(), "a.example.org,b.example.org:7500")).unwrap();
    let mut tree = BTreeMap::new();
    list(dir.path(), dir.path(), &mut tree);
    let tree: Vec<String> = tree.iter().map(|(path, mode)| format!("{mode:o} {path}")).collect();
    let node = |number: u64| {
        let files = ["ca.pem", "data", "data/genesis", "node.key", "node.pem", "node.toml"];
        let modes = ["644", "700", "600", "600", "644", "644"];
        let folder = format!("700 node-{number}");
        let files = modes
            .into_iter()
            .zip(files)
            .map(move |(mode, file)| format!("{mode} node-{number}/{file}"));
        std::iter::once(folder).chain(files)
    };
    let mut wanted =
        vec!["700 ca".to_owned(), "600 ca/ca.key".to_owned(), "644 ca/ca.pem".to_owned()];
    wanted.push("644 chatctl.toml".to_owned());
    wanted.extend(node(1).chain(node(2)));
    wanted.push("600 owner-token".to_owned());
    assert_eq!(tree, wanted);
}

#[test]
fn every_node_gets_the_same_genesis_and_a_configuration_that_loads() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("deeper").join("chat"));
    command(&args(layout.dir(), "a.example.org,10.0.0.2,[::1]:7500")).unwrap();
    let token = fs::read_to_string(layout.owner_token()).unwrap();
    let mut seen = Vec::new();
    for folder in layout.node_folders().unwrap() {
        let config = Config::load(&folder.join("node.toml")).unwrap();
        let genesis = Genesis::load(&config.node.data_dir).unwrap().unwrap();
        genesis.check_owner(&config).unwrap();
        assert_eq!(genesis.owner_token_hash, token_hash(token.trim_end()));
        let voters = genesis.config().voters;
        let voters: Vec<_> =
            voters.iter().map(|one| format!("{} {}", one.peer, one.client)).collect();
        let listed: Vec<_> =
            config.cluster.nodes.iter().map(|one| format!("{} {}", one.peer, one.client)).collect();
        assert_eq!(voters, listed);
        assert_eq!(config.tls.client, TlsClient::Cluster);
        seen.push((
            config.node.id.0,
            config.listen.peer.to_string(),
            config.listen.client.to_string(),
        ));
    }
    let seen: Vec<_> = seen.iter().map(|(id, peer, client)| (*id, &**peer, &**client)).collect();
    let wanted = [
        (1, "0.0.0.0:7410", "0.0.0.0:7411"),
        (2, "0.0.0.0:7410", "0.0.0.0:7411"),
        (3, "[::1]:7500", "[::1]:7501"),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn chatctl_is_told_endpoints_and_ca() {
    let dir = tempfile::tempdir().unwrap();
    command(&args(dir.path(), "a.example.org,b.example.org:7500")).unwrap();
    let text = fs::read_to_string(dir.path().join("chatctl.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let endpoints = ["https://a.example.org:7411", "https://b.example.org:7501"];
    assert_eq!(table["endpoints"].as_array().unwrap().len(), 2);
    assert_eq!(table["endpoints"][0].as_str(), Some(endpoints[0]));
    assert_eq!(table["endpoints"][1].as_str(), Some(endpoints[1]));
    assert!(dir.path().join(table["ca"].as_str().unwrap()).is_file());
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    let error = command(&args(dir.path(), "a")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .ends_with("is not empty: nothing was changed in it; give a new directory")
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let error = command(&args(&dir.path().join("precious"), "a")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}

#[test]
fn the_number_of_nodes_is_bounded_and_addresses_differ() {
    let dir = tempfile::tempdir().unwrap();
    let seven = "a,b,c,d,e,f,g";
    command(&args(&dir.path().join("seven"), seven)).unwrap();
    let error = command(&args(&dir.path().join("eight"), &format!("{seven},h"))).unwrap_err();
    assert!(error.to_string().starts_with("--nodes names 8 nodes: 1 to 7 "), "{error}");
    let error = command(&args(&dir.path().join("twice"), "a,A:7410")).unwrap_err();
    assert!(error.to_string().starts_with("--nodes names a:7410 twice"), "{error}");
    assert!(!dir.path().join("eight").exists() && !dir.path().join("twice").exists());
}

#[test]
fn two_clusters_share_neither_identity_nor_token() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let layout = Layout::new(&dir.path().join(name));
        command(&args(layout.dir(), "a")).unwrap();
        Genesis::load(&layout.data(NodeId(1))).unwrap().unwrap()
    });
    assert_ne!(one.cluster, two.cluster);
    assert_ne!(one.owner_token_hash, two.owner_token_hash);
}

fn args(dir: &Path, nodes: &str) -> InitArgs {
    let nodes = nodes.split(',').map(|node| HostPort::parse_or_port(node, 7410).unwrap()).collect();
    InitArgs { dir: dir.to_path_buf(), nodes, name: "team".to_owned() }
}

fn list(root: &Path, dir: &Path, tree: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        tree.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), mode);
        if path.is_dir() {
            list(root, &path, tree);
        }
    }
}
