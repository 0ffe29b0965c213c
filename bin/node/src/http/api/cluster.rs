//! The node and its cluster: alive, ready, status.

use axum::{Json, extract::State};

use super::{
    super::{auth::Caller, error::Refusal},
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

/// `GET /`.
pub(super) async fn page() -> &'static str {
    "This is a Holdfast node. Chat with it: chatctl --endpoint <this address> register NAME\n"
}
