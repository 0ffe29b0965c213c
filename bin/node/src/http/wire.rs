//! What stands in requests and answers: the JSON of the outside contract, field by field.
//! Ids are decimal text, times RFC 3339 with microseconds. A request with an unknown field is
//! refused.

use std::collections::BTreeMap;

use chat::{AccountId, AccountView, ChannelView, Command, MessageView, Posted, RequestId, State};
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::Refusal,
    schema::{
        DecimalId, Glob, Label, Limit, Name, Null, Password, Role, Seq, Target, Text, Time, Token,
        Topic, True, Uuid7,
    },
};

/// `POST /v1/register`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[schema(value_type = Password)]
    pub(super) password: String,
    #[schema(value_type = Option<Token>)]
    pub(super) invite: Option<String>,
}

/// `POST /v1/login`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[schema(value_type = Password)]
    pub(super) password: String,
}

/// `DELETE /v1/me`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteAccount {
    #[schema(value_type = Password)]
    pub(super) password: String,
    #[serde(default)]
    pub(super) erase_messages: bool,
}

/// `PUT /v1/me/password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPassword {
    #[schema(value_type = Password)]
    pub(super) password: String,
    #[schema(value_type = Password)]
    pub(super) new_password: String,
}

/// `POST /v1/channels`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateChannel {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) private: bool,
    #[serde(default)]
    #[schema(value_type = Topic)]
    pub(super) topic: String,
}

/// `POST /v1/channels/{name}/invites`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    #[schema(value_type = Name)]
    pub(super) user: String,
}

/// `POST /v1/messages`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendMessage {
    #[schema(value_type = Target)]
    pub(super) to: String,
    #[schema(value_type = Text)]
    pub(super) text: String,
    #[schema(value_type = Option<DecimalId>)]
    pub(super) reply_to: Option<Id>,
    #[schema(value_type = Option<Uuid7>)]
    pub(super) after_request: Option<String>,
}

/// `PATCH /v1/messages/{id}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditMessage {
    #[schema(value_type = Text)]
    pub(super) text: String,
}

/// `POST …/read`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    #[schema(value_type = Seq)]
    pub(super) upto: u64,
}

/// The query of a listing by name.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    #[serde(rename = "match")]
    #[param(value_type = Option<Glob>)]
    pub(super) glob: Option<String>,
    #[param(value_type = Option<Name>)]
    pub(super) after: Option<String>,
    #[param(value_type = Option<Limit>)]
    pub(super) limit: Option<usize>,
    #[serde(rename = "consistency")]
    #[param(ignore)]
    _consistency: Option<String>,
}

impl Listing {
    /// The pattern asked for, or the one that every name matches.
    pub(super) fn pattern(&self) -> &str {
        self.glob.as_deref().unwrap_or("*")
    }
}

/// The query of a listing without a pattern.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Names after this one.
    #[param(value_type = Option<Name>)]
    pub(super) after: Option<String>,
    #[param(value_type = Option<Limit>)]
    pub(super) limit: Option<usize>,
    #[param(ignore)]
    #[serde(rename = "consistency")]
    _consistency: Option<String>,
}

/// The query of a read that has no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    #[serde(rename = "consistency")]
    _consistency: Option<String>,
}

/// The query of what takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The query of the conversations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InboxQuery {
    #[param(value_type = Option<DecimalId>)]
    pub(super) after: Option<u64>,
    #[param(value_type = Option<Limit>)]
    pub(super) limit: Option<usize>,
    #[serde(rename = "consistency")]
    #[param(ignore)]
    _consistency: Option<String>,
}

/// The query of a conversation's history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    #[param(value_type = Option<Seq>)]
    pub(super) before: Option<u64>,
    #[param(value_type = Option<Seq>)]
    pub(super) after: Option<u64>,
    #[param(value_type = Option<Seq>)]
    pub(super) around: Option<u64>,
    #[param(value_type = Option<Limit>)]
    pub(super) limit: Option<usize>,
    #[serde(rename = "consistency")]
    #[param(ignore)]
    _consistency: Option<String>,
}

/// What a subscription is of when the token comes in the header.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    #[param(value_type = Option<DecimalId>)]
    pub(super) after: Option<Id>,
    /// Tell how the cluster does as well, when that changes.
    #[serde(default)]
    pub(super) cluster: bool,
}

/// The query of a state's hash.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HashQuery {
    pub(super) index: u64,
}

/// `GET /v1/cluster/hash`.
#[derive(Serialize, ToSchema)]
pub(super) struct StateHash {
    pub(super) index: u64,
    pub(super) hash: String,
}

/// `POST /v1/admin/cluster/nodes`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddNode {
    /// The number in its certificate.
    pub(super) node: u64,
    /// Where its peers reach it: `HOST:PORT`.
    #[schema(example = "chat6.example.org:7410")]
    pub(super) peer: String,
    /// Where its clients reach it: a URL.
    #[schema(example = "https://chat6.example.org:7411")]
    pub(super) client: String,
}

/// `POST /v1/admin/cluster/nodes/{node}/replace`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replace {
    /// The disk that is lost, as the cluster's status tells it; the one that the node has now, if none
    /// is named.
    pub(super) disk: Option<String>,
}

/// `POST /v1/admin/cluster/transfer`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    /// Who is to lead; the best there is, if nobody is named.
    pub(super) to: Option<u64>,
}

/// A change of the cluster.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// A place in the log at which it stands.
    #[schema(value_type = DecimalId)]
    pub(super) index: String,
}

/// An id as clients write it: decimal text.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "IdText")]
pub(super) struct Id(pub(super) u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum IdText {
    Text(String),
    // A bare number is understood as well; scripts write `"after": 0`.
    Number(u64),
}

impl TryFrom<IdText> for Id {
    type Error = &'static str;

    fn try_from(text: IdText) -> Result<Self, Self::Error> {
        match text {
            IdText::Number(id) => Ok(Self(id)),
            IdText::Text(text) => {
                parse_id(&text).map(Self).ok_or("an id is a decimal number as text")
            }
        }
    }
}

pub(super) fn parse_id(text: &str) -> Option<u64> {
    (text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// An account as its owner and others see it.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[schema(value_type = Role)]
    pub(super) role: &'static str,
}

/// The answer to a registration or a login.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    pub(super) user: User,
    #[schema(value_type = Token)]
    pub(super) token: String,
    #[schema(value_type = Time)]
    pub(super) expires: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unread: Option<u64>,
}

/// The answer to `POST /v1/token`.
#[derive(Serialize, ToSchema)]
pub(super) struct ShortToken {
    /// Whose it is: a browser may have been given another cookie meanwhile.
    pub(super) user: User,
    #[schema(value_type = Token)]
    pub(super) token: String,
    #[schema(value_type = Time)]
    pub(super) expires: String,
}

/// `GET /v1/me`.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[schema(value_type = Role)]
    pub(super) role: &'static str,
    pub(super) unread: u64,
}

/// One of `GET /v1/me/sessions`.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    #[schema(value_type = DecimalId)]
    pub(super) id: String,
    #[schema(value_type = Time)]
    pub(super) opened: String,
    #[schema(value_type = Time)]
    pub(super) expires: String,
    pub(super) current: bool,
}

/// A page of a listing.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// One of `GET /v1/users`.
#[derive(Serialize, ToSchema)]
pub(super) struct UserItem {
    #[schema(value_type = Name)]
    pub(super) name: String,
    #[schema(value_type = Role)]
    pub(super) role: &'static str,
    pub(super) deleted: bool,
}

/// A channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Channel {
    #[schema(value_type = Name)]
    pub(super) name: String,
    pub(super) private: bool,
    #[schema(value_type = Topic)]
    pub(super) topic: String,
    pub(super) members: usize,
    pub(super) member: bool,
    #[schema(value_type = Time)]
    pub(super) created: String,
    #[schema(value_type = Seq)]
    pub(super) last_seq: u64,
}

/// One of `GET /v1/conversations`.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversation {
    #[schema(value_type = Label)]
    pub(super) conversation: String,
    pub(super) unread: u64,
    pub(super) mentions: u64,
    pub(super) last: Option<Message>,
    #[schema(value_type = Seq)]
    pub(super) read_upto: u64,
}

/// A piece of a conversation's history.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    pub(super) items: Vec<Message>,
    #[schema(value_type = Seq)]
    pub(super) first: u64,
    #[schema(value_type = Seq)]
    pub(super) last: u64,
    pub(super) more_before: bool,
    pub(super) more_after: bool,
}

/// A message, everywhere the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Message {
    /// One that can be read.
    Shown(Shown),
    /// One that is deleted, for everyone or for the reader: the two look alike.
    Deleted(Tombstone),
}

/// A message that can be read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Shown {
    #[schema(value_type = DecimalId)]
    pub(super) id: String,
    #[schema(value_type = Label)]
    pub(super) conversation: String,
    #[schema(value_type = Seq)]
    pub(super) seq: u64,
    pub(super) author: String,
    #[schema(value_type = Time)]
    pub(super) time: String,
    pub(super) text: String,
    pub(super) edited: bool,
    #[schema(value_type = Option<DecimalId>)]
    pub(super) reply_to: Option<String>,
    pub(super) reactions: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid7>)]
    pub(super) request_id: Option<String>,
}

/// The place of a message that is deleted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Tombstone {
    #[schema(value_type = DecimalId)]
    pub(super) id: String,
    #[schema(value_type = Label)]
    pub(super) conversation: String,
    #[schema(value_type = Seq)]
    pub(super) seq: u64,
    /// Always true.
    #[schema(value_type = True)]
    pub(super) deleted: bool,
    /// Always null.
    #[schema(value_type = Null)]
    pub(super) text: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid7>)]
    pub(super) request_id: Option<String>,
}

impl Message {
    /// A message as `reader` sees it: its place from the state, its text from the entry of the log
    /// that the place names.
    pub(super) fn of(
        state: &State,
        reader: AccountId,
        at: &Posted,
        body: Option<&Command>,
    ) -> Option<Self> {
        state.view(reader, at, body).map(Self::from)
    }

    /// The same, in the answer to the request that sent it.
    pub(super) fn answering(mut self, request: RequestId) -> Self {
        let request_id = match &mut self {
            Self::Shown(Shown { request_id, .. }) | Self::Deleted(Tombstone { request_id, .. }) => {
                request_id
            }
        };
        *request_id = Some(request.to_string());
        self
    }
}

impl From<MessageView> for Message {
    fn from(view: MessageView) -> Self {
        let MessageView { id, conversation, seq, content } = view;
        let id = id.to_string();
        match content {
            None => Self::Deleted(Tombstone {
                id,
                conversation,
                seq,
                deleted: true,
                text: (),
                request_id: None,
            }),
            Some(content) => Self::Shown(Shown {
                id,
                conversation,
                seq,
                author: content.author,
                time: rfc3339(content.time_us),
                text: content.text,
                edited: content.edited,
                reply_to: content.reply_to.map(|id| id.to_string()),
                reactions: BTreeMap::new(),
                request_id: None,
            }),
        }
    }
}

impl From<ChannelView> for Channel {
    fn from(view: ChannelView) -> Self {
        Self {
            name: view.name,
            private: view.private,
            topic: view.topic,
            members: view.members,
            member: view.joined,
            created: rfc3339(view.created_us),
            last_seq: view.last_seq,
        }
    }
}

impl From<AccountView> for UserItem {
    fn from(view: AccountView) -> Self {
        Self { name: view.name, role: view.role.as_str(), deleted: view.deleted }
    }
}

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A time of the log or of the node's clock, in microseconds since 1970.
pub(super) fn rfc3339(time_us: u64) -> String {
    let time = i64::try_from(time_us)
        .ok()
        .and_then(|time_us| jiff::Timestamp::from_microsecond(time_us).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    PRINTER.timestamp_to_string(&time)
}

/// The limit of a page, or the default.
pub(super) fn page_limit(asked: Option<usize>) -> Result<usize, Refusal> {
    Ok(chat::limits::page(asked.unwrap_or(chat::limits::PAGE_DEFAULT))?)
}
