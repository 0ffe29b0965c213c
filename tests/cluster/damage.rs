//! Bits that rot in the segment files of up to f nodes: these start, or go on, are repaired from the
//! others, and nothing acknowledged is lost or garbled.

use std::{fs, os::unix::fs::FileExt as _, path::Path, process::Command};

use chat::limits::TEXT_BYTES_MAX;
use chatctl::{Client, Outgoing};
use serde_json::Value;
use tests::cluster::{Cluster, eventually};

use crate::{
    PROGRAMS,
    crashes::{general, talking_cluster, while_talking},
};

/// Every message begins so.
const SAID: &[u8] = b"rot ";
/// The smallest that there are.
const SEGMENT_BYTES: usize = 1 << 20;
const FULL_SEGMENTS: usize = 5;
/// A segment in two seconds.
const SCRUB_BYTES_PER_S: usize = SEGMENT_BYTES / 2;

/// What `node wal verify --json` says of a stopped node.
fn verify(cluster: &Cluster, id: u64) -> Value {
    let data = cluster.node_dir(id).join("data");
    let output =
        Command::new(PROGRAMS.node).args(["wal", "verify", "--json"]).arg(data).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Flip a bit in what was said, at each of these parts of the messages in a segment file.
fn rot(file: &Path, at: &[usize]) {
    let mut bytes = fs::read(file).unwrap();
    let said: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i..].starts_with(SAID)).collect();
    for percent in at {
        bytes[said[said.len() * percent / 100]] ^= 4;
    }
    fs::write(file, bytes).unwrap();
}

/// The segments that hold entries, oldest first.
fn segments(cluster: &Cluster, id: u64) -> Vec<String> {
    let found = verify(cluster, id);
    let segments = found["segments"].as_array().unwrap().iter();
    let used = segments.filter(|segment| segment["entries"].as_u64().unwrap() > 0);
    used.map(|segment| segment["file"].as_str().unwrap().to_owned()).collect()
}

/// Have so many full segments on every node, of what was said.
async fn fill_segments(owner: &Client, count: usize) {
    let message = Outgoing {
        to: general(),
        text: format!("rot {}", "x".repeat(TEXT_BYTES_MAX - 4)),
        reply_to: None,
        after_request: None,
        request_id: None,
    };
    for _ in 0..=count * (SEGMENT_BYTES / TEXT_BYTES_MAX) {
        owner.send(&message).await.unwrap();
    }
}

/// Stop `victims` in order, let their logs rot at these parts of the segment in use, and start
/// them again while two speakers talk.
async fn rot_while_talking(count: usize, victims: &[(u64, &[usize])]) {
    let (mut cluster, owner) = talking_cluster(count).await;
    while_talking(&mut cluster, &owner, "rot", async |cluster, _| {
        for (id, _) in victims {
            assert_eq!(cluster.terminate(*id).await, Some(0));
        }
        for (id, parts) in victims {
            let data = cluster.node_dir(*id).join("data");
            let files = segments(cluster, *id);
            rot(&data.join(&files[files.len() - 1]), parts);
            let found = verify(cluster, *id);
            assert!(!found["lost"].as_array().unwrap().is_empty(), "{found}");
            cluster.spawn(*id);
        }
        for (id, _) in victims {
            cluster.ready(*id).await;
        }
    })
    .await;
    for (id, _) in victims {
        let said = cluster.said(*id);
        assert!(said.contains("the log is whole"), "{said}");
        assert_eq!(cluster.terminate(*id).await, Some(0));
        let found = verify(&cluster, *id);
        assert_eq!(found["lost"], Value::Array(Vec::new()), "{found}");
        assert!(!found["contents"].is_null(), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_on_one_of_three_is_repaired_from_the_others() {
    rot_while_talking(3, &[(2, &[5, 50, 99])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_on_two_of_five_is_repaired_from_the_others() {
    rot_while_talking(5, &[(1, &[30, 60]), (4, &[1, 40, 99])]).await;
}

/// What rots below a running node is found by the scrub and repaired while it serves.
#[tokio::test(flavor = "multi_thread")]
async fn rot_under_a_running_node_is_found_and_repaired() {
    let mut cluster = Cluster::init(PROGRAMS, 3);
    cluster.configure(&format!(
        "[storage]\nsegment_bytes = {SEGMENT_BYTES}\nscrub_bytes_per_s = {SCRUB_BYTES_PER_S}"
    ));
    for id in cluster.ids() {
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    fill_segments(&owner, FULL_SEGMENTS).await;
    while_talking(&mut cluster, &owner, "scrubbed", async |cluster, _| {
        // Its scrub begins with the oldest segment, far from where it rots.
        assert_eq!(cluster.terminate(2).await, Some(0));
        let files = segments(cluster, 2);
        let file = cluster.node_dir(2).join("data").join(&files[files.len() - 2]);
        let bytes = fs::read(&file).unwrap();
        let at = (bytes.len() / 2..).find(|&at| bytes[at..].starts_with(SAID)).unwrap();
        cluster.spawn(2);
        cluster.ready(2).await;
        let running = fs::OpenOptions::new().write(true).open(&file).unwrap();
        running.write_all_at(&[bytes[at] ^ 4], at as u64).unwrap();
        eventually("the damage is found and repaired", async || {
            let said = cluster.said(2);
            said.contains("a full segment is damaged") && said.contains("the log is whole")
        })
        .await;
    })
    .await;
    assert_eq!(cluster.terminate(2).await, Some(0));
    let found = verify(&cluster, 2);
    assert_eq!(found["lost"], Value::Array(Vec::new()), "{found}");
}
