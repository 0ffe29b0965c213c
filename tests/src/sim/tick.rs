//! What the driver of a node looks at now and then: the room on its disk, a part of its full segments,
//! and what the log found it cannot read.
//!
//! What always holds: the core hears of damage that a read or the scrub met at the next tick at the
//! latest, and only between its inputs: what it has decided, the log has seen by then.

use election::{Micros, NodeId};
use replication::Input;
use wal::{Damage, Error};

use super::{
    checkers::{Checked, violated},
    mix::Mix,
    node::Node,
    trouble::Trial,
    world::{Event, World},
};

/// A fold that met damage looks again after this time.
const REST_US: u64 = 20_000;
/// The scrub goes on at so many ticks of a thousand where nothing is known to be amiss.
const SCRUB_PER_MILLE: u64 = 20;

impl World {
    /// The first tick of a life.
    pub(super) fn begin_ticks(&mut self, id: NodeId) {
        let life = self.nodes[&id].life;
        let first_us = self.rng.below(self.mix.tick_us);
        self.queue.after(first_us, Event::Tick { node: id, life });
    }

    /// A node looks around.
    pub(super) fn tick(&mut self, id: NodeId, life: u64) -> Checked {
        if self.process(id, life).is_none() {
            return Ok(());
        }
        self.queue.after(self.mix.tick_us, Event::Tick { node: id, life });
        self.look_for_room(id)?;
        self.measure(id)?;
        self.scrub(id)?;
        self.look_for_damage(id)
    }

    /// How quick the world is, as a driver measures it: about right, far too slow, or not at all.
    fn measure(&mut self, id: NodeId) -> Checked {
        if !self.nodes[&id].is_up() {
            return Ok(());
        }
        let is_slow = self.nodes[&id].slow_until > self.queue.now() && !self.is_healed;
        let Mix { weather, sync_us, slow_sync_us, pace_percent, .. } = &self.mix;
        let fsync_us = sync_us + if is_slow { *slow_sync_us } else { 0 };
        let [rtt, fsync] =
            [weather.latency_us[0] * 2, fsync_us].map(|us| Micros(us * pace_percent / 100));
        let before = self.up(id).replica.status().election_timeout;
        self.input(id, Input::Pace { rtt, fsync })?;
        let after = self.nodes[&id].process.as_ref();
        let after = after.map_or(before, |process| process.replica.status().election_timeout);
        if after != before {
            self.trace.count("the pace changed");
        }
        Ok(())
    }

    /// A part of the full segments is read again.
    fn scrub(&mut self, id: NodeId) -> Checked {
        if !self.nodes[&id].is_up() {
            return Ok(());
        }
        let Node { damaged_at, disk_fault, .. } = &self.nodes[&id];
        let (is_damaged, is_failing) = (damaged_at.is_some(), disk_fault.is_some());
        // What fails takes the process with it, and needs no scrub.
        if is_failing || !is_damaged && !self.rng.chance(SCRUB_PER_MILLE) {
            return Ok(());
        }
        let found = self.up(id).scrub.step(1).findings;
        if let Some(first) = found.first() {
            // What is repaired stays where it rotted or was garbled; a footer may be torn until it is
            // written again.
            let costs_nothing = first.entries.is_none();
            if first.damage != Damage::Footer && !self.nodes[&id].may_lack(costs_nothing) {
                return violated(format!("node {id}: the scrub finds {first}"));
            }
            self.trace.count("the scrub found damage");
            self.note("scrub", id, first.offset, 0);
        }
        Ok(())
    }

    /// Tell the core what the log cannot read, when that has changed.
    fn look_for_damage(&mut self, id: NodeId) -> Checked {
        let Some(process) = self.node_mut(id).process.as_mut() else { return Ok(()) };
        let ranges = process.reader.faulty();
        if ranges == process.known {
            return Ok(());
        }
        process.known.clone_from(&ranges);
        self.note("damaged", id, u64::try_from(ranges.len()).expect("a handful"), 0);
        self.trace.detail(&ranges);
        if let Trial::UnderWay { leader, is_excused, .. } = &mut self.trial {
            *is_excused |= *leader == id && !ranges.is_empty();
        }
        self.input(id, Input::Damaged { ranges })
    }

    /// Something read was damaged. That is no surprise where a disk was damaged, and else a broken law.
    pub(super) fn met_damage(&mut self, id: NodeId, error: &Error) -> Checked {
        if self.nodes[&id].damaged_at.is_none() {
            return violated(format!("node {id} and its disk: {error:?}"));
        }
        self.trace.count("a running node met damage");
        Ok(())
    }

    /// The fold waits until what it has to read is repaired.
    pub(super) fn rest(&mut self, id: NodeId) {
        let process = self.up(id);
        process.is_folding = true;
        let life = self.nodes[&id].life;
        self.queue.after(REST_US, Event::Fold { node: id, life });
    }
}
