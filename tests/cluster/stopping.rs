//! SIGTERM: leadership moves, what is in flight is answered, nothing is lost.

use tests::{
    cluster::Cluster,
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
