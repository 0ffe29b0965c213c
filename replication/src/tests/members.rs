//! Who is in the cluster, changed one server at a time: joining, leaving, another disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use election::{Index, NodeId, Term};
use wal::{Entry, EntryKind};

use super::{
    cluster::Cluster,
    disk::voter,
    kit::{member, millis, numbers},
    one::{One, append, at, bound_boot},
};
use crate::{Boot, Change, Effect, Halt, Message, Mode, Outcome, Role};

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
    cluster.change(&Change::Replace(victim, None));
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

/// Research trap 20, the bug of single-server changes (Ongaro 2015): two leaders change one
/// configuration in two ways. The first one's change was seen by nobody and is cut (trap 22).
#[test]
fn trap_20_two_leaders_change_four_in_two_ways() {
    let mut cluster = Cluster::settled(4, 3);
    cluster.add_machine(5);
    cluster.start(NodeId(5));
    let first = cluster.leader().unwrap();
    for peer in cluster.peers_of(first).into_iter().filter(|peer| *peer != NodeId(5)) {
        cluster.set_link(first, peer, false, false);
    }
    let lost = cluster.reconfigure(first, Change::Add(member(5)));
    assert_eq!(numbers(&cluster.status(first.0).config.learners), [5], "in force when appended");
    cluster.run_until("another leader", |cluster| {
        cluster.leader().is_some_and(|leader| leader != first)
    });
    cluster.change(&Change::Remove(first));
    write(&mut cluster, "by three");
    cluster.heal();
    cluster.run_for(millis(1_000));
    assert_eq!(cluster.outcomes.get(&lost), None, "it stopped before it could know");
    assert_eq!(cluster.nodes[&first].halt, Some(Halt::Removed));
    assert_eq!(cluster.config().learners, []);
    assert_eq!(cluster.config().voters.len(), 3);
    assert!(cluster.status(5).last.index.0 == 0, "nobody added it");
    cluster.nodes.remove(&NodeId(5));
    cluster.check_settled();
}

/// Research trap 22: what a deposed leader appended is in force until it is cut, and then no more.
#[test]
fn trap_22_a_change_that_nobody_saw_is_undone() {
    let mut cluster = Cluster::settled(3, 5);
    let first = cluster.leader().unwrap();
    let victim = cluster.follower();
    cluster.isolate(first);
    let lost = cluster.reconfigure(first, Change::Remove(victim));
    assert_eq!(cluster.status(first.0).config.mode, Mode::Pair);
    cluster.run_for(millis(1_000));
    write(&mut cluster, "by the other two");
    cluster.heal();
    cluster.run_for(millis(1_000));
    assert_eq!(cluster.outcomes[&lost], Outcome::Unknown);
    assert_eq!(cluster.status(first.0).config.mode, Mode::Majority);
    assert_eq!(cluster.status(first.0).role, Role::Follower);
    cluster.check_settled();
}

/// Who was made a voter and does not know it yet must vote: without it nobody can be elected.
#[test]
fn a_voter_that_has_not_heard_of_its_promotion_votes() {
    let mut cluster = Cluster::settled(3, 4);
    let (leader, learner) = (cluster.leader().unwrap(), cluster.follower());
    cluster.kill(learner, true);
    cluster.new_disk(learner.0);
    cluster.change(&Change::Replace(learner, None));
    cluster.start(learner);
    cluster.run_until("the promotion", |cluster| cluster.status(leader.0).config.voters.len() == 3);
    cluster.set_link(leader, learner, false, false);
    cluster.run_for(millis(20));
    let status = cluster.status(leader.0);
    assert!(status.commit >= status.config_index, "committed by the other two");
    assert_eq!(cluster.status(learner.0).role, Role::Learner);
    cluster.kill(leader, true);
    cluster.run_until("a leader of two", |cluster| cluster.leader().is_some());
    cluster.run_for(millis(50));
    write(&mut cluster, "by two of three");
    assert_eq!(cluster.status(learner.0).role, Role::Follower);
}

/// A leader that is to go while another node is made a voter.
#[test]
fn a_leader_is_removed_in_the_middle_of_a_promotion() {
    let mut cluster = Cluster::settled(3, 6);
    let leader = cluster.leader().unwrap();
    cluster.add_machine(4);
    cluster.start(NodeId(4));
    cluster.change(&Change::Add(member(4)));
    cluster.run_until("the promotion", |cluster| cluster.status(leader.0).config.voters.len() == 4);
    let id = cluster.reconfigure(leader, Change::Remove(leader));
    assert!(matches!(cluster.outcomes[&id], Outcome::NotAccepted(_)), "its successor does it");
    cluster.change(&Change::Remove(leader));
    cluster.run_for(millis(500));
    assert_eq!(cluster.nodes[&leader].halt, Some(Halt::Removed));
    assert_eq!(cluster.config().voters.len(), 3);
    write(&mut cluster, "without it");
    cluster.run_for(millis(100));
    cluster.check_settled();
}

/// Research traps 18 and 23: the old disk was away while it was replaced, and comes back when its
/// successor votes. It disturbs nobody, and stops.
#[test]
fn trap_23_an_old_disk_that_returns_disturbs_nobody() {
    let mut cluster = Cluster::settled(3, 7);
    let number = cluster.follower();
    let old = cluster.nodes[&number].id;
    cluster.new_disk(number.0);
    cluster.run_for(millis(100));
    cluster.change(&Change::Replace(number, None));
    cluster.start(number);
    cluster.run_until_voters(&[1, 2, 3]);
    let leader = cluster.leader().unwrap();
    let (new, term) = (cluster.nodes[&number].id, cluster.status(leader.0).term);
    cluster.swap(old);
    cluster.run_for(millis(1_000));
    assert_eq!(cluster.nodes[&number].halt, Some(Halt::Removed));
    assert_eq!((cluster.leader(), cluster.status(leader.0).term), (Some(leader), term));
    cluster.swap(new);
    write(&mut cluster, "as before");
    cluster.run_for(millis(200));
    assert_eq!(cluster.status(leader.0).term, term);
    cluster.check_settled();
}

/// Research trap 19: after the first start the configuration comes from the log. What the genesis
/// says of a number that was removed, and added again with another disk, is nothing.
#[test]
fn trap_19_a_number_of_the_genesis_is_removed_and_added_again() {
    let mut cluster = Cluster::settled(3, 8);
    let number = cluster.follower();
    cluster.change(&Change::Remove(number));
    cluster.run_for(millis(300));
    assert_eq!(cluster.nodes[&number].halt, Some(Halt::Removed));
    cluster.new_disk(number.0);
    cluster.start(number);
    cluster.run_for(millis(1_000));
    assert!(cluster.is_alive(number), "it waits to be added");
    assert!(!cluster.status(number.0).bound);
    cluster.change(&Change::Add(member(number.0)));
    cluster.run_until_voters(&[1, 2, 3]);
    cluster.kill(number, true);
    cluster.start(number);
    cluster.run_for(millis(500));
    assert_eq!(cluster.status(number.0).role, Role::Follower);
    cluster.check_settled();
}

/// Research trap 25: who does not keep up, or is cut off, stays a learner and starts anew.
#[test]
fn trap_25_only_who_keeps_up_is_promoted() {
    let mut cluster = Cluster::settled(3, 9);
    let leader = cluster.leader().unwrap();
    for node in [4, 5] {
        cluster.add_machine(node);
        cluster.start(NodeId(node));
        cluster.change(&Change::Add(member(node)));
    }
    // Its disk takes longer than a round may.
    cluster.nodes.get_mut(&NodeId(4)).unwrap().fsync = millis(400);
    for lines in 0..60 {
        write(&mut cluster, &format!("line {lines}"));
        if lines == 25 {
            cluster.set_link(leader, NodeId(5), false, true);
            cluster.run_for(millis(100));
            cluster.set_link(leader, NodeId(5), true, true);
        }
        cluster.run_for(millis(48));
    }
    assert_eq!(numbers(&cluster.config().learners), [4, 5], "neither for two seconds on end");
    for lines in 60..100 {
        write(&mut cluster, &format!("line {lines}"));
        cluster.run_for(millis(48));
    }
    assert_eq!(numbers(&cluster.config().learners), [4], "one kept up");
    cluster.nodes.get_mut(&NodeId(4)).unwrap().fsync = millis(1);
    cluster.run_until_voters(&[1, 2, 3, 4, 5]);
}

/// Research trap 23: a learner campaigns for nothing, and hears all the same that it was removed
/// while it was away.
#[test]
fn trap_23_a_learner_that_was_away_is_told() {
    let mut cluster = Cluster::settled(3, 10);
    cluster.add_machine(4);
    cluster.start(NodeId(4));
    cluster.change(&Change::Add(member(4)));
    cluster.run_for(millis(500));
    assert!(cluster.status(4).bound);
    cluster.isolate(NodeId(4));
    cluster.change(&Change::Remove(NodeId(4)));
    cluster.run_for(millis(500));
    cluster.cut.clear();
    cluster.run_for(millis(500));
    assert_eq!(cluster.nodes[&NodeId(4)].halt, Some(Halt::Removed));
}

/// Research trap 26: a newcomer does not stand, but three of four may need its vote before its log says
/// that it is a voter (Raft thesis 4.2.2). Its log names it by then: whoever was only told that it is
/// named votes for nobody.
#[test]
fn trap_26_a_newcomer_votes_when_its_log_names_it() {
    let boot = Boot { me: voter(4), bindings: BTreeMap::new(), ..bound_boot(3, 1, Vec::new()) };
    let mut named = boot.genesis.changed(Index(0), Change::Add(member(4))).unwrap();
    named.learners[0].store = Some(voter(4).store);
    let mut one = One::boot(boot);
    let vote = Message::Vote { term: Term(2), last: at(1, 9), transfer: false };
    assert_eq!(one.hear(1, vote.clone()), [], "nobody has named it");
    one.hear(1, Message::Named { store: voter(4).store, index: Index(1) });
    assert_eq!(one.hear(1, vote.clone()), [], "its log does not");
    let entry = Entry::new(1, 1, EntryKind::Config, Bytes::from(named.encode()));
    one.hear(1, append(1, at(0, 0), 0, vec![entry]));
    one.now = one.now.plus(millis(1_000));
    let effects = one.hear(1, vote);
    let granted = Message::VoteAnswer { term: Term(2), granted: true };
    let grants =
        |effect: &Effect| matches!(effect, Effect::Send { message, .. } if *message == granted);
    assert!(effects.iter().any(grants), "{effects:?}");
}
