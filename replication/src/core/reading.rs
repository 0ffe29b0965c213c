//! Linearizable reads: what the core does around [`super::read`].

use election::{Index, NodeId};

use super::{Core, read::Reader};
use crate::{Effect, Effects, Message, Now, ReadId};

impl Core {
    /// A client of this node reads.
    pub(crate) fn read(&mut self, id: ReadId, effects: &mut Effects) {
        if self.lead.is_some() {
            self.wait_for_round(Reader::Own(id), effects);
        } else if self.reachable_leader().is_some()
            && self.questions.len() < self.limits.pending_reads_max
        {
            self.questions.wait(id);
        } else {
            effects.push(Effect::ReadFailed { id });
        }
    }

    /// Another node reads for its clients.
    pub(crate) fn on_read(&mut self, from: NodeId, name: u64, effects: &mut Effects) {
        self.wait_for_round(Reader::Peer { node: from, name }, effects);
    }

    pub(crate) fn on_read_answer(
        &mut self,
        from: NodeId,
        name: u64,
        index: Option<Index>,
        effects: &mut Effects,
    ) {
        self.questions.answered(from, name, index, effects);
    }

    /// Ask the leader, for all who wait.
    pub(crate) fn ask_read(&mut self, now: Now, effects: &mut Effects) {
        if !self.questions.wants_to_ask() {
            return;
        }
        let Some(leader) = self.reachable_leader() else { return };
        let name = self.name();
        self.questions.ask(now.monotonic, name, leader);
        let message = Message::Read { id: name };
        self.send(leader, message, self.tickets.hard_state, effects);
    }

    pub(crate) fn start_round_if_wanted(&mut self, now: Now, effects: &mut Effects) {
        let wanted = self.lead.as_ref().is_some_and(|lead| lead.rounds.wants_round());
        if wanted && self.has_committed_own() {
            self.start_round(now, effects);
        }
    }

    /// Answer the reads of every round that a commit quorum has answered.
    pub(crate) fn confirm_reads(&mut self, effects: &mut Effects) {
        let Some(lead) = &mut self.lead else { return };
        let (me, peers, electorate) = (self.me.node, &lead.peers, &self.electorate);
        let answered = lead.rounds.confirmed(|round| {
            electorate.commits(|node| {
                node == me || peers.get(&node).is_some_and(|peer| peer.answered_round >= round)
            })
        });
        for (reader, index) in answered {
            self.answer_read(reader, Some(index), effects);
        }
    }

    pub(crate) fn answer_read(&self, reader: Reader, index: Option<Index>, effects: &mut Effects) {
        match (reader, index) {
            (Reader::Own(id), Some(index)) => effects.push(Effect::ReadReady { id, index }),
            (Reader::Own(id), None) => effects.push(Effect::ReadFailed { id }),
            (Reader::Peer { node, name }, index) => {
                let message = Message::ReadAnswer { id: name, index };
                self.send(node, message, self.tickets.hard_state, effects);
            }
        }
    }

    fn wait_for_round(&mut self, reader: Reader, effects: &mut Effects) {
        match &mut self.lead {
            Some(lead) if lead.rounds.len() < self.limits.pending_reads_max => {
                lead.rounds.wait(reader);
            }
            Some(_) | None => self.answer_read(reader, None, effects),
        }
    }
}
