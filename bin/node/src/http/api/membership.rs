//! Who is in the cluster, and who leads it: for owners and admins.
//!
//! A change is answered when it is committed. What is done already is not done again: whoever does not
//! know what came of a request asks the same once more.

use axum::{Json, extract::State, http::StatusCode};
use chat::{Rejection, Role};
use election::{NodeId, StoreId};
use replication::{Change, Member};

use super::{
    super::{
        auth::Caller,
        error::Refusal,
        request::{Body, Key, Segment},
        wire,
    },
    Api,
};
use crate::config::{ClientUrl, HostPort, NODE_ID_MAX};

/// Admit a node: it learns what there is, and becomes a voter by itself when it has caught up.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes", tag = "admin", request_body = wire::AddNode,
    responses((status = 201, description = "it is a learner", body = wire::Changed)),
)]
pub(super) async fn add(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Body(asked): Body<wire::AddNode>,
) -> Result<(StatusCode, Json<wire::Changed>), Refusal> {
    if !(1..=NODE_ID_MAX).contains(&asked.node) {
        return Err(Refusal::malformed(format!("a node's number is 1 to {NODE_ID_MAX}")));
    }
    let allowed = |what: &str, allowed: &str| Refusal::malformed(format!("{what} is {allowed}"));
    let peer: HostPort = asked.peer.parse().map_err(|()| allowed("peer", HostPort::ALLOWED))?;
    let client: ClientUrl =
        asked.client.parse().map_err(|()| allowed("client", ClientUrl::ALLOWED))?;
    let member = Member {
        node: NodeId(asked.node),
        store: None,
        peer: peer.to_string(),
        client: client.to_string(),
    };
    let changed = change(&api, &caller, Change::Add(member)).await?;
    Ok((StatusCode::CREATED, changed))
}

/// Have a node leave for good.
#[utoipa::path(
    delete, path = "/v1/admin/cluster/nodes/{node}", tag = "admin",
    params(("node" = u64, Path, description = "its number")),
    responses((status = 200, description = "it is no member", body = wire::Changed)),
)]
pub(super) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Segment(node): Segment,
) -> Result<Json<wire::Changed>, Refusal> {
    change(&api, &caller, Change::Remove(number(&node)?)).await
}

/// Take a node whose disk is lost for a new one under its old number and addresses: what it had
/// counts no more, and it learns anew. It is done already when the number has another disk by now than
/// the one that the request names.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes/{node}/replace", tag = "admin",
    request_body = wire::Replace,
    params(("node" = u64, Path, description = "its number")),
    responses((status = 200, description = "it is a learner", body = wire::Changed)),
)]
pub(super) async fn replace(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Segment(node): Segment,
    Body(asked): Body<wire::Replace>,
) -> Result<Json<wire::Changed>, Refusal> {
    let lost = asked.disk.as_deref().map(disk).transpose()?;
    change(&api, &caller, Change::Replace(number(&node)?, lost)).await
}

/// Give leadership to a node, or to the best there is.
#[utoipa::path(
    post, path = "/v1/admin/cluster/transfer", tag = "admin", request_body = wire::Transfer,
    responses((status = 200, description = "the leader hands over", body = wire::Changed)),
)]
pub(super) async fn transfer(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Body(asked): Body<wire::Transfer>,
) -> Result<Json<wire::Changed>, Refusal> {
    change(&api, &caller, Change::Transfer(asked.to.map(NodeId))).await
}

/// Have a node lead no more until that is undone or it is started again. It stays a voter and serves its
/// clients.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes/{node}/drain", tag = "admin",
    params(("node" = u64, Path, description = "its number")),
    responses((status = 204, description = "it knows")),
)]
pub(super) async fn drain(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Segment(node): Segment,
) -> Result<StatusCode, Refusal> {
    drain_or_undo(&api, &caller, &node, false).await
}

/// Let a node that was drained lead again.
#[utoipa::path(
    delete, path = "/v1/admin/cluster/nodes/{node}/drain", tag = "admin",
    params(("node" = u64, Path, description = "its number")),
    responses((status = 204, description = "it knows")),
)]
pub(super) async fn undrain(
    State(api): State<Api>,
    caller: Caller,
    _: Key,
    Segment(node): Segment,
) -> Result<StatusCode, Refusal> {
    drain_or_undo(&api, &caller, &node, true).await
}

async fn drain_or_undo(
    api: &Api,
    caller: &Caller,
    node: &str,
    undo: bool,
) -> Result<StatusCode, Refusal> {
    let node = number(node)?;
    must_administer(api, caller).await?;
    api.service.drain(node, undo, api.deadline()).await?;
    let what = if undo { "undrain" } else { "drain" };
    tracing::info!(account = caller.account.0, node = node.0, what, "a node was told");
    Ok(StatusCode::NO_CONTENT)
}

async fn change(
    api: &Api,
    caller: &Caller,
    change: Change,
) -> Result<Json<wire::Changed>, Refusal> {
    must_administer(api, caller).await?;
    let what = format!("{change:?}");
    let index = api.service.change(change, api.deadline()).await?;
    tracing::info!(account = caller.account.0, index, what, "the cluster was changed");
    Ok(Json(wire::Changed { index: index.to_string() }))
}

/// Whoever was demoted before this request came is not taken for what they were.
async fn must_administer(api: &Api, caller: &Caller) -> Result<(), Refusal> {
    api.barrier().await?;
    let account = api.service.query(|state| state.account(caller.account));
    match account.ok_or(Rejection::SessionEnded)?.role {
        Role::Owner | Role::Admin => Ok(()),
        Role::Member => Err(Rejection::NotAllowed.into()),
    }
}

/// A disk as the status of the cluster tells it.
fn disk(text: &str) -> Result<StoreId, Refusal> {
    let read = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    let malformed = || Refusal::malformed("a disk is 32 digits of hex, as in the cluster's status");
    read.map(StoreId).ok_or_else(malformed)
}

fn number(text: &str) -> Result<NodeId, Refusal> {
    let node = wire::parse_id(text).filter(|node| (1..=NODE_ID_MAX).contains(node));
    let malformed = || Refusal::malformed(format!("a node's number is 1 to {NODE_ID_MAX}"));
    node.map(NodeId).ok_or_else(malformed)
}
