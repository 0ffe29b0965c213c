//! Signals. SIGTERM: leadership moves, what is in flight is answered, nothing is lost. SIGHUP: renewed
//! certificates are taken up, unusable ones are not.

use std::{fs, process::Command};

use tests::{
    cluster::{Cluster, eventually},
    conversation::{Speaker, check_promises, whole_history},
};

use crate::PROGRAMS;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_hands_over_and_no_send_fails() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    let general = "#general".parse().unwrap();
    let leader = cluster.leader(&owner).await;
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    let client = cluster.client_with(&others, owner.token());
    let speaker = Speaker::start(client, "#general".parse().unwrap(), "s");
    speaker.goes_on(30).await;
    assert_eq!(cluster.terminate(leader).await, Some(0), "a clean exit");
    speaker.goes_on(30).await;
    let next = cluster.leader(&cluster.client_with(&others, owner.token())).await;
    assert_ne!(next, leader);
    cluster.spawn(leader);
    cluster.ready(leader).await;
    let spoken = speaker.stop().await;
    assert!(spoken.unknown.is_empty(), "every send was answered: {:?}", spoken.unknown);
    cluster.converged(&owner).await;
    check_promises(&whole_history(&owner, &general).await, &[spoken]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_takes_renewed_certificates_up_and_leaves_bad_ones() {
    let cluster = Cluster::start(PROGRAMS, 1).await;
    let dir = cluster.node_dir(1);
    let log_says = |words: &str| fs::read_to_string(dir.join("node.log")).unwrap().contains(words);

    let good = fs::read(dir.join("node.pem")).unwrap();
    fs::write(dir.join("node.pem"), "no certificate").unwrap();
    cluster.hang_up(1);
    eventually("the bad certificate is told", async || log_says("the certificates in use stay"))
        .await;
    cluster.ready(1).await;

    fs::write(dir.join("node.pem"), good).unwrap();
    let renewed = Command::new(PROGRAMS.node)
        .args(["certs", "renew", "--node", "1", "--dir"])
        .arg(cluster.dir())
        .output()
        .unwrap();
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    cluster.hang_up(1);
    eventually("the renewed certificate is told", async || log_says("certificates read again"))
        .await;
    cluster.ready(1).await;
}
