//! What goes over the wire, as types: the JSON of the nodes' HTTP API and WebSocket.
//!
//! Unknown fields of an answer are ignored, or kept where they are shown again, so that an older client
//! reads a newer node.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::ClientError;

/// Where a message goes: another user or a channel.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// A direct conversation with this user, written `@name`.
    User(String),
    /// A channel, written `#name`.
    Channel(String),
}

impl Target {
    /// The path of the conversation under `/v1`.
    pub(crate) fn path(&self) -> [&str; 2] {
        match self {
            Self::User(name) => ["direct", name],
            Self::Channel(name) => ["channels", name],
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "@{name}"),
            Self::Channel(name) => write!(f, "#{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if let Some(name) = text.strip_prefix('@') {
            return checked_name(name).map(Self::User);
        }
        if let Some(name) = text.strip_prefix('#') {
            return checked_name(name).map(Self::Channel);
        }
        Err(ClientError::usage_hint(
            format!("{text:?} is neither a user nor a channel"),
            "write @name for a user and '#name', quoted, for a channel",
        ))
    }
}

/// A name with its case folded.
pub(crate) fn checked_name(name: &str) -> Result<String, ClientError> {
    chat::limits::name(name).map_err(|_invalid| {
        ClientError::usage_hint(
            format!("{name:?} is not a name"),
            "a name is 1 to 32 of a-z 0-9 . _ - and starts with a letter or digit",
        )
    })
}

/// Log indexes travel as decimal text; a plain number is understood too.
pub(crate) mod decimal {
    use super::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u64),
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        match Either::deserialize(from)? {
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
            Either::Number(number) => Ok(number),
        }
    }

    pub(crate) fn serialize<S: Serializer>(id: &u64, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&id.to_string())
    }

    pub(crate) mod option {
        use super::{Deserialize, Deserializer, Either};

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<u64>, D::Error> {
            match Option::<Either>::deserialize(from)? {
                None => Ok(None),
                Some(Either::Number(number)) => Ok(Some(number)),
                Some(Either::Text(text)) => {
                    text.parse().map(Some).map_err(serde::de::Error::custom)
                }
            }
        }
    }
}

/// A message as its reader sees it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Message {
    /// Its log index: unique and rising over the whole cluster.
    #[serde(deserialize_with = "decimal::deserialize")]
    pub id: u64,
    /// `#channel`, or `@user` for the other one of a direct conversation.
    pub conversation: String,
    /// Its gapless place in the conversation.
    pub seq: u64,
    /// Who wrote it, `deleted user` when that account is gone; empty when the message is deleted.
    #[serde(default)]
    pub author: String,
    /// When, RFC 3339 with microseconds; empty when deleted.
    #[serde(default)]
    pub time: String,
    /// What; none when deleted.
    #[serde(default)]
    pub text: Option<String>,
    /// Whether the text was changed after it was sent.
    #[serde(default)]
    pub edited: bool,
    /// Whether it was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// The message it replies to.
    #[serde(default, deserialize_with = "decimal::option::deserialize")]
    pub reply_to: Option<u64>,
    /// Who reacted with what.
    #[serde(default)]
    pub reactions: BTreeMap<String, Vec<String>>,
    /// The id under which it was sent; only in the answer to a send.
    #[serde(default)]
    pub request_id: Option<Uuid>,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Message", 10)?;
        out.serialize_field("id", &self.id.to_string())?;
        out.serialize_field("conversation", &self.conversation)?;
        out.serialize_field("seq", &self.seq)?;
        if self.deleted {
            out.serialize_field("deleted", &true)?;
            out.serialize_field("text", &None::<String>)?;
            return out.end();
        }
        out.serialize_field("author", &self.author)?;
        out.serialize_field("time", &self.time)?;
        out.serialize_field("text", &self.text)?;
        out.serialize_field("edited", &self.edited)?;
        out.serialize_field("reply_to", &self.reply_to.map(|id| id.to_string()))?;
        out.serialize_field("reactions", &self.reactions)?;
        if let Some(request_id) = &self.request_id {
            out.serialize_field("request_id", request_id)?;
        }
        out.end()
    }
}

/// An account as others see it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// `owner`, `admin` or `member`.
    #[serde(default)]
    pub role: String,
    /// Whether the account was deleted.
    #[serde(default)]
    pub deleted: bool,
}

/// The answer to a registration or a login. Its `Debug` form hides the token.
#[derive(Clone, Deserialize, PartialEq)]
pub struct Signed {
    /// Who is signed in.
    pub user: User,
    /// The bearer token.
    pub token: String,
    /// When the session ends.
    #[serde(default)]
    pub expires: Option<String>,
    /// Unread messages at login.
    #[serde(default)]
    pub unread: Option<u64>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("user", &self.user)
            .field("expires", &self.expires)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// The own account.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Me {
    /// The name.
    pub name: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// Unread messages.
    #[serde(default)]
    pub unread: u64,
    /// What else the node tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Where the own account is logged in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Login {
    /// Its id.
    #[serde(deserialize_with = "decimal::deserialize", serialize_with = "decimal::serialize")]
    pub id: u64,
    /// When it began.
    #[serde(default)]
    pub opened: String,
    /// When it ends by itself.
    #[serde(default)]
    pub expires: String,
    /// Whether it is the one that asks.
    #[serde(default)]
    pub current: bool,
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the next page starts (give it as `after`), or none at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// A channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Channel {
    /// The name, without `#`.
    pub name: String,
    /// Whether it is seen by its members only.
    #[serde(default)]
    pub private: bool,
    /// What it is about.
    #[serde(default)]
    pub topic: Option<String>,
    /// What else the node tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A conversation in the inbox.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Conversation {
    /// `#channel` or `@user`.
    pub conversation: String,
    /// Unread messages of others.
    #[serde(default)]
    pub unread: u64,
    /// Unread messages that mention the reader.
    #[serde(default)]
    pub mentions: u64,
    /// The newest message.
    #[serde(default)]
    pub last: Option<Message>,
    /// The `seq` up to which it was read.
    #[serde(default)]
    pub read_upto: u64,
}

/// A piece of a conversation, ascending by `seq`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct History {
    /// The messages.
    pub items: Vec<Message>,
    /// The `seq` of the first item.
    #[serde(default)]
    pub first: Option<u64>,
    /// The `seq` of the last item.
    #[serde(default)]
    pub last: Option<u64>,
    /// Whether older ones exist.
    #[serde(default)]
    pub more_before: bool,
    /// Whether newer ones exist.
    #[serde(default)]
    pub more_after: bool,
}

/// The cluster as one of its nodes sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The leader's id, when one is known.
    #[serde(default)]
    pub leader: Option<u64>,
    /// The newest term.
    #[serde(default)]
    pub term: u64,
    /// `majority`, `pair`, `armed` or `solo`.
    #[serde(default)]
    pub mode: String,
    /// What every node is known to understand; none from a node that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u16>,
    /// The maximal sets of voters whose loss at once is survived now.
    #[serde(default)]
    pub survives: Vec<Vec<u64>>,
    /// Every node of the config.
    #[serde(default)]
    pub nodes: Vec<NodeStatus>,
    /// What else the node tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One node of [`ClusterStatus`]. What is unknown about an unreachable node is none.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: u64,
    /// `leader`, `follower`, `candidate`, `learner` or `absent`.
    #[serde(default)]
    pub role: String,
    /// Whether the answering node hears it.
    #[serde(default)]
    pub reachable: bool,
    /// Its commit index.
    #[serde(default)]
    pub commit: Option<u64>,
    /// The last entry its state holds.
    #[serde(default)]
    pub applied: Option<u64>,
    /// The last entry on its disk.
    #[serde(default)]
    pub durable: Option<u64>,
    /// Entries behind the leader.
    #[serde(default)]
    pub lag: Option<u64>,
    /// Its program version.
    #[serde(default)]
    pub version: Option<String>,
    /// The public address of its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What else the node tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The state of one node at one index.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StateHash {
    /// The index.
    pub index: u64,
    /// The running hash of the state behind it, in hex.
    pub hash: String,
}

/// The `error` object of a refusal.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct FailureBody {
    /// The stable code.
    pub code: String,
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

impl FailureBody {
    /// The same as an [`ClientError`]; status 0 when it came in a frame.
    pub(crate) fn refusal(self, status: u16) -> ClientError {
        let message = if self.message.is_empty() { self.code.clone() } else { self.message };
        ClientError::Refused { status, code: self.code, message, hint: self.hint }
    }
}

/// What a frame of the WebSocket is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The subscription stands; the cursor is where it starts.
    Ready,
    /// A new message.
    Message,
    /// A message was changed.
    Edited,
    /// A message was deleted.
    Deleted,
    /// A reaction came or went.
    Reaction,
    /// A read mark moved.
    Read,
    /// A membership changed.
    Member,
    /// A channel changed.
    Channel,
    /// An account was deleted.
    Account,
    /// The cluster changed.
    Cluster,
    /// Events other than messages may have been missed.
    Resync,
    /// A send was acknowledged.
    Sent,
    /// A send failed.
    Failed,
    /// The node refuses to go on.
    Error,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// One frame from a node.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Event {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Where a later subscription continues after it.
    #[serde(default, deserialize_with = "decimal::option::deserialize")]
    pub cursor: Option<u64>,
    /// The message that it is about.
    #[serde(default)]
    pub message: Option<Message>,
    /// Of `account`: whose.
    #[serde(default)]
    pub user: Option<String>,
    /// Of `account`: whether its messages were erased.
    #[serde(default)]
    pub erased: bool,
    /// Of `sent` and `failed`: which send.
    #[serde(default)]
    pub request_id: Option<Uuid>,
    /// Of `failed` and `error`: why.
    #[serde(default)]
    pub error: Option<FailureBody>,
    /// Of `failed`: whether to send it again under the same id.
    #[serde(default)]
    pub retry: bool,
}
