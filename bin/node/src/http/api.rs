//! The routes of HTTP and JSON, one file per kind of thing. Each handler reads its request into a
//! command or a question, and the answer into the JSON of `wire`; what is allowed is decided by the
//! fold. A route stands in one table, and is described where it is handled.

mod account;
mod channel;
mod cluster;
mod membership;
pub(super) mod message;

use std::collections::BTreeMap;

use axum::{
    Router,
    routing::{delete, get, patch, post, put},
};
use chat::{Accepted, AccountId, Action, Body, Command, Posted, Rejection};
use utoipa::OpenApi;

use super::{
    Api,
    auth::Caller,
    error::{ErrorBody, Refusal},
    events, openapi, page,
    request::Key,
    schema::{DecimalId, Glob, Limit, Name, Seq},
    scrape, wire,
};

/// The table of routes, once: the router, the description of each (`#[utoipa::path]` at its
/// handler) and the list that the tests walk.
macro_rules! table {
    ($($method:ident $path:literal => $module:ident::$handler:ident,)+) => {
        /// Every path of the API, and the page.
        pub(super) fn routes() -> Router<Api> {
            Router::new()
                .route("/", get(page::index))
                .route("/assets/{*name}", get(page::asset))
                $(.route($path, $method($module::$handler)))+
        }

        /// The description of every path of the API, as its handler gives it.
        #[derive(OpenApi)]
        #[openapi(
            paths($($module::$handler),+),
            components(schemas(ErrorBody, DecimalId, Glob, Limit, Name, Seq)),
        )]
        pub(super) struct Described;

        /// Method and path of every route.
        #[cfg(test)]
        pub(super) const TABLE: &[(&str, &str)] = &[$((stringify!($method), $path)),+];
    };
}

table! {
    get "/healthz" => cluster::health,
    get "/readyz" => cluster::ready,
    get "/metrics" => scrape::guarded,
    get "/v1/openapi.json" => openapi::serve,
    get "/v1/cluster" => cluster::status,
    get "/v1/cluster/hash" => cluster::hash,
    post "/v1/admin/cluster/nodes" => membership::add,
    delete "/v1/admin/cluster/nodes/{node}" => membership::remove,
    post "/v1/admin/cluster/nodes/{node}/replace" => membership::replace,
    post "/v1/admin/cluster/nodes/{node}/drain" => membership::drain,
    delete "/v1/admin/cluster/nodes/{node}/drain" => membership::undrain,
    post "/v1/admin/cluster/transfer" => membership::transfer,
    post "/v1/register" => account::register,
    post "/v1/login" => account::login,
    post "/v1/logout" => account::logout,
    post "/v1/token" => account::token,
    get "/v1/me" => account::me,
    delete "/v1/me" => account::delete,
    put "/v1/me/password" => account::set_password,
    get "/v1/me/sessions" => account::sessions,
    delete "/v1/me/sessions/{id}" => account::end_session,
    get "/v1/users" => account::users,
    get "/v1/channels" => channel::list,
    post "/v1/channels" => channel::create,
    get "/v1/channels/{name}" => channel::one,
    post "/v1/channels/{name}/join" => channel::join,
    post "/v1/channels/{name}/leave" => channel::leave,
    get "/v1/channels/{name}/members" => channel::members,
    post "/v1/channels/{name}/invites" => channel::invite,
    get "/v1/channels/{name}/messages" => message::channel_history,
    post "/v1/channels/{name}/read" => message::mark_channel,
    get "/v1/direct/{user}/messages" => message::direct_history,
    post "/v1/direct/{user}/read" => message::mark_direct,
    get "/v1/conversations" => message::conversations,
    post "/v1/messages" => message::send,
    get "/v1/messages/{id}" => message::one,
    patch "/v1/messages/{id}" => message::edit,
    delete "/v1/messages/{id}" => message::delete,
    get "/v1/events" => events::upgrade,
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
