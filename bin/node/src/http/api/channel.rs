//! Channels: make, find, join, leave, invite.

use axum::{Json, extract::State, http::StatusCode};
use chat::{AccountId, Action, Rejection, limits};

use super::{
    super::{
        auth::{Caller, Reader},
        error::Refusal,
        request::{Body, Key, Params, Segment},
        wire,
    },
    Api, act,
};

/// `POST /v1/channels`.
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Body(asked): Body<wire::CreateChannel>,
) -> Result<(StatusCode, Json<wire::Channel>), Refusal> {
    let name = limits::name(&asked.name)?;
    limits::topic(&asked.topic)?;
    let action =
        Action::CreateChannel { name: name.clone(), private: asked.private, topic: asked.topic };
    act(&api, &caller, key, action).await?;
    Ok((StatusCode::CREATED, Json(view(&api, caller.account, &name)?)))
}

/// `GET /v1/channels`.
pub(super) async fn list(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Params(asked): Params<wire::Listing>,
) -> Result<Json<wire::Page<wire::Channel>>, Refusal> {
    let limit = wire::page_limit(asked.limit)?;
    let glob = asked.glob.as_deref().unwrap_or("*");
    let after = asked.after.as_deref();
    let page = api.service.query(|state| state.channels(account, glob, after, limit))?;
    let items = page.items.into_iter().map(wire::Channel::from).collect();
    Ok(Json(wire::Page { items, next: page.next }))
}

/// `GET /v1/channels/{name}`.
pub(super) async fn one(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
) -> Result<Json<wire::Channel>, Refusal> {
    Ok(Json(view(&api, account, &named(&name)?)?))
}

/// `POST /v1/channels/{name}/join`.
pub(super) async fn join(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
) -> Result<Json<wire::Channel>, Refusal> {
    let name = named(&name)?;
    act(&api, &caller, key, Action::Join { channel: name.clone() }).await?;
    Ok(Json(view(&api, caller.account, &name)?))
}

/// `POST /v1/channels/{name}/leave`.
pub(super) async fn leave(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
) -> Result<StatusCode, Refusal> {
    act(&api, &caller, key, Action::Leave { channel: named(&name)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/channels/{name}/members`.
pub(super) async fn members(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
) -> Result<Json<wire::Page<wire::UserItem>>, Refusal> {
    let name = named(&name)?;
    let members = api.service.query(|state| state.members(account, &name))?;
    let items = members.into_iter().map(wire::UserItem::from).collect();
    Ok(Json(wire::Page { items, next: None }))
}

/// `POST /v1/channels/{name}/invites`.
pub(super) async fn invite(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
    Body(asked): Body<wire::Invite>,
) -> Result<StatusCode, Refusal> {
    let user = limits::name(asked.user.strip_prefix('@').unwrap_or(&asked.user));
    let user = user.map_err(|_invalid| Rejection::NoSuchUser)?;
    act(&api, &caller, key, Action::Invite { channel: named(&name)?, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name in a path, with its case folded. What cannot be a name is the name of nothing.
pub(super) fn named(name: &str) -> Result<String, Rejection> {
    limits::name(name).map_err(|_invalid| Rejection::NoSuchChannel)
}

fn view(api: &Api, reader: AccountId, name: &str) -> Result<wire::Channel, Refusal> {
    Ok(api.service.query(|state| state.channel(reader, name))?.into())
}
