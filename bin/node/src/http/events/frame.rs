//! The frames of a WebSocket, as JSON.

use chat::RequestId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::output::End;
use crate::{
    http::{
        error::{ErrorObject, Refusal},
        schema::{DecimalId, Target, Text, Uuid7},
        wire::{Channel, Id, Message, SendMessage},
    },
    service::ClusterView,
};

/// The first frame of a client.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(in crate::http) enum Hello {
    Hello {
        token: String,
        #[schema(value_type = Option<DecimalId>)]
        after: Option<Id>,
        /// Tell how the cluster does as well, when that changes.
        #[serde(default)]
        cluster: bool,
    },
}

/// Every later one.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(in crate::http) enum ClientFrame {
    Send(SendFrame),
}

/// A message to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SendFrame {
    #[schema(value_type = Uuid7)]
    request_id: String,
    #[schema(value_type = Target)]
    to: String,
    #[schema(value_type = Text)]
    text: String,
    #[schema(value_type = Option<DecimalId>)]
    reply_to: Option<Id>,
    #[schema(value_type = Option<Uuid7>)]
    after_request: Option<String>,
}

/// The same, its key apart from what is asked.
pub(in crate::http) struct Send {
    pub(in crate::http) request_id: String,
    pub(in crate::http) message: SendMessage,
}

impl SendFrame {
    pub(in crate::http) fn split(self) -> Send {
        let Self { request_id, to, text, reply_to, after_request } = self;
        Send { request_id, message: SendMessage { to, text, reply_to, after_request } }
    }
}

/// What is wrong otherwise, but says which send it is.
#[derive(Deserialize)]
pub(in crate::http) struct Named {
    pub(super) request_id: String,
}

/// What the node says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ServerFrame {
    /// The subscription stands and begins after the cursor.
    Ready { cursor: String },
    /// A message was sent to a conversation of the reader.
    Message { cursor: String, message: Message },
    /// A message has another text.
    Edited { cursor: String, message: Message },
    /// A message is deleted, for everyone or for the reader alone.
    Deleted { cursor: String, message: Message },
    /// An account is deleted, and what it sent as well if it was erased.
    Account { cursor: String, user: String, deleted: bool, erased: bool },
    /// The reader read on, on another device.
    Read { cursor: String, conversation: String, upto: u64 },
    /// Someone came into a channel or left it.
    Member { cursor: String, conversation: String, user: String, change: &'static str },
    /// A channel was made.
    Channel { cursor: String, channel: Channel },
    /// Events other than messages may have been missed: what a client holds it should load anew. The
    /// cursor is good.
    Resync { cursor: String },
    /// How the cluster does, as this node sees it.
    Cluster(ClusterView),
    /// A send is in the log.
    Sent { request_id: String, message: Box<Message> },
    /// A send is not done, or it is not known; `retry` says whether to send it again under its key.
    Failed { request_id: String, error: ErrorObject, retry: bool },
    /// The socket is about to be closed.
    Error { error: ErrorObject, retry: bool },
}

impl ServerFrame {
    /// As text.
    pub(super) fn json(&self) -> Result<String, End> {
        serde_json::to_string(self).map_err(|error| {
            tracing::error!(%error, "a frame could not be written as JSON");
            End::Gone
        })
    }

    pub(super) fn sent(request: RequestId, message: Message) -> Self {
        Self::Sent { request_id: request.to_string(), message: Box::new(message) }
    }

    pub(super) fn failed(request_id: String, refusal: &Refusal) -> Self {
        Self::Failed { request_id, error: refusal.object(), retry: refusal.may_retry() }
    }
}
