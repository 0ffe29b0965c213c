//! The node and its cluster: alive, ready, status.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    super::{auth::Caller, error::Refusal, request::Params, wire},
    Api,
};
use crate::service::ClusterView;

/// The process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "node", security(()),
    responses((status = 200, description = "alive", body = String, content_type = "text/plain")),
)]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// The node knows a leader and has caught up.
#[utoipa::path(
    get, path = "/readyz", tag = "node", security(()),
    responses((status = 200, description = "ready", body = String, content_type = "text/plain")),
)]
pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Refusal> {
    if api.service.is_ready() {
        return Ok("ready\n");
    }
    Err(Refusal::unavailable(
        "not_ready",
        api.service.awaits_admission().or_else(|| api.service.repairs()).unwrap_or_else(|| {
            "this node knows no leader, or has not caught up with it".to_owned()
        }),
    ))
}

/// The cluster as this node sees it. It needs no quorum.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "node",
    responses((status = 200, description = "the cluster", body = ClusterView)),
)]
pub(super) async fn status(
    State(api): State<Api>,
    _caller: Caller,
    _: Params<wire::Nothing>,
) -> Json<ClusterView> {
    Json(api.service.cluster())
}

/// The running hash of this node's state behind the entry at an index, so that nodes can be
/// compared at the same one. A node that is behind has until the request's deadline to get there.
#[utoipa::path(
    get, path = "/v1/cluster/hash", tag = "node", params(wire::HashQuery),
    responses(
        (status = 200, description = "the hash", body = wire::StateHash),
        (status = 404, description = "no longer known"),
    ),
)]
pub(super) async fn hash(
    State(api): State<Api>,
    _caller: Caller,
    Params(asked): Params<wire::HashQuery>,
) -> Result<Json<wire::StateHash>, Refusal> {
    let index = asked.index;
    let hash = api.service.hash_at(index, api.deadline()).await?.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "hash_gone",
            format!("this node no longer knows the hash of its state at index {index}"),
            "ask for a newer index",
        )
    })?;
    Ok(Json(wire::StateHash { index, hash: format!("{hash:016x}") }))
}
