//! Bits that rot in the segment files of up to f nodes: these start, are repaired from the others, and
//! nothing acknowledged is lost or garbled.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tests::cluster::Cluster;

use crate::{
    PROGRAMS,
    crashes::{talking_cluster, while_talking},
};

/// Every message begins so.
const SAID: &[u8] = b"rot ";

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
