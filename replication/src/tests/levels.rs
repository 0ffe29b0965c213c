//! Feature levels: builds that understand more and less in one cluster, and the way from one level to
//! the next (design §7, versions).

use election::{Index, NodeId, Term};
use wal::{Entry, EntryKind, Op};

use super::{
    cluster::{Cluster, EPOCH},
    kit::{member, millis},
    one::{One, append, appended, at, bound_boot, entry},
};
use crate::{
    Boot, Change, ClusterConfig, Effect, Effects, Fitness, Halt, Input, Message, Mode, Now,
    Outcome, Refusal, Replica,
};

fn answer(term: u64, level: u16) -> Message {
    let (wall, fitness) = (EPOCH, Fitness::default());
    Message::HeartbeatAnswer { term: Term(term), round: 1, wall, fitness, level }
}

/// The levels of the configurations that were written.
fn raised(effects: &Effects) -> Vec<u16> {
    let written = effects.iter().filter_map(|effect| {
        let Effect::Persist { op: Op::Append(entries), .. } = effect else { return None };
        Some(entries.iter().filter(|entry| entry.kind == EntryKind::Config))
    });
    written.flatten().map(|entry| ClusterConfig::decode(&entry.payload).unwrap().level).collect()
}

/// A leader of three whose build understands level 2, its first entry committed.
fn leader() -> One {
    let mut one = One::elected(Boot { level: 2, ..bound_boot(3, 1, vec![entry(1, 1)]) });
    one.sync();
    assert_eq!(raised(&one.hear(2, appended(2, 2))), []);
    assert_eq!(one.replica.status().commit, Index(2));
    one
}

#[test]
fn the_level_rises_when_everybody_has_said_that_it_understands_it() {
    let mut one = leader();
    assert_eq!(raised(&one.hear(2, answer(2, 2))), []);
    assert_eq!(raised(&one.hear(3, answer(2, 1))), []);
    // What was said in an older term does not count, nor what is not the newest.
    assert_eq!(raised(&one.hear(3, answer(1, 2))), []);
    assert_eq!(raised(&one.hear(2, answer(2, 1))), []);
    assert_eq!(raised(&one.hear(3, answer(2, 3))), []);
    assert_eq!(raised(&one.hear(2, answer(2, 3))), [2], "no higher than it understands itself");
    assert_eq!(raised(&one.hear(3, answer(2, 3))), [], "once");
    assert_eq!(one.replica.level(), 1, "not before it is committed");
    one.sync();
    one.hear(2, appended(2, 3));
    let status = one.replica.status();
    assert_eq!((one.replica.level(), status.level, status.config.level), (2, 2, 2));
    assert_eq!(status.config.predecessor, Index(0));
}

#[test]
fn a_learner_that_understands_less_holds_the_level() {
    let mut boot = Boot { level: 2, ..bound_boot(3, 1, vec![entry(1, 1)]) };
    let learner = boot.genesis.voters.pop().unwrap();
    boot.genesis.learners = vec![learner];
    boot.genesis.mode = Mode::Pair;
    let mut one = One::elected(boot);
    one.sync();
    one.hear(2, appended(2, 2));
    assert_eq!(raised(&one.hear(2, answer(2, 2))), []);
    assert_eq!(raised(&one.hear(3, answer(2, 1))), []);
    assert_eq!(raised(&one.hear(3, answer(2, 2))), [2]);
}

#[test]
fn nothing_of_a_level_that_is_not_understood_is_taken() {
    let config = ClusterConfig { level: 2, ..bound_boot(3, 1, Vec::new()).genesis };
    let raised = Entry::new(2, 1, EntryKind::Config, config.encode().into());

    let mut one = One::new(1, vec![entry(1, 1)]);
    let effects = one.hear(2, append(1, at(1, 1), 2, vec![raised.clone()]));
    let halt = Effect::Halt(Halt::TooOld { level: 2 });
    assert_eq!(effects.last(), Some(&halt));
    let touches = |effect: &Effect| {
        matches!(effect, Effect::Persist { .. } | Effect::Commit(_) | Effect::Send { .. })
    };
    assert!(!effects.iter().any(touches), "{effects:?}");

    // Nor does it start with it, whoever committed it.
    let mut boot = bound_boot(3, 1, vec![entry(1, 1), raised]);
    assert_eq!(boot.configs.len(), 1);
    let mut replica = Replica::new(Now::default(), boot.clone());
    let mut effects = Effects::new();
    replica.handle(Now::default(), Input::Wake, &mut effects);
    assert_eq!(effects, [halt]);
    boot.level = 2;
    assert_eq!(One::boot(boot).replica.status().config.level, 2);
}

#[test]
fn the_level_never_falls() {
    let genesis = bound_boot(3, 1, Vec::new()).genesis;
    let config = |index, level, predecessor| {
        let config = ClusterConfig { level, predecessor: Index(predecessor), ..genesis.clone() };
        Entry::new(index, 1, EntryKind::Config, config.encode().into())
    };
    let boot = Boot { level: 2, ..bound_boot(3, 1, vec![config(1, 2, 0)]) };
    for (level, last) in [(1, 1), (2, 2)] {
        let mut one = One::boot(boot.clone());
        one.hear(2, append(1, at(1, 1), 1, vec![config(2, level, 1)]));
        assert_eq!(one.replica.status().last.index, Index(last), "level {level}");
    }
}

impl Cluster {
    /// Stop a node and start another build on its disk.
    fn rebuild(&mut self, node: NodeId, level: u16) {
        self.kill(node, true);
        self.nodes.get_mut(&node).unwrap().level = level;
        self.start(node);
    }

    fn levels(&self) -> Vec<u16> {
        self.nodes.values().filter_map(|node| Some(node.replica.as_ref()?.level())).collect()
    }

    /// A command through any node is committed.
    fn serves(&mut self, node: NodeId, text: &str) {
        for attempt in 0.. {
            let id = self.propose(node, &format!("{text} {attempt}"));
            self.run_until("an answer", |cluster| cluster.outcomes.contains_key(&id));
            match self.outcomes[&id] {
                Outcome::Committed(_) => return,
                Outcome::NotAccepted(Refusal::NoLeader | Refusal::Draining) | Outcome::Unknown => {
                    self.run_for(millis(20));
                }
                Outcome::NotAccepted(refusal) => panic!("{refusal:?}"),
            }
        }
    }
}

/// One node after the other gets the next build, the leader among them, under load: nothing is lost,
/// and the level rises when the last one is back, and no earlier.
#[test]
fn a_rolling_upgrade_raises_the_level_at_its_end() {
    for seed in 0..20 {
        let mut cluster = Cluster::settled(3, seed);
        let mut order: Vec<NodeId> = cluster.nodes.keys().copied().collect();
        order.rotate_left(seed as usize % 3);
        for (nth, node) in order.iter().copied().enumerate() {
            assert_eq!(cluster.levels(), [1, 1, 1], "seed {seed}, {nth} of three upgraded");
            cluster.rebuild(node, 2);
            for other in order.clone() {
                cluster.serves(other, &format!("{nth} {other}"));
            }
            cluster.run_for(millis(500));
        }
        cluster.run_until("the level rises", |cluster| cluster.levels() == [2, 2, 2]);
        cluster.serves(order[0], "after");
        cluster.run_for(millis(1_000));
        assert!(cluster.nodes.values().all(|node| node.halt.is_none()));
        cluster.check_settled();

        // An old build on one of the disks stops at once, and changes nothing there.
        let node = order[1];
        let disk = |cluster: &Cluster| {
            let disk = &cluster.nodes[&node].disk;
            (disk.entries.clone(), disk.hard_state, disk.bindings.clone())
        };
        cluster.kill(node, true);
        let before = disk(&cluster);
        cluster.nodes.get_mut(&node).unwrap().level = 1;
        cluster.start(node);
        assert_eq!(cluster.nodes[&node].halt, Some(Halt::TooOld { level: 2 }));
        assert_eq!(disk(&cluster), before);
        assert!(cluster.nodes[&node].disk.pending.is_empty());
        // The others go on, and the right build on it joins in.
        cluster.serves(order[0], "without it");
        let this = cluster.nodes.get_mut(&node).unwrap();
        (this.level, this.halt) = (2, None);
        cluster.start(node);
        cluster.serves(node, "with it");
        cluster.run_for(millis(1_000));
        cluster.check_settled();
    }
}

/// An old build that missed the rise stops when it hears of it, and has taken none of it.
#[test]
fn an_old_build_that_missed_the_rise_stops_when_it_comes() {
    for seed in 0..20 {
        let mut cluster = Cluster::new(3, seed);
        for node in cluster.nodes.values_mut() {
            node.level = 2;
        }
        cluster.start_all();
        let in_force = |cluster: &Cluster, node| cluster.replica(node).status().config.level;
        cluster.run_until("the leader raises the level", |cluster| {
            cluster.leader().is_some_and(|leader| in_force(cluster, leader) == 2)
        });
        let late = cluster.follower();
        assert_eq!(in_force(&cluster, late), 1, "the news is under way");
        cluster.rebuild(late, 1);
        cluster.run_until("it hears of it", |cluster| cluster.nodes[&late].halt.is_some());
        assert_eq!(cluster.nodes[&late].halt, Some(Halt::TooOld { level: 2 }));
        let disk = cluster.nodes[&late].disk.view();
        let configs = disk.iter().filter(|entry| entry.kind == EntryKind::Config);
        let levels: Vec<u16> =
            configs.map(|entry| ClusterConfig::decode(&entry.payload).unwrap().level).collect();
        assert!(levels.iter().all(|level| *level == 1), "seed {seed}: {levels:?}");
        let leader = cluster.leader().unwrap();
        cluster.serves(leader, "without it");
        let this = cluster.nodes.get_mut(&late).unwrap();
        (this.level, this.halt) = (2, None);
        cluster.start(late);
        cluster.serves(late, "with it");
        cluster.run_for(millis(1_000));
        cluster.check_settled();
    }
}

/// Who joins with an old build holds the level where it has not risen yet, and stops where it has.
#[test]
fn a_newcomer_with_an_old_build_holds_the_level_or_stops() {
    let newcomer = NodeId(4);
    let mut cluster = Cluster::settled(3, 1);
    cluster.add_machine(4);
    cluster.start(newcomer);
    cluster.change(&Change::Add(member(4)));
    cluster.run_until_voters(&[1, 2, 3, 4]);
    for node in [1, 2, 3] {
        cluster.rebuild(NodeId(node), 2);
        cluster.run_for(millis(500));
    }
    assert_eq!(cluster.levels(), [1; 4]);
    cluster.rebuild(newcomer, 2);
    cluster.run_until("the level rises", |cluster| cluster.levels() == [2; 4]);

    let newcomer = NodeId(5);
    cluster.add_machine(5);
    cluster.start(newcomer);
    cluster.change(&Change::Add(member(5)));
    cluster.run_until("it stops", |cluster| cluster.nodes[&newcomer].halt.is_some());
    assert_eq!(cluster.nodes[&newcomer].halt, Some(Halt::TooOld { level: 2 }));
    cluster.serves(NodeId(1), "without it");
    cluster.nodes.get_mut(&newcomer).unwrap().halt = None;
    cluster.rebuild(newcomer, 2);
    cluster.run_until_voters(&[1, 2, 3, 4, 5]);
    cluster.serves(newcomer, "with it");
    cluster.run_for(millis(1_000));
    cluster.check_settled();
}
