//! Messages: send, edit, delete, read, mark as read, and the conversations that they make.

use axum::{Json, extract::State, http::StatusCode};
use chat::{
    Accepted, AccountId, Action, Answer, Command, MessageId, Posted, Rejection, RequestId, Target,
    Window, limits,
};

use super::{
    super::{
        auth::{Caller, Reader},
        error::Refusal,
        request::{Body, Freshness, Key, Params, Segment},
        schema, wire,
    },
    Api, act,
    channel::named,
    messages, wrong_answer,
};

/// Send a message.
#[utoipa::path(
    post, path = "/v1/messages", tag = "message",
    request_body = wire::SendMessage,
    responses(
        (status = 201, description = "the message", body = wire::Message),
        (status = 200, description = "the message, sent before under this key", body = wire::Message),
    ),
)]
pub(super) async fn send(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Body(asked): Body<wire::SendMessage>,
) -> Result<(StatusCode, Json<wire::Message>), Refusal> {
    let Caller { account, session, .. } = caller;
    let action = action(asked)?;
    let command = Command::new(key.0, chat::Body::Act { account, session, action });
    let (accepted, message) = send_command(&api, account, command).await?;
    let status = if accepted.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(message.answering(key.0))))
}

/// The command that a send asks for. What is wrong with its text or its target is left to the fold,
/// which remembers what it refuses: a stream that goes on after a refused message needs that. No
/// more of a text goes into the log than shows that it is too long.
pub(in crate::http) fn action(asked: wire::SendMessage) -> Result<Action, Refusal> {
    let mut text = asked.text;
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES_MAX + char::MAX_LEN_UTF8));
    Ok(Action::Send {
        to: Target::parse_or_refused(&asked.to),
        text,
        reply_to: asked.reply_to.map(|id| MessageId(id.0)),
        after_request: asked.after_request.as_deref().map(RequestId::parse).transpose()?,
    })
}

/// Has a send committed; gives the message as its author sees it.
pub(in crate::http) async fn send_command(
    api: &Api,
    author: AccountId,
    command: Command,
) -> Result<(Accepted, wire::Message), Refusal> {
    let accepted = api.submit(&command).await?;
    let Answer::Sent { conversation, seq, id, .. } = accepted.answer else {
        return Err(wrong_answer(&accepted));
    };
    // A repeated one may stand elsewhere in the log, and be edited or deleted by now.
    let (place, mut message) = api
        .service
        .query(|state| {
            let place = state.posted(author, conversation, seq)?;
            let is_first = !accepted.repeated && place.body == Some(id.0);
            let message = || wire::Message::of(state, author, &place, Some(&command));
            Some((place, is_first.then(message).flatten()))
        })
        .ok_or(Rejection::NoSuchMessage)?;
    if message.is_none() {
        message = messages(api, author, &[place]).await?.pop();
    }
    Ok((accepted, message.ok_or(Rejection::NoSuchMessage)?))
}

/// A piece of a channel's history, by ascending `seq`; the newest when nothing is said.
#[utoipa::path(
    get, path = "/v1/channels/{name}/messages", tag = "message",
    params(("name" = schema::Name, Path), Freshness, wire::HistoryQuery),
    responses((status = 200, description = "the messages", body = wire::History)),
)]
pub(super) async fn channel_history(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
    Params(asked): Params<wire::HistoryQuery>,
) -> Result<Json<wire::History>, Refusal> {
    history(&api, account, &Target::Channel(named(&name)?), &asked).await
}

/// A piece of the history with one other, by ascending `seq`; the newest when nothing is said.
#[utoipa::path(
    get, path = "/v1/direct/{user}/messages", tag = "message",
    params(("user" = schema::Name, Path), Freshness, wire::HistoryQuery),
    responses((status = 200, description = "the messages", body = wire::History)),
)]
pub(super) async fn direct_history(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(name): Segment,
    Params(asked): Params<wire::HistoryQuery>,
) -> Result<Json<wire::History>, Refusal> {
    history(&api, account, &user(&name)?, &asked).await
}

/// Count a channel as read up to a message; never goes back.
#[utoipa::path(
    post, path = "/v1/channels/{name}/read", tag = "message",
    params(("name" = schema::Name, Path)),
    request_body = wire::Mark,
    responses((status = 204, description = "read")),
)]
pub(super) async fn mark_channel(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
    Body(asked): Body<wire::Mark>,
) -> Result<StatusCode, Refusal> {
    let to = Target::Channel(named(&name)?);
    act(&api, &caller, key, Action::Mark { to, upto: asked.upto }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Count the conversation with one other as read up to a message; never goes back.
#[utoipa::path(
    post, path = "/v1/direct/{user}/read", tag = "message",
    params(("user" = schema::Name, Path)),
    request_body = wire::Mark,
    responses((status = 204, description = "read")),
)]
pub(super) async fn mark_direct(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(name): Segment,
    Body(asked): Body<wire::Mark>,
) -> Result<StatusCode, Refusal> {
    let to = user(&name)?;
    act(&api, &caller, key, Action::Mark { to, upto: asked.upto }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The conversations of the account that asks, latest first.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "message", params(Freshness, wire::InboxQuery),
    responses((status = 200, description = "a page", body = wire::Page<wire::Conversation>)),
)]
pub(super) async fn conversations(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Params(asked): Params<wire::InboxQuery>,
) -> Result<Json<wire::Page<wire::Conversation>>, Refusal> {
    let limit = wire::page_limit(asked.limit)?;
    let page = api.service.query(|state| state.inbox(account, asked.after, limit))?;
    let places: Vec<Posted> = page.items.iter().filter_map(|item| item.last).collect();
    let mut last = messages(&api, account, &places).await?.into_iter();
    let items = page
        .items
        .into_iter()
        .map(|item| wire::Conversation {
            conversation: item.conversation,
            unread: item.unread,
            mentions: 0,
            last: item.last.and_then(|_| last.next()),
            read_upto: item.read_upto,
        })
        .collect();
    Ok(Json(wire::Page { items, next: page.next.map(|activity| activity.to_string()) }))
}

/// One message.
#[utoipa::path(
    get, path = "/v1/messages/{id}", tag = "message", operation_id = "message",
    params(("id" = schema::DecimalId, Path), Freshness),
    responses((status = 200, description = "the message", body = wire::Message)),
)]
pub(super) async fn one(
    State(api): State<Api>,
    Reader(account, _): Reader,
    Segment(id): Segment,
    _: Params<wire::Plain>,
) -> Result<Json<wire::Message>, Refusal> {
    let id = message_id(&id)?;
    let place = api.service.query(|state| state.message(account, id))?;
    shown(&api, account, place).await
}

/// Change the text of one's own message; any number of times, until it is deleted.
#[utoipa::path(
    patch, path = "/v1/messages/{id}", tag = "message",
    params(("id" = schema::DecimalId, Path)),
    request_body = wire::EditMessage,
    responses((status = 200, description = "the message as it is now", body = wire::Message)),
)]
pub(super) async fn edit(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(id): Segment,
    Body(asked): Body<wire::EditMessage>,
) -> Result<Json<wire::Message>, Refusal> {
    limits::text(&asked.text)?;
    change(&api, &caller, key, Action::Edit { message: message_id(&id)?, text: asked.text }).await
}

/// Delete a message: one's own for everyone, another's for oneself alone.
///
/// It keeps its place. What is deleted is left so, and that is no error.
#[utoipa::path(
    delete, path = "/v1/messages/{id}", tag = "message", operation_id = "delete_message",
    params(("id" = schema::DecimalId, Path)),
    responses((status = 200, description = "the message as it is now", body = wire::Message)),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(id): Segment,
) -> Result<Json<wire::Message>, Refusal> {
    change(&api, &caller, key, Action::Delete { message: message_id(&id)? }).await
}

/// Has a message changed; gives it as it stands now.
async fn change(
    api: &Api,
    caller: &Caller,
    key: Key,
    action: Action,
) -> Result<Json<wire::Message>, Refusal> {
    let accepted = act(api, caller, key, action).await?;
    let (Answer::Edited { conversation, seq, .. } | Answer::Deleted { conversation, seq, .. }) =
        accepted.answer
    else {
        return Err(wrong_answer(&accepted));
    };
    let place = api.service.query(|state| state.posted(caller.account, conversation, seq));
    shown(api, caller.account, place.ok_or(Rejection::NoSuchMessage)?).await
}

async fn shown(
    api: &Api,
    reader: AccountId,
    place: Posted,
) -> Result<Json<wire::Message>, Refusal> {
    let message = messages(api, reader, &[place]).await?.pop();
    Ok(Json(message.ok_or(Rejection::NoSuchMessage)?))
}

fn message_id(text: &str) -> Result<MessageId, Rejection> {
    wire::parse_id(text).map(MessageId).ok_or(Rejection::NoSuchMessage)
}

async fn history(
    api: &Api,
    reader: AccountId,
    to: &Target,
    asked: &wire::HistoryQuery,
) -> Result<Json<wire::History>, Refusal> {
    let limit = wire::page_limit(asked.limit)?;
    let window = window(asked)?;
    let page = api.service.query(|state| state.history_with(reader, to, window, limit))?;
    let items = messages(api, reader, &page.items).await?;
    Ok(Json(wire::History {
        items,
        first: page.first,
        last: page.last,
        more_before: page.more_before,
        more_after: page.more_after,
    }))
}

/// Which piece of a history is asked for.
pub(in crate::http) fn window(asked: &wire::HistoryQuery) -> Result<Window, Refusal> {
    match (asked.before, asked.after, asked.around) {
        (None, None, None) => Ok(Window::Newest),
        (Some(seq), None, None) => Ok(Window::Before(seq)),
        (None, Some(seq), None) => Ok(Window::After(seq)),
        (None, None, Some(seq)) => Ok(Window::Around(seq)),
        _ => Err(Refusal::malformed("`before`, `after` and `around` exclude each other")),
    }
}

fn user(name: &str) -> Result<Target, Rejection> {
    limits::name(name).map(Target::User).map_err(|_invalid| Rejection::NoSuchUser)
}
