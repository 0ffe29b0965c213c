//! What reads cost, and what they never rest on.

use election::{Index, Micros, NodeId};

use super::{
    cluster::{Cluster, EPOCH},
    one::{One, appended, heartbeat_answer},
};
use crate::{Effect, Effects, Input, Message, ReadId};

fn read(one: &mut One, id: u64) -> Effects {
    one.input(Input::Read { id: ReadId(id) })
}

/// To whom heartbeats of which round go.
fn rounds(effects: &Effects) -> Vec<(NodeId, u64)> {
    let rounds = effects.iter().filter_map(|effect| {
        let Effect::Send { to, message: Message::Heartbeat { round, .. }, .. } = effect else {
            return None;
        };
        Some((to.node, *round))
    });
    rounds.collect()
}

fn answered(effects: &Effects) -> Vec<u64> {
    let answered = effects.iter().filter_map(|effect| {
        let Effect::ReadReady { id, .. } = effect else { return None };
        Some(id.0)
    });
    answered.collect()
}

/// A leader of three in term 2, its first entry committed, round 1 answered by both.
fn leader() -> One {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    one.hear(2, appended(2, 1));
    one.hear(3, appended(2, 1));
    one.hear(3, heartbeat_answer(2, 1, EPOCH));
    one
}

#[test]
fn reads_at_the_leader_that_come_during_a_round_share_the_next() {
    let mut one = leader();
    let both = |round| [2, 3].map(|node| (NodeId(node), round));
    assert_eq!(rounds(&read(&mut one, 1)), both(2));
    for id in 2..=500 {
        assert_eq!(read(&mut one, id), []);
    }
    let effects = one.hear(3, heartbeat_answer(2, 2, EPOCH));
    assert_eq!((answered(&effects), rounds(&effects)), (vec![1], both(3).to_vec()));
    let effects = one.hear(2, heartbeat_answer(2, 3, EPOCH));
    assert_eq!(answered(&effects), (2..=500).collect::<Vec<_>>());
    assert_eq!(rounds(&effects), [], "one round for all of them");
}

#[test]
fn reads_at_a_follower_cost_two_questions_however_many_they_are() {
    let mut cluster = Cluster::settled(5, 3);
    let follower = cluster.follower();
    cluster.trace = true;
    cluster.journal.clear();
    let reads: Vec<ReadId> = (0..200).map(|_| cluster.read(follower)).collect();
    cluster.run_for(Micros::from_millis(5));
    assert!(reads.iter().all(|id| cluster.reads[id].is_some()), "within a few round trips");
    let said = |what: &str| cluster.journal.iter().filter(|line| line.contains(what)).count();
    // The first asks at once, and the second for all that came before its answer.
    assert_eq!(said(" Read { id"), 2);
    assert_eq!(said(" ReadAnswer { id"), 2);
    assert!(said(" Heartbeat {") <= 3 * 4, "a round each, and at most one that was due anyway");
}

/// However lately all voters were heard, and however the clocks go: only a round that starts after the
/// question answers it.
#[test]
fn trap_42_no_lease_stands_for_a_round() {
    let mut one = leader();
    assert_eq!(answered(&read(&mut one, 1)), []);
    assert_eq!(answered(&one.hear(3, heartbeat_answer(2, 1, EPOCH))), [], "it was heard before");
    // The process stood still for an hour, and an old answer lay in its socket.
    one.now = one.now.plus(Micros::from_millis(3_600_000));
    assert_eq!(answered(&one.hear(2, heartbeat_answer(2, 1, EPOCH))), []);
    assert_eq!(one.replica.status().commit, Index(1));
    assert_eq!(answered(&one.hear(2, heartbeat_answer(2, 2, EPOCH))), [1]);
}
