//! Proposals, from clients of this node and from other nodes.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use election::{EntryId, NodeId, VoterId};
use wal::EntryKind;

use super::{Core, proposal::reply};
use crate::{
    ENTRY_OVERHEAD_BYTES, Effects, Message, Now, Outcome, ProposalId, Refusal, Room, STAMP_BYTES,
};

/// How many names of forwards are remembered per peer: more than can be under way at once on a link
/// that repeats or reorders messages.
const SEEN_MAX: usize = 256;

/// Which forwards were taken already, so that a repeated message is not a second proposal.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<NodeId, VecDeque<u64>>);

impl Seen {
    /// Is it the first time?
    pub(super) fn is_new(&mut self, from: NodeId, name: u64) -> bool {
        let names = self.0.entry(from).or_default();
        if names.contains(&name) {
            return false;
        }
        if names.len() == SEEN_MAX {
            names.pop_front();
        }
        names.push_back(name);
        true
    }
}

impl Core {
    /// A client of this node proposes.
    pub(crate) fn propose(&mut self, now: Now, id: ProposalId, body: Bytes, effects: &mut Effects) {
        let refusal = if body.len() + STAMP_BYTES > self.limits.entry_bytes_max {
            Some(Refusal::TooLarge)
        } else if self.proposals.len() >= self.limits.pending_proposals_max {
            Some(Refusal::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return reply(id, Outcome::NotAccepted(refusal), effects);
        }
        if self.lead.is_some() {
            match self.accept(now, body, effects) {
                Ok(at) => self.proposals.place(at, id),
                Err(refusal) => reply(id, Outcome::NotAccepted(refusal), effects),
            }
        } else if let Some(leader) = self.reachable_leader() {
            let name = self.name();
            self.proposals.ask(now.monotonic, name, id);
            let message = Message::Forward { id: name, body };
            // It promises nothing, so it waits for no fsync: a slow disk here holds up no client.
            self.send(leader, message, self.tickets.hard_state, effects);
        } else {
            reply(id, Outcome::NotAccepted(Refusal::NoLeader), effects);
        }
    }

    /// Another node proposes for its client.
    pub(crate) fn on_forward(
        &mut self,
        now: Now,
        from: VoterId,
        (name, body): (u64, Bytes),
        effects: &mut Effects,
    ) {
        if !self.forwards_seen.is_new(from.node, name) {
            return;
        }
        let outcome = self.accept(now, body, effects);
        self.answers.push((from.node, Message::Forwarded { id: name, outcome }));
    }

    /// The leader said where it stands.
    pub(crate) fn on_forwarded(
        &mut self,
        name: u64,
        outcome: Result<EntryId, Refusal>,
        effects: &mut Effects,
    ) {
        self.proposals.answered(name, outcome, effects);
        self.proposals.committed(self.commit, &self.log, effects);
    }

    /// Take a command into the log, stamped, or say why not.
    fn accept(&mut self, now: Now, body: Bytes, effects: &mut Effects) -> Result<EntryId, Refusal> {
        let lead = self.lead.as_ref().ok_or(Refusal::NoLeader)?;
        let size_bytes = body.len() + STAMP_BYTES;
        // Its successor takes what clients still ask of this node.
        if lead.handover.is_some() {
            return Err(Refusal::Draining);
        }
        if self.room != Room::Enough {
            return Err(Refusal::NoSpace);
        }
        if size_bytes > self.limits.entry_bytes_max {
            return Err(Refusal::TooLarge);
        }
        let waiting = lead.uncommitted_bytes + size_bytes + ENTRY_OVERHEAD_BYTES;
        if waiting > self.limits.uncommitted_bytes_max {
            return Err(Refusal::Busy);
        }
        let stamp = self.stamp(now).ok_or(Refusal::NoLeader)?;
        let mut payload = BytesMut::with_capacity(size_bytes);
        payload.put_u64_le(stamp);
        payload.put_slice(&body);
        Ok(self.append_own(now, EntryKind::Command, payload.freeze(), effects))
    }
}
