//! The last trial of a seed: one trouble that stays, in a world where nothing else goes wrong.
//!
//! The faults of the storm come and go, and what they delay comes later. What only a fault that
//! *stays* can show is tried here: that a leader who cannot lead gives way, and that one who can is
//! left in peace.

use election::{Micros, NodeId, Term};
use replication::{Change, Room};

use super::{
    checkers::{Checked, Violation, violated},
    network::Pair,
    node::Node,
    world::{Event, World},
};

/// A trouble lasts so many election time-outs, and the longest delay of a disk.
const TIMEOUTS: u64 = 20;
/// Operations that clients begin meanwhile, where it takes any.
const OPERATIONS: u64 = 30;
/// From one look at a hand-over to the next: less than what a vote takes.
const WATCH_US: u64 = 100;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// The leader and one follower do not hear each other; all others hear both (trap 27).
    Apart(NodeId),
    /// The leader is heard by all and hears nobody (trap 28).
    Deaf,
    /// The leader hears nobody and is heard by nobody but its clients (trap 40).
    Alone,
    /// The leader's disk makes nothing durable (trap 32).
    Stalled,
    /// A follower was told to take over, and nobody hears it any more (trap 29).
    Unheard(NodeId),
}

/// How far the trial is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Trial {
    #[default]
    Ahead,
    /// The leader hands over; the trouble begins when the successor stands.
    HandsOver {
        to: NodeId,
        leader: NodeId,
        term: Term,
        /// At the latest then it does.
        until: Micros,
    },
    UnderWay {
        trouble: Trouble,
        leader: NodeId,
        term: Term,
        /// The newest commit at its beginning.
        newest: u64,
        /// The leader found damage in its log meanwhile: it is to hand over.
        is_excused: bool,
    },
    Over,
}

impl World {
    /// Everyone agrees: begin the trial. False when it is over, or there is nothing to try.
    pub(super) fn begin_trial(&mut self) -> Result<bool, Violation> {
        if self.trial != Trial::Ahead {
            return Ok(false);
        }
        self.trial = Trial::Over;
        if !self.network.is_calm(self.queue.now()) {
            return Ok(false);
        }
        self.note_whole();
        let leader = self.calm_leader();
        // Who finds that its log is damaged hands over.
        let leader = leader.filter(|(_, leader)| !self.nodes[leader].may_be_in_need());
        let Some((term, leader)) = leader else { return Ok(false) };
        let others: Vec<NodeId> = self.other_voters(leader);
        if others.len() < 2 {
            return Ok(false);
        }
        let other = *self.rng.pick(&others);
        let trouble = match self.rng.below(5) {
            0 => Trouble::Apart(other),
            1 => Trouble::Deaf,
            2 => Trouble::Stalled,
            3 => Trouble::Alone,
            _ => {
                let until = self.queue.now().plus(Micros(self.trial_us(leader)));
                self.trial = Trial::HandsOver { to: other, leader, term, until };
                self.ask_at(leader, Change::Transfer(Some(other)))?;
                self.queue.after(WATCH_US, Event::Review);
                return Ok(true);
            }
        };
        self.suffer(trouble, (leader, term));
        Ok(true)
    }

    /// Does the successor stand yet? Then nobody hears it from now on.
    pub(super) fn watch_hand_over(&mut self) {
        let Trial::HandsOver { to, leader, term, until } = self.trial else { return };
        if self.nodes[&to].term() > Some(term) && self.leader() == Some(leader) {
            self.suffer(Trouble::Unheard(to), (leader, term));
        } else if self.queue.now() >= until || self.leader() != Some(leader) {
            self.trial = Trial::Over;
            self.queue.after(WATCH_US, Event::Review);
        } else {
            self.queue.after(WATCH_US, Event::Review);
        }
    }

    fn suffer(&mut self, trouble: Trouble, (leader, term): (NodeId, Term)) {
        let newest = self.checkers.newest();
        let lasts_us = self.trial_us(leader);
        // A connection outlives the trouble, as it does until the transport gives it up.
        self.network.weather.idle_us = lasts_us * 10;
        match trouble {
            Trouble::Apart(other) => self.stand_between(vec![(leader, other), (other, leader)]),
            Trouble::Deaf => {
                let everyone: Vec<NodeId> = self.nodes.keys().copied().collect();
                let others = everyone.into_iter().filter(|&node| node != leader);
                self.stand_between(others.map(|node| (node, leader)).collect());
            }
            Trouble::Alone => {
                let everyone: Vec<NodeId> = self.nodes.keys().copied().collect();
                let others = everyone.into_iter().filter(|&node| node != leader);
                let both = |node| [(node, leader), (leader, node)];
                self.stand_between(others.flat_map(both).collect());
                self.ask_more();
            }
            Trouble::Unheard(node) => {
                let others = self.nodes.keys().copied().filter(|&other| other != node);
                self.stand_between(others.map(|other| (node, other)).collect());
                self.ask_more();
            }
            Trouble::Stalled => {
                for node in self.nodes.values_mut() {
                    node.slow_until = Micros(0);
                }
                self.mix.slow_sync_us = lasts_us;
                self.node_mut(leader).slow_until = self.queue.now().plus(Micros(lasts_us));
                // Its disk must have something to do.
                self.ask_more();
            }
        }
        self.note("trouble", leader, term.0, lasts_us);
        self.trial = Trial::UnderWay { trouble, leader, term, newest, is_excused: false };
        self.queue.after(lasts_us, Event::Review);
    }

    /// The trouble has lasted long enough: what came of it?
    pub(super) fn end_trial(&mut self) -> Checked {
        let Trial::UnderWay { trouble, leader, term, newest, is_excused } = self.trial else {
            return Ok(());
        };
        self.trial = Trial::Over;
        let now_leads = self.leader();
        match trouble {
            Trouble::Apart(_) => {
                let newest_term = self.nodes.values().filter_map(Node::term).max();
                let stayed = newest_term == Some(term) && now_leads == Some(leader);
                if !stayed && !is_excused {
                    return violated(format!(
                        "a leader in peace: {leader} of {term:?} is apart from one node alone, and \
                         {now_leads:?} leads, the newest term is {newest_term:?}: {}",
                        self.standing()
                    ));
                }
                self.trace.count("a leader apart from a follower went on");
            }
            Trouble::Unheard(node) => {
                // What it said is lost. Who leads must hear of the newer term all the same.
                let others = self.nodes.keys().copied().filter(|&other| other != node);
                let links: Vec<Pair> = others.map(|other| Pair::new(node, other)).collect();
                for link in links {
                    self.network.break_connection(link, &mut self.queue);
                }
                self.trace.count("a node that stood unheard came back");
            }
            Trouble::Deaf | Trouble::Alone | Trouble::Stalled => {
                if now_leads.is_none_or(|now| now == leader) || self.checkers.newest() <= newest {
                    return violated(format!(
                        "a leader gives way: {leader} of {term:?} is {trouble:?}, {now_leads:?} \
                         leads, and the newest commit went from {newest} to {}: {}",
                        self.checkers.newest(),
                        self.standing()
                    ));
                }
                self.trace.count(match trouble {
                    Trouble::Stalled => "a leader with a stalled disk gave way",
                    Trouble::Alone => "a lone leader gave way",
                    Trouble::Apart(_) | Trouble::Deaf | Trouble::Unheard(_) => {
                        "a deaf leader gave way"
                    }
                });
            }
        }
        let standing: Vec<u64> = self.partitions.keys().copied().collect();
        for partition in standing {
            self.end_partition(partition);
        }
        Ok(())
    }

    /// The leader, when all voters of the newest configuration follow it and nobody has asked it to go.
    fn calm_leader(&self) -> Option<(Term, NodeId)> {
        let leader = self.leader()?;
        let term = self.nodes[&leader].leads()?;
        let config = self.checkers.newest_config();
        let follows = |member: &replication::Member| {
            let process = self.nodes.get(&member.node).and_then(|node| node.process.as_ref());
            process.is_some_and(|process| {
                let status = process.replica.status();
                status.leader == Some(leader)
                    && status.term == term
                    && status.bound
                    && !status.draining
                    && process.room == Room::Enough
                    && status.faulty.is_empty()
                    && status.config == *config
            })
        };
        (config.learners.is_empty() && config.voters.iter().all(follows)).then_some((term, leader))
    }

    /// Clients go on during the trial.
    fn ask_more(&mut self) {
        self.workload.finish(self.workload.begun() + OPERATIONS);
        self.workload.begin(&mut self.queue);
    }

    fn other_voters(&self, leader: NodeId) -> Vec<NodeId> {
        let voters = self.checkers.newest_config().voters.iter().map(|member| member.node);
        voters.filter(|&node| node != leader).collect()
    }

    fn trial_us(&self, leader: NodeId) -> u64 {
        let timing = self.nodes[&leader].timing();
        timing.election_timeout.0 * TIMEOUTS + timing.quorum_silence.0 + timing.disk_stall.0 * 2
    }

    fn stand_between(&mut self, directions: Vec<(NodeId, NodeId)>) {
        for &(from, to) in &directions {
            self.network.block(from, to, &mut self.queue);
        }
        // It has a number of its own, for its end.
        self.partitions.insert(u64::MAX, directions);
    }
}
