//! The metrics of a cluster through an election: every line is sound, counters only rise, nobody is
//! named, and a node without a leader still tells them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chatctl::Outgoing;
use tests::cluster::{Cluster, eventually};

use crate::PROGRAMS;

const TOKEN: &str = "metrics-token-of-the-test";
/// What people say and are called must stand in no metric.
const SECRETS: [&str; 4] = [TOKEN, "owner-token", "a-rare-channel", "a rare text"];

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

#[tokio::test]
async fn metrics_are_sound_through_an_election_and_without_a_leader() {
    let mut cluster = Cluster::init(PROGRAMS, 3);
    for id in cluster.ids() {
        fs::write(cluster.node_dir(id).join("metrics.token"), format!("{TOKEN}\n")).unwrap();
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    owner.create_channel("a-rare-channel", false, None).await.unwrap();
    let message = Outgoing {
        to: "#a-rare-channel".parse().unwrap(),
        text: "a rare text".to_owned(),
        reply_to: None,
        after_request: None,
        request_id: None,
    };
    for _ in 0..5 {
        owner.send(&message).await.unwrap();
    }
    let leader = cluster.leader(&owner).await;
    let mut before = Vec::new();
    for id in cluster.ids() {
        // Gauges of the core follow it within a moment.
        eventually("the node's gauges tell of the last message", async || {
            scrape(&cluster, id).await["holdfast_applied_index"] >= 8.0
                && scrape(&cluster, id).await["holdfast_last_index"] >= 8.0
        })
        .await;
        before.push((id, scrape(&cluster, id).await));
    }
    check_quiet_cluster(&before, leader);

    cluster.kill(leader);
    let left: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    let survivor = cluster.client_with(&left, owner.token());
    survivor.send(&message).await.unwrap();
    let mut won = 0.0;
    for (id, before) in before.iter().filter(|(id, _)| *id != leader) {
        let after = scrape(&cluster, *id).await;
        check_rising(before, &after);
        let grown = |name: &str| after[name] - before[name];
        won += grown("holdfast_elections_won_total");
        assert!(grown("holdfast_leader_changes_total") > 0.0, "node {id}");
        assert!(grown("holdfast_log_sync_duration_seconds_count{file=\"segment\"}") > 0.0);
        assert!(grown("holdfast_log_sync_entries_count") > 0.0);
        assert!(grown("holdfast_fold_batch_duration_seconds_count") > 0.0);
    }
    assert!(won > 0.0, "somebody won");

    cluster.kill(left[0]);
    let alone = left[1];
    eventually("the last node leads nobody", async || {
        let samples = scrape(&cluster, alone).await;
        samples["holdfast_role{role=\"leader\"}"] == 0.0
            && left
                .iter()
                .chain([&leader])
                .filter(|id| **id != alone)
                .all(|id| samples[&format!("holdfast_peer_connected{{peer=\"{id}\"}}")] == 0.0)
    })
    .await;
}

fn check_quiet_cluster(nodes: &[(u64, Samples)], leader: u64) {
    for (id, samples) in nodes {
        let is_leader = *id == leader;
        let one_if = |holds: bool| if holds { 1.0 } else { 0.0 };
        assert_eq!(samples["holdfast_role{role=\"leader\"}"], one_if(is_leader), "node {id}");
        assert_eq!(samples["holdfast_role{role=\"follower\"}"], one_if(!is_leader), "node {id}");
        for (peer, _) in nodes.iter().filter(|(peer, _)| peer != id) {
            let of_peer = |name: &str| samples.get(&format!("holdfast_{name}{{peer=\"{peer}\"}}"));
            assert_eq!(of_peer("peer_connected"), Some(&1.0), "node {id}");
            let round_trip = of_peer("peer_round_trip_seconds").unwrap();
            assert!((0.0..1.0).contains(round_trip), "node {id}: {round_trip}");
            assert_eq!(of_peer("peer_lag_entries").is_some(), is_leader, "node {id}");
        }
        assert!(samples["holdfast_applied_index"] <= samples["holdfast_commit_index"]);
        assert!(samples["holdfast_accounts"] >= 1.0, "node {id}");
        assert!(samples["holdfast_process_resident_memory_bytes"] > 1e6, "node {id}");
    }
    let committed = "holdfast_proposals_total{outcome=\"committed\"}";
    let sum: f64 = nodes.iter().filter_map(|(_, samples)| samples.get(committed)).sum();
    assert!(sum >= 7.0, "{sum} commands were committed");
}

/// What counts never goes down, and no series of it goes away.
fn check_rising(before: &Samples, after: &Samples) {
    let counts = |name: &str| {
        ["_total", "_count", "_sum", "_bucket"]
            .iter()
            .any(|end| name.split('{').next().unwrap().ends_with(end))
    };
    for (name, value) in before.iter().filter(|(name, _)| counts(name)) {
        assert!(after.get(name).is_some_and(|now| now >= value), "{name} fell from {value}");
    }
}

async fn scrape(cluster: &Cluster, id: u64) -> Samples {
    let url = format!("{}/metrics", cluster.url(id));
    let answer = cluster.http().get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200, "node {id}");
    let text = answer.text().await.unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in the metrics");
    }
    read(&text)
}

/// Read the text as strictly as `OpenMetrics` is written.
fn read(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut described = BTreeSet::new();
    let mut samples = Samples::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let [what, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("half a comment: {line}")
            };
            match what {
                "HELP" => assert!(described.insert(name), "{name} is described twice"),
                "TYPE" => assert!(types.insert(name, rest).is_none(), "{name} is typed twice"),
                "UNIT" => assert!(name.ends_with(rest), "{name} in {rest}"),
                _ => panic!("an unknown comment: {line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value: f64 = value.parse().expect("a value is a number");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let family = name.split('{').next().unwrap();
        assert!(is_name(family) && family.starts_with("holdfast_"), "{line}");
        assert!(types.iter().any(|(name, kind)| belongs(family, name, kind)), "no type: {line}");
        if let Some(labels) = name.strip_prefix(family).filter(|labels| !labels.is_empty()) {
            check_labels(labels);
        }
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    assert_eq!(types.keys().copied().collect::<BTreeSet<_>>(), described);
    check_histograms(&samples);
    samples
}

fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    let Some(end) = sample.strip_prefix(family) else { return false };
    match kind {
        "gauge" => end.is_empty(),
        "counter" => end == "_total",
        "info" => end == "_info",
        "histogram" => matches!(end, "_sum" | "_count" | "_bucket"),
        _ => panic!("{family} is a {kind}"),
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(fits)
}

fn check_labels(labels: &str) {
    let inner = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("braces");
    for label in inner.split("\",") {
        let (name, value) = label.split_once("=\"").expect("a label has a value");
        let value = value.trim_end_matches('"');
        assert!(is_name(name), "{labels}");
        assert!(!value.contains(['"', '\\', '\n']), "{labels}");
    }
}

/// Buckets hold what the smaller ones hold, and the last holds all.
fn check_histograms(samples: &Samples) {
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (name, count) in samples {
        let Some((family, rest)) = name.split_once("_bucket{le=\"") else { continue };
        let (bound, labels) = rest.split_once('"').unwrap();
        let labels = labels.trim_start_matches(',').trim_end_matches('}');
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
        buckets.entry(format!("{family}_count{labels}")).or_default().push((bound, *count));
    }
    assert!(buckets.len() >= 4, "{}", buckets.len());
    for (count, mut series) in buckets {
        series.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(series.is_sorted_by(|one, other| one.1 <= other.1), "{count}");
        assert_eq!(series.last(), Some(&(f64::INFINITY, samples[&count])), "{count}");
    }
}
