//! Random histories: drops, repeats, reordering, partitions, crashes that lose what was not synced.

use election::{Micros, NodeId};

use super::cluster::{Cluster, Weather};
use crate::Input;

/// The simplest life: elect, propose everywhere, all nodes agree.
#[test]
fn a_quiet_cluster_commits_and_agrees() {
    for count in [1, 2, 3, 5] {
        let mut cluster = Cluster::settled(count, 7);
        for node in 1..=count {
            cluster.propose(NodeId(node), &format!("from {node}"));
            cluster.read(NodeId(node));
        }
        cluster.run_for(Micros::from_millis(200));
        cluster.check_settled();
        assert_eq!(cluster.outcomes.len() as u64, count);
        assert!(cluster.reads.values().all(Option::is_some));
    }
}

pub(super) fn weather(seed: u64) -> Weather {
    Weather {
        delay_min: Micros(200),
        delay_max: Micros(if seed.is_multiple_of(3) { 40_000 } else { 1_500 }),
        drop_percent: [0, 2, 10, 25][seed as usize % 4],
        repeat_percent: [0, 5][seed as usize % 2],
    }
}

fn random_life(seed: u64, weather: Weather) {
    let count = [3, 5, 2, 3, 3, 1][seed as usize / 4 % 6];
    let mut cluster = Cluster::new(count, seed);
    cluster.weather = weather;
    cluster.busy_percent = [0, 30, 90][seed as usize / 7 % 3];
    if seed % 5 < 2 {
        // Almost everything comes from disk, two entries at a time.
        cluster.limits.tail_bytes_max = 100;
        cluster.limits.append_entries_max = 2;
        cluster.limits.inflight_appends_max = 2;
    }
    for node in cluster.nodes.values_mut() {
        node.fsync = Micros([1_000, 1_000, 5_000, 20_000][seed as usize / 16 % 4]);
    }
    cluster.start_all();
    let mut proposals = 0;
    for _ in 0..120 {
        happen(&mut cluster, count, &mut proposals);
        let pause = if cluster.random.up_to(3) == 0 { 400_000 } else { 20_000 };
        let pause = cluster.random.up_to(pause);
        cluster.run_for(Micros(pause));
    }
    cluster.weather = Weather { drop_percent: 0, repeat_percent: 0, ..cluster.weather };
    cluster.busy_percent = 0;
    cluster.heal();
    for node in 1..=count {
        if !cluster.is_alive(NodeId(node)) {
            cluster.start(NodeId(node));
        }
    }
    cluster.run_for(Micros::from_millis(2_000));
    let last = cluster.propose(cluster.leader().unwrap(), "last");
    cluster.run_for(Micros::from_millis(500));
    assert!(matches!(cluster.outcomes[&last], crate::Outcome::Committed(_)));
    cluster.check_settled();
}

/// Something befalls somebody.
pub(super) fn happen(cluster: &mut Cluster, count: u64, proposals: &mut u64) {
    let node = NodeId(cluster.random.up_to(count - 1) + 1);
    let peer = NodeId(cluster.random.up_to(count - 1) + 1);
    match cluster.random.up_to(19) {
        0 if cluster.is_alive(node) => cluster.kill(node, false),
        1 if cluster.is_alive(node) => cluster.kill(node, true),
        0..=5 if !cluster.is_alive(node) => cluster.start(node),
        2 if peer != node => cluster.set_link(node, peer, false, true),
        3 if peer != node => {
            cluster.cut.insert((node, peer));
        }
        4 => cluster.heal(),
        5 => {
            // The power fails for everybody at once.
            for node in 1..=count {
                cluster.kill(NodeId(node), false);
            }
            for node in 1..=count {
                cluster.start(NodeId(node));
            }
        }
        6..=8 => strand_leader(cluster, proposals),
        11 if cluster.is_alive(node) => {
            cluster.input(node, Input::Leave);
            let pause = cluster.random.up_to(200_000);
            cluster.run_for(Micros(pause));
            cluster.kill(node, true);
        }
        12 if cluster.is_alive(node) => {
            cluster.nodes.get_mut(&node).unwrap().stalled = true;
            let pause = cluster.random.up_to(1_500_000);
            cluster.run_for(Micros(pause));
            cluster.unstall(node);
        }
        9 | 10 if cluster.is_alive(node) => {
            cluster.read(node);
        }
        _ => {
            *proposals += 1;
            cluster.propose(node, &format!("{proposals}"));
        }
    }
}

/// A leader that nobody hears any more writes entries that nobody else has, and mostly dies. Of such
/// entries, of several terms at one index, Raft's figure 8 is made.
fn strand_leader(cluster: &mut Cluster, proposals: &mut u64) {
    let Some(leader) = cluster.leader() else { return };
    cluster.isolate(leader);
    *proposals += 1;
    cluster.propose(leader, &format!("{proposals}"));
    cluster.run_for(Micros(5_000));
    if cluster.random.up_to(3) > 0 {
        cluster.kill(leader, false);
    }
    for peer in cluster.peers_of(leader) {
        cluster.set_link(leader, peer, true, cluster.is_alive(leader));
    }
}

#[test]
fn random_histories_are_one_history() {
    // More of them by hand: `LIVES=20000 cargo test -p replication random_histories`.
    let lives = std::env::var("LIVES").map_or(200, |lives| lives.parse().unwrap());
    for seed in 0..lives {
        random_life(seed, weather(seed));
    }
}
