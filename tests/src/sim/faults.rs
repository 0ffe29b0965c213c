//! What goes wrong, done to the world: crashes, partitions, pauses, resets, slow disks, and the
//! healing of all of them.

use election::{Micros, NodeId};
use replication::Lane;

use super::{
    checkers::{Checked, Violation},
    mix::{Fault, Mix},
    network::Pair,
    node::DiskFault,
    world::{Event, World},
};

/// Partitions that may overlap.
const PARTITIONS_MAX: usize = 4;

impl World {
    /// A fault strikes, and the next one is set.
    pub(super) fn strike(&mut self) -> Checked {
        if self.is_healed {
            return Ok(());
        }
        let Some(fault) = self.mix.weights.pick(&mut self.rng) else {
            return Ok(());
        };
        let struck = match fault {
            Fault::CrashOne => self.crash_some(1),
            Fault::CrashTwo => self.crash_some(2),
            Fault::CrashLeader => self.crash_leader(),
            Fault::CrashSeveral => {
                let count = self.rng.slot(self.nodes.len()) + 1;
                self.crash_some(count)
            }
            Fault::CrashAll => self.crash_some(self.nodes.len()),
            Fault::PartitionOneWay => self.partition_one_way(),
            Fault::PartitionNode => self.partition_groups(1),
            Fault::PartitionHalves => self.partition_groups(self.nodes.len() / 2),
            Fault::PartitionBridge => self.partition_bridge(),
            Fault::BreakConnection => self.break_connection(),
            Fault::ResetLane => self.reset_lane(),
            Fault::Pause => self.pause(),
            Fault::SlowDisk => self.slow_disk(),
            Fault::FailDisk => self.fail_disk(),
            Fault::FullDisk => self.fill_disk(),
            Fault::JumpClock => self.jump_clock(),
            Fault::Leave => self.leave()?,
            Fault::Transfer => self.transfer()?,
            Fault::Drain => self.drain_one()?,
            Fault::Members => self.change_members()?,
            Fault::Wipe => self.wipe_one(),
            Fault::Rot => self.rot(),
            Fault::Garbage | Fault::ShortReign | Fault::Weather => {
                unreachable!("they come with a mix")
            }
        };
        if struck {
            self.struck(fault);
        }
        self.next_fault();
        Ok(())
    }

    fn struck(&mut self, fault: Fault) {
        self.faults += 1;
        self.note(fault.name(), NodeId(0), self.faults, 0);
        self.trace.count(fault.name());
    }

    /// Set the next fault.
    pub(super) fn next_fault(&mut self) {
        let interval_us = self.mix.interval_us;
        if interval_us < u64::MAX {
            let wait_us = self.rng.within(interval_us / 4, interval_us * 2);
            self.queue.after(wait_us, Event::Fault { act: self.act });
        }
    }

    /// A new leader may not lead for long: what it appended and did not commit is left to the next.
    pub(super) fn limit_reign(&mut self, node: NodeId) {
        if self.mix.reign_us > 0 {
            let reign_us = self.rng.below(self.mix.reign_us);
            let life = self.nodes[&node].life;
            self.queue.after(reign_us, Event::Depose { node, life, act: self.act });
        }
    }

    /// A leader's time is up, if it leads still.
    pub(super) fn depose(&mut self, id: NodeId, life: u64, act: u64) {
        let node = &self.nodes[&id];
        if act == self.act && life == node.life && node.leads().is_some() {
            self.crash(id);
            self.struck(Fault::ShortReign);
        }
    }

    /// The next stretch of time with a mix of its own; one in four is calm.
    pub(super) fn next_act(&mut self) {
        if self.is_healed {
            return;
        }
        self.act += 1;
        let is_calm = self.rng.chance(250);
        let mix = if is_calm { Mix::CALM } else { Mix::draw(&mut self.rng, &self.without) };
        self.set_mix(mix);
        let length_us = self.rng.within(1_000_000, 6_000_000);
        self.queue.after(length_us, Event::NextAct);
        self.next_fault();
    }

    /// Everything ends that goes wrong, and nothing new begins.
    pub(super) fn heal(&mut self) {
        self.is_healed = true;
        self.act += 1;
        self.set_mix(Mix::CALM);
        for node in self.nodes.values_mut() {
            node.disk.clear_faults();
            node.disk.set_room(None);
        }
        let partitions: Vec<u64> = self.partitions.keys().copied().collect();
        for partition in partitions {
            self.end_partition(partition);
        }
    }

    /// The partition ends, if it has not ended already.
    pub(super) fn end_partition(&mut self, partition: u64) {
        for (from, to) in self.partitions.remove(&partition).unwrap_or_default() {
            self.network.unblock(from, to, &mut self.queue);
        }
    }

    fn set_mix(&mut self, mix: Mix) {
        self.mix = mix;
        self.network.weather = mix.weather;
    }

    fn crash_some(&mut self, count: usize) -> bool {
        let mut up = self.nodes_up();
        let count = count.min(up.len());
        for _ in 0..count {
            let victim = up.swap_remove(self.rng.slot(up.len()));
            self.crash(victim);
        }
        count > 0
    }

    fn crash_leader(&mut self) -> bool {
        let Some(leader) = self.leader() else {
            return false;
        };
        self.crash(leader);
        true
    }

    pub(super) fn crash(&mut self, node: NodeId) {
        self.stop(node);
        let down_us = self.rng.within(1_000, self.mix.restart_us.max(1_001));
        self.queue.after(down_us, Event::Restart { node });
    }

    fn partition_one_way(&mut self) -> bool {
        let Some([one, other]) = self.draw_pair().map(Pair::nodes) else {
            return false;
        };
        let direction = if self.rng.chance(500) { (one, other) } else { (other, one) };
        self.partition(vec![direction])
    }

    /// Cut `size` nodes off from the others, in both directions or, sometimes, in one.
    fn partition_groups(&mut self, size: usize) -> bool {
        let (group, others) = self.draw_group(size);
        let (inward, outward) =
            *self.rng.pick(&[(true, true), (true, true), (true, false), (false, true)]);
        let mut directions = Vec::new();
        for &inside in &group {
            for &outside in &others {
                if inward {
                    directions.push((outside, inside));
                }
                if outward {
                    directions.push((inside, outside));
                }
            }
        }
        self.partition(directions)
    }

    /// A leader may be alone with what it has just begun: a term, or a change of the configuration.
    pub(super) fn cut_off_by_chance(&mut self, leader: NodeId, per_mille: u64) {
        let may_be = !self.is_healed && !self.without.contains(&Fault::PartitionNode);
        if !may_be || !self.rng.chance(per_mille) {
            return;
        }
        let others = self.nodes.keys().copied().filter(|&node| node != leader);
        let ways: Vec<_> = others.flat_map(|node| [(leader, node), (node, leader)]).collect();
        if self.partition(ways) {
            self.struck(Fault::PartitionNode);
        }
    }

    /// Two groups that do not hear each other, and a node that hears both.
    fn partition_bridge(&mut self) -> bool {
        let (group, mut others) = self.draw_group((self.nodes.len() - 1) / 2);
        others.pop();
        let across = |&inside: &NodeId| {
            others.iter().flat_map(move |&outside| [(inside, outside), (outside, inside)])
        };
        self.partition(group.iter().flat_map(across).collect())
    }

    fn partition(&mut self, directions: Vec<(NodeId, NodeId)>) -> bool {
        if self.partitions.len() >= PARTITIONS_MAX || directions.is_empty() {
            return false;
        }
        for &(from, to) in &directions {
            self.network.block(from, to, &mut self.queue);
        }
        let partition = self.faults;
        self.partitions.insert(partition, directions);
        let lasts_us = self.rng.within(self.mix.partition_us / 4, self.mix.partition_us);
        self.queue.after(lasts_us, Event::Reconnect { partition });
        true
    }

    fn break_connection(&mut self) -> bool {
        let Some(pair) = self.draw_pair() else {
            return false;
        };
        self.network.break_connection(pair, &mut self.queue);
        true
    }

    fn reset_lane(&mut self) -> bool {
        let Some([one, other]) = self.draw_pair().map(Pair::nodes) else {
            return false;
        };
        let lane = *self.rng.pick(&[Lane::Control, Lane::Log, Lane::Log, Lane::Bulk]);
        self.network.reset_lane(one, other, lane);
        self.network.reset_lane(other, one, lane);
        true
    }

    fn pause(&mut self) -> bool {
        let Some(node) = self.draw_up() else {
            return false;
        };
        let until_us = self.rng.within(1_000, self.mix.pause_us);
        let until = self.queue.now().plus(Micros(until_us));
        self.node_mut(node).paused_until = until;
        true
    }

    /// One of the next calls to a disk fails, under a running node or one that recovers: a sync, a
    /// write, or all calls from there on, until the machine is started again.
    fn fail_disk(&mut self) -> bool {
        let node = self.draw_node();
        let (way, after) = (self.rng.below(3), self.rng.below(12));
        let node = self.node_mut(node);
        if node.disk_fault.is_some() {
            return false;
        }
        match way {
            0 => node.disk.fail_sync_after(after / 4),
            1 => node.disk.fail_write_after(after / 4),
            _ => node.disk.cut_power_after(after),
        }
        let is_power = way > 1;
        node.disk_fault = Some(if is_power { DiskFault::PowerCut } else { DiskFault::Error });
        true
    }

    fn slow_disk(&mut self) -> bool {
        let node = self.draw_node();
        let lasts_us = self.rng.within(100_000, 3_000_000);
        let until = self.queue.now().plus(Micros(lasts_us));
        self.node_mut(node).slow_until = until;
        true
    }

    /// A wall clock is set: a right one by seconds at most, a wrong one to anything.
    fn jump_clock(&mut self) -> bool {
        let node = self.draw_node();
        let mut rng = self.rng.fork();
        self.node_mut(node).clocks.jump(&mut rng);
        true
    }
}

impl World {
    /// A node is asked to stop. It hands over what it leads, stops, and is started again.
    fn leave(&mut self) -> Result<bool, Violation> {
        let Some(node) = self.draw_up() else {
            return Ok(false);
        };
        let drains_us = self.rng.within(10_000, 500_000);
        let life = self.nodes[&node].life;
        self.queue.after(drains_us, Event::Left { node, life });
        self.drain(node)?;
        Ok(true)
    }

    /// A node that was asked to stop is gone now, in good order.
    pub(super) fn left(&mut self, node: NodeId, life: u64) -> Checked {
        if self.nodes[&node].life != life || !self.nodes[&node].is_up() {
            return Ok(());
        }
        self.close(node)?;
        let down_us = self.rng.within(1_000, self.mix.restart_us.max(1_001));
        self.queue.after(down_us, Event::Restart { node });
        Ok(())
    }

    /// So many nodes, and the others.
    fn draw_group(&mut self, size: usize) -> (Vec<NodeId>, Vec<NodeId>) {
        let mut others: Vec<NodeId> = self.nodes.keys().copied().collect();
        let group = (0..size).map(|_| others.swap_remove(self.rng.slot(others.len()))).collect();
        (group, others)
    }

    /// None where there is one node.
    fn draw_pair(&mut self) -> Option<Pair> {
        let pairs = self.network.pairs();
        if pairs.is_empty() { None } else { Some(*self.rng.pick(&pairs)) }
    }

    pub(super) fn draw_node(&mut self) -> NodeId {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        *self.rng.pick(&nodes)
    }

    pub(super) fn draw_up(&mut self) -> Option<NodeId> {
        let up = self.nodes_up();
        if up.is_empty() { None } else { Some(*self.rng.pick(&up)) }
    }
}
