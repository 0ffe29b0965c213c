//! The feature level: what every node of the cluster is known to understand (design §7, versions).
//!
//! What always holds:
//! - the level stands in the configurations and never falls along the log;
//! - a leader raises it only when every voter and learner of the configuration in force has said in
//!   this term that its build understands the new one;
//! - a build that does not understand the level of a configuration stops before it takes it, at the
//!   start as well as from a leader, and has changed nothing by then.

use super::Core;
use crate::{ClusterConfig, Effects, Halt, Now};

impl Core {
    /// That of the newest committed configuration: no later leader's log is without it.
    pub(crate) fn level(&self) -> u16 {
        self.committed_config().map_or(0, |(_, config)| config.level)
    }

    /// The level of one of these that this build does not understand, if there is one.
    pub(crate) fn beyond_me<'a>(
        &self,
        mut configs: impl Iterator<Item = &'a ClusterConfig>,
    ) -> Option<u16> {
        configs.find(|config| config.level > self.understands).map(|config| config.level)
    }

    /// At the start: stop if the log has gone on to a level that this build does not understand.
    pub(crate) fn halt_if_too_old(&mut self, effects: &mut Effects) -> bool {
        let beyond = self.beyond_me(self.log.configs().map(|(_, config)| config));
        if let Some(level) = beyond {
            self.halt(Halt::TooOld { level }, effects);
        }
        beyond.is_some()
    }

    /// At the leader: go on to what everybody understands by now.
    pub(crate) fn raise_level(&mut self, now: Now, effects: &mut Effects) {
        let Some(lead) = &self.lead else { return };
        let config = self.log.config();
        if self.understands <= config.level
            || !config.names_all_voters()
            || !self.may_append_config()
        {
            return;
        }
        let members = config.voters.iter().chain(&config.learners);
        let others = members.filter(|member| member.node != self.me.node);
        let said = others.map(|member| lead.peers.get(&member.node).map_or(0, |peer| peer.level));
        let level = said.fold(self.understands, u16::min);
        if level > config.level {
            let predecessor = self.log.config_index();
            let raised = ClusterConfig { level, predecessor, ..config.clone() };
            self.append_config(now, &raised, effects);
        }
    }
}
