//! Who is asking: bearer tokens. A token is 256 random bits; only its SHA-256 is ever kept or
//! compared.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chat::{AccountId, Rejection, SessionId, TokenHash};
use sha2::{Digest as _, Sha256};

use super::{Api, error::Refusal, request::Freshness};

const TOKEN_BYTES: usize = 32;

/// Bytes from the system's generator.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Refusal::unavailable("unavailable", "this node has no random bytes now")
    })?;
    Ok(bytes)
}

/// A fresh token, and the hash that the log may know.
pub(super) fn fresh_token() -> Result<(String, TokenHash), Refusal> {
    let token = URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?);
    let hash = hash_of(&token);
    Ok((token, hash))
}

/// The hash of a token as a client shows it. A text that is no token has a hash that nothing
/// answers to.
pub fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The bearer token of a request, if it names one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<TokenHash>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Refusal::unauthenticated("the Authorization header is not `Bearer TOKEN`")
        })?;
    Ok(Some(hash_of(token)))
}

/// Who asks, known by a token whose session has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) session: SessionId,
}

impl Caller {
    /// Looks a token up here; if it is unknown, once more when this node has caught up.
    pub(super) async fn find(api: &Api, token: TokenHash) -> Result<Self, Refusal> {
        if let Some(caller) = Self::known(api, token) {
            return Ok(caller);
        }
        api.barrier().await?;
        Self::known(api, token).ok_or_else(session_ended)
    }

    /// The same for a request, which counts against the account's rate.
    pub(super) async fn counted(api: &Api, token: TokenHash) -> Result<Self, Refusal> {
        let caller = Self::find(api, token).await?;
        api.rates.count(caller.account.0)?;
        Ok(caller)
    }

    fn known(api: &Api, token: TokenHash) -> Option<Self> {
        let now_us = api.service.clock_us();
        let (account, session, _) = api.service.query(|state| state.session(&token, now_us))?;
        Some(Self { account, session })
    }
}

pub(super) fn session_ended() -> Refusal {
    Rejection::SessionEnded.into()
}

/// Someone who wants something done, or looks at this node alone. The fold judges the session
/// again.
impl FromRequestParts<Api> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers)?.ok_or_else(no_token)?;
        Self::counted(api, token).await
    }
}

/// Someone who reads: the state is as fresh as was asked, and so is what is known of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader(pub(super) AccountId, pub(super) Caller);

impl FromRequestParts<Api> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers)?.ok_or_else(no_token)?;
        match Freshness::from_request_parts(parts, api).await? {
            Freshness::Linearizable => {
                api.barrier().await?;
            }
            Freshness::Session(index) => {
                // Nobody without a session has the node wait for an index of their choice.
                Caller::find(api, token).await?;
                api.service.applied(index, api.deadline()).await?;
            }
            Freshness::Stale => {}
        }
        let caller = Caller::find(api, token).await?;
        api.rates.count(caller.account.0)?;
        Ok(Self(caller.account, caller))
    }
}

fn no_token() -> Refusal {
    Refusal::unauthenticated("this needs a token")
}
