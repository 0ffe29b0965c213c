//! A leader hands over: because it was asked to, because it is to stop, because its disk is stalled,
//! or because it has no room (Raft thesis §3.10; research traps 32 and 34).
//!
//! It takes no more proposals, waits until a successor holds its whole log, tells that one to stand
//! at once, and leads on until it hears of the new term. What it holds is committed by then or will
//! be by the successor. A hand-over that comes to nothing ends after an election timeout: proposals
//! are taken again, unless the leader must go in any case: then it steps down.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId};
use wal::EntryKind;

use super::Core;
use crate::{Effects, Fitness, Message, Now, Refusal, Room};

/// For lack of room alone a leader hands over only after it has led for so long, so that nodes whose
/// disks are filled in turn do not hand leadership round and round.
pub(crate) const COOL_DOWN: Micros = Micros::from_millis(10_000);

/// After a hand-over that came to nothing none is begun unasked for so long: clients get a turn.
pub(crate) const PAUSE: Micros = Micros::from_millis(1_000);

#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) why: Why,
    /// To this one; none: to the best.
    to: Option<NodeId>,
    /// When it has come to nothing.
    pub(crate) until: Micros,
    told: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// An operator wants another leader.
    Asked,
    /// An operator wants this node to lead no more.
    Drain,
    /// The process is to stop.
    Leave,
    /// The disk makes nothing durable.
    Stall,
    /// The disk is full.
    Full,
    /// The log holds what cannot be read.
    Damage,
}

impl Why {
    /// Must the leader go, successor or not?
    const fn is_final(self) -> bool {
        match self {
            Self::Leave | Self::Stall | Self::Damage => true,
            Self::Asked | Self::Drain | Self::Full => false,
        }
    }
}

impl Core {
    /// The process is to stop.
    pub(crate) fn leave(&mut self, now: Now) {
        self.leaving = true;
        self.hand_over(now, Why::Leave, None);
    }

    /// An operator asks for another leader: for `to`, or for the best there is. Gives the empty entry
    /// that stands for the request: when that is committed, the hand-over is under way.
    pub(crate) fn transfer(
        &mut self,
        now: Now,
        to: Option<NodeId>,
        effects: &mut Effects,
    ) -> Result<EntryId, Refusal> {
        let lead = self.lead.as_ref().ok_or(Refusal::NoLeader)?;
        if lead.handover.is_some() {
            return Err(Refusal::Draining);
        }
        // Whom it is to go to may lead already.
        if to != Some(self.me.node) {
            self.best(now, Why::Asked, to, Index(0)).ok_or(Refusal::NoSuccessor)?;
            self.hand_over(now, Why::Asked, to);
        }
        Ok(self.append_own(now, EntryKind::NoOp, Bytes::new(), effects))
    }

    /// An operator asks that `node` leads no more, or that it may again.
    pub(crate) fn drain(&mut self, now: Now, node: NodeId, undo: bool, effects: &mut Effects) {
        if node != self.me.node {
            return self.send(node, Message::Drain { undo }, self.tickets.hard_state, effects);
        }
        self.draining = !undo;
        if let Some(lead) = self.lead.as_mut().filter(|_| undo) {
            // Whoever was told already leads next.
            lead.handover.take_if(|over| over.why == Why::Drain && !over.told);
        }
        self.hand_over_if_wanted(now);
    }

    /// What a leader is told with every answer to a heartbeat.
    pub(crate) fn fitness(&self, now: Now) -> Fitness {
        Fitness {
            has_space: self.room == Room::Enough,
            stalled: self.is_stalled(now),
            draining: self.leaving || self.draining || self.is_damaged(),
        }
    }

    /// Has the disk made nothing durable for too long?
    pub(crate) fn is_stalled(&self, now: Now) -> bool {
        self.tickets.is_stalled(now.monotonic, self.timing.disk_stall)
    }

    /// Begin what nobody has to ask for.
    pub(crate) fn hand_over_if_wanted(&mut self, now: Now) {
        let Some(lead) = &mut self.lead else { return };
        if let Some(over) = lead.handover.take_if(|over| over.until <= now.monotonic) {
            if over.why.is_final() {
                // The election is told to step down.
                lead.handover = Some(over);
                return;
            }
            lead.rests_until = now.monotonic.plus(PAUSE);
        }
        if lead.handover.is_some() {
            return;
        }
        let rested = now.monotonic >= lead.rests_until;
        let cooled_down = now.monotonic.since(lead.since) >= COOL_DOWN;
        if self.is_stalled(now) {
            self.hand_over(now, Why::Stall, None);
        } else if self.is_damaged() {
            self.hand_over(now, Why::Damage, None);
        } else if self.draining && rested {
            self.hand_over_to_somebody(now, Why::Drain);
        } else if self.room != Room::Enough && rested && cooled_down {
            self.hand_over_to_somebody(now, Why::Full);
        }
    }

    /// Tell the successor, as soon as one is ready.
    pub(crate) fn hand_over_if_ready(&mut self, now: Now, effects: &mut Effects) {
        let Some(over) = self.lead.as_ref().and_then(|lead| lead.handover.as_ref()) else { return };
        if over.told {
            return;
        }
        let Some(node) = self.best(now, over.why, over.to, self.log.last().index) else { return };
        if let Some(over) = self.lead.as_mut().and_then(|lead| lead.handover.as_mut()) {
            over.told = true;
        }
        // It promises nothing that this disk must hold: a stalled one hands over as well.
        let message = Message::TimeoutNow { term: self.term };
        self.send(node, message, self.tickets.hard_state, effects);
    }

    /// Must a leader whose hand-over came to nothing go in any case?
    pub(crate) fn must_step_down(&self, now: Now) -> bool {
        let Some(over) = self.lead.as_ref().and_then(|lead| lead.handover.as_ref()) else {
            return false;
        };
        let alone = self.electorate.voters() == [self.me.node];
        let done = alone && over.why == Why::Leave && self.commit == self.log.last().index;
        done || (over.why.is_final() && now.monotonic >= over.until)
    }

    fn hand_over_to_somebody(&mut self, now: Now, why: Why) {
        if self.best(now, why, None, Index(0)).is_some() {
            self.hand_over(now, why, None);
        }
    }

    fn hand_over(&mut self, now: Now, why: Why, to: Option<NodeId>) {
        let until = now.monotonic.plus(self.timing.election_timeout);
        let Some(lead) = &mut self.lead else { return };
        let told = lead.handover.as_ref().is_some_and(|over| over.told);
        lead.handover = Some(Handover { why, to, until, told });
    }

    /// The best of those who hold the log up to `index` and may lead next: one with room, and of these
    /// the one that holds most, and was heard last.
    fn best(&self, now: Now, why: Why, to: Option<NodeId>, index: Index) -> Option<NodeId> {
        let silence = self.timing.quorum_silence;
        let peers = self.lead.as_ref()?.peers.iter().filter_map(|(node, peer)| {
            let (fitness, heard) = (peer.fitness?, peer.heard?);
            let may_lead = self.electorate.contains(*node)
                && to.is_none_or(|to| to == *node)
                && peer.matched >= index
                && self.is_connected(*node)
                && now.monotonic.since(heard) < silence
                && !fitness.stalled
                && !fitness.draining
                && (fitness.has_space || why != Why::Full);
            may_lead.then_some(((fitness.has_space, peer.matched, heard), *node))
        });
        peers.max_by_key(|(merit, _)| *merit).map(|(_, node)| node)
    }
}
