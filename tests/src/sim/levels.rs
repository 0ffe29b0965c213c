//! Builds of several ages: machines start again with a newer build, some with an older one.
//!
//! What always holds: the level of the cluster is raised only when every other member has said in the
//! leader's term that its build understands the new one, and no build takes a level beyond it.

use std::collections::{BTreeMap, BTreeSet};

use election::{NodeId, VoterId};
use replication::ClusterConfig;

use super::{
    checkers::{Checked, violated},
    world::World,
};

/// The newest build that there is.
const NEWEST: u16 = 4;

/// What was said of levels, and which configurations were judged.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    said: BTreeMap<(VoterId, u64), u16>,
    judged: BTreeSet<(u64, u64)>,
}

impl Levels {
    /// A node tells the leader of a term what its build understands.
    pub(crate) fn says(&mut self, by: VoterId, term: u64, level: u16) {
        let said = self.said.entry((by, term)).or_default();
        *said = level.max(*said);
    }

    /// A leader appends a configuration of a higher level than the one before.
    fn raised(
        &self,
        (index, term): (u64, u64),
        before: u16,
        (leader, config): (NodeId, &ClusterConfig),
    ) -> Checked {
        let others = config.voters.iter().chain(&config.learners);
        let silent = others.filter(|member| member.node != leader).find(|member| {
            let id = member.store.map(|store| VoterId { node: member.node, store });
            let said = id.and_then(|id| self.said.get(&(id, term)));
            said.is_none_or(|said| *said < config.level)
        });
        match silent {
            Some(member) => violated(format!(
                "levels: {leader} raises {before} to {} at {index} of term {term}, and node {} has not \
                 said that it understands that",
                config.level, member.node
            )),
            None => Ok(()),
        }
    }
}

impl World {
    /// A machine starts: perhaps with another build than before.
    pub(super) fn choose_build(&mut self, id: NodeId) {
        let is_newer = self.rng.chance(self.mix.upgrade_per_mille);
        let is_older = !self.is_healed && self.rng.chance(self.mix.downgrade_per_mille);
        let build = &mut self.node_mut(id).build;
        if is_newer {
            *build = NEWEST.min(*build + 1);
        } else if is_older {
            *build = 1.max(*build - 1);
        }
    }

    /// A node puts a configuration into its log: its leader, the first time.
    pub(super) fn check_config(
        &mut self,
        id: NodeId,
        at: (u64, u64),
        config: &ClusterConfig,
    ) -> Checked {
        let node = &self.nodes[&id];
        if config.level > node.build {
            return violated(format!(
                "levels: node {id} takes {}, and its build understands {}",
                config.level, node.build
            ));
        }
        if !self.levels.judged.insert(at) {
            return Ok(());
        }
        let before = self.checkers.config_in_force(&node.shadow.asked).clone();
        self.count_change(&before, config);
        self.cut_off_by_chance(id, self.mix.alone_per_mille[1]);
        if config.level < before.level {
            return violated(format!("levels: {} falls to {}", before.level, config.level));
        }
        if config.level > before.level {
            self.levels.raised(at, before.level, (id, config))?;
            self.trace.count("the level was raised");
            let mut builds = self.nodes.values().map(|node| node.build);
            if builds.any(|build| build > config.level) {
                self.trace.count("the level was raised among mixed builds");
            }
        }
        Ok(())
    }

    /// The cluster went on to a level that the build of a node does not understand: the node starts again
    /// with one that does.
    pub(super) fn too_old(&mut self, id: NodeId, level: u16) -> Checked {
        let node = self.node_mut(id);
        if level <= node.build {
            return violated(format!("node {id} understands {}, and {level} stops it", node.build));
        }
        node.build = level;
        self.trace.count("a build that was too old stopped");
        self.crash(id);
        Ok(())
    }
}
