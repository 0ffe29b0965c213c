//! kill -9 in mid-conversation, and restart.

use chatctl::{Client, Target};
use tests::{
    cluster::Cluster,
    conversation::{Speaker, check_promises, whole_history},
};

use crate::PROGRAMS;

/// Messages acknowledged before, between and after the kills.
const STRETCH: usize = 15;

/// The channel to talk in.
pub(crate) fn general() -> Target {
    "#general".parse().unwrap()
}

/// A cluster with a channel to talk in, and its owner.
pub(crate) async fn talking_cluster(count: usize) -> (Cluster, Client) {
    let cluster = Cluster::start(PROGRAMS, count).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    (cluster, owner)
}

/// Kill `victims` at once while two speakers talk through different nodes; they must go on if a quorum
/// is left, and after the restart every node must hold the same.
async fn kill_while_talking(cluster: &mut Cluster, owner: &Client, victims: &[u64], round: &str) {
    while_talking(cluster, owner, round, async |cluster, speakers| {
        cluster.kill_all(victims);
        if victims.len() * 2 < cluster.ids().len() {
            all_go_on(speakers).await;
        }
        for id in victims {
            cluster.spawn(*id);
        }
    })
    .await;
}

/// Two speakers talk through different nodes, before, during and after the trouble; afterwards every
/// node must hold the same, with everything that was acknowledged.
pub(crate) async fn while_talking(
    cluster: &mut Cluster,
    owner: &Client,
    round: &str,
    trouble: impl AsyncFnOnce(&mut Cluster, &[Speaker]),
) {
    let mut ids = cluster.ids();
    let speakers: Vec<Speaker> = ["a", "b"]
        .into_iter()
        .map(|name| {
            ids.rotate_left(1);
            let client = cluster.client_with(&ids, owner.token());
            Speaker::start(client, general(), &format!("{round} {name}"))
        })
        .collect();
    all_go_on(&speakers).await;
    trouble(cluster, &speakers).await;
    all_go_on(&speakers).await;
    let mut spoken = Vec::new();
    for speaker in speakers {
        spoken.push(speaker.stop().await);
    }
    cluster.converged(owner).await;
    for id in cluster.ids() {
        let reader = cluster.client_with(&[id], owner.token());
        let history = whole_history(&reader, &general()).await;
        let start = history.iter().position(|message| {
            message.text.as_deref().is_some_and(|text| text.starts_with(round))
        });
        let mut this_round = history.get(start.unwrap()..).unwrap().to_vec();
        let before = this_round.first().unwrap().seq - 1;
        for message in &mut this_round {
            message.seq -= before;
        }
        let mut relative = Vec::new();
        for one in &spoken {
            let mut acknowledged = one.acknowledged.clone();
            for message in &mut acknowledged {
                message.seq -= before;
            }
            relative.push(tests::conversation::Spoken {
                acknowledged,
                unknown: one.unknown.clone(),
                unavailable: 0,
            });
        }
        check_promises(&this_round, &relative);
    }
}

/// Each gets a stretch of messages acknowledged.
pub(crate) async fn all_go_on(speakers: &[Speaker]) {
    for speaker in speakers {
        speaker.goes_on(STRETCH).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_leader_or_a_follower_of_three_loses_nothing() {
    let (mut cluster, owner) = talking_cluster(3).await;
    let leader = cluster.leader(&owner).await;
    kill_while_talking(&mut cluster, &owner, &[leader], "leader").await;
    let leader = cluster.leader(&owner).await;
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    kill_while_talking(&mut cluster, &owner, &[follower], "follower").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_all_of_three_loses_nothing() {
    let (mut cluster, owner) = talking_cluster(3).await;
    kill_while_talking(&mut cluster, &owner, &[1, 2, 3], "all").await;
    kill_while_talking(&mut cluster, &owner, &[1, 2, 3], "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_any_pair_of_five_at_once_loses_nothing() {
    let (mut cluster, owner) = talking_cluster(5).await;
    for first in 1..=5 {
        for second in first + 1..=5 {
            let round = format!("{first}+{second}");
            kill_while_talking(&mut cluster, &owner, &[first, second], &round).await;
        }
    }
}
