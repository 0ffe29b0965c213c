//! A leader that stops hands over first (Raft thesis §3.10; research trap 34).
//!
//! It takes no more proposals, waits until everything is committed and a successor holds it all,
//! tells that one to stand at once, and leads on until it hears of the new term. After an election
//! timeout it steps down in any case.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId};
use wal::EntryKind;

use super::{Core, leader::Leader};
use crate::{Effects, Fitness, Message, Now, Refusal};

#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) until: Micros,
    told: bool,
}

impl Core {
    /// The process is to stop.
    pub(crate) fn leave(&mut self, now: Now) {
        self.leaving = true;
        let until = now.monotonic.plus(self.timing.election_timeout);
        if let Some(lead) = &mut self.lead {
            lead.handover.get_or_insert(Handover { until, told: false });
        }
    }

    /// An operator asks for another leader: for `to`, or for the best there is. Gives the empty entry
    /// that stands for the request: when that is committed, the hand-over is under way.
    pub(crate) fn transfer(
        &mut self,
        now: Now,
        _to: Option<NodeId>,
        effects: &mut Effects,
    ) -> Result<EntryId, Refusal> {
        let until = now.monotonic.plus(self.timing.election_timeout);
        let Some(lead) = &mut self.lead else { return Err(Refusal::NoLeader) };
        lead.handover.get_or_insert(Handover { until, told: false });
        Ok(self.append_own(now, EntryKind::NoOp, Bytes::new(), effects))
    }

    /// An operator asks that `node` leads no more.
    pub(crate) fn drain(&mut self, now: Now, node: NodeId, effects: &mut Effects) {
        if node != self.me.node {
            return self.send(node, Message::Drain, self.tickets.hard_state, effects);
        }
        self.draining = true;
        // Who leads nothing has nothing to hand over.
        self.transfer(now, None, effects).ok();
    }

    /// What a leader is told with every answer to a heartbeat.
    pub(crate) fn fitness(&self, now: Now) -> Fitness {
        Fitness {
            has_space: self.has_space,
            stalled: self.tickets.is_stalled(now.monotonic, self.timing.disk_stall),
            draining: self.leaving || self.draining,
        }
    }

    pub(crate) fn hand_over_if_ready(&mut self, effects: &mut Effects) {
        let last = self.log.last().index;
        let successor = self.successor(last);
        let (term, commit, after) = (self.term, self.commit, self.tickets.issued);
        let Some(handover) = self.lead.as_mut().and_then(|lead| lead.handover.as_mut()) else {
            return;
        };
        if let Some(node) = successor.filter(|_| commit == last && !handover.told) {
            handover.told = true;
            self.send(node, Message::TimeoutNow { term }, after, effects);
        }
    }

    /// Should a leader that was asked to stop lead no longer, successor or not?
    pub(crate) fn must_step_down(&self, now: Now) -> bool {
        let alone = self.electorate.voters() == [self.me.node];
        let done = alone && self.commit == self.log.last().index;
        let handover = self.lead.as_ref().and_then(|lead: &Leader| lead.handover.as_ref());
        handover.is_some_and(|handover| done || now.monotonic >= handover.until)
    }

    /// A voter that holds everything and was heard last.
    fn successor(&self, last: Index) -> Option<NodeId> {
        let peers = self.lead.as_ref()?.peers.iter();
        let ready = peers.filter(|(node, peer)| {
            self.electorate.contains(**node) && self.is_connected(**node) && peer.matched == last
        });
        ready.max_by_key(|(_, peer)| peer.heard).map(|(node, _)| *node)
    }
}
