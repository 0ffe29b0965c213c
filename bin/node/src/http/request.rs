//! How a request is read: body, query and path with this API's own answers to what is malformed,
//! the key that makes a write happen once, and how fresh an answer has to be.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    body::{self, HttpBody as _},
    extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, request::Parts},
};
use chat::{Rejection, RequestId};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use super::{Api, error::Refusal, limits};
use crate::service::Service;

/// The key under which a write takes effect at most once.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The index that the client has seen: the answer is not older.
pub(super) const MIN_INDEX: HeaderName = HeaderName::from_static("holdfast-min-index");

/// How long the client waits for the answer, in milliseconds: the node answers before that, if only
/// with 503 or 504.
pub(super) const TIMEOUT_MS: HeaderName = HeaderName::from_static("holdfast-timeout-ms");

/// Reads how long the client waits, if it says so.
pub(super) fn patience(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get(TIMEOUT_MS) else { return Ok(None) };
    let time_ms = value.to_str().ok().and_then(|text| text.parse().ok());
    time_ms.map(|time_ms| Some(Duration::from_millis(time_ms))).ok_or_else(|| {
        Refusal::malformed("Holdfast-Timeout-Ms is a number of milliseconds in decimal")
    })
}

/// A JSON body. An unknown field, a wrong type, a byte too many: each is an answer of its own, and
/// nothing is done.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Api) -> Result<Self, Refusal> {
        let read = read(request.into_body(), limits::size(state.limits.body_bytes));
        let bytes = timeout(state.patience.body, read)
            .await
            .map_err(|_elapsed| Refusal::body_late())?
            .map_err(|_unreadable| Refusal::malformed("the body could not be read"))?
            .ok_or_else(|| Refusal::too_large(state.limits.body_bytes))?;
        parse(&bytes).map(Self)
    }
}

/// Reads a body whole; none when it is too large.
async fn read(body: body::Body, bytes_max: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let end_max = bytes_max.saturating_add(limits::OVERSIZE_READ_BYTES_MAX);
    if usize::try_from(body.size_hint().lower()).is_ok_and(|size| size > end_max) {
        return Ok(None);
    }
    let mut stream = body.into_data_stream();
    let (mut bytes, mut size) = (Vec::new(), 0_usize);
    while let Some(chunk) = stream.try_next().await? {
        size = size.saturating_add(chunk.len());
        if size > end_max {
            break;
        }
        // A client that is still writing when the connection is closed never sees why: what is not
        // far too much is read to its end, and dropped.
        if size > bytes_max {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok((size <= bytes_max).then_some(bytes))
}

/// Reads JSON from bytes of a body or of a frame.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::malformed(format!("not the JSON expected: {error}")))
}

/// The address that a request came from: a proxy's, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote(pub(super) IpAddr);

impl FromRequestParts<Api> for Remote {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, Refusal> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Self(address.map_or(unknown, |ConnectInfo(address)| address.ip())))
    }
}

/// The query of a URL.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, Refusal> {
        query(&parts.uri).map(Self)
    }
}

/// Reads the query of a URL.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let read = Query::try_from_uri(uri);
    let Query(value) = read.map_err(|rejection| Refusal::malformed(rejection.body_text()))?;
    Ok(value)
}

/// The one variable part of a path.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<Api> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Api) -> Result<Self, Refusal> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::malformed(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The key of a write: the client's, or one made here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(pub(super) RequestId);

impl Key {
    /// Reads the key of a request, or makes one by the node's clock, which is never below log time.
    pub(super) fn of(headers: &HeaderMap, service: &Service) -> Result<Self, Refusal> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
            let random = u128::from_le_bytes(super::auth::random()?);
            return Ok(Self(RequestId::new(service.clock_us() / 1000, random)));
        };
        Self::parse(value)
    }

    /// Reads a key.
    pub(super) fn parse(value: &HeaderValue) -> Result<Self, Refusal> {
        let text = value.to_str().map_err(|_source| Rejection::RequestIdMalformed)?;
        Ok(Self(RequestId::parse(text)?))
    }
}

impl FromRequestParts<Api> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Refusal::malformed("a write takes nothing in its query"));
        }
        // Every write has had its key read before it was routed.
        parts.extensions.get().copied().map_or_else(|| Self::of(&parts.headers, &api.service), Ok)
    }
}

/// How fresh the answer to a read has to be: the query's `consistency` goes before the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Everything acknowledged before the request.
    Linearizable,
    /// Everything up to an index.
    Session(u64),
    /// Whatever this node has.
    Stale,
}

/// What the query of a read says of it.
#[derive(Default, Deserialize)]
pub(super) struct Consistency {
    consistency: Option<String>,
}

impl Freshness {
    /// Reads how fresh an answer has to be.
    pub(super) fn of(query: &Consistency, headers: &HeaderMap) -> Result<Self, Refusal> {
        match query.consistency.as_deref() {
            Some("stale") => return Ok(Self::Stale),
            Some("linearizable") => return Ok(Self::Linearizable),
            None => {}
            Some(_) => {
                return Err(Refusal::malformed("consistency is `linearizable` or `stale`"));
            }
        }
        match headers.get(MIN_INDEX) {
            None => Ok(Self::Linearizable),
            Some(value) => value
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Self::Session)
                .ok_or_else(|| Refusal::malformed("Holdfast-Min-Index is a log index in decimal")),
        }
    }
}

impl IntoParams for Freshness {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let consistency = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["linearizable", "stale"]))
            .default(Some("linearizable".into()));
        let index = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(u64::MAX));
        let parameter = |name: &str, place, about: &str, schema: ObjectBuilder| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(place)
                .description(Some(about))
                .schema(Some(schema))
                .build()
        };
        vec![
            parameter(
                "consistency",
                ParameterIn::Query,
                "`stale` is answered from this node alone, without a quorum",
                consistency,
            ),
            parameter(
                "Holdfast-Min-Index",
                ParameterIn::Header,
                "a `Holdfast-Index` seen before: the answer is not older",
                index,
            ),
        ]
    }
}

impl FromRequestParts<Api> for Freshness {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let Params(query) = Params::<Consistency>::from_request_parts(parts, api).await?;
        Self::of(&query, &parts.headers)
    }
}

/// Whether a URL's query asks for a stale read.
pub(super) fn asks_stale(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "consistency=stale"))
}
