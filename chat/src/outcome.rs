//! What a command came to: the answer to the sender, and the event for everyone else.
//!
//! Both are data of the fold: they are equal on every node, and the running hash covers the outcome.

use serde::{Deserialize, Serialize};

use crate::{
    account::Role,
    id::{AccountId, ConversationId, MessageId, SessionId},
    rejection::Rejection,
};

/// Accepted or refused.
pub type Outcome = Result<Accepted, Rejection>;

/// The whole result of one entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Applied {
    /// For the sender.
    pub outcome: Outcome,
    /// For the subscribers who may see it ([`State::sees`](crate::State::sees)). A refusal, a
    /// repeated request and a command that changed nothing have none.
    pub event: Option<Event>,
}

/// An accepted command.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Accepted {
    /// What was done.
    pub answer: Answer,
    /// It was done by an earlier entry under this request id; this entry did nothing.
    pub repeated: bool,
}

/// What was done. Later kinds are appended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    /// An account was made. The command's token opens the session, for a retry too.
    Registered {
        /// The new account.
        account: AccountId,
        /// Its role: owner for the owner's token.
        role: Role,
        /// Its first session.
        session: SessionId,
        /// When the session ends, in microseconds of log time.
        expires_us: u64,
    },
    /// A session was opened. The command's token opens it, for a retry too.
    LoggedIn {
        /// Whose.
        account: AccountId,
        /// The session.
        session: SessionId,
        /// When it ends, in microseconds of log time.
        expires_us: u64,
    },
    /// The session is no more.
    LoggedOut {
        /// Which one.
        session: SessionId,
    },
    /// The channel exists and its creator is a member.
    ChannelCreated {
        /// The channel.
        conversation: ConversationId,
    },
    /// One is a member.
    Joined {
        /// The channel.
        conversation: ConversationId,
    },
    /// One is no member.
    Left {
        /// The channel.
        conversation: ConversationId,
    },
    /// The other one is a member.
    Invited {
        /// The channel.
        conversation: ConversationId,
        /// Who.
        account: AccountId,
    },
    /// The message is in the log.
    Sent {
        /// Where.
        conversation: ConversationId,
        /// Its place there, from 1.
        seq: u64,
        /// Its name.
        id: MessageId,
        /// Its log time in microseconds since 1970.
        time_us: u64,
    },
    /// The read mark stands at `upto`.
    Marked {
        /// Where.
        conversation: ConversationId,
        /// The mark after the command: never lower than before, nor above the last message.
        upto: u64,
    },
    /// The setting has the wanted value.
    SettingChanged,
    /// The message has the wanted text.
    Edited {
        /// Where.
        conversation: ConversationId,
        /// Its place there.
        seq: u64,
        /// Its name.
        id: MessageId,
    },
    /// The asker can read the message no longer.
    Deleted {
        /// Where.
        conversation: ConversationId,
        /// Its place there.
        seq: u64,
        /// Its name.
        id: MessageId,
        /// Others still can.
        only_for_me: bool,
    },
    /// The password is changed, and the session of the command is the only one.
    PasswordSet,
    /// The account is deleted.
    AccountDeleted {
        /// Which one.
        account: AccountId,
    },
    /// The command's token opens the session for a while, for a retry too.
    TokenOpened {
        /// The session.
        session: SessionId,
        /// When the token ends, in microseconds of log time.
        expires_us: u64,
    },
}

/// What subscribers hear of an entry. Its `index` is their cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A message was sent.
    Message {
        /// The entry, and the message's id.
        index: u64,
        /// Where.
        conversation: ConversationId,
        /// Its place there.
        seq: u64,
    },
    /// An account read on; for its own devices only.
    Read {
        /// The entry.
        index: u64,
        /// Who.
        account: AccountId,
        /// Where.
        conversation: ConversationId,
        /// Up to here.
        upto: u64,
    },
    /// Someone came into a channel or left it.
    Member {
        /// The entry.
        index: u64,
        /// The channel.
        conversation: ConversationId,
        /// Who.
        account: AccountId,
        /// Came or left.
        change: Change,
    },
    /// A channel was made.
    Channel {
        /// The entry.
        index: u64,
        /// The channel.
        conversation: ConversationId,
    },
    /// A message has another text.
    Edited {
        /// The entry, which holds the text.
        index: u64,
        /// Where.
        conversation: ConversationId,
        /// The message's place there.
        seq: u64,
    },
    /// A message is deleted.
    Deleted {
        /// The entry.
        index: u64,
        /// Where.
        conversation: ConversationId,
        /// The message's place there.
        seq: u64,
        /// For this account alone, and so for its own devices only; otherwise for everyone.
        only_for: Option<AccountId>,
    },
    /// An account is deleted: it has left every channel, and what it sent is by a deleted user.
    AccountDeleted {
        /// The entry.
        index: u64,
        /// Which one.
        account: AccountId,
        /// What it sent is deleted as well.
        erased: bool,
    },
}

/// How membership changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Is a member now.
    Joined,
    /// Is no member now.
    Left,
}

impl Event {
    /// The index of the entry: a subscriber's cursor once it has seen this.
    #[must_use]
    pub const fn index(&self) -> u64 {
        match *self {
            Self::Message { index, .. }
            | Self::Read { index, .. }
            | Self::Member { index, .. }
            | Self::Channel { index, .. }
            | Self::Edited { index, .. }
            | Self::Deleted { index, .. }
            | Self::AccountDeleted { index, .. } => index,
        }
    }
}
