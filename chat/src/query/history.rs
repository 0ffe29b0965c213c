//! Messages: the pages of a conversation, one message as a reader sees it, and what a subscriber
//! missed. Texts stand in the log: these say which entry to read.

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    command::{Action, Body, Command, Target},
    conversation::{Conversation, Kind},
    id::{AccountId, ConversationId, MessageId},
    limits,
    message::Post,
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

/// What is called the author of what a deleted account sent. No name, so nobody can take it.
pub const DELETED_USER: &str = "deleted user";

/// A message's place, as one reader finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Posted {
    /// Where.
    pub conversation: ConversationId,
    /// Its place there, from 1.
    pub seq: u64,
    /// Its name: the index of the entry that sent it.
    pub id: MessageId,
    /// Its log time.
    pub time_us: u64,
    /// Who sent it.
    pub author: AccountId,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The index of the entry with its text: another one than its id once it was edited. None when
    /// it is deleted, for everyone or for this reader.
    pub body: Option<u64>,
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
    /// What there is to read; none when it is deleted, for everyone or for this reader.
    pub content: Option<Content>,
}

/// What there is to read of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// Who wrote it; [`DELETED_USER`] when that account is deleted.
    pub author: String,
    /// Its log time.
    pub time_us: u64,
    /// Its text.
    pub text: String,
    /// The text is another one than was sent.
    pub edited: bool,
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
        let items: Vec<_> = (first..end).filter_map(|seq| self.posted(reader, id, seq)).collect();
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

    /// A message of a conversation that `reader` is in.
    ///
    /// # Errors
    /// [`Rejection::NoSuchMessage`], also for what the reader may not see.
    pub fn message(&self, reader: AccountId, message: MessageId) -> Result<Posted, Rejection> {
        let (id, seq, _) = self.find(reader, message).ok_or(Rejection::NoSuchMessage)?;
        self.posted(reader, id, seq).ok_or(Rejection::NoSuchMessage)
    }

    /// The place of the message `seq` of a conversation, as `reader` finds it. Whether the reader is
    /// in that conversation is not asked.
    #[must_use]
    pub fn posted(&self, reader: AccountId, id: ConversationId, seq: u64) -> Option<Posted> {
        let posts = &self.conversations.get(&id)?.posts;
        let post = posts.get(seq)?;
        let is_hidden =
            self.accounts.get(reader).is_some_and(|reader| reader.hidden.contains(&(id, seq)));
        let is_gone = is_hidden || posts.is_gone(seq);
        Some(Posted {
            conversation: id,
            seq,
            id: MessageId(post.index),
            time_us: post.time_us,
            author: self.accounts.author(post.author)?,
            reply_to: posts.reply_to(seq),
            body: (!is_gone).then(|| posts.edit_of(seq).unwrap_or(post.index)),
        })
    }

    /// A message as `reader` sees it; `body` is the entry at the index which its place names, if it
    /// names one. None when that entry is not the text of this message, or in a direct conversation
    /// of others.
    #[must_use]
    pub fn view(
        &self,
        reader: AccountId,
        at: &Posted,
        body: Option<&Command>,
    ) -> Option<MessageView> {
        let content = match at.body {
            None => None,
            Some(index) => Some(Content {
                author: self.author_name(at.author)?,
                time_us: at.time_us,
                text: text_by(at.author, body?)?.to_owned(),
                edited: index != at.id.0,
                reply_to: at.reply_to,
            }),
        };
        let conversation = self.label(reader, at.conversation)?;
        Some(MessageView { id: at.id, conversation, seq: at.seq, content })
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
                next.extend(self.posted(account, id, seq).map(|item| (item.id, item)));
            }
        }
        let mut items = Vec::new();
        while items.len() < limit {
            let Some((_, item)) = next.pop_first() else { break };
            let following = self.posted(account, item.conversation, item.seq + 1);
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

    /// What the author of a message is called.
    fn author_name(&self, account: AccountId) -> Option<String> {
        let account = self.accounts.get(account)?;
        Some(if account.deleted { DELETED_USER.to_owned() } else { account.name.clone() })
    }

    /// Where a message is, among the conversations that `reader` is in.
    pub(crate) fn find(
        &self,
        reader: AccountId,
        message: MessageId,
    ) -> Option<(ConversationId, u64, Post)> {
        // A conversation is older than its messages.
        let conversations = &self.accounts.get(reader)?.conversations;
        conversations.range(..=ConversationId(message.0)).find_map(|&id| {
            let posts = &self.conversation_known(id).posts;
            let last = posts.last()?;
            let seq = if { last.index } < message.0 { None } else { posts.seq_of(message) }?;
            Some((id, seq, posts.get(seq)?))
        })
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

/// The text in a command, if it is one that `author` wrote.
fn text_by(author: AccountId, command: &Command) -> Option<&str> {
    match command.body() {
        Body::Act {
            account,
            action: Action::Send { text, .. } | Action::Edit { text, .. },
            ..
        } if *account == author => Some(text),
        Body::Act { .. } | Body::Register(_) | Body::Login(_) => None,
    }
}
