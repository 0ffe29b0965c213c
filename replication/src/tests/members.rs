//! Who is in the cluster, changed one server at a time: joining, leaving, another disk.

use election::NodeId;

use super::{
    cluster::Cluster,
    kit::{member, millis, numbers},
};
use crate::{Change, Halt, Mode, Outcome, Role};

fn write(cluster: &mut Cluster, what: &str) {
    let leader = cluster.leader().unwrap();
    let id = cluster.propose(leader, what);
    cluster.run_until(what, |cluster| cluster.outcomes.contains_key(&id));
    assert!(matches!(cluster.outcomes[&id], Outcome::Committed(_)), "{what}");
}

/// Research trap 25: a newcomer is a learner first, and a voter once it has kept up.
#[test]
fn three_become_five_and_three_again() {
    let mut cluster = Cluster::settled(3, 1);
    for node in [4, 5] {
        cluster.add_machine(node);
        cluster.start(NodeId(node));
        cluster.run_for(millis(300));
        assert_eq!(cluster.status(node).role, Role::Learner);
        assert!(!cluster.status(node).bound, "nobody has named it");
        cluster.change(&Change::Add(member(node)));
        write(&mut cluster, &format!("while {node} joins"));
        let voters: Vec<u64> = (1..=node).collect();
        cluster.run_until_voters(&voters);
        assert_eq!(cluster.config().target_size, u8::try_from(node).unwrap());
        write(&mut cluster, &format!("with {node}"));
    }
    cluster.run_for(millis(100));
    cluster.check_settled();
    assert_eq!(cluster.status(5).role, Role::Follower);
    for node in [1, 2] {
        cluster.change(&Change::Remove(NodeId(node)));
        cluster.run_for(millis(100));
        assert_eq!(cluster.nodes[&NodeId(node)].halt, Some(Halt::Removed));
        write(&mut cluster, &format!("without {node}"));
    }
    assert_eq!(numbers(&cluster.config().voters), [3, 4, 5]);
    assert_eq!(cluster.config().target_size, 3);
    cluster.run_for(millis(100));
    cluster.check_settled();
}

#[test]
fn a_dead_voter_of_three_is_replaced_by_another_disk() {
    let mut cluster = Cluster::settled(3, 2);
    let leader = cluster.leader().unwrap();
    let victim = cluster.follower();
    cluster.kill(victim, true);
    cluster.new_disk(victim.0);
    cluster.change(&Change::Replace(victim));
    assert_eq!(cluster.config().mode, Mode::Pair);
    assert_eq!(cluster.config().target_size, 3);
    write(&mut cluster, "by two");
    cluster.start(victim);
    cluster.run_until_voters(&[1, 2, 3]);
    assert_eq!(cluster.leader(), Some(leader), "nobody was disturbed");
    assert_eq!(cluster.config().mode, Mode::Majority);
    cluster.run_for(millis(100));
    assert_eq!(cluster.status(victim.0).role, Role::Follower);
    cluster.check_settled();
}

#[test]
fn one_becomes_three_and_one_again() {
    let mut cluster = Cluster::settled(1, 1);
    for node in [2, 3] {
        cluster.add_machine(node);
        cluster.start(NodeId(node));
        cluster.change(&Change::Add(member(node)));
        let voters: Vec<u64> = (1..=node).collect();
        cluster.run_until_voters(&voters);
        write(&mut cluster, &format!("with {node}"));
    }
    for (node, mode) in [(1, Mode::Pair), (2, Mode::Solo)] {
        cluster.change(&Change::Remove(NodeId(node)));
        assert_eq!(cluster.config().mode, mode);
        write(&mut cluster, &format!("without {node}"));
        cluster.run_for(millis(100));
        assert_eq!(cluster.nodes[&NodeId(node)].halt, Some(Halt::Removed));
    }
    assert_eq!(cluster.leader(), Some(NodeId(3)));
    cluster.check_settled();
}
