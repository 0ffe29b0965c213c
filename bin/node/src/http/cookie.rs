//! The cookie that lets a page be loaded again without a new sign-in. It holds the session's token,
//! where no script can read it, and opens one thing alone: a token of ten minutes
//! (`POST /v1/token`), which the page keeps in memory and shows to any node.
//!
//! What always holds:
//! - Only this node's own page is given the cookie, and only its requests are believed by it: no
//!   other site can make a browser use it.
//! - No other route looks at it.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};

use super::{
    Api,
    auth::{self, Caller},
    error::Refusal,
    origin,
};

/// `__Host-`: the browser itself holds it to this host, to `/` and to TLS (or loopback).
const NAME: &str = "__Host-holdfast";

/// The page of this node that sent a request, or whatever else did.
pub(super) struct Sender {
    is_page: bool,
}

/// Whoever asks for a token of ten minutes: by a token, or this node's own page by its cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opener(pub(super) Caller);

/// What becomes of the browser's cookie.
pub(super) struct SetCookie(Option<HeaderValue>);

impl Sender {
    /// The page's browser is to remember the session, until it ends.
    pub(super) fn remember(&self, token: &str, lifetime_us: u64) -> SetCookie {
        let lifetime_s = lifetime_us / chat::limits::SECOND_US;
        self.set(&format!("{NAME}={token}; {ATTRIBUTES}; Max-Age={lifetime_s}"))
    }

    /// The session has ended.
    pub(super) fn forget(&self) -> SetCookie {
        self.set(&format!("{NAME}=; {ATTRIBUTES}; Max-Age=0"))
    }

    fn set(&self, cookie: &str) -> SetCookie {
        SetCookie(self.is_page.then(|| HeaderValue::from_str(cookie).ok()).flatten())
    }
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

impl FromRequestParts<Api> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, Infallible> {
        let authority = origin::authority(&parts.headers, &parts.uri);
        Ok(Self { is_page: origin::is_own_page(&parts.headers, authority) })
    }
}

impl FromRequestParts<Api> for Opener {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let authority = origin::authority(&parts.headers, &parts.uri);
        let is_page = origin::is_own_page(&parts.headers, authority);
        match cookie(&parts.headers).filter(|_| is_page) {
            // A token goes before the cookie: it may be another session's.
            Some(token) if !parts.headers.contains_key(header::AUTHORIZATION) => {
                Caller::counted(api, auth::hash_of(token)).await.map(Self)
            }
            Some(_) | None => Caller::from_request_parts(parts, api).await.map(Self),
        }
    }
}

impl IntoResponseParts for SetCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Some(cookie) = self.0 {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

/// The cookie's value. HTTP/2 may bring cookies in several headers.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}
