//! Which names this node answers to, and which pages may speak with it from a browser.
//!
//! What always holds:
//! - A request under a host name that is none of the cluster's is refused: a name that someone else
//!   points at this address (DNS rebinding) gains nothing.
//! - A page of another origin reads answers only if that origin is a node of this cluster, and never
//!   with a cookie: it carries its own token.
//! - What a browser has done here, or listens to, was asked for by a page of this cluster.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{Api, Options, Tls, error::Refusal};
use crate::config::ClientUrl;

/// What kind of page sent a request, as a browser tells.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// Where the live events are: a browser lets any page open a WebSocket.
const EVENTS_PATH: &str = "/v1/events";
/// A browser asks again whether it may, after this long.
const PREFLIGHT_MAX_AGE_S: u32 = 600;

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, holdfast-min-index, holdfast-timeout-ms",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "holdfast-index, holdfast-time, holdfast-age-ms, idempotency-key, retry-after",
);

/// The names of this node besides those that the cluster's configuration tells.
#[derive(Clone, Debug)]
pub(super) struct Names {
    names: Vec<String>,
    port: u16,
    https: bool,
}

impl Names {
    pub(super) fn new(options: &Options) -> Self {
        let https = !matches!(options.tls, Tls::Off);
        Self { names: options.names.clone(), port: options.listen.port(), https }
    }

    /// May the page of this origin read answers? `clients` are the cluster's client URLs.
    fn admits(&self, origin: &ClientUrl, clients: &[String]) -> bool {
        let port_default = if origin.https { 443 } else { 80 };
        let is_named = (origin.https || !self.https)
            && (origin.at.port == self.port || origin.at.port == port_default)
            && self.names.contains(&origin.at.host);
        is_named || urls(clients).any(|url| is_same_place(&url, origin))
    }

    /// Is this a host under which the node is meant to be reached?
    fn knows(&self, host: &str, clients: &[String]) -> bool {
        is_ip(host)
            || host == "localhost"
            || self.names.iter().any(|name| name == host)
            || urls(clients).any(|url| url.at.host == host)
    }
}

/// Around every request: its host, its origin, and the marks that let a page of the cluster read
/// the answer.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let clients = api.service.clients();
    if let Err(refusal) = check_host(&api.names, &request, &clients) {
        return refusal.into_response();
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let is_own = is_own_origin(&request);
    let is_allowed = parse(&origin).is_some_and(|origin| api.names.admits(&origin, &clients));
    // A browser lets any page send a simple POST, though not read the answer.
    let does_something = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_guarded = does_something || request.uri().path() == EVENTS_PATH;
    let mut response = if is_guarded && !is_own && !is_allowed {
        foreign().into_response()
    } else if is_preflight(&request) {
        if is_allowed { preflight() } else { foreign().into_response() }
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if is_allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    response
}

/// Does a browser say that this node's own page sent the request? What is no browser does not.
pub(super) fn is_own_page(headers: &HeaderMap, authority: Option<&str>) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        // Browsers older than the header tell the origin of every POST.
        None => is_own(headers, authority),
    }
}

/// The host and port that a request was sent to.
pub(super) fn authority<'a>(headers: &'a HeaderMap, uri: &'a axum::http::Uri) -> Option<&'a str> {
    // HTTP/2 has it in the URI, HTTP/1.1 in a header.
    uri.authority().map(Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok())
}

fn is_own_origin(request: &Request) -> bool {
    is_own(request.headers(), authority(request.headers(), request.uri()))
}

/// An origin is a scheme and an authority. The scheme is not compared: before a node that serves
/// loopback in clear may stand a proxy with TLS.
fn is_own(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| origin.split_once("://"));
    origin.zip(authority).is_some_and(|((_, origin), own)| origin.eq_ignore_ascii_case(own))
}

fn check_host(names: &Names, request: &Request, clients: &[String]) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (_, is_one) = (hosts.next(), hosts.next().is_none());
    let authority = authority(request.headers(), request.uri()).filter(|_| is_one);
    let host =
        authority.and_then(host).ok_or_else(|| Refusal::malformed("a request names one host"))?;
    if names.knows(&host, clients) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "unknown_host",
        "this node is not reached under that name",
        "use a client URL of the cluster, or put the name into `listen.names` of node.toml",
    ))
}

/// The host of an authority, without its port.
pub(super) fn host(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok().filter(is_host_and_port)?;
    let host = authority.host().to_ascii_lowercase();
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some(inside.unwrap_or(&host).to_owned())
}

/// A host, perhaps a port, and nothing before, between or behind them.
fn is_host_and_port(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    port.is_some_and(|port| {
        port.is_empty() || authority.port().is_some_and(|found| port == format!(":{found}"))
    })
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_MAX_AGE_S)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn foreign() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "a page of that origin may not speak with this node",
        "open the page at a client URL of the cluster",
    )
}

pub(super) fn parse(origin: &HeaderValue) -> Option<ClientUrl> {
    origin.to_str().ok()?.parse().ok()
}

fn urls(clients: &[String]) -> impl Iterator<Item = ClientUrl> {
    clients.iter().filter_map(|url| url.parse().ok())
}

/// Is it the same node, if only under another name of the loopback?
fn is_same_place(url: &ClientUrl, origin: &ClientUrl) -> bool {
    url.https == origin.https
        && url.at.port == origin.at.port
        && (url.at.host == origin.at.host
            || (is_loopback(&url.at.host) && is_loopback(&origin.at.host)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}
