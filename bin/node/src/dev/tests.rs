//! What is done before anything is started, and what can be typed afterwards. The running cluster
//! is tested with real processes elsewhere.

use std::{fs, net::TcpListener};

use super::*;
use crate::config::TlsClient;

#[test]
fn a_cluster_is_made_once_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(&dir.path().join("dev"), Some(3), 21_000);
    let made = prepare::prepare(&args).unwrap();
    let ports: Vec<_> = made.nodes.iter().map(|node| node.listen.client.to_string()).collect();
    assert_eq!(ports, ["127.0.0.1:21011", "127.0.0.1:21021", "127.0.0.1:21031"]);
    assert!(made.nodes.iter().all(|node| node.tls.client == TlsClient::Off));
    assert_eq!(made.nodes[1].listen.peer.to_string(), "127.0.0.1:21020");
    let again = prepare::prepare(&DevArgs { nodes: None, base_port: None, ..args }).unwrap();
    assert_eq!((again.nodes, again.owner_token), (made.nodes, made.owner_token));
}

#[test]
fn another_shape_is_refused_and_fresh_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = args(dir.path(), Some(1), 21_100);
    let made = prepare::prepare(&first).unwrap();
    let other = args(dir.path(), Some(3), 21_100);
    let error = prepare::prepare(&other).unwrap_err();
    assert!(error.to_string().contains("holds a cluster of 1 nodes; leave "), "{error}");
    let moved = args(dir.path(), None, 21_200);
    let error = prepare::prepare(&moved).unwrap_err();
    assert!(error.to_string().contains("holds a cluster with base port 21100; "), "{error}");
    let fresh = prepare::prepare(&DevArgs { fresh: true, ..other }).unwrap();
    assert_eq!(fresh.nodes.len(), 3);
    assert_ne!(fresh.owner_token, made.owner_token);
}

#[test]
fn fresh_deletes_nothing_but_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let args = DevArgs { fresh: true, ..args(dir.path(), Some(1), 21_300) };
    prepare::prepare(&args).unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    let error = prepare::prepare(&args).unwrap_err();
    assert!(
        error.to_string().contains("precious is not of `node dev`: nothing was del"),
        "{error}"
    );
    assert!(dir.path().join("node-1").is_dir() && dir.path().join("precious").is_file());
}

#[test]
fn a_cluster_of_init_is_neither_run_nor_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = vec!["a.example.org:7410".parse().unwrap()];
    let init =
        crate::args::InitArgs { dir: dir.path().to_path_buf(), nodes, name: "team".to_owned() };
    crate::init::command(&init).unwrap();
    for fresh in [false, true] {
        let args = DevArgs { fresh, ..args(dir.path(), None, 21_400) };
        let error = prepare::prepare(&args).unwrap_err();
        assert!(error.to_string().contains("was not made by `node dev`"), "{error}");
    }
    assert!(dir.path().join("owner-token").is_file());
}

#[test]
fn half_a_cluster_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path(), Some(1), 21_500);
    prepare::prepare(&args).unwrap();
    fs::remove_file(dir.path().join("owner-token")).unwrap();
    let error = prepare::prepare(&args).unwrap_err();
    assert!(error.to_string().contains("owner-token is missing"), "{error}");
    prepare::prepare(&DevArgs { fresh: true, ..args }).unwrap();
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:21621").unwrap();
    let error = prepare::prepare(&args(dir.path(), Some(2), 21_600)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(
        text.starts_with("cannot listen for clients on 127.0.0.1:21621: is another "),
        "{text}"
    );
    drop(taken);
    prepare::prepare(&args(dir.path(), Some(2), 21_600)).unwrap();
}

#[test]
fn three_things_can_be_typed() {
    assert_eq!("r 2".parse(), Ok(Request::Restart(NodeId(2))));
    assert_eq!(" k  1 ".parse(), Ok(Request::Kill(NodeId(1))));
    assert_eq!("q".parse(), Ok(Request::Quit));
    for wrong in ["", "r", "k one", "quit", "r 1 2", "k -1"] {
        assert_eq!(wrong.parse::<Request>(), Err(usage()), "{wrong:?}");
    }
}

#[test]
fn the_advice_names_what_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("it's here");
    let cluster = prepare::prepare(&args(&dir, Some(2), 21_700)).unwrap();
    let pids = [(NodeId(1), 41), (NodeId(2), 42)].into();
    let text = advice::text(&cluster, &pids, "target/release/chatctl");
    for wanted in [
        "node 1   http://127.0.0.1:21711   pid 41\n",
        "node 2   http://127.0.0.1:21721   pid 42\n",
        &format!("chatctl register alice --invite {}\n", cluster.owner_token),
        "it'\\''s here/chatctl.toml' HOLDFAST_PROFILE=bob\n",
        "chatctl() { target/release/chatctl \"$@\"; }\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is missing in\n{text}");
    }
}

#[test]
fn only_what_the_cluster_survives_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let kills = |count: u8| {
        let args = args(&dir.path().join(count.to_string()), Some(count), 21_800);
        let cluster = prepare::prepare(&args).unwrap();
        advice::text(&cluster, &[].into(), "chatctl").matches("kill -9 ").count()
    };
    assert_eq!([1, 2, 3, 4, 5].map(kills), [0, 0, 1, 1, 2]);
}

#[test]
fn only_the_last_lines_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("node.log");
    assert_eq!(last_lines(&log, 2), "");
    fs::write(&log, "one\ntwo\nthree\n").unwrap();
    assert_eq!(last_lines(&log, 2), "  two\n  three\n");
}

fn args(dir: &Path, nodes: Option<u8>, base_port: u16) -> DevArgs {
    DevArgs { nodes, dir: dir.to_path_buf(), base_port: Some(base_port), fresh: false }
}
