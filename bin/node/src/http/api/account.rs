//! Accounts and sessions: register, log in, log out, who is there, and leaving for good.

use axum::{Json, extract::State, http::StatusCode};
use chat::{AccountId, Action, Answer, Command, Rejection, SessionId, limits};

use super::{
    super::{
        auth::{Caller, Reader, fresh_token, hash_of},
        cookie::{Opener, Sender, SetCookie},
        error::Refusal,
        request::{Body, Freshness, Key, Params, Remote, Segment},
        schema, wire,
    },
    Api, act, wrong_answer,
};

/// Make an account, and open its first session.
///
/// The owner's one-time token goes into `invite`.
#[utoipa::path(
    post, path = "/v1/register", tag = "account", security(()),
    request_body = wire::Register,
    responses((status = 201, description = "the account and a token", body = wire::Opened)),
)]
pub(super) async fn register(
    State(api): State<Api>,
    key: Key,
    sender: Sender,
    Remote(address): Remote,
    Body(asked): Body<wire::Register>,
) -> Result<(StatusCode, SetCookie, Json<wire::Opened>), Refusal> {
    let name = limits::name(&asked.name)?;
    limits::password(&asked.password)?;
    let attempt = api.throttle.registration(address)?;
    let invite = asked.invite.as_deref().map(hash_of);
    // No password is hashed for who would be refused anyway.
    api.barrier().await?;
    if let Err(rejection) = api.service.query(|state| state.may_register(&name, invite)) {
        attempt.failed();
        return Err(rejection.into());
    }
    let password_hash = api.passwords.hash(asked.password, key.0.salt()).await?;
    let (token, token_hash) = fresh_token()?;
    let body = chat::Register { name: name.clone(), password_hash, invite, token_hash };
    let accepted = match api.submit(Command::new(key.0, chat::Body::Register(body))).await {
        Err(refusal) if refusal.status.is_client_error() => {
            attempt.failed();
            return Err(refusal);
        }
        other => other?,
    };
    drop(attempt);
    let Answer::Registered { role, expires_us, .. } = accepted.answer else {
        return Err(wrong_answer(&accepted));
    };
    let user = wire::User { name, role: role.as_str() };
    let cookie = sender.remember(&token, expires_us.saturating_sub(api.service.clock_us()));
    let expires = wire::rfc3339(expires_us);
    Ok((StatusCode::CREATED, cookie, Json(wire::Opened { user, token, expires, unread: None })))
}

/// Open a session.
///
/// Repeated under its key it gives another token for the same session.
#[utoipa::path(
    post, path = "/v1/login", tag = "account", security(()),
    request_body = wire::Login,
    responses((status = 200, description = "the account and a token", body = wire::Opened)),
)]
pub(super) async fn login(
    State(api): State<Api>,
    key: Key,
    sender: Sender,
    Remote(address): Remote,
    Body(asked): Body<wire::Login>,
) -> Result<(SetCookie, Json<wire::Opened>), Refusal> {
    let attempt = api.throttle.attempt(&asked.name, address)?;
    api.barrier().await?;
    let known = limits::name(&asked.name).ok().and_then(|name| {
        api.service.query(|state| {
            let found = state.password_hash(&name)?;
            Some((found.account, found.generation, found.phc.to_owned()))
        })
    });
    let phc = known.as_ref().map(|(_, _, phc)| phc.clone());
    let is_right = api.passwords.verify(asked.password, phc).await?;
    let Some((account, password_generation, _)) = known.filter(|_| is_right) else {
        attempt.failed();
        return Err(Rejection::BadCredentials.into());
    };
    drop(attempt);
    let (token, token_hash) = fresh_token()?;
    let body = chat::Login { account, password_generation, token_hash };
    let accepted = api.submit(Command::new(key.0, chat::Body::Login(body))).await?;
    let Answer::LoggedIn { expires_us, .. } = accepted.answer else {
        return Err(wrong_answer(&accepted));
    };
    let (user, unread) = whois(&api, account)?;
    let cookie = sender.remember(&token, expires_us.saturating_sub(api.service.clock_us()));
    let expires = wire::rfc3339(expires_us);
    Ok((cookie, Json(wire::Opened { user, token, expires, unread: Some(unread) })))
}

/// End the session of the token.
#[utoipa::path(
    post, path = "/v1/logout", tag = "account",
    responses((status = 204, description = "the session has ended")),
)]
pub(super) async fn logout(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    sender: Sender,
) -> Result<(SetCookie, StatusCode), Refusal> {
    let status = end(&api, &caller, key, caller.session).await?;
    Ok((sender.forget(), status))
}

/// Open a token for a short while, which may do what the session may and dies with it.
///
/// The page of this node may ask by its cookie, everyone else by a token.
#[utoipa::path(
    post, path = "/v1/token", tag = "account",
    responses((status = 200, description = "the token", body = wire::ShortToken)),
)]
pub(super) async fn token(
    State(api): State<Api>,
    Opener(caller): Opener,
    key: Key,
) -> Result<Json<wire::ShortToken>, Refusal> {
    let (token, token_hash) = fresh_token()?;
    let accepted = act(&api, &caller, key, Action::OpenToken { token_hash }).await?;
    let Answer::TokenOpened { expires_us, .. } = accepted.answer else {
        return Err(wrong_answer(&accepted));
    };
    let (user, _unread) = whois(&api, caller.account)?;
    Ok(Json(wire::ShortToken { user, token, expires: wire::rfc3339(expires_us) }))
}

/// The account that asks.
#[utoipa::path(
    get, path = "/v1/me", tag = "account", params(Freshness),
    responses((status = 200, description = "the account", body = wire::Me)),
)]
pub(super) async fn me(
    State(api): State<Api>,
    Reader(account, _): Reader,
    _: Params<wire::Plain>,
) -> Result<Json<wire::Me>, Refusal> {
    let (user, unread) = whois(&api, account)?;
    Ok(Json(wire::Me { name: user.name, role: user.role, unread }))
}

/// Delete the account that asks, for good; its name stays taken.
///
/// What it sent stays under no name, or is deleted with it. A retry finds the session ended: then
/// it is done.
#[utoipa::path(
    delete, path = "/v1/me", tag = "account", operation_id = "delete_account",
    request_body = wire::DeleteAccount,
    responses((status = 204, description = "the account is deleted")),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    sender: Sender,
    Body(asked): Body<wire::DeleteAccount>,
) -> Result<(SetCookie, StatusCode), Refusal> {
    let wire::DeleteAccount { password, erase_messages } = asked;
    let password_generation = verified(&api, &caller, key, password).await?;
    let action = Action::DeleteAccount { password_generation, erase_messages };
    act(&api, &caller, key, action).await?;
    Ok((sender.forget(), StatusCode::NO_CONTENT))
}

/// Change the password, and end every other session.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "account",
    request_body = wire::SetPassword,
    responses((status = 204, description = "the password is changed")),
)]
pub(super) async fn set_password(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Body(asked): Body<wire::SetPassword>,
) -> Result<StatusCode, Refusal> {
    limits::password(&asked.new_password)?;
    let password_generation = verified(&api, &caller, key, asked.password).await?;
    let password_hash = api.passwords.hash(asked.new_password, key.0.salt()).await?;
    let action = Action::SetPassword { password_generation, password_hash };
    act(&api, &caller, key, action).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions of the account that asks, oldest first, all of them.
#[utoipa::path(
    get, path = "/v1/me/sessions", tag = "account", params(Freshness),
    responses((status = 200, description = "the sessions", body = wire::Page<wire::Session>)),
)]
pub(super) async fn sessions(
    State(api): State<Api>,
    Reader(account, caller): Reader,
    _: Params<wire::Plain>,
) -> Json<wire::Page<wire::Session>> {
    let now_us = api.service.clock_us();
    let sessions = api.service.query(|state| state.sessions(account, now_us));
    let items = sessions
        .into_iter()
        .map(|session| wire::Session {
            id: session.id.to_string(),
            opened: wire::rfc3339(session.opened_us),
            expires: wire::rfc3339(session.expires_us),
            current: session.id == caller.session,
        })
        .collect();
    Json(wire::Page { items, next: None })
}

/// End a session of one's own.
#[utoipa::path(
    delete, path = "/v1/me/sessions/{id}", tag = "account",
    params(("id" = schema::DecimalId, Path, description = "the session")),
    responses((status = 204, description = "the session has ended")),
)]
pub(super) async fn end_session(
    State(api): State<Api>,
    caller: Caller,
    key: Key,
    Segment(id): Segment,
) -> Result<StatusCode, Refusal> {
    let session = wire::parse_id(&id).ok_or(Rejection::NoSuchSession)?;
    end(&api, &caller, key, SessionId(session)).await
}

/// Accounts by name, those that were deleted included.
#[utoipa::path(
    get, path = "/v1/users", tag = "account", params(Freshness, wire::Listing),
    responses((status = 200, description = "a page", body = wire::Page<wire::UserItem>)),
)]
pub(super) async fn users(
    State(api): State<Api>,
    _reader: Reader,
    Params(asked): Params<wire::Listing>,
) -> Result<Json<wire::Page<wire::UserItem>>, Refusal> {
    let limit = wire::page_limit(asked.limit)?;
    let (glob, after) = (asked.pattern(), asked.after.as_deref());
    let page = api.service.query(|state| state.accounts(glob, after, limit))?;
    let items = page.items.into_iter().map(wire::UserItem::from).collect();
    Ok(Json(wire::Page { items, next: page.next }))
}

async fn end(
    api: &Api,
    caller: &Caller,
    key: Key,
    session: SessionId,
) -> Result<StatusCode, Refusal> {
    act(api, caller, key, Action::Logout { session }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which of the account's passwords the caller has given.
async fn verified(api: &Api, caller: &Caller, key: Key, password: String) -> Result<u32, Refusal> {
    api.barrier().await?;
    let known = api.service.query(|state| {
        let name = state.name(caller.account)?;
        let known = state.password_hash(&name)?;
        Some((name, known.phc.to_owned(), known.generation))
    });
    let (name, phc, generation) = known.ok_or(Rejection::SessionEnded)?;
    let attempt = api.throttle.attempt_again(&name)?;
    let is_right = api.passwords.verify(password, Some(phc)).await?;
    // A retry of what changed the password brings the old one. It is answered, and does nothing.
    if is_right || api.service.query(|state| state.remembers(caller.account, key.0)) {
        Ok(generation)
    } else {
        attempt.failed();
        Err(Rejection::BadCredentials.into())
    }
}

fn whois(api: &Api, account: AccountId) -> Result<(wire::User, u64), Refusal> {
    let found = api.service.query(|state| Some((state.account(account)?, state.unread(account))));
    let (view, unread) = found.ok_or(Rejection::SessionEnded)?;
    Ok((wire::User { name: view.name, role: view.role.as_str() }, unread))
}
