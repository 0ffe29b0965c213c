//! Sending and reading.

use crate::{
    apply::{Done, Entry},
    command::Target,
    conversation::{Conversation, Kind},
    id::{AccountId, ConversationId, MessageId},
    limits,
    message::Post,
    outcome::{Answer, Event},
    query::access::pair,
    rejection::Rejection,
    request::RequestId,
    state::State,
};

impl State {
    /// Has the request that a message must follow an outcome? Asked before all else, since only this
    /// refusal is not remembered.
    pub(super) fn check_order(
        &self,
        entry: Entry,
        account: AccountId,
        after_request: Option<RequestId>,
    ) -> Result<(), Rejection> {
        let requests = &self.account_known(account).requests;
        if after_request.is_none_or(|earlier| requests.is_settled(earlier, entry.time_us)) {
            Ok(())
        } else {
            Err(Rejection::OutOfOrder)
        }
    }

    pub(super) fn send(
        &mut self,
        entry: Entry,
        account: AccountId,
        to: &Target,
        (text, reply_to): (&str, Option<MessageId>),
    ) -> Done {
        limits::text(text)?;
        let found = self.resolve(account, to)?;
        if let Some(id) = found {
            self.conversation_of_member(account, id)?;
        }
        if let Some(answered) = reply_to {
            let posts = found.map(|id| &self.conversation_known(id).posts);
            if posts.and_then(|posts| posts.seq_of(answered)).is_none() {
                return Err(Rejection::ReplyUnknown);
            }
        }
        let id = match found {
            Some(id) => id,
            None => self.open_direct(entry, account, to)?,
        };
        let author = self.account_known(account).ordinal;
        let post = Post { index: entry.index, time_us: entry.time_us, author };
        let seq = self.conversation_known_mut(id).post(account, post);
        let answer = Answer::Sent {
            conversation: id,
            seq,
            id: MessageId(entry.index),
            time_us: entry.time_us,
        };
        Ok((answer, Some(Event::Message { index: entry.index, conversation: id, seq })))
    }

    /// Begin the direct conversation with `to`, by its first message.
    fn open_direct(
        &mut self,
        entry: Entry,
        account: AccountId,
        to: &Target,
    ) -> Result<ConversationId, Rejection> {
        let (Target::User(name) | Target::Channel(name)) = to;
        let other = self.accounts.id_of(name).ok_or(Rejection::NoSuchUser)?;
        self.check_room(account)?;
        self.check_room(other)?;
        let id = ConversationId(entry.index);
        let (low, high) = pair(account, other);
        self.conversations.insert(id, Conversation::new(Kind::Direct(low, high)));
        self.directs.insert((low, high), id);
        self.enter(entry, account, id);
        self.enter(entry, other, id);
        Ok(id)
    }

    pub(super) fn mark(
        &mut self,
        entry: Entry,
        account: AccountId,
        to: &Target,
        upto: u64,
    ) -> Done {
        let id = self.resolve(account, to)?.ok_or(Rejection::NoSuchMessage)?;
        let ordinal = self.account_known(account).ordinal;
        let marked = self.conversation_known_mut(id).mark(account, ordinal, upto);
        let (upto, moved) = marked.ok_or(Rejection::NotAMember)?;
        let event = Event::Read { index: entry.index, account, conversation: id, upto };
        Ok((Answer::Marked { conversation: id, upto }, moved.then_some(event)))
    }
}
