//! When an entry is committed.
//!
//! What always holds: the commit index never goes back; a leader moves it only to an entry of its
//! own term (Raft §5.4.2, figure 8; research trap 33), durable on a commit quorum of the
//! configuration in force.

use election::{Index, NodeId};

use super::{Core, progress::Progress};
use crate::{Effect, Effects};

impl Core {
    /// Tell how far the log is committed and can be read: the fold goes no further.
    pub(crate) fn show_commit(&mut self, effects: &mut Effects) {
        let shown = self.commit.min(self.log.readable_from(self.shown));
        if shown > self.shown {
            self.shown = shown;
            effects.push(Effect::Commit(shown));
        }
    }

    /// At the leader: commit what a quorum holds by now.
    pub(crate) fn advance_commit(&mut self, effects: &mut Effects) {
        let Some(lead) = &self.lead else { return };
        let held = |node: NodeId| {
            if node == self.me.node {
                self.own_durable()
            } else {
                lead.peers.get(&node).map_or(Index(0), Progress::counts)
            }
        };
        let voters = self.electorate.voters();
        let quorum_holds = |index: &Index| self.electorate.commits(|node| held(node) >= *index);
        let committed = voters.iter().map(|voter| held(*voter)).filter(quorum_holds).max();
        if let Some(index) = committed.filter(|index| self.may_count(*index)) {
            self.set_commit(index, effects);
        }
    }

    /// Only copies of the own term's entries are counted.
    fn may_count(&self, index: Index) -> bool {
        self.log.term_of(index) == Some(self.term)
    }

    /// The leader's own copy counts like any other: when it is durable, and as far as it can be read.
    fn own_durable(&self) -> Index {
        self.log.durable().min(self.log.readable_from(self.commit))
    }

    /// Everything up to `index` is committed; older news changes nothing.
    pub(crate) fn set_commit(&mut self, index: Index, effects: &mut Effects) {
        if index <= self.commit {
            return;
        }
        assert!(index <= self.log.last().index, "what is committed here is in the log");
        let before = std::mem::replace(&mut self.commit, index);
        self.show_commit(effects);
        if self.log.config_at(index).0 > before {
            self.tell_struck_out(effects);
        }
        self.proposals.committed(index, &self.log, effects);
        if let Some(lead) = &mut self.lead {
            while let Some((_, bytes)) = lead.uncommitted.pop_front_if(|(at, _)| *at <= index) {
                lead.uncommitted_bytes -= bytes;
            }
        }
    }
}
