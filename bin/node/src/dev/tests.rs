//! What is done before anything is started, and what can be typed afterwards. The running cluster
//! is tested with real processes elsewhere.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use super::*;
use crate::config::TlsClient;

#[test]
fn a_cluster_is_made_once_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let base = free_base();
    let args = args(&dir.path().join("dev"), Some(3), base);
    let made = prepare::prepare(&args).unwrap();
    let ports: Vec<_> = made.nodes.iter().map(|node| node.listen.client.to_string()).collect();
    assert_eq!(ports, [11, 21, 31].map(|offset| format!("127.0.0.1:{}", base + offset)));
    assert!(made.nodes.iter().all(|node| node.tls.client == TlsClient::Off));
    assert_eq!(made.nodes[1].listen.peer.port(), base + 20);
    let again = prepare::prepare(&DevArgs { nodes: None, base_port: None, ..args }).unwrap();
    assert_eq!((again.nodes, again.owner_token), (made.nodes, made.owner_token));
}

#[test]
fn another_shape_is_refused_and_fresh_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let base = free_base();
    let first = args(dir.path(), Some(1), base);
    let made = prepare::prepare(&first).unwrap();
    let other = args(dir.path(), Some(3), base);
    let error = prepare::prepare(&other).unwrap_err();
    assert!(error.to_string().contains("holds a cluster of 1 nodes; leave "), "{error}");
    let moved = args(dir.path(), None, base + 100);
    let error = prepare::prepare(&moved).unwrap_err();
    let wanted = format!("holds a cluster with base port {base}; ");
    assert!(error.to_string().contains(&wanted), "{error}");
    let fresh = prepare::prepare(&DevArgs { fresh: true, ..other }).unwrap();
    assert_eq!(fresh.nodes.len(), 3);
    assert_ne!(fresh.owner_token, made.owner_token);
}

#[test]
fn fresh_deletes_nothing_but_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let args = DevArgs { fresh: true, ..args(dir.path(), Some(1), free_base()) };
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
        let args = DevArgs { fresh, ..args(dir.path(), None, free_base()) };
        let error = prepare::prepare(&args).unwrap_err();
        assert!(error.to_string().contains("was not made by `node dev`"), "{error}");
    }
    assert!(dir.path().join("owner-token").is_file());
}

#[test]
fn half_a_cluster_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path(), Some(1), free_base());
    prepare::prepare(&args).unwrap();
    fs::remove_file(dir.path().join("owner-token")).unwrap();
    let error = prepare::prepare(&args).unwrap_err();
    assert!(error.to_string().contains("owner-token is missing"), "{error}");
    prepare::prepare(&DevArgs { fresh: true, ..args }).unwrap();
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let base = free_base();
    let port = base + 21;
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = prepare::prepare(&args(dir.path(), Some(2), base)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen for clients on 127.0.0.1:{port}: is another ")),
        "{text}"
    );
    drop(taken);
    prepare::prepare(&args(dir.path(), Some(2), base)).unwrap();
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
    let base = free_base();
    let cluster = prepare::prepare(&args(&dir, Some(2), base)).unwrap();
    let pids = [(NodeId(1), 41), (NodeId(2), 42)].into();
    let text = advice::text(&cluster, &pids, "target/release/chatctl");
    for wanted in [
        &*format!("node 1   http://127.0.0.1:{}   pid 41\n", base + 11),
        &format!("node 2   http://127.0.0.1:{}   pid 42\n", base + 21),
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
        let args = args(&dir.path().join(count.to_string()), Some(count), free_base());
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

/// A base port of this test alone, with the ports of five nodes free.
fn free_base() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let free = |base: &u16| {
        (1..=5).map(|node| base + 10 * node).all(|port| {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
                && TcpListener::bind(("127.0.0.1", port + 1)).is_ok()
        })
    };
    let mut bases = (0..100).map(|_| 2_000 + 60 * NEXT.fetch_add(1, Ordering::Relaxed));
    bases.find(free).unwrap()
}

fn args(dir: &Path, nodes: Option<u8>, base_port: u16) -> DevArgs {
    DevArgs { nodes, dir: dir.to_path_buf(), base_port: Some(base_port), fresh: false }
}
