//! `GET /metrics`: what the node measures, for whoever shows the metrics token or an account's,
//! or comes by the listener on loopback. It is answered however busy the node is, and without a
//! leader.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use chat::TokenHash;

use super::{
    Api,
    auth::{self, Caller},
    error::Refusal,
    origin,
    request::Params,
    wire,
};
use crate::metrics;

/// The path, everywhere.
pub(super) const PATH: &str = "/metrics";

/// What this node measures, for every account and for the metrics' own token.
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((
        status = 200, description = "the text of `OpenMetrics`", body = String,
        content_type = "application/openmetrics-text",
    )),
)]
pub(super) async fn guarded(
    State(api): State<Api>,
    headers: HeaderMap,
    _: Params<wire::Nothing>,
) -> Result<Response, Refusal> {
    let token = auth::bearer(&headers)?
        .ok_or_else(|| Refusal::unauthenticated("the metrics need a token"))?;
    if !api.metrics_token.is_some_and(|known| is_same(&known, &token)) {
        Caller::find(&api, token).await?;
    }
    Ok(text(&api))
}

/// The one page of the listener on loopback: whoever is on this machine may see it.
pub(super) fn open(api: Api) -> Router {
    Router::new()
        .route(PATH, get(async |State(api): State<Api>| text(&api)))
        .layer(from_fn_with_state(api.clone(), origin::guard))
        .with_state(api)
}

fn text(api: &Api) -> Response {
    let used = metrics::InUse {
        in_flight_bytes: api.room.taken(),
        hashes_running: api.passwords.running(),
        hashes_waiting: api.passwords.waiting(),
    };
    api.service.metrics().clients.uses(used);
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], api.service.metrics_text()).into_response()
}

/// Every byte is compared, so that the time tells nothing; they are hashes besides.
fn is_same(one: &TokenHash, other: &TokenHash) -> bool {
    one.iter().zip(other).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}
