//! Channels: make, find, join, leave, invite.

use axum::{Json, extract::State, http::StatusCode};
use chat::{AccountId, Action, Rejection, limits};

use super::{
    super::{
        auth::{Caller, Reader},
        error::Refusal,
        request::{Body, Freshness, Key, Params, Segment},
        schema, wire,
    },
    Api, act,
};

/// Make a channel; its creator is a member.
#[utoipa::path(
    post, path = "/v1/channels", tag = "channel",
    request_body = wire::CreateChannel,
    responses((status = 201, description = "the channel", body = wire::Channel)),
)]
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

/// Channels by name: public ones, and private ones that one is a member of.
#[utoipa::path(
    get, path = "/v1/channels", tag = "channel", operation_id = "channels",
    params(Freshness, wire::Listing),
    responses((status = 200, description = "a page", body = wire::Page<wire::Channel>)),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Params(asked): Params<wire::Listing>,
) -> Result<Json<wire::Page<wire::Channel>>, Refusal> {
    let limit = wire::page_limit(asked.limit)?;
    let (glob, after) = (asked.pattern(), asked.after.as_deref());
    let page = api.service.query(|state| state.channels(account, glob, after, limit))?;
    let items = page.items.into_iter().map(wire::Channel::from).collect();
    Ok(Json(wire::Page { items, next: page.next }))
}

/// One channel.
#[utoipa::path(
    get, path = "/v1/channels/{name}", tag = "channel", operation_id = "channel",
    params(("name" = schema::Name, Path), Freshness),
    responses((status = 200, description = "the channel", body = wire::Channel)),
)]
pub(super) async fn one(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
    _: Params<wire::Plain>,
) -> Result<Json<wire::Channel>, Refusal> {
    Ok(Json(view(&api, account, &named(&name)?)?))
}

/// Become a member, who sees the whole history. Joining twice is no error.
#[utoipa::path(
    post, path = "/v1/channels/{name}/join", tag = "channel",
    params(("name" = schema::Name, Path)),
    responses((status = 200, description = "the channel", body = wire::Channel)),
)]
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

/// Be a member no longer.
#[utoipa::path(
    post, path = "/v1/channels/{name}/leave", tag = "channel",
    params(("name" = schema::Name, Path)),
    responses((status = 204, description = "no member any more")),
)]
pub(super) async fn leave(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
) -> Result<StatusCode, Refusal> {
    act(&api, &caller, key, Action::Leave { channel: named(&name)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The members of a channel.
#[utoipa::path(
    get, path = "/v1/channels/{name}/members", tag = "channel",
    params(("name" = schema::Name, Path), Freshness, wire::Paging),
    responses((status = 200, description = "a page", body = wire::Page<wire::UserItem>)),
)]
pub(super) async fn members(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
    Params(asked): Params<wire::Paging>,
) -> Result<Json<wire::Page<wire::UserItem>>, Refusal> {
    let (limit, name) = (wire::page_limit(asked.limit)?, named(&name)?);
    let after = asked.after.as_deref();
    let page = api.service.query(|state| state.members(account, &name, after, limit))?;
    let items = page.items.into_iter().map(wire::UserItem::from).collect();
    Ok(Json(wire::Page { items, next: page.next }))
}

/// Make someone a member.
#[utoipa::path(
    post, path = "/v1/channels/{name}/invites", tag = "channel",
    params(("name" = schema::Name, Path)),
    request_body = wire::Invite,
    responses((status = 204, description = "a member from now on")),
)]
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
