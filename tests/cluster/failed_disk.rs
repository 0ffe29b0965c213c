//! A disk that fails a write or a sync under a node: the node ends in words, the others go on, and
//! after a restart nothing acknowledged is missing. `strace` makes the calls fail.
//!
//! Skipped only where nothing may be traced; a run leaves a mark that the gate looks for.

use chatctl::Client;
use tests::{
    cluster::{Cluster, eventually},
    mark::Mark,
    trace::{Trace, can_trace},
};

use crate::crashes::{all_go_on, talking_cluster, while_talking};

/// Fail a call of one node, the fifth of a kind in each thread from now on; see it end, and start it
/// again.
async fn fail_while_talking(cluster: &mut Cluster, owner: &Client, id: u64, fault: &str) {
    let others = cluster.ids().len() - 1;
    while_talking(cluster, owner, fault, async |cluster, speakers| {
        let trace = Trace::new(&format!("{fault}:when=5"));
        let mut strace = trace.attach(cluster.pid(id));
        assert_eq!(cluster.ended(id).await, Some(1), "{fault}: {}", cluster.said(id));
        eventually("strace ends with its process", async || strace.try_wait().unwrap().is_some())
            .await;
        check_last_words(cluster, id, fault);
        let struck = trace.struck();
        assert!(!struck.is_empty(), "{fault}");
        for strike in struck.iter().filter(|strike| !strike.is_spare()) {
            let touched = strike.after.iter().find(|call| !call.contains("write("));
            assert_eq!(touched, None, "{fault}: after it failed");
        }
        if others > 0 {
            all_go_on(speakers).await;
        }
        cluster.spawn(id);
    })
    .await;
}

/// Which file, what happened, what to do.
fn check_last_words(cluster: &Cluster, id: u64, fault: &str) {
    let said = cluster.said(id);
    let last = said.lines().last().unwrap();
    let dir = cluster.node_dir(id).join("data").display().to_string();
    for part in ["error: the log failed", &dir, "(os error ", "then start the node again"] {
        assert!(last.contains(part), "{fault}: {last}");
    }
}

/// F1, traps 6 and 8: the process ends, nothing is tried again, nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_or_sync_ends_its_node_and_loses_nothing() {
    if !can_trace() {
        eprintln!("SKIPPED: strace is missing, or nothing may be traced here");
        return;
    }
    let (mut alone, owner) = talking_cluster(1).await;
    fail_while_talking(&mut alone, &owner, 1, "fdatasync:error=EIO").await;
    drop(alone);

    let (mut cluster, owner) = talking_cluster(3).await;
    for fault in ["fdatasync:error=EIO", "pwrite64:error=ENOSPC"] {
        let leader = cluster.leader(&owner).await;
        fail_while_talking(&mut cluster, &owner, leader, fault).await;
    }
    let leader = cluster.leader(&owner).await;
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    fail_while_talking(&mut cluster, &owner, follower, "pwrite64:error=EIO").await;
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "node-faults").leave();
}

/// trap 32: heartbeats go on while a disk hangs; a leader with such a disk hands over and leads no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_hangs_hands_over_and_no_send_fails() {
    if !can_trace() {
        eprintln!("SKIPPED: strace is missing, or nothing may be traced here");
        return;
    }
    let (mut cluster, owner) = talking_cluster(3).await;
    let old = cluster.leader(&owner).await;
    while_talking(&mut cluster, &owner, "hanging", async |cluster, speakers| {
        let trace = Trace::new("fdatasync:delay_enter=3000000");
        let mut strace = trace.attach(cluster.pid(old));
        let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != old).collect();
        let client = cluster.client_with(&others, owner.token());
        eventually("another one leads", async || cluster.leader(&client).await != old).await;
        all_go_on(speakers).await;
        strace.kill().unwrap();
        strace.wait().unwrap();
    })
    .await;
    let said = cluster.said(old);
    assert!(!said.contains("error:"), "a disk that is slow is not broken: {said}");
}
