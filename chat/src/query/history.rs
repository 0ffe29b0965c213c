//! Messages: the pages of a conversation, one message as a reader sees it, and what a subscriber
//! missed. Texts stand in the log: these say which entry to read.

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    command::{Action, Body, Command, Target},
    conversation::{Conversation, Kind},
    id::{AccountId, ConversationId, MessageId},
    limits,
    query::access::pair,
    rejection::Rejection,
    state::State,
};

/// Which part of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Window {
    /// The last ones.
    Newest,
    /// The last ones before this `seq`.
    Before(u64),
    /// The first ones after this `seq`.
    After(u64),
    /// This `seq` in the middle.
    Around(u64),
}

/// A message's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Posted {
    /// Where.
    pub conversation: ConversationId,
    /// Its place there, from 1.
    pub seq: u64,
    /// Its name, and the index of the entry with its text.
    pub id: MessageId,
    /// Its log time.
    pub time_us: u64,
}

/// A page of a conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// By rising `seq`, without a gap.
    pub items: Vec<Posted>,
    /// `seq` of the first item; 0 without items.
    pub first: u64,
    /// `seq` of the last item; 0 without items.
    pub last: u64,
    /// There are messages before the first item.
    pub more_before: bool,
    /// There are messages after the last item.
    pub more_after: bool,
}

/// A message as one reader sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageView {
    /// Its name.
    pub id: MessageId,
    /// `#channel`, or `@other` as the reader sees it.
    pub conversation: String,
    /// Its place there.
    pub seq: u64,
    /// Who wrote it.
    pub author: String,
    /// Its log time.
    pub time_us: u64,
    /// Its text.
    pub text: String,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
}

impl State {
    /// A page of a conversation that `reader` is in.
    ///
    /// # Errors
    /// [`Rejection::LimitInvalid`], [`Rejection::NoSuchChannel`] for what the reader may not see,
    /// [`Rejection::NotAMember`] for a public channel of others.
    pub fn history(
        &self,
        reader: AccountId,
        id: ConversationId,
        window: Window,
        limit: usize,
    ) -> Result<History, Rejection> {
        let limit = u64::try_from(limits::page(limit)?).unwrap_or(1);
        let conversation = self.conversation_of_member(reader, id)?;
        let last = conversation.posts.last_seq();
        // The page is first..end.
        let (first, end) = match window {
            Window::Newest => ((last + 1).saturating_sub(limit), last + 1),
            Window::Before(seq) => {
                let end = seq.min(last + 1);
                (end.saturating_sub(limit), end)
            }
            Window::After(seq) => {
                let first = seq.min(last) + 1;
                (first, first.saturating_add(limit))
            }
            Window::Around(seq) => {
                let first = seq.clamp(1, last.max(1)).saturating_sub(limit / 2);
                let first = first.min((last + 1).saturating_sub(limit)).max(1);
                (first, first + limit)
            }
        };
        let (first, end) = (first.max(1), end.min(last + 1));
        let items: Vec<_> = (first..end).filter_map(|seq| posted(id, conversation, seq)).collect();
        Ok(History {
            first: items.first().map_or(0, |item| item.seq),
            last: items.last().map_or(0, |item| item.seq),
            more_before: first > 1 && last > 0,
            more_after: end <= last,
            items,
        })
    }

    /// A page of the conversation that `reader` calls `to`; empty for a direct conversation without
    /// a message.
    ///
    /// # Errors
    /// As [`State::resolve`] and [`State::history`].
    pub fn history_with(
        &self,
        reader: AccountId,
        to: &Target,
        window: Window,
        limit: usize,
    ) -> Result<History, Rejection> {
        match self.resolve(reader, to)? {
            Some(id) => self.history(reader, id, window, limit),
            None => limits::page(limit).map(|_| History::default()),
        }
    }

    /// The message which the entry at `index` sent, as `reader` sees it; none when the entry is no
    /// accepted send, or in a conversation that the reader is not in. `command` is that entry.
    ///
    /// # Panics
    /// When `command` is another entry than the one that this state applied at `index`.
    #[must_use]
    pub fn message_of(
        &self,
        reader: AccountId,
        index: u64,
        command: &Command,
    ) -> Option<MessageView> {
        let Body::Act { account, action: Action::Send { to, text, reply_to, .. }, .. } =
            command.body()
        else {
            return None;
        };
        let id = self.resolve(*account, to).ok()??;
        let conversation = self.conversation_of_member(reader, id).ok()?;
        let seq = conversation.posts.seq_of(MessageId(index))?;
        let post = conversation.posts.get(seq)?;
        assert!(
            self.accounts.author(post.author) == Some(*account),
            "entry {index} is of the author that the state knows"
        );
        Some(MessageView {
            id: MessageId(index),
            conversation: self.label(reader, id)?,
            seq,
            author: self.accounts.get(*account)?.name.clone(),
            time_us: post.time_us,
            text: text.clone(),
            reply_to: *reply_to,
        })
    }

    /// What `account` may see of the messages after the entry `cursor`, oldest first, at most
    /// `limit` of them: what a subscriber missed.
    #[must_use]
    pub fn messages_after(&self, account: AccountId, cursor: u64, limit: usize) -> Vec<Posted> {
        let conversations = self.accounts.get(account).map(|account| &account.conversations);
        // The next message of every conversation that has one, by id.
        let mut next = BTreeMap::new();
        for &id in conversations.into_iter().flatten() {
            let conversation = self.conversation_known(id);
            if conversation.posts.last().is_some_and(|post| { post.index } > cursor) {
                let seq = conversation.posts.first_after(cursor);
                next.extend(posted(id, conversation, seq).map(|item| (item.id, item)));
            }
        }
        let mut items = Vec::new();
        while items.len() < limit {
            let Some((_, item)) = next.pop_first() else { break };
            let conversation = self.conversation_known(item.conversation);
            let following = posted(item.conversation, conversation, item.seq + 1);
            next.extend(following.map(|item| (item.id, item)));
            items.push(item);
        }
        items
    }

    /// What `reader` calls a conversation: `#channel`, or `@other`; none for a direct conversation
    /// of others. Who has just left a private channel still hears its name, in the event that says
    /// so: for anyone else ask [`State::sees`] first.
    #[must_use]
    pub fn label(&self, reader: AccountId, id: ConversationId) -> Option<String> {
        let other = match &self.conversations.get(&id)?.kind {
            Kind::Channel(channel) => return Some(format!("#{}", channel.name)),
            Kind::Direct(one, other) if *one == reader => other,
            Kind::Direct(one, other) if *other == reader => one,
            Kind::Direct(..) => return None,
        };
        Some(format!("@{}", self.accounts.get(*other)?.name))
    }

    /// The name of an account.
    #[must_use]
    pub fn name(&self, account: AccountId) -> Option<String> {
        self.accounts.get(account).map(|account| account.name.to_owned())
    }

    /// A conversation that `reader` is in.
    pub(crate) fn conversation_of_member(
        &self,
        reader: AccountId,
        id: ConversationId,
    ) -> Result<&Conversation, Rejection> {
        let conversation = self.conversations.get(&id).ok_or(Rejection::NoSuchChannel)?;
        if conversation.members.contains_key(&reader) {
            Ok(conversation)
        } else if conversation.is_seen_by(reader) {
            Err(Rejection::NotAMember)
        } else {
            Err(Rejection::NoSuchChannel)
        }
    }

    /// The direct conversation of two accounts, if they have one.
    #[must_use]
    pub fn direct(&self, one: AccountId, other: AccountId) -> Option<ConversationId> {
        self.directs.get(&pair(one, other)).copied()
    }
}

/// A message's place, if there is one at `seq`.
pub(crate) fn posted(id: ConversationId, conversation: &Conversation, seq: u64) -> Option<Posted> {
    conversation.posts.get(seq).map(|post| Posted {
        conversation: id,
        seq,
        id: MessageId(post.index),
        time_us: post.time_us,
    })
}
