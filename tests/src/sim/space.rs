//! Disks that others fill: little room or none, and room again after a while.
//!
//! The core is told at the ticks, as the node tells it; what the log needs meanwhile it may not get,
//! and then its process ends.

use election::NodeId;
use replication::{Input, Room};

use super::{
    checkers::Checked,
    world::{Event, World},
};

/// Less than this is little room, and less than half of it is none. It holds several segments, as that
/// of a node does.
const RESERVE_BYTES: u64 = 1024 * 1024;

impl World {
    /// A disk is filled up, for a while. How far is drawn: to the last byte, or so that there is little.
    pub(super) fn fill_disk(&mut self) -> bool {
        let id = self.draw_node();
        if self.nodes[&id].disk.free_bytes().is_some() {
            return false;
        }
        let left_bytes = match self.rng.below(4) {
            0 => 0,
            1 => self.rng.below(RESERVE_BYTES / 2),
            _ => self.rng.within(RESERVE_BYTES / 2, RESERVE_BYTES),
        };
        let lasts_us = self.rng.within(10_000, 3_000_000);
        self.node_mut(id).disk.leave_room(left_bytes);
        self.note("filled", id, left_bytes, lasts_us);
        self.queue.after(lasts_us, Event::Room { node: id });
        true
    }

    /// There is room again.
    pub(super) fn make_room(&mut self, id: NodeId) {
        self.node_mut(id).disk.set_room(None);
        self.note("emptied", id, 0, 0);
    }

    /// Tell the core how much room there is, when that has changed.
    pub(super) fn look_for_room(&mut self, id: NodeId) -> Checked {
        let room = match self.nodes[&id].disk.free_bytes() {
            Some(free) if free < RESERVE_BYTES / 2 => Room::None,
            Some(free) if free < RESERVE_BYTES => Room::Low,
            Some(_) | None => Room::Enough,
        };
        let told = std::mem::replace(&mut self.up(id).room, room);
        if told == room {
            return Ok(());
        }
        self.trace.count(match room {
            Room::None => "a disk had no room",
            Room::Low => "a disk had little room",
            Room::Enough => "a disk had room again",
        });
        self.note("space", id, u64::from(room == Room::Enough), u64::from(room == Room::None));
        self.input(id, Input::Space(room))
    }
}
