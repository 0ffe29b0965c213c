//! A rolling upgrade: one node after the other starts again with the next build, while clients write.
//!
//! The builds are played: the same program, told to understand feature level 1 or 2.

use chatctl::{Client, ClusterStatus};
use tests::cluster::eventually;

use crate::{
    crashes::talking_cluster,
    membership::{all_go_on, kept_its_promises, seen, speakers},
};

const OLD: u16 = 1;
const NEW: u16 = 2;

fn level(status: &ClusterStatus) -> u16 {
    status.level.unwrap()
}

/// The feature level of the cluster, as soon as somebody tells it.
async fn level_now(client: &Client) -> u16 {
    let mut now = 0;
    eventually("the level is told", async || {
        now = client.cluster().await.map_or(0, |status| level(&status));
        now > 0
    })
    .await;
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_rises_when_the_last_node_runs_the_next_build_and_no_send_fails() {
    let (mut cluster, owner) = talking_cluster(3).await;
    let speakers = speakers(&cluster, &owner);
    all_go_on(&speakers).await;
    for id in cluster.ids() {
        assert_eq!(level_now(&owner).await, OLD, "node {id} runs the old build");
        assert_eq!(cluster.terminate(id).await, Some(0), "a clean exit");
        cluster.install(id, NEW);
        cluster.spawn(id);
        cluster.ready(id).await;
        all_go_on(&speakers).await;
    }
    seen(&owner, "the level has risen", |status| level(status) == NEW).await;
    kept_its_promises(&cluster, &owner, speakers).await;

    let late = 2;
    assert_eq!(cluster.terminate(late).await, Some(0), "a clean exit");
    cluster.install(late, OLD);
    cluster.spawn(late);
    assert_eq!(cluster.ended(late).await, Some(1), "a build too old stops");
    let said = cluster.said(late);
    let reason = "the cluster went on to feature level 2, and this version understands only 1: nothing \
                  was changed; run the version that the other nodes run";
    assert!(said.contains(reason), "{said}");
    cluster.install(late, NEW);
    cluster.spawn(late);
    cluster.ready(late).await;
    cluster.converged(&owner).await;
}
