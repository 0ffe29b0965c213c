//! The first start: which disk is which voter (design §7).

use std::collections::BTreeSet;

use election::{Micros, NodeId, StoreId, VoterId};

use super::cluster::Cluster;
use crate::{Halt, Mode, Outcome};

fn millis(n: u64) -> Micros {
    Micros::from_millis(n)
}

#[test]
fn all_disks_come_to_be_known_and_written_down() {
    for count in [1, 2, 3, 5] {
        let cluster = Cluster::settled(count, 3);
        for node in cluster.nodes.values() {
            let status = node.replica.as_ref().unwrap().status();
            assert!(status.bound);
            assert!(status.config.voters.iter().all(|member| member.store.is_some()));
            assert_eq!(status.config.predecessor.0, 0, "it follows the genesis");
            assert_eq!(node.disk.bindings.get(&node.id.node), Some(&node.id.store));
        }
    }
}

#[test]
fn of_three_nobody_votes_until_all_were_started() {
    // A majority of the two others is both.
    let mut cluster = Cluster::new(3, 1);
    cluster.start(NodeId(1));
    cluster.start(NodeId(2));
    cluster.run_for(millis(3_000));
    assert_eq!(cluster.leader(), None);
    assert!(cluster.nodes.values().all(|node| node.disk.hard_state.term.0 == 0));
    cluster.start(NodeId(3));
    cluster.run_for(millis(1_000));
    assert!(cluster.leader().is_some());
}

#[test]
fn of_five_four_begin_and_the_fifth_is_bound_when_it_comes() {
    let mut cluster = Cluster::new(5, 1);
    (1..=4).for_each(|node| cluster.start(NodeId(node)));
    cluster.run_for(millis(1_000));
    let leader = cluster.leader().expect("four of five elect");
    let id = cluster.propose(leader, "before the fifth");
    cluster.run_for(millis(100));
    assert!(matches!(cluster.outcomes[&id], Outcome::Committed(_)));
    let known = |cluster: &Cluster| {
        let voters = cluster.replica(leader).status().config.voters;
        voters.iter().filter(|member| member.store.is_some()).count()
    };
    assert_eq!(known(&cluster), 0, "it is written down when all are known");
    cluster.start(NodeId(5));
    cluster.run_for(millis(1_000));
    assert_eq!(cluster.leader(), Some(leader), "nobody was disturbed");
    assert_eq!(known(&cluster), 5);
    cluster.check_settled();
}

#[test]
fn a_wiped_disk_is_refused_its_number() {
    // Research traps 16 and 18: without its term and vote a disk is nobody.
    for seed in 0..10 {
        let mut cluster = Cluster::settled(3, seed);
        let victim = NodeId(seed % 3 + 1);
        cluster.kill(victim, true);
        let node = cluster.nodes.get_mut(&victim).unwrap();
        let before = node.id.store;
        node.id = VoterId { node: victim, store: StoreId(before.0 + 0x100) };
        node.disk = super::disk::Disk::default();
        cluster.start(victim);
        cluster.run_for(millis(1_000));
        let halt = cluster.nodes[&victim].halt.clone();
        assert!(
            matches!(halt, Some(Halt::BoundElsewhere { by, bound }) if by != victim && bound == before),
            "{halt:?}"
        );
        assert!(cluster.leader().is_some(), "the other two go on");
    }
}

#[test]
fn of_a_copied_folder_at_most_one_ever_votes() {
    // Two directories with number 3, started at once, each heard by some of the others first.
    for seed in 0..40 {
        let mut cluster = Cluster::new(5, seed);
        cluster.weather.delay_max = Micros(3_000);
        (1..=4).for_each(|node| {
            if node != 3 {
                cluster.start(NodeId(node));
            }
        });
        cluster.start(NodeId(3));
        cluster.run_for(Micros(seed * 100));
        // The first copy dies at any moment; the second one is another disk.
        cluster.kill(NodeId(3), true);
        let bound_before = cluster.nodes[&NodeId(3)].disk.bindings.contains_key(&NodeId(3));
        let node = cluster.nodes.get_mut(&NodeId(3)).unwrap();
        let copy = VoterId { node: NodeId(3), store: StoreId(node.id.store.0 + 0x100) };
        node.id = copy;
        node.disk = super::disk::Disk::default();
        cluster.start(NodeId(3));
        cluster.start(NodeId(5));
        cluster.run_for(millis(2_000));
        let copy_bound = cluster.nodes[&NodeId(3)].disk.bindings.contains_key(&NodeId(3));
        assert!(!(bound_before && copy_bound), "seed {seed}: both became voters");
        let votes: BTreeSet<StoreId> = cluster
            .nodes
            .values()
            .filter_map(|node| node.disk.hard_state.voted_for)
            .filter(|vote| vote.node == NodeId(3))
            .map(|vote| vote.store)
            .collect();
        assert!(votes.len() <= 1, "one disk stands for number 3");
    }
}

#[test]
fn a_pair_and_a_single_voter_have_their_own_modes() {
    for (count, mode) in [(1, Mode::Solo), (2, Mode::Pair), (3, Mode::Majority)] {
        let cluster = Cluster::settled(count, 1);
        assert_eq!(cluster.replica(NodeId(1)).status().config.mode, mode);
    }
}

#[test]
fn a_single_voter_serves_within_a_few_fsyncs() {
    let mut cluster = Cluster::new(1, 1);
    cluster.start(NodeId(1));
    cluster.run_for(millis(5));
    assert_eq!(cluster.committed.len(), 2, "no-op and configuration");
}
