//! The node and its cluster: alive, ready, status.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    super::{auth::Caller, error::Refusal, request::Params, wire},
    Api,
};
use crate::service::ClusterView;

/// `GET /healthz`: the process lives.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the node knows a leader and has caught up.
pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Refusal> {
    if api.service.is_ready() {
        return Ok("ready\n");
    }
    Err(Refusal::unavailable(
        "not_ready",
        "this node knows no leader, or has not caught up with it",
    ))
}

/// `GET /v1/cluster`: the cluster as this node sees it. It needs no quorum.
pub(super) async fn status(State(api): State<Api>, _caller: Caller) -> Json<ClusterView> {
    Json(api.service.cluster())
}

/// `GET /v1/cluster/hash?index=N`: the running hash of this node's state behind the entry at an
/// index, so that nodes can be compared at the same one. A node that is behind has until the
/// request's deadline to get there.
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
