//! Random histories: drops, repeats, reordering, partitions, crashes that lose what was not synced.

use election::{Micros, NodeId};

use super::cluster::{Cluster, Weather};

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

fn random_life(seed: u64, count: u64, weather: Weather) {
    let mut cluster = Cluster::new(count, seed);
    cluster.weather = weather;
    cluster.start_all();
    let mut proposals = 0;
    for _ in 0..120 {
        let node = NodeId(cluster.random.up_to(count - 1) + 1);
        let peer = NodeId(cluster.random.up_to(count - 1) + 1);
        match cluster.random.up_to(19) {
            0 | 1 if cluster.is_alive(node) => cluster.kill(node, false),
            2 if cluster.is_alive(node) => cluster.kill(node, true),
            0..=5 if !cluster.is_alive(node) => cluster.start(node),
            6 if peer != node => cluster.set_link(node, peer, false, true),
            7 if peer != node => {
                cluster.cut.insert((node, peer));
            }
            8 => cluster.heal(),
            9 if cluster.is_alive(node) => {
                cluster.read(node);
            }
            _ => {
                proposals += 1;
                cluster.propose(node, &format!("{proposals}"));
            }
        }
        let pause = cluster.random.up_to(60_000);
        cluster.run_for(Micros(pause));
    }
    cluster.weather = Weather { drop_percent: 0, repeat_percent: 0, ..cluster.weather };
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

#[test]
fn random_histories_are_one_history() {
    for seed in 0..60 {
        let weather = Weather {
            delay_min: Micros(200),
            delay_max: Micros(if seed % 3 == 0 { 40_000 } else { 1_500 }),
            drop_percent: [0, 2, 10, 25][seed as usize % 4],
            repeat_percent: [0, 5][seed as usize % 2],
        };
        random_life(seed, [3, 5, 2, 3][seed as usize / 4 % 4], weather);
    }
}
