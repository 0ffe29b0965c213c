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

/// A sync on a slow disk takes up to this much longer.
pub(super) const SLOW_SYNC_US: u64 = 400_000;

impl World {
    /// A fault strikes, and the next one is set.
    pub(super) fn strike(&mut self) -> Checked {
        if self.is_healed {
            return Ok(());
        }
        let fault = self.mix.weights.pick(&mut self.rng);
        let struck = match fault {
            Fault::CrashOne => self.crash_some(1),
            Fault::CrashLeader => self.crash_leader(),
            Fault::CrashSeveral => {
                let count = self.rng.slot(self.nodes.len()) + 1;
                self.crash_some(count)
            }
            Fault::CrashAll => self.crash_some(self.nodes.len()),
            Fault::PartitionOneWay => self.partition_one_way(),
            Fault::PartitionNode => self.partition_groups(1),
            Fault::PartitionHalves => self.partition_groups(self.nodes.len() / 2),
            Fault::BreakConnection => self.break_connection(),
            Fault::ResetLane => self.reset_lane(),
            Fault::Pause => self.pause(),
            Fault::SlowDisk => self.slow_disk(),
            Fault::FailDisk => self.fail_disk(),
            Fault::FullDisk => self.full_disk()?,
            Fault::Leave => self.leave()?,
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
            self.struck(Fault::CrashLeader);
        }
    }

    /// The next stretch of time with a mix of its own; one in four is calm.
    pub(super) fn next_act(&mut self) {
        if self.is_healed {
            return;
        }
        self.act += 1;
        let is_calm = self.rng.chance(250);
        let mix = if is_calm { Mix::CALM } else { Mix::draw(&mut self.rng) };
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
        let pairs = self.network.pairs();
        let [one, other] = self.rng.pick(&pairs).nodes();
        let direction = if self.rng.chance(500) { (one, other) } else { (other, one) };
        self.partition(vec![direction])
    }

    /// Cut `size` nodes off from the others, in both directions or, sometimes, in one.
    fn partition_groups(&mut self, size: usize) -> bool {
        let mut others: Vec<NodeId> = self.nodes.keys().copied().collect();
        let group: Vec<NodeId> =
            (0..size).map(|_| others.swap_remove(self.rng.slot(others.len()))).collect();
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

    fn partition(&mut self, directions: Vec<(NodeId, NodeId)>) -> bool {
        if self.partitions.len() >= PARTITIONS_MAX {
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
        let pairs = self.network.pairs();
        let pair: Pair = *self.rng.pick(&pairs);
        self.network.break_connection(pair, &mut self.queue);
        true
    }

    fn reset_lane(&mut self) -> bool {
        let pairs = self.network.pairs();
        let [one, other] = self.rng.pick(&pairs).nodes();
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
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let node = *self.rng.pick(&nodes);
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
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let node = *self.rng.pick(&nodes);
        let lasts_us = self.rng.within(100_000, 3_000_000);
        let until = self.queue.now().plus(Micros(lasts_us));
        self.node_mut(node).slow_until = until;
        true
    }
}

impl World {
    /// A node has no room for entries, and later has.
    fn full_disk(&mut self) -> Result<bool, Violation> {
        let Some(node) = self.draw_up() else {
            return Ok(false);
        };
        let lasts_us = self.rng.within(10_000, 2_000_000);
        let life = self.nodes[&node].life;
        self.queue.after(lasts_us, Event::Room { node, life });
        self.space(node, false)?;
        Ok(true)
    }

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

    fn draw_up(&mut self) -> Option<NodeId> {
        let up = self.nodes_up();
        if up.is_empty() { None } else { Some(*self.rng.pick(&up)) }
    }
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::CrashOne => "crash one node",
            Self::CrashLeader => "crash the leader",
            Self::CrashSeveral => "crash several nodes",
            Self::CrashAll => "crash all nodes",
            Self::PartitionOneWay => "partition one way",
            Self::PartitionNode => "partition a node",
            Self::PartitionHalves => "partition in halves",
            Self::BreakConnection => "break a connection",
            Self::ResetLane => "reset a lane",
            Self::Pause => "pause a node",
            Self::SlowDisk => "slow a disk",
            Self::FailDisk => "fail a disk",
            Self::FullDisk => "fill a disk",
            Self::Leave => "stop a node in order",
        }
    }
}
