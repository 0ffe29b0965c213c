//! Sending, editing, deleting and reading.

use crate::{
    account::Wrote,
    apply::{Done, Entry},
    command::Target,
    conversation::{Conversation, Kind},
    id::{AccountId, ConversationId, MessageId},
    limits::{self, HIDDEN_MAX},
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
        let (Target::User(name) | Target::Channel(name)) = to else {
            return Err(Rejection::TargetMalformed);
        };
        if !limits::is_name(name) {
            return Err(Rejection::NameInvalid);
        }
        let found = self.resolve(account, to)?;
        if let (Target::User(_), Some(other)) = (to, self.accounts.id_of(name)) {
            self.check_lives(other)?;
        }
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
            None => self.open_direct(entry, account, name)?,
        };
        let author = self.account_known(account).ordinal;
        let post = Post { index: entry.index, time_us: entry.time_us, author };
        let seq = self.conversation_known_mut(id).post(account, post, reply_to);
        let wrote = &mut self.account_known_mut(account).wrote;
        wrote.entry(id).or_insert(Wrote { first: seq, count: 0 }).count += 1;
        let answer = Answer::Sent {
            conversation: id,
            seq,
            id: MessageId(entry.index),
            time_us: entry.time_us,
        };
        Ok((answer, Some(Event::Message { index: entry.index, conversation: id, seq })))
    }

    /// Begin the direct conversation with the account `name`, by its first message.
    fn open_direct(
        &mut self,
        entry: Entry,
        account: AccountId,
        name: &str,
    ) -> Result<ConversationId, Rejection> {
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

    pub(super) fn edit(
        &mut self,
        entry: Entry,
        account: AccountId,
        message: MessageId,
        text: &str,
    ) -> Done {
        limits::text(text)?;
        let (id, seq, post) = self.find(account, message).ok_or(Rejection::NoSuchMessage)?;
        if { post.author } != self.account_known(account).ordinal {
            return Err(Rejection::NotAuthor);
        }
        let posts = &mut self.conversation_known_mut(id).posts;
        if posts.is_gone(seq) {
            return Err(Rejection::MessageDeleted);
        }
        posts.edit(seq, entry.index);
        let event = Event::Edited { index: entry.index, conversation: id, seq };
        Ok((Answer::Edited { conversation: id, seq, id: message }, Some(event)))
    }

    /// Delete one's own message for everyone, another's for oneself. What is deleted is left so.
    pub(super) fn delete(&mut self, entry: Entry, account: AccountId, message: MessageId) -> Done {
        let (id, seq, post) = self.find(account, message).ok_or(Rejection::NoSuchMessage)?;
        let index = entry.index;
        let is_own = { post.author } == self.account_known(account).ordinal;
        let (changed, only_for) = if is_own {
            (self.conversation_known_mut(id).delete_own(account, seq), None)
        } else if self.conversation_known(id).posts.is_gone(seq) {
            (false, None)
        } else {
            let hidden = &mut self.account_known_mut(account).hidden;
            if hidden.len() >= HIDDEN_MAX && !hidden.contains(&(id, seq)) {
                return Err(Rejection::TooManyHidden);
            }
            (hidden.insert((id, seq)), Some(account))
        };
        let only_for_me = only_for.is_some();
        let answer = Answer::Deleted { conversation: id, seq, id: message, only_for_me };
        let event = Event::Deleted { index, conversation: id, seq, only_for };
        Ok((answer, changed.then_some(event)))
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
