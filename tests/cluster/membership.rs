//! Machines join, leave and come back without their disks, and leadership moves on request, while
//! clients write.

use std::process::{Command, Output};

use chatctl::{Client, ClusterStatus};
use reqwest::StatusCode;
use tempfile::TempDir;
use tests::{
    cluster::{Cluster, PASSWORD, eventually},
    conversation::{Speaker, check_promises, whole_history},
};

use crate::{
    CHATCTL,
    crashes::{general, talking_cluster},
};

/// Messages acknowledged between two changes.
const STRETCH: usize = 15;

/// The owner at the command line.
struct Desk {
    home: TempDir,
}

impl Desk {
    fn login(cluster: &Cluster) -> Self {
        let desk = Self { home: tempfile::tempdir().unwrap() };
        let output = desk.run(cluster, &["login", "owner"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        desk
    }

    fn run(&self, cluster: &Cluster, arguments: &[&str]) -> Output {
        let mut command = Command::new(CHATCTL);
        command
            .env("XDG_STATE_HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("HOLDFAST_PASSWORD", PASSWORD)
            .arg("--ca")
            .arg(cluster.ca());
        // Those that were there from the start.
        for id in [1, 2, 3] {
            command.args(["--endpoint", cluster.url(id)]);
        }
        command.args(arguments).output().unwrap()
    }

    /// What a command says that is done.
    fn told(&self, cluster: &Cluster, arguments: &[&str]) -> String {
        let output = self.run(cluster, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn speakers(cluster: &Cluster, owner: &Client) -> Vec<Speaker> {
    let speak = |(name, ids): (&str, [u64; 3])| {
        let client = cluster.client_with(&ids, owner.token());
        Speaker::start(client, general(), name)
    };
    [("a", [1, 2, 3]), ("b", [2, 3, 1])].into_iter().map(speak).collect()
}

pub(crate) async fn all_go_on(speakers: &[Speaker]) {
    for speaker in speakers {
        speaker.goes_on(STRETCH).await;
    }
}

/// Every send was answered, and each stands where it was acknowledged.
pub(crate) async fn kept_its_promises(cluster: &Cluster, owner: &Client, speakers: Vec<Speaker>) {
    all_go_on(&speakers).await;
    let mut spoken = Vec::new();
    for speaker in speakers {
        spoken.push(speaker.stop().await);
    }
    cluster.converged(owner).await;
    for one in &spoken {
        assert!(one.unknown.is_empty(), "every send was answered: {:?}", one.unknown);
        assert_eq!(one.unavailable, 0, "and none refused");
    }
    check_promises(&whole_history(owner, &general()).await, &spoken);
}

fn part(status: &ClusterStatus, id: u64) -> Option<&str> {
    let node = status.nodes.iter().find(|node| node.id == id)?;
    node.more.get("part")?.as_str()
}

/// Wait until the cluster is seen so.
pub(crate) async fn seen(client: &Client, what: &str, condition: impl Fn(&ClusterStatus) -> bool) {
    eventually(what, async || client.cluster().await.is_ok_and(|status| condition(&status))).await;
}

/// Trap 25, and what a follower that was away makes of a leader that it has never heard of.
#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_machine_joins_and_an_old_one_leaves_while_clients_write() {
    let (mut cluster, owner) = talking_cluster(5).await;
    let desk = Desk::login(&cluster);
    let speakers = speakers(&cluster, &owner);
    all_go_on(&speakers).await;

    let (six, peer) = cluster.issue();
    let client = cluster.url(six).to_owned();
    cluster.spawn(six);
    let admission = format!("chatctl cluster add 6 --peer {peer} --client {client}");
    eventually("the newcomer says what it waits for", async || {
        cluster.said(six).contains(&format!("node 6 waits to be admitted: `{admission}`"))
    })
    .await;
    let http = cluster.http();
    let ask = async |path: &str| http.get(format!("{client}{path}")).send().await.unwrap();
    assert_eq!(ask("/healthz").await.status(), StatusCode::OK);
    let ready = ask("/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text().await.unwrap().contains(&admission));
    seen(&owner, "the newcomer is told of", |status| {
        status.more["joiners"] == serde_json::json!([6])
    })
    .await;

    // This one misses it all.
    let leader = cluster.leader(&owner).await;
    let away = if leader == 5 { 4 } else { 5 };
    cluster.kill(away);
    let words: Vec<&str> = admission.split(' ').skip(1).chain(["--wait"]).collect();
    assert!(desk.told(&cluster, &words).contains("node 6 is a voter"));
    assert!(desk.told(&cluster, &words).contains("node 6 is a voter"), "said twice, done once");
    all_go_on(&speakers).await;
    assert!(desk.told(&cluster, &["cluster", "transfer", "6"]).contains("node 6 leads now"));
    cluster.spawn(away);
    cluster.ready(away).await;
    seen(&owner, "all six vote", |status| {
        status.nodes.len() == 6 && status.nodes.iter().all(|node| node.reachable)
    })
    .await;

    // The leader itself is told to leave.
    desk.told(&cluster, &["cluster", "transfer", "1"]);
    assert!(desk.told(&cluster, &["cluster", "remove", "1"]).contains("node 1 is out"));
    assert_eq!(cluster.ended(1).await, Some(1));
    assert!(cluster.said(1).contains("this node was removed from the cluster"));
    seen(&owner, "five are left", |status| {
        status.nodes.len() == 5 && part(status, 1).is_none() && part(status, 6) == Some("voter")
    })
    .await;
    kept_its_promises(&cluster, &owner, speakers).await;
}

/// Traps 16 and 18: what a wiped disk had promised is nobody's; it returns as somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_voter_is_replaced_and_returns_as_another() {
    let (mut cluster, owner) = talking_cluster(3).await;
    let desk = Desk::login(&cluster);
    let speakers = speakers(&cluster, &owner);
    all_go_on(&speakers).await;
    cluster.kill(3);
    cluster.wipe(3);
    cluster.spawn(3);
    assert_eq!(cluster.ended(3).await, Some(1));
    let said = cluster.said(3);
    assert!(said.contains("`chatctl cluster replace 3`"), "{said}");
    all_go_on(&speakers).await;

    assert!(desk.told(&cluster, &["cluster", "replace", "3"]).contains("node 3 is a learner"));
    cluster.spawn(3);
    cluster.ready(3).await;
    seen(&owner, "the replaced one votes again", |status| part(status, 3) == Some("voter")).await;
    // It counts: without another one the cluster goes on.
    cluster.kill(2);
    all_go_on(&speakers).await;
    cluster.spawn(2);
    cluster.ready(2).await;
    let mut spoken = Vec::new();
    for speaker in speakers {
        spoken.push(speaker.stop().await);
    }
    cluster.converged(&owner).await;
    check_promises(&whole_history(&owner, &general()).await, &spoken);
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_on_request_and_no_send_fails() {
    let (cluster, owner) = talking_cluster(3).await;
    let desk = Desk::login(&cluster);
    let speakers = speakers(&cluster, &owner);
    all_go_on(&speakers).await;
    let leader = cluster.leader(&owner).await;
    let heir = leader % 3 + 1;
    let told = desk.told(&cluster, &["cluster", "transfer", &heir.to_string()]);
    assert!(told.contains(&format!("node {heir} leads now")), "{told}");
    all_go_on(&speakers).await;
    let told = desk.told(&cluster, &["cluster", "transfer", "-o", "json"]);
    assert!(!told.contains(&format!("\"leader\":{heir},")), "{told}");
    all_go_on(&speakers).await;

    let leader = cluster.leader(&owner).await;
    let told = desk.told(&cluster, &["cluster", "drain", &leader.to_string()]);
    assert!(told.contains("leads no more, until `chatctl cluster drain"), "{told}");
    assert_ne!(cluster.leader(&owner).await, leader);
    assert!(desk.told(&cluster, &["cluster", "status"]).contains("follower, drained"));
    let refused =
        desk.run(&cluster, &["--timeout", "2s", "cluster", "transfer", &leader.to_string()]);
    // In so short a time that it may not be known that nothing was done.
    assert!(matches!(refused.status.code(), Some(3 | 5)), "{refused:?}");
    assert_ne!(cluster.leader(&owner).await, leader);
    desk.told(&cluster, &["cluster", "drain", &leader.to_string(), "--undo"]);
    let told = desk.told(&cluster, &["cluster", "transfer", &leader.to_string()]);
    assert!(told.contains(&format!("node {leader} leads now")), "{told}");
    let unknown = desk.run(&cluster, &["cluster", "drain", "9"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("not_member"));
    kept_its_promises(&cluster, &owner, speakers).await;
}
