//! Why a command or a query is refused: the codes that clients see.
//!
//! Codes are final once released. A rejection holds no text from a client, so that it can be
//! remembered for a retry at the price of a few bytes.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// A refusal. Later kinds are appended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Rejection {
    /// The command came from a faulty node: no client can cause it.
    Malformed,
    /// Not a UUID of version 7.
    RequestIdMalformed,
    /// The request id lies too far in the future.
    RequestIdAhead,
    /// The request id is too old to be told from a retry.
    RequestIdExpired,
    /// The request id was used for something else.
    RequestIdConflict,
    /// The request named by `after_request` is not settled.
    OutOfOrder,
    /// Name or password is wrong.
    BadCredentials,
    /// No such session, or it ended.
    SessionEnded,
    /// For others only.
    NotAllowed,
    /// Not a name.
    NameInvalid,
    /// The password is too short or too long.
    PasswordInvalid,
    /// The account's name is in use.
    NameTaken,
    /// No one may register.
    RegistrationClosed,
    /// One may register with an invite only.
    InviteRequired,
    /// The invite is unknown or used up.
    InviteUnknown,
    /// No more accounts fit.
    TooManyAccounts,
    /// No more sessions fit.
    TooManySessions,
    /// Neither `@user` nor `#channel`.
    TargetMalformed,
    /// No account of that name.
    NoSuchUser,
    /// No channel of that name, or not to be seen.
    NoSuchChannel,
    /// No such message, or not to be seen.
    NoSuchMessage,
    /// No such session of this account.
    NoSuchSession,
    /// The channel's name is in use.
    ChannelExists,
    /// The topic is too long or has control characters.
    TopicInvalid,
    /// No more channels fit.
    TooManyChannels,
    /// No more members fit.
    ChannelFull,
    /// No more conversations fit for one of the two accounts.
    TooManyConversations,
    /// Only members may do that.
    NotAMember,
    /// The text is empty.
    TextEmpty,
    /// The text is too long.
    TextTooLong,
    /// The text has control characters.
    TextControl,
    /// A message to oneself.
    ToSelf,
    /// The message answered is not in this conversation.
    ReplyUnknown,
    /// The limit of a page.
    LimitInvalid,
    /// Not a pattern.
    GlobInvalid,
    /// Only who wrote a message may change it.
    NotAuthor,
    /// The message is deleted.
    MessageDeleted,
    /// The account is deleted.
    AccountDeleted,
    /// There would be no owner.
    LastOwner,
    /// No more messages of others can be deleted for oneself.
    TooManyHidden,
}

/// The class of a refusal; the HTTP status follows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// 400.
    Malformed,
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 404: not there, or not to be seen.
    NotFound,
    /// 409.
    Conflict,
    /// 422.
    OutOfBounds,
}

impl Rejection {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::RequestIdMalformed => "request_id_malformed",
            Self::RequestIdAhead => "request_id_ahead",
            Self::RequestIdExpired => "request_id_expired",
            Self::RequestIdConflict => "request_id_conflict",
            Self::OutOfOrder => "out_of_order",
            Self::BadCredentials => "bad_credentials",
            Self::SessionEnded => "session_ended",
            Self::NotAllowed => "not_allowed",
            Self::NameInvalid => "name_invalid",
            Self::PasswordInvalid => "password_invalid",
            Self::NameTaken => "name_taken",
            Self::RegistrationClosed => "registration_closed",
            Self::InviteRequired => "invite_required",
            Self::InviteUnknown => "invite_unknown",
            Self::TooManyAccounts => "too_many_accounts",
            Self::TooManySessions => "too_many_sessions",
            Self::TargetMalformed => "target_malformed",
            Self::NoSuchUser => "no_such_user",
            Self::NoSuchChannel => "no_such_channel",
            Self::NoSuchMessage => "no_such_message",
            Self::NoSuchSession => "no_such_session",
            Self::ChannelExists => "channel_exists",
            Self::TopicInvalid => "topic_invalid",
            Self::TooManyChannels => "too_many_channels",
            Self::ChannelFull => "channel_full",
            Self::TooManyConversations => "too_many_conversations",
            Self::NotAMember => "not_a_member",
            Self::TextEmpty => "text_empty",
            Self::TextTooLong => "text_too_long",
            Self::TextControl => "text_control",
            Self::ToSelf => "to_self",
            Self::ReplyUnknown => "reply_unknown",
            Self::LimitInvalid => "limit_invalid",
            Self::GlobInvalid => "glob_invalid",
            Self::NotAuthor => "not_author",
            Self::MessageDeleted => "message_deleted",
            Self::AccountDeleted => "account_deleted",
            Self::LastOwner => "last_owner",
            Self::TooManyHidden => "too_many_hidden",
        }
    }

    /// The class.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Malformed | Self::RequestIdMalformed | Self::TargetMalformed => Kind::Malformed,
            Self::BadCredentials | Self::SessionEnded => Kind::Unauthenticated,
            Self::NotAllowed
            | Self::RegistrationClosed
            | Self::InviteRequired
            | Self::InviteUnknown
            | Self::NotAMember
            | Self::NotAuthor => Kind::Forbidden,
            Self::NoSuchUser
            | Self::NoSuchChannel
            | Self::NoSuchMessage
            | Self::NoSuchSession
            | Self::AccountDeleted => Kind::NotFound,
            Self::RequestIdAhead
            | Self::RequestIdExpired
            | Self::RequestIdConflict
            | Self::OutOfOrder
            | Self::NameTaken
            | Self::ChannelExists
            | Self::TooManyAccounts
            | Self::TooManySessions
            | Self::TooManyChannels
            | Self::ChannelFull
            | Self::TooManyConversations
            | Self::MessageDeleted
            | Self::LastOwner
            | Self::TooManyHidden => Kind::Conflict,
            Self::NameInvalid
            | Self::PasswordInvalid
            | Self::TopicInvalid
            | Self::TextEmpty
            | Self::TextTooLong
            | Self::TextControl
            | Self::ToSelf
            | Self::ReplyUnknown
            | Self::LimitInvalid
            | Self::GlobInvalid => Kind::OutOfBounds,
        }
    }

    /// What is wrong, as a sentence without its full stop.
    #[must_use]
    pub fn message(self) -> String {
        let text: Cow<'static, str> = match self {
            Self::Malformed => "the node made a malformed command".into(),
            Self::RequestIdMalformed => "the request id is not a UUID of version 7".into(),
            Self::RequestIdAhead => format!(
                "the request id's time is more than {} s ahead of the log's",
                limits::REQUEST_AHEAD_US_MAX / limits::SECOND_US
            )
            .into(),
            Self::RequestIdExpired => {
                "the request id is too old to say whether it has been carried out".into()
            }
            Self::RequestIdConflict => "the request id was used for a different request".into(),
            Self::OutOfOrder => "the request that this one must follow has not arrived".into(),
            Self::BadCredentials => "the name or the password is wrong".into(),
            Self::SessionEnded => "the session has ended".into(),
            Self::NotAllowed => "this is for the owner and admins only".into(),
            Self::NameInvalid => rule_of_names(),
            Self::PasswordInvalid => rule_of_passwords(),
            Self::NameTaken => "the name is taken".into(),
            Self::RegistrationClosed => "registration is closed".into(),
            Self::InviteRequired => "registration needs an invite".into(),
            Self::InviteUnknown => "the invite is unknown or used up".into(),
            Self::TooManyAccounts => at_most(limits::ACCOUNTS_MAX, "accounts fit"),
            Self::TooManySessions => at_most(limits::SESSIONS_MAX, "sessions fit an account"),
            Self::TargetMalformed => "a message goes to '@user' or '#channel'".into(),
            Self::NoSuchUser => "there is no such user".into(),
            Self::NoSuchChannel => "there is no such channel".into(),
            Self::NoSuchMessage => "there is no such message".into(),
            Self::NoSuchSession => "there is no such session".into(),
            Self::ChannelExists => "a channel of this name exists".into(),
            Self::TopicInvalid => format!(
                "a topic has at most {} bytes and no control characters",
                limits::TOPIC_BYTES_MAX
            )
            .into(),
            Self::TooManyChannels => at_most(limits::CHANNELS_MAX, "channels fit"),
            Self::ChannelFull => at_most(limits::MEMBERS_MAX, "members fit a channel"),
            Self::TooManyConversations => {
                at_most(limits::CONVERSATIONS_PER_ACCOUNT_MAX, "conversations fit an account")
            }
            Self::NotAMember => "only members of the channel may do that".into(),
            Self::TextEmpty => "the text is empty".into(),
            Self::TextTooLong => {
                format!("the text has more than {} bytes", limits::TEXT_BYTES_MAX).into()
            }
            Self::TextControl => {
                "the text has control characters other than newline and tab".into()
            }
            Self::ToSelf => "one cannot write to oneself".into(),
            Self::ReplyUnknown => "the message answered is not in this conversation".into(),
            Self::LimitInvalid => format!("a page has 1 to {} items", limits::PAGE_MAX).into(),
            Self::GlobInvalid => format!(
                "a pattern has 1 to {} bytes, and every '[' has its ']'",
                limits::GLOB_BYTES_MAX
            )
            .into(),
            Self::NotAuthor => "only who wrote a message may change it".into(),
            Self::MessageDeleted => "the message is deleted".into(),
            Self::AccountDeleted => "the account is deleted".into(),
            Self::LastOwner => "the last owner cannot be deleted".into(),
            Self::TooManyHidden => {
                at_most(limits::HIDDEN_MAX, "messages of others can be deleted for oneself")
            }
        };
        text.into_owned()
    }

    /// What to do about it, as a sentence without its full stop.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Malformed => "report it, with the node's log",
            Self::RequestIdMalformed => "make a fresh UUIDv7",
            Self::RequestIdAhead => "set the clock, or take the time from 'Holdfast-Time'",
            Self::RequestIdExpired => "look whether it has been done; if not, use a fresh id",
            Self::RequestIdConflict => "use a fresh id for every new request",
            Self::OutOfOrder => "send the missing request again, then this one",
            Self::BadCredentials => "try again",
            Self::SessionEnded => "log in again",
            Self::NotAllowed => "ask the owner",
            Self::NameInvalid | Self::NameTaken | Self::ChannelExists => "choose another name",
            Self::PasswordInvalid => "choose another password",
            Self::RegistrationClosed => "ask the owner to open registration",
            Self::InviteRequired | Self::InviteUnknown => "ask the owner for an invite",
            Self::TooManyAccounts => "ask the owner",
            Self::TooManySessions => "log out of one that is not in use, or wait until one expires",
            Self::TargetMalformed => "put '@' or '#' in front of the name",
            Self::NoSuchUser => "look at the list of users",
            Self::NoSuchChannel => "look at the list of channels, or ask a member for an invite",
            Self::NoSuchMessage => "look at the history",
            Self::NoSuchSession => "look at the list of sessions",
            Self::TopicInvalid | Self::TextTooLong => "make it shorter",
            Self::TooManyChannels => "use a channel that exists",
            Self::ChannelFull => "make another channel",
            Self::TooManyConversations => "leave a channel",
            Self::NotAMember => "join the channel first",
            Self::TextEmpty => "write something",
            Self::TextControl => "take the control characters out",
            Self::ToSelf => "choose somebody else",
            Self::ReplyUnknown => "answer a message of the same conversation",
            Self::LimitInvalid => "ask for fewer, and for the next page after that",
            Self::GlobInvalid => "use '*', '?' and '[a-z]'",
            Self::NotAuthor => "send a message of your own",
            Self::MessageDeleted => "send a new message",
            Self::AccountDeleted => "look at the list of users",
            Self::LastOwner => "make another account an owner first",
            Self::TooManyHidden => "ask the author to delete the message",
        }
    }
}

fn rule_of_names() -> Cow<'static, str> {
    format!(
        "a name is 1 to {} of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit",
        limits::NAME_BYTES_MAX
    )
    .into()
}

fn rule_of_passwords() -> Cow<'static, str> {
    format!(
        "a password has {} to {} characters",
        limits::PASSWORD_CHARS_MIN,
        limits::PASSWORD_CHARS_MAX
    )
    .into()
}

fn at_most(count: usize, what: &str) -> Cow<'static, str> {
    let mut text = String::from("no more than ");
    text.push_str(&count.to_string());
    text.push(' ');
    text.push_str(what);
    text.into()
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl core::error::Error for Rejection {}
