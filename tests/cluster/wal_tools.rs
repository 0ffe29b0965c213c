//! `node wal`: a running node's log is left alone; a stopped one is shown, checked and mended; a node
//! whose log is damaged says the same as the tools and serves nothing.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tests::cluster::Cluster;

use crate::PROGRAMS;

/// What `node wal COMMAND DIR` says on both channels, and its exit code.
fn wal(command: &str, dir: &Path) -> (String, String, i32) {
    let output = Command::new(PROGRAMS.node)
        .args(["wal"])
        .args(command.split(' '))
        .arg(dir)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shown_checked_and_mended_once_its_node_has_stopped() {
    let mut cluster = Cluster::start(PROGRAMS, 1).await;
    let data = cluster.node_dir(1).join("data");
    for command in ["inspect", "verify", "repair", "repair --dry-run"] {
        let (out, err, code) = wal(command, &data);
        assert_eq!((&*out, code), ("", 2), "{command}");
        assert!(err.contains("is in use by another process: stop that one first"), "{err}");
    }
    cluster.ready(1).await;
    assert_eq!(cluster.terminate(1).await, Some(0));

    let (out, err, code) = wal("inspect", &data);
    assert_eq!((&*err, code), ("", 0));
    assert!(out.contains("whole, stopped in order") && out.contains("owner     node 1"), "{out}");
    let (out, _, code) = wal("verify --json", &data);
    assert_eq!(code, 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["verdict"], "whole");
    let (out, _, code) = wal("repair", &data);
    assert_eq!(code, 0);
    assert!(out.contains("nothing had to be mended"), "{out}");

    let segment = found["segments"][0]["file"].as_str().unwrap();
    let mut bytes = fs::read(data.join(segment)).unwrap();
    // The last entry; behind it is the batch that says the node stopped in order.
    let used = bytes[4_096..].chunks(512).take_while(|sector| sector.iter().any(|&byte| byte != 0));
    let used = used.count();
    bytes[4_096 + 512 * (used - 2) + 100] ^= 1;
    fs::write(data.join(segment), bytes).unwrap();
    let (out, err, code) = wal("verify", &data);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains(segment) && out.contains("chatctl cluster replace 1"), "{out}");
    assert!(err.contains("is damaged: "), "{err}");
    assert_eq!(wal("repair", &data).2, 4);
}
