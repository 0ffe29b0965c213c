//! The client port of a node that cannot start yet: it lives, it is not ready, and it says why.

use std::sync::Arc;

use axum::{Router, routing::get};
use tokio::sync::watch;

use super::{HttpError, Listener, error::Refusal};
use crate::metrics::Clients;

/// Serve nothing but that, until `shutdown` holds true.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: Listener,
    clients: Clients,
    reason: Arc<str>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), HttpError> {
    let waiting = move || {
        let reason = Refusal::unavailable("not_ready", &*reason);
        async move { reason }
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .fallback(waiting.clone())
        .method_not_allowed_fallback(waiting);
    listener.serve((router, Router::new()), clients, shutdown).await
}
