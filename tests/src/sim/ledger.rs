//! What each request came to, by the one committed log: the promises of exactly once, sender order
//! and gapless `seq`, as a client sees them.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use chat::{
    Accepted, AccountId, Action, Answer, Body, Command, ConversationId, MessageId, Outcome,
    Rejection, RequestId,
};

use super::checkers::{Checked, Violation, violated};

/// What all requests came to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The first accepted entry of each request, and its answer.
    effects: BTreeMap<RequestId, (u64, Answer)>,
    /// Requests whose refusal is their outcome for good.
    refused: BTreeMap<RequestId, Rejection>,
    /// What clients were told.
    acknowledged: BTreeMap<RequestId, Result<Answer, Rejection>>,
    /// Per request: entries that its proposals may have made by now, and entries that there are.
    entries: BTreeMap<RequestId, (u64, u64)>,
    /// The sends of each client, by number.
    chains: BTreeMap<RequestId, (usize, u64)>,
    /// The newest send of each client that took effect.
    newest: BTreeMap<usize, u64>,
    /// Who sent each message.
    authors: BTreeMap<MessageId, AccountId>,
    /// What nobody reads any more.
    gone: BTreeSet<MessageId>,
    /// The last `seq` and time of each conversation.
    conversations: BTreeMap<ConversationId, (u64, u64)>,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Did {
    /// It took effect.
    Effect,
    /// It was answered by an earlier outcome.
    Repeated,
    /// It was refused.
    Refused(Rejection),
}

impl Ledger {
    /// `request` is the send number `number` of `client`.
    pub(crate) fn chained(&mut self, request: RequestId, client: usize, number: u64) {
        self.chains.insert(request, (client, number));
    }

    /// A client has given a send up: its place among the others is no longer promised.
    pub(crate) fn given_up(&mut self, request: RequestId) {
        self.chains.remove(&request);
    }

    /// A node proposes a request: that may make one entry of it, and one only.
    pub(crate) fn proposed(&mut self, request: RequestId) {
        self.entries.entry(request).or_default().0 += 1;
    }

    /// A proposal was answered "not in the log, nor ever will be".
    pub(crate) fn turned_away(&mut self, request: RequestId) -> Checked {
        let (proposed, _) = self.entries.entry(request).or_default();
        *proposed -= 1;
        self.check_entries(request)
    }

    /// An entry of a request is in the committed log.
    pub(crate) fn committed(&mut self, request: RequestId) -> Checked {
        self.entries.entry(request).or_default().1 += 1;
        self.check_entries(request)
    }

    /// The entry at `index` is folded for the first time anywhere.
    pub(crate) fn folded(
        &mut self,
        index: u64,
        command: &Command,
        outcome: Outcome,
    ) -> Result<Did, Violation> {
        let request = command.request();
        let accepted = match outcome {
            Ok(accepted) => accepted,
            Err(rejection) => return self.refused(index, command, rejection),
        };
        let Accepted { answer, repeated } = accepted;
        match self.effects.entry(request) {
            Entry::Occupied(first) if repeated && is_same(first.get().1, answer) => {
                return Ok(Did::Repeated);
            }
            Entry::Occupied(first) => {
                return violated(format!(
                    "exactly once: {request:?} was {:?} and is {accepted:?} at {index}",
                    first.get()
                ));
            }
            Entry::Vacant(_) if repeated => {
                return violated(format!("{request:?} repeats at {index} what never was"));
            }
            Entry::Vacant(vacant) => {
                vacant.insert((index, answer));
            }
        }
        if let Some(refusal) = self.refused.get(&request) {
            return violated(format!("{request:?} was {refusal:?} and is {accepted:?} at {index}"));
        }
        if matches!(command.body(), Body::Act { .. }) {
            self.check_chain(request, index)?;
        }
        self.check_seq(index, answer)?;
        self.note_deletion(command, answer);
        Ok(Did::Effect)
    }

    /// Is a message deleted for everyone?
    pub(crate) fn is_gone(&self, message: MessageId) -> bool {
        self.gone.contains(&message)
    }

    /// A client is told what `request` came to, by the entry at `index`. Returns the index of the entry
    /// that did it, which a repeated one follows.
    pub(crate) fn acknowledged(
        &mut self,
        request: RequestId,
        index: u64,
        outcome: Outcome,
    ) -> Result<u64, Violation> {
        let told = outcome.map(|accepted| accepted.answer);
        let mut did_at = index;
        if let Ok(answer) = told {
            let Some(&(first, effect)) = self.effects.get(&request) else {
                return violated(format!(
                    "{request:?} is acknowledged at {index} and had no effect"
                ));
            };
            if first > index || !is_same(effect, answer) {
                return violated(format!(
                    "{request:?} did {effect:?} at {first} and is told {answer:?} at {index}"
                ));
            }
            did_at = first;
        }
        match self.acknowledged.entry(request) {
            Entry::Vacant(vacant) => {
                vacant.insert(told);
                Ok(did_at)
            }
            Entry::Occupied(before) if is_same_outcome(*before.get(), told) => Ok(did_at),
            Entry::Occupied(before) => {
                violated(format!("{request:?} is told {:?}, then {told:?}", before.get()))
            }
        }
    }

    /// The sends that took effect: (conversation, seq, index, request), for the last comparison.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (ConversationId, u64, u64, RequestId)> {
        self.effects.iter().filter_map(|(&request, &(index, answer))| match answer {
            Answer::Sent { conversation, seq, .. } => Some((conversation, seq, index, request)),
            Answer::Registered { .. }
            | Answer::LoggedIn { .. }
            | Answer::LoggedOut { .. }
            | Answer::ChannelCreated { .. }
            | Answer::Joined { .. }
            | Answer::Left { .. }
            | Answer::Invited { .. }
            | Answer::Marked { .. }
            | Answer::SettingChanged
            | Answer::Edited { .. }
            | Answer::Deleted { .. }
            | Answer::PasswordSet
            | Answer::AccountDeleted { .. }
            | Answer::TokenOpened { .. } => None,
        })
    }

    fn note_deletion(&mut self, command: &Command, answer: Answer) {
        let Body::Act { account, action, .. } = command.body() else { return };
        if let Answer::Sent { id, .. } = answer {
            self.authors.insert(id, *account);
        }
        if let Answer::Deleted { id, only_for_me: false, .. } = answer {
            self.gone.insert(id);
        }
        if let Action::DeleteAccount { erase_messages: true, .. } = action {
            let own = self.authors.iter().filter(|(_, author)| *author == account);
            self.gone.extend(own.map(|(id, _)| *id));
        }
    }

    fn check_entries(&self, request: RequestId) -> Checked {
        match self.entries.get(&request) {
            Some(&(proposed, found)) if found > proposed => violated(format!(
                "{request:?} has {found} entries; all but {proposed} proposals were turned away"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// A refusal is an outcome as good as any other, if it is one that is remembered.
    fn refused(
        &mut self,
        index: u64,
        command: &Command,
        rejection: Rejection,
    ) -> Result<Did, Violation> {
        let passes = matches!(rejection, Rejection::OutOfOrder | Rejection::RequestIdAhead);
        if matches!(command.body(), Body::Act { .. }) && !passes {
            let request = command.request();
            let first = *self.refused.entry(request).or_insert(rejection);
            if first != rejection || self.effects.contains_key(&request) {
                return violated(format!(
                    "{request:?} had another outcome before {rejection:?} at {index}"
                ));
            }
        }
        Ok(Did::Refused(rejection))
    }

    fn check_chain(&mut self, request: RequestId, index: u64) -> Checked {
        let Some(&(client, number)) = self.chains.get(&request) else {
            return Ok(());
        };
        let newest = self.newest.entry(client).or_insert(0);
        if number <= *newest {
            return violated(format!(
                "sender order: message {number} of client {client} follows {newest} at {index}"
            ));
        }
        *newest = number;
        Ok(())
    }

    fn check_seq(&mut self, index: u64, answer: Answer) -> Checked {
        let Answer::Sent { conversation, seq, id, time_us } = answer else {
            return Ok(());
        };
        let (last, last_us) = self.conversations.entry(conversation).or_insert((0, 0));
        if seq != *last + 1 || time_us <= *last_us || id.0 != index {
            return violated(format!(
                "gapless seq: {answer:?} at {index} follows seq {last} of {last_us} us"
            ));
        }
        (*last, *last_us) = (seq, time_us);
        Ok(())
    }
}

fn is_same_outcome(one: Result<Answer, Rejection>, other: Result<Answer, Rejection>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => is_same(one, other),
        (Err(one), Err(other)) => one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// The same answer. (A repeated log-in opens the same session; everything in it is the same.)
fn is_same(one: Answer, other: Answer) -> bool {
    one == other
}

#[cfg(test)]
mod tests;
