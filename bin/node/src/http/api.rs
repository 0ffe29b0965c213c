//! The routes of HTTP and JSON, one file per kind of thing. Each handler reads its request into a
//! command or a question, and the answer into the JSON of `wire`; what is allowed is decided by the
//! fold.

mod account;
mod channel;
mod cluster;
pub(super) mod message;

use std::collections::BTreeMap;

use axum::{
    Router,
    routing::{any, delete, get, post},
};
use chat::{Accepted, AccountId, Action, Body, Command, Posted, Rejection};

use super::{Api, auth::Caller, error::Refusal, events, page, request::Key, wire};

/// Every path that the node answers.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .route("/healthz", get(cluster::health))
        .route("/readyz", get(cluster::ready))
        .route("/v1/cluster", get(cluster::status))
        .route("/v1/cluster/hash", get(cluster::hash))
        .route("/v1/register", post(account::register))
        .route("/v1/login", post(account::login))
        .route("/v1/logout", post(account::logout))
        .route("/v1/me", get(account::me))
        .route("/v1/me/sessions", get(account::sessions))
        .route("/v1/me/sessions/{id}", delete(account::end_session))
        .route("/v1/users", get(account::users))
        .route("/v1/channels", get(channel::list).post(channel::create))
        .route("/v1/channels/{name}", get(channel::one))
        .route("/v1/channels/{name}/join", post(channel::join))
        .route("/v1/channels/{name}/leave", post(channel::leave))
        .route("/v1/channels/{name}/members", get(channel::members))
        .route("/v1/channels/{name}/invites", post(channel::invite))
        .route("/v1/channels/{name}/messages", get(message::channel_history))
        .route("/v1/channels/{name}/read", post(message::mark_channel))
        .route("/v1/direct/{user}/messages", get(message::direct_history))
        .route("/v1/direct/{user}/read", post(message::mark_direct))
        .route("/v1/conversations", get(message::conversations))
        .route("/v1/messages", post(message::send))
        .route("/v1/messages/{id}", get(message::one))
        .route("/v1/events", any(events::upgrade))
}

/// Has the cluster do something in the caller's session.
async fn act(api: &Api, caller: &Caller, key: Key, action: Action) -> Result<Accepted, Refusal> {
    let Caller { account, session, .. } = *caller;
    api.submit(Command::new(key.0, Body::Act { account, session, action })).await
}

/// Messages by their places, as `reader` sees them: the texts come from the log.
pub(super) async fn messages(
    api: &Api,
    reader: AccountId,
    places: &[Posted],
) -> Result<Vec<wire::Message>, Refusal> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let indexes = places.iter().filter_map(|place| place.body).collect();
    let commands: BTreeMap<u64, Command> =
        api.service.commands(indexes).await?.into_iter().collect();
    let found: Option<Vec<_>> = api.service.query(|state| {
        let view = |place: &Posted| {
            let body = place.body.and_then(|index| commands.get(&index));
            wire::Message::of(state, reader, place, body)
        };
        places.iter().map(view).collect()
    });
    found.ok_or_else(|| {
        tracing::error!(?places, "the log holds no text for a message of the state");
        Refusal::unavailable("unavailable", "this node cannot read its log now")
    })
}

/// The fold's answer is not of the kind that its command has: a fault of this program.
fn wrong_answer(accepted: &Accepted) -> Refusal {
    tracing::error!(?accepted, "the fold answered a command with another command's answer");
    Refusal::from(Rejection::Malformed)
}
