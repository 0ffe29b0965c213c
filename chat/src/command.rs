//! What is written to the log: who asks for what, under which request id.
//!
//! Encoding: postcard. What always holds:
//! - Enum variants are only ever appended; a struct or a variant's fields are frozen once released
//!   (golden bytes in the tests). A change of shape is a new version beside `V1`.
//! - Only the one canonical encoding is accepted, with no byte after it, and never more than
//!   [`COMMAND_BYTES_MAX`]; so bytes that decode are the bytes that `encode` gives.
//! - No type here is recursive and none has a list of zero-sized things: decoding is bounded by the
//!   length of its input.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::{
    account::Registration,
    id::{AccountId, MessageId, SessionId, TokenHash},
    limits::{self, COMMAND_BYTES_MAX, NAME_BYTES_MAX},
    rejection::Rejection,
    request::RequestId,
};

/// Room for most commands, so that few have to be moved while they are written.
const USUAL_BYTES: usize = 512;

/// One command. Its bytes, behind the leader's time stamp, are the payload of a log entry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Command {
    /// The first version.
    V1(CommandV1),
}

/// The first version of a command.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CommandV1 {
    /// Chosen by the client; the same for every retry.
    pub request: RequestId,
    /// What is asked.
    pub body: Body,
}

/// What is asked, and on whose authority.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Body {
    /// Make an account and open its first session.
    Register(Register),
    /// Open a session of an account whose password the proposing node has verified.
    Login(Login),
    /// Do something in a session which the proposing node knows by its token. The fold judges the
    /// session once more, at this entry's log time.
    Act {
        /// Whose session.
        account: AccountId,
        /// Which session.
        session: SessionId,
        /// What to do.
        action: Action,
    },
}

/// The body of a registration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Register {
    /// The wanted name, case-folded (see [`limits::name`]).
    pub name: String,
    /// The password as an argon2 PHC string. Its salt is [`RequestId::salt`], so that a retry with
    /// the same password is the same body, and one with another password is a conflict.
    pub password_hash: String,
    /// SHA-256 of the invite or owner's token, if one was given.
    pub invite: Option<TokenHash>,
    /// SHA-256 of the token that the new session answers to. A retry brings a fresh one.
    pub token_hash: TokenHash,
}

/// The body of a log-in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Login {
    /// Whose password was verified.
    pub account: AccountId,
    /// Which of the account's passwords it was: a password changed meanwhile refuses the log-in.
    pub password_generation: u32,
    /// SHA-256 of the token that the session answers to. A retry brings a fresh one.
    pub token_hash: TokenHash,
}

/// What a session may ask for. Later kinds are appended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Action {
    /// End a session of the account, this one or another.
    Logout {
        /// Which one.
        session: SessionId,
    },
    /// Create a channel and join it.
    CreateChannel {
        /// Its name, without `#`, case-folded.
        name: String,
        /// Only members know that a private channel exists.
        private: bool,
        /// What it is about; empty for nothing.
        topic: String,
    },
    /// Join a public channel; no error for who is a member.
    Join {
        /// Its name.
        channel: String,
    },
    /// Leave a channel; no error for who is not a member.
    Leave {
        /// Its name.
        channel: String,
    },
    /// Make someone else a member of a channel that one is a member of.
    Invite {
        /// The channel's name.
        channel: String,
        /// Who.
        user: String,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: Target,
        /// The text.
        text: String,
        /// The message of the same conversation that this one answers.
        reply_to: Option<MessageId>,
        /// Refuse as `out_of_order` unless this earlier request of the account is settled.
        after_request: Option<RequestId>,
    },
    /// Mark a conversation as read.
    Mark {
        /// Which conversation.
        to: Target,
        /// Up to this `seq`; a mark never goes back, nor beyond the last message.
        upto: u64,
    },
    /// Say who may register. For the owner and admins.
    SetRegistration {
        /// Who may.
        registration: Registration,
    },
    /// Change the text of one's own message, any number of times.
    Edit {
        /// Which one.
        message: MessageId,
        /// The new text.
        text: String,
    },
    /// Delete a message: one's own for everyone and for good, another's for oneself alone. No error
    /// when it is deleted.
    Delete {
        /// Which one.
        message: MessageId,
    },
    /// Change the password, and end every other session. The proposing node has verified the old
    /// password.
    SetPassword {
        /// Which of the account's passwords was verified. A retry may bring another.
        password_generation: u32,
        /// The new one as an argon2 PHC string, salted as in [`Register`].
        password_hash: String,
    },
    /// Delete the account for good. The proposing node has verified the password.
    DeleteAccount {
        /// Which of the account's passwords was verified. A retry may bring another.
        password_generation: u32,
        /// Delete what it sent as well.
        erase_messages: bool,
    },
    /// Let one more token open the session for a short while. It may do what the session may.
    OpenToken {
        /// SHA-256 of the token. A retry brings a fresh one.
        token_hash: TokenHash,
    },
}

/// A conversation as a member names it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Target {
    /// `@name`: the direct conversation with that account.
    User(String),
    /// `#name`: a channel.
    Channel(String),
    /// Something else, which is refused. So a send that names no target is refused by the fold, and
    /// remembered like every other.
    Neither,
}

/// Why bytes are no command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// Longer than any command.
    TooLong {
        /// How long.
        bytes: usize,
    },
    /// Of a version or kind that this build does not know: this node must be upgraded, and applies
    /// nothing until it is.
    UpgradeNeeded,
    /// No command at all, or cut short, or followed by something.
    Malformed,
    /// A second way to write a command; only the canonical one is accepted.
    NotCanonical,
}

impl Command {
    /// A command of the current version.
    #[must_use]
    pub const fn new(request: RequestId, body: Body) -> Self {
        Self::V1(CommandV1 { request, body })
    }

    /// Its request id.
    #[must_use]
    pub const fn request(&self) -> RequestId {
        let Self::V1(command) = self;
        command.request
    }

    /// What it asks.
    #[must_use]
    pub const fn body(&self) -> &Body {
        let Self::V1(command) = self;
        &command.body
    }

    /// Its bytes.
    ///
    /// # Panics
    /// Never: every part of a command can be encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match postcard::to_extend(self, Vec::with_capacity(USUAL_BYTES)) {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("a command encodes: {error}"),
        }
    }

    /// Read a command back.
    ///
    /// # Errors
    /// When the bytes are not exactly the canonical encoding of one command.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes: bytes.len() });
        }
        let (command, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(reason)?;
        if !rest.is_empty() || !command.has_valid_request_ids() {
            return Err(DecodeError::Malformed);
        }
        if !command.is_encoded_as(bytes) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(command)
    }

    /// Are these the bytes that [`encode`](Self::encode) gives? Every entry is asked: nothing is made
    /// for it.
    fn is_encoded_as(&self, bytes: &[u8]) -> bool {
        postcard::serialize_with_flavor(self, Expected(bytes)) == Ok(true)
    }

    /// Deriving cannot check this, and a checked newtype's error could not be told from an unknown
    /// variant's.
    fn has_valid_request_ids(&self) -> bool {
        let after_request = match self.body() {
            Body::Act { action: Action::Send { after_request, .. }, .. } => *after_request,
            Body::Act { .. } | Body::Register(_) | Body::Login(_) => None,
        };
        self.request().is_valid() && after_request.is_none_or(RequestId::is_valid)
    }
}

/// What an encoding still has to be.
struct Expected<'a>(&'a [u8]);

impl Flavor for Expected<'_> {
    /// Was it that?
    type Output = bool;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.0.is_empty())
    }
}

/// Serde's only complaint of its own about these types is a variant number that it does not know.
fn reason(error: postcard::Error) -> DecodeError {
    if error == postcard::Error::SerdeDeCustom {
        DecodeError::UpgradeNeeded
    } else {
        DecodeError::Malformed
    }
}

impl Target {
    /// Read `@user` or `#channel`, and fold the case.
    ///
    /// # Errors
    /// [`Rejection::TargetMalformed`] without `@` or `#`, [`Rejection::NameInvalid`] for the name.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Self::User(limits::name(name)?));
        }
        if let Some(name) = text.strip_prefix('#') {
            return Ok(Self::Channel(limits::name(name)?));
        }
        Err(Rejection::TargetMalformed)
    }

    /// Read `@user` or `#channel`; of what is neither, as much as shows the fold what is wrong, so
    /// that it refuses it for the same reason.
    #[must_use]
    pub fn parse_or_refused(text: &str) -> Self {
        let cut = |name: &str| {
            let mut name = name.to_ascii_lowercase();
            name.truncate(name.floor_char_boundary(NAME_BYTES_MAX + char::MAX_LEN_UTF8));
            name
        };
        if let Some(name) = text.strip_prefix('@') {
            return Self::User(cut(name));
        }
        text.strip_prefix('#').map_or(Self::Neither, |name| Self::Channel(cut(name)))
    }

    /// The direct conversation with `name`.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self::User(name.to_owned())
    }

    /// The channel `name`.
    #[must_use]
    pub fn channel(name: &str) -> Self {
        Self::Channel(name.to_owned())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "@{name}"),
            Self::Channel(name) => write!(f, "#{name}"),
            Self::Neither => f.write_str("nobody"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong { bytes } => {
                &*format!("a command of {bytes} bytes, at most {COMMAND_BYTES_MAX} are allowed")
            }
            Self::UpgradeNeeded => {
                "a command of a version or kind that this build does not know: upgrade this node"
            }
            Self::Malformed => "bytes that are no command",
            Self::NotCanonical => "a command in an encoding that is not the canonical one",
        };
        f.write_str(text)
    }
}

impl core::error::Error for DecodeError {}
