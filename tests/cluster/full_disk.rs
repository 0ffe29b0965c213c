//! Three nodes on a disk that fills up: writes are refused in words, reads go on through an election,
//! and writes resume by themselves when there is room. The disk is a small ext4 of its own.
//! Skipped only where nothing may be mounted; a run leaves a mark that the gate looks for.

use std::{fs, path::Path, time::Duration};

use chatctl::Outgoing;
use reqwest::Response;
use serde_json::json;
use tests::{
    cluster::{Cluster, eventually},
    conversation::whole_history,
    mark::Mark,
    small_disk::SmallDisk,
};
use tokio::time::timeout;

use crate::{
    PROGRAMS,
    crashes::{general, while_talking},
};

/// Three logs with their spare segments, and the reserve, fit in easily.
const DISK_BYTES: u64 = 96 << 20;
const RESERVE_BYTES: u64 = 24 << 20;
const SEGMENT_BYTES: u64 = 1 << 20;

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let mut cluster = Cluster::init(PROGRAMS, 3);
    for id in cluster.ids() {
        keep_data_on(&disk, &cluster.node_dir(id), id);
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    let token = owner.token().unwrap();
    let send = async |id: u64, text: &str| {
        let url = format!("{}/v1/messages", cluster.url(id));
        let body = json!({"to": "#general", "text": text});
        cluster.http().post(url).bearer_auth(&token).json(&body).send().await.unwrap()
    };
    // All of it: the disk is looked at once a second, and many sends may be taken until then.
    let read = async |cluster: &Cluster, id: u64| {
        let mut all = Vec::new();
        loop {
            let after = all.len();
            let path = format!("/v1/channels/general/messages?after={after}&limit=200");
            let url = format!("{}{path}", cluster.url(id));
            let answer = cluster.http().get(url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 200, "node {id}");
            let page = texts(answer).await;
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    };
    assert_eq!(send(1, "before").await.status(), 201);

    // Low on space: what a leader took before it looked still finds room with the others.
    disk.fill_up_to(RESERVE_BYTES * 3 / 4);
    for id in cluster.ids() {
        eventually("the node refuses writes", async || is_disk_full(send(id, "lost").await).await)
            .await;
        assert_eq!(read(&cluster, id).await[0], "before");
    }
    let refused_at = read(&cluster, 1).await;

    disk.empty();
    for id in cluster.ids() {
        eventually("the node takes writes again", async || {
            send(id, &format!("after {id}")).await.status() == 201
        })
        .await;
    }
    let all = read(&cluster, 1).await;
    assert!(all.starts_with(&refused_at), "{all:?}");
    assert_eq!(all.len(), refused_at.len() + 3, "what was refused was not done: {all:?}");

    disk.fill_up_to(RESERVE_BYTES * 3 / 4);
    eventually("writes are refused", async || is_disk_full(send(1, "last").await).await).await;
    let all = read(&cluster, 1).await;
    disk.fill_up_to(0);
    let leader = cluster.leader(&owner).await;
    cluster.kill(leader);
    for id in cluster.ids().into_iter().filter(|id| *id != leader) {
        cluster.ready(id).await;
        assert_eq!(read(&cluster, id).await, all, "reads go on, under a new leader too");
    }
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "full-disk").leave();
}

/// A leader with room whose followers have none: writes wait, reads go on, and what was acknowledged
/// and what waited is there when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn followers_without_room_hold_writes_up_and_lose_none() {
    let disks: Option<Vec<_>> = (0..3).map(|_| SmallDisk::mount(DISK_BYTES)).collect();
    let Some(disks) = disks else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let mut cluster = Cluster::init(PROGRAMS, 3);
    for (id, disk) in (1..).zip(&disks) {
        keep_data_on(disk, &cluster.node_dir(id), id);
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    while_talking(&mut cluster, &owner, "short", async |cluster, speakers| {
        let leader = cluster.leader(&owner).await;
        let followers = (1..).zip(&disks).filter(|(id, _)| *id != leader);
        for (_, disk) in followers.clone() {
            disk.fill_up_to(RESERVE_BYTES / 4);
        }
        eventually("writes wait", async || {
            timeout(Duration::from_secs(2), speakers[0].goes_on(1)).await.is_err()
        })
        .await;
        // A follower that lacks what was committed since cannot say so; its clients go elsewhere.
        let reader = cluster.client_with(&[leader], owner.token());
        assert!(!whole_history(&reader, &general()).await.is_empty(), "reads go on");
        for (_, disk) in followers {
            disk.empty();
        }
    })
    .await;
}

/// The leader's disk alone is full: another one leads, and writes go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_room_hands_over_to_one_with_room() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let mut cluster = Cluster::init(PROGRAMS, 3);
    keep_data_on(&disk, &cluster.node_dir(1), 1);
    for id in cluster.ids() {
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    while cluster.leader(&owner).await != 1 {
        let leader = cluster.leader(&owner).await;
        assert_eq!(cluster.terminate(leader).await, Some(0));
        cluster.spawn(leader);
        cluster.ready(leader).await;
        cluster.converged(&owner).await;
    }
    disk.fill_up_to(RESERVE_BYTES * 3 / 4);
    let others = cluster.client_with(&[2, 3], owner.token());
    eventually("one with room leads", async || cluster.leader(&others).await != 1).await;
    let client = cluster.client_with(&[1], owner.token());
    let message = Outgoing {
        to: general(),
        text: "through the node without room".to_owned(),
        reply_to: None,
        after_request: None,
        request_id: None,
    };
    client.send(&message).await.unwrap();
}

/// Is this the answer to a write that finds no room? What else may come is that it was taken.
async fn is_disk_full(answer: Response) -> bool {
    let status = answer.status();
    if status == 201 {
        return false;
    }
    assert_eq!(status, 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    let error: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["code"], "disk_full", "{error}");
    true
}

async fn texts(answer: Response) -> Vec<String> {
    let page: serde_json::Value = answer.json().await.unwrap();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// Has a node keep its data there.
fn keep_data_on(disk: &SmallDisk, node_dir: &Path, id: u64) {
    let data = disk.path().join(format!("data-{id}"));
    fs::create_dir(&data).unwrap();
    for entry in fs::read_dir(node_dir.join("data")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
    }
    let file = node_dir.join("node.toml");
    let text = fs::read_to_string(&file).unwrap();
    let old = "data_dir = \"data\"";
    assert!(text.contains(old) && !text.contains("[storage]"), "{text}");
    let text = text.replace(old, &format!("data_dir = \"{}\"", data.display()));
    let storage =
        format!("[storage]\nsegment_bytes = {SEGMENT_BYTES}\nreserve_bytes = {RESERVE_BYTES}");
    fs::write(&file, format!("{text}\n{storage}\n")).unwrap();
}
