//! Changes of the configuration, from the operator of this node and from other nodes.

use election::{EntryId, VoterId};

use super::{Core, proposal::reply};
use crate::{Change, Effects, Message, Now, Outcome, ProposalId, Refusal};

impl Core {
    /// The operator of this node wants a change.
    pub(crate) fn reconfigure(
        &mut self,
        now: Now,
        id: ProposalId,
        change: Change,
        effects: &mut Effects,
    ) {
        if self.proposals.len() >= self.limits.pending_proposals_max {
            return reply(id, Outcome::NotAccepted(Refusal::Busy), effects);
        }
        if self.lead.is_some() {
            match self.admit(now, change, effects) {
                Ok(at) => self.proposals.place(at, id),
                Err(refusal) => reply(id, Outcome::NotAccepted(refusal), effects),
            }
        } else if let Some(leader) = self.reachable_leader() {
            let name = self.name();
            self.proposals.ask(now.monotonic, name, id);
            let message = Message::Reconfigure { id: name, change };
            self.send(leader, message, self.tickets.hard_state, effects);
        } else {
            reply(id, Outcome::NotAccepted(Refusal::NoLeader), effects);
        }
    }

    /// Another node wants a change for its operator.
    pub(crate) fn on_reconfigure(
        &mut self,
        now: Now,
        from: VoterId,
        (name, change): (u64, Change),
        effects: &mut Effects,
    ) {
        if !self.forwards_seen.is_new(from.node, name) {
            return;
        }
        let outcome = self.admit(now, change, effects);
        let message = Message::Forwarded { id: name, outcome };
        self.send(from.node, message, self.tickets.hard_state, effects);
    }

    /// Take a change into the log, or say why not.
    fn admit(
        &mut self,
        now: Now,
        change: Change,
        effects: &mut Effects,
    ) -> Result<EntryId, Refusal> {
        match change {
            Change::Transfer(to) => self.transfer(now, to, effects),
            Change::Add(_) | Change::Remove(_) | Change::Replace(_) => Err(Refusal::ConfigPending),
        }
    }
}
