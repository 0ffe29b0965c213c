//! Learners: they receive the log, count for nothing, and become voters when they keep up.
//!
//! What always holds: a learner is promoted only when it is linked and has reached, again and again
//! for `Timing::promote_after`, what was committed one election timeout before at the latest; a
//! learner that falls behind starts anew (research trap 25). One voter comes at a time, and its own
//! log names it by then: so it knows that it may vote.

use election::{Index, Micros, NodeId};

use super::Core;
use crate::{ClusterConfig, Effects, Now};

/// How a learner fares, in rounds (Raft thesis §4.2.1): each is over when the learner holds what was
/// committed when it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CatchingUp {
    /// What it has to hold, and since when it is wanted.
    pub(super) goal: Option<(Index, Micros)>,
    /// It has kept up since then.
    pub(crate) steady_since: Option<Micros>,
}

impl CatchingUp {
    /// Look at it: it holds `matched`, `commit` is committed, and a round may take `span`.
    fn look(&mut self, now: Micros, (matched, commit): (Index, Index), span: Micros) {
        if let Some((goal, since)) = self.goal {
            if now.since(since) > span {
                self.steady_since = None;
            } else if matched < goal {
                return;
            } else {
                self.steady_since.get_or_insert(now);
            }
        }
        self.goal = Some((commit, now));
    }
}

impl Core {
    /// At each heartbeat: how do the learners fare?
    pub(crate) fn look_at_learners(&mut self, now: Now) {
        // What is committed is known only then, and everybody holds nothing.
        if !self.has_committed_own() {
            return;
        }
        let learners = &self.log.config().learners;
        let learners: Vec<NodeId> = learners.iter().map(|member| member.node).collect();
        for node in learners {
            let connected = self.is_connected(node);
            let (commit, span) = (self.commit, self.timing.election_timeout);
            let Some(lead) = &mut self.lead else { return };
            let Some(progress) = lead.peers.get_mut(&node) else { continue };
            if connected {
                progress.catching_up.look(now.monotonic, (progress.matched, commit), span);
            } else {
                progress.catching_up = CatchingUp::default();
            }
        }
    }

    /// Make a voter of the learner that has kept up for long enough, if one is wanted.
    pub(crate) fn promote_if_ready(&mut self, now: Now, effects: &mut Effects) {
        let config = self.log.config();
        let wanted = config.voters.len() < usize::from(config.target_size);
        if config.learners.is_empty() || !wanted || !self.may_append_config() {
            return;
        }
        let Some(node) = self.ready_learner(now.monotonic) else { return };
        let mut next = ClusterConfig { predecessor: self.log.config_index(), ..config.clone() };
        next.promote(node);
        if self.refusal(now.monotonic, &next).is_none() {
            self.append_config(now, &next, effects);
        }
    }

    fn ready_learner(&self, now: Micros) -> Option<NodeId> {
        let peers = &self.lead.as_ref()?.peers;
        let kept_up = |node: &NodeId| {
            let since = peers.get(node).and_then(|peer| peer.catching_up.steady_since);
            let holds = peers.get(node).is_some_and(|peer| peer.matched >= self.log.config_index());
            holds && since.is_some_and(|since| now.since(since) >= self.timing.promote_after)
        };
        let named = self.log.config().learners.iter().filter(|member| member.store.is_some());
        named.map(|member| member.node).find(kept_up)
    }
}
