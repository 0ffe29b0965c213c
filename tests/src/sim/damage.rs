//! Disks that rot: damaged sectors of the log, never on more voters than the cluster can lose.
//!
//! The atlas counts whole nodes: from the strike until the node says that nothing is faulty any more, and
//! all can be read from its disk, it and those whose disks are lost are at most a minority of the newest committed configuration. So every
//! entry keeps a commit quorum of copies, and all damage must be repaired.

use election::NodeId;

use super::{
    checkers::{Checked, violated},
    disk::SECTOR_BYTES,
    node::Node,
    world::World,
};

/// Sectors that one strike damages.
const HITS_MAX: u64 = 3;
/// At the end of a log nothing tells a write that was lost after its sync from one that never was, and
/// no number of honest disks helps: only what is followed by so many sectors is taken away.
const TAIL_SECTORS: usize = 128;

impl World {
    /// What a disk held is not all there any more: under a running node, or one that crashes.
    pub(super) fn rot(&mut self) -> bool {
        self.note_whole();
        let node = self.draw_node();
        if !self.may_be_damaged(node) {
            return false;
        }
        if self.nodes[&node].is_up() {
            if self.rng.chance(500) {
                self.trace.count("a disk rotted under a running node");
            } else {
                self.crash(node);
            }
        }
        let hits = self.rng.within(1, HITS_MAX);
        let was_hit = (0..hits).filter(|_| self.damage_sector(node)).count() > 0;
        if was_hit {
            let now = self.queue.now();
            self.node_mut(node).is_damaged_from(now);
        }
        was_hit
    }

    /// Its log cannot be opened for what was done to its disk: the node has lost it.
    pub(super) fn unusable(&mut self, id: NodeId, error: &wal::Error) -> Checked {
        if self.nodes[&id].damaged_at.is_none() {
            return violated(format!("node {id} and its disk: {error:?}"));
        }
        self.trace.count("a damaged log could not be opened");
        self.replace_disk(id);
        Ok(())
    }

    /// Those who say that they are whole again may be damaged again.
    pub(super) fn note_whole(&mut self) {
        for node in self.nodes.values_mut() {
            if (node.damaged_at.is_some() || node.is_garbled) && is_whole(node) {
                let was_damaged = node.damaged_at.take().is_some();
                self.trace.count(match (was_damaged, gave_up(node)) {
                    (true, _) => "a damaged node became whole",
                    (false, false) => "a garbled node became whole",
                    (false, true) => "an end that no voter could read was given up",
                });
                node.is_garbled = false;
            }
        }
    }

    /// Can the cluster do without this voter, too?
    pub(super) fn may_be_damaged(&self, node: NodeId) -> bool {
        let config = self.checkers.newest_config();
        let lost = self.lost_voters(config);
        // Log time is the median of the clocks that can be asked: a wrong one counts, too.
        let is_bad = |id: &NodeId| {
            let Node { clocks, .. } = &self.nodes[id];
            let is_in_need = self.nodes[id].may_be_in_need();
            lost.contains(id) || *id == node || is_in_need || clocks.is_wrong()
        };
        let bad = config.voters.iter().filter(|member| is_bad(&member.node)).count();
        config.voters.len() >= 3 && bad <= (config.voters.len() - 1) / 2
    }

    /// Does this crash leave garbage in the sectors that were being written? Such an end can be in doubt,
    /// on every node at once after a loss of power.
    pub(super) fn garbles(&mut self) -> bool {
        let garbles = self.rng.chance(self.mix.garbage_per_mille);
        if garbles {
            self.note_whole();
            self.trace.count("a crash left garbage");
        }
        garbles
    }

    /// One sector of the log, if there is one.
    fn damage_sector(&mut self, node: NodeId) -> bool {
        let disk = self.nodes[&node].disk.clone();
        let mut names = disk.names();
        names.retain(|name| name.starts_with("seg-"));
        let used: Vec<(String, u64)> = names
            .into_iter()
            .flat_map(|name| {
                let sectors = disk.used_sectors(&name);
                sectors.into_iter().map(move |sector| (name.clone(), sector))
            })
            .collect();
        if used.is_empty() {
            return false;
        }
        let place = self.rng.slot(used.len());
        let (name, sector) = used[place].clone();
        self.note("damage", node, place as u64, sector);
        let is_tail = place + TAIL_SECTORS >= used.len();
        match self.rng.below(if is_tail { 1 } else { 5 }) {
            0 => {
                let at = sector * SECTOR_BYTES as u64 + self.rng.below(SECTOR_BYTES as u64);
                disk.corrupt(&name, at, 1 << self.rng.below(8));
            }
            1 => disk.zero_sector(&name, sector),
            2 => disk.revert_sector(&name, sector),
            3 => {
                let (other, to) = self.rng.pick(&used).clone();
                disk.misdirect_write((&name, sector), (&other, to));
            }
            _ => disk.spoil_sector(&name, sector),
        }
        true
    }
}

/// Does the node say so, and is it so on its disk?
fn is_whole(node: &Node) -> bool {
    let process = node.process.as_ref();
    let says_so = process.is_some_and(|process| process.replica.status().faulty.is_empty());
    says_so && node.shadow.durable.is_whole() && node.is_readable()
}

/// Has it given up, in this life, what no voter could read?
fn gave_up(node: &Node) -> bool {
    let process = node.process.as_ref();
    process.is_some_and(|process| process.replica.status().given_up.is_some())
}
