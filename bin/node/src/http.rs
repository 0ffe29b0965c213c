//! The client API of a node: HTTP and JSON under `/v1`, live events and pipelined sends on a
//! WebSocket, and the web page that uses them.
//!
//! ```text
//! client -> listener (TLS, places) -> origin -> routes -> api::* -> Service::submit, barrier, query
//!                                                      -> events -> Service::subscribe, submit
//!                                                      -> page
//! ```
//!
//! What always holds:
//! - It knows the cluster only through `Service`: any node answers any request the same way.
//! - A write is answered after it is committed and folded here; a read is linearizable unless asked
//!   otherwise.
//! - A password or a token leaves this module only as a hash.
//! - Whatever comes from outside is bounded (`limits`) and answered with the one error object
//!   (`error`).

mod age;
mod api;
mod auth;
mod cookie;
mod error;
mod events;
pub mod limits;
mod listener;
mod openapi;
mod opening;
mod origin;
mod page;
pub mod parsers;
mod password;
mod quota;
mod request;
mod schema;
mod scrape;
mod throttle;
mod tls;
mod waiting;
mod wire;

#[cfg(test)]
mod tests;

use std::{borrow::Borrow, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

pub use auth::hash_of as token_hash;
use axum::{
    Router,
    body::HttpBody as _,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use chat::{Accepted, Command, TokenHash};
pub use error::HttpError;
use error::Refusal;
pub use listener::Listener;
pub use tls::{Reload, Tls};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
pub(crate) use waiting::serve as serve_waiting;

use crate::{config::Limits, service::Service};

const INDEX: HeaderName = HeaderName::from_static("holdfast-index");
const AGE_MS: HeaderName = HeaderName::from_static("holdfast-age-ms");
const TIME: HeaderName = HeaderName::from_static("holdfast-time");

tokio::task_local! {
    /// When the request being answered is given up, all its steps together.
    static DEADLINE: Instant;
}

/// How the client API is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// TLS, or plain HTTP on loopback.
    pub tls: Tls,
    /// Host names under which clients reach this node, besides those of the cluster's client URLs.
    pub names: Vec<String>,
    /// The hash of the token that opens the metrics.
    pub metrics_token: Option<TokenHash>,
    /// A loopback address at which the metrics need no token.
    pub metrics_listen: Option<SocketAddr>,
    /// What clients may take.
    pub limits: Limits,
    /// A write is answered within this time, if only with "outcome unknown".
    pub request_timeout: Duration,
    /// At shutdown, requests already begun have this long to end.
    pub drain_timeout: Duration,
    /// How long clients are waited for.
    pub patience: Patience,
    /// The bounds of a WebSocket.
    pub sockets: Sockets,
}

/// How long a client is waited for that owes the node its next words.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A TLS handshake.
    pub handshake: Duration,
    /// The head of a request, from the moment the connection is free for it.
    pub head: Duration,
    /// The body of a request.
    pub body: Duration,
    /// The first frame of a WebSocket.
    pub hello: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE_TIMEOUT,
            head: limits::HEAD_READ_TIMEOUT,
            body: limits::BODY_READ_TIMEOUT,
            hello: limits::HELLO_TIMEOUT,
        }
    }
}

/// The bounds of a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Sockets {
    /// One write may take this long: then the client counts as too slow.
    pub write_timeout: Duration,
    /// A ping goes to the client this often.
    pub ping_interval: Duration,
    /// A client from which nothing came for this long is gone.
    pub silence_max: Duration,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            write_timeout: limits::FRAME_WRITE_TIMEOUT,
            ping_interval: limits::PING_INTERVAL,
            silence_max: limits::SILENCE_MAX,
        }
    }
}

impl Options {
    /// The defaults, on an address of one's own.
    pub fn new(listen: SocketAddr, tls: Tls) -> Self {
        Self {
            listen,
            tls,
            names: Vec::new(),
            metrics_token: None,
            metrics_listen: None,
            limits: Limits::DEFAULT,
            request_timeout: limits::REQUEST_TIMEOUT,
            drain_timeout: limits::DRAIN_TIMEOUT,
            patience: Patience::default(),
            sockets: Sockets::default(),
        }
    }
}

/// Takes the address and reads the certificate, so that a port in use is known before anything is
/// started.
///
/// # Errors
/// The address is taken, plain HTTP was asked for outside loopback, or the certificate cannot be
/// used.
pub fn bind(options: &Options) -> Result<Listener, HttpError> {
    Listener::bind(options)
}

/// Serves clients until `shutdown` holds true and the requests begun are answered.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: Listener,
    service: Service,
    shutdown: watch::Receiver<bool>,
) -> Result<(), HttpError> {
    let drain = listener.options().drain_timeout;
    let (sockets, mut ended) = mpsc::channel(1);
    let api = Api::new(service, listener.options(), shutdown.clone(), sockets);
    let clients = api.service.metrics().clients.clone();
    let routers = (router(api.clone()), scrape::open(api));
    let result = listener.serve(routers, clients, shutdown).await;
    // The listener does not know of WebSockets: each holds a sender until it has ended.
    if timeout(drain, ended.recv()).await.is_err() {
        tracing::warn!("some WebSockets did not end in time");
    }
    result
}

/// What every handler works with.
#[derive(Clone)]
struct Api {
    service: Service,
    passwords: password::Passwords,
    room: quota::Room,
    rates: quota::Rates,
    throttle: throttle::Throttle,
    websockets: quota::Places,
    limits: Limits,
    age: age::Age,
    names: Arc<origin::Names>,
    metrics_token: Option<TokenHash>,
    request_timeout: Duration,
    patience: Patience,
    sockets: Sockets,
    pictures: events::Gallery,
    shutdown: watch::Receiver<bool>,
    /// Nothing is ever sent: it is held by whatever has to end before the node may.
    _alive: mpsc::Sender<Infallible>,
}

impl Api {
    fn new(
        service: Service,
        options: &Options,
        shutdown: watch::Receiver<bool>,
        alive: mpsc::Sender<Infallible>,
    ) -> Self {
        let pictures = events::Gallery::open(service.clone(), shutdown.clone());
        let bounds = options.limits;
        let clients = service.metrics().clients.clone();
        Self {
            service,
            passwords: password::Passwords::new(&bounds),
            room: quota::Room::new(limits::size(bounds.in_flight_bytes)),
            rates: quota::Rates::new(bounds.requests_per_s),
            throttle: throttle::Throttle::new(&bounds, clients),
            websockets: quota::Places::new(limits::size(bounds.websockets)),
            limits: bounds,
            age: age::Age::default(),
            names: Arc::new(origin::Names::new(options)),
            metrics_token: options.metrics_token,
            request_timeout: options.request_timeout,
            patience: options.patience,
            sockets: options.sockets,
            pictures,
            shutdown,
            _alive: alive,
        }
    }

    /// When what is asked now is given up: never later than its client does, so that the client
    /// learns whether anything was done.
    fn deadline(&self) -> Instant {
        DEADLINE.try_get().unwrap_or_else(|_no_request| Instant::now() + self.request_timeout)
    }

    /// Waits until the state here holds everything acknowledged anywhere before this call.
    async fn barrier(&self) -> Result<u64, Refusal> {
        let begun = Instant::now();
        let index = self.service.barrier(self.deadline()).await?;
        self.age.confirmed(begun);
        Ok(index)
    }

    /// The state here may lack what was acknowledged within the last so many milliseconds.
    fn age_ms(&self) -> u64 {
        self.age.millis().unwrap_or_else(|| {
            // Not proved since the node started, and it may have been away for long: whatever came
            // after its newest entry may be missing.
            let newest_us = self.service.query(chat::State::time_us);
            self.service.clock_us().saturating_sub(newest_us) / 1000
        })
    }

    /// Commits a command and tells what came of it: the index it was folded at, and the answer.
    async fn submit(&self, command: impl Borrow<Command>) -> Result<Accepted, Refusal> {
        let begun = Instant::now();
        let submitted = self.service.submit(command, self.deadline()).await?;
        // Whatever was acknowledged before stands below the command in the log.
        self.age.confirmed(begun);
        Ok(submitted.outcome?)
    }
}

fn router(api: Api) -> Router {
    api::routes()
        .fallback(async || {
            Refusal::not_found("there is no such path", "compare it with the API of this version")
        })
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .layer(from_fn_with_state(api.clone(), frame))
        .layer(from_fn_with_state(api.clone(), origin::guard))
        .layer(from_fn_with_state(api.clone(), measure))
        .with_state(api)
}

/// Outermost: counts the answer under the pattern of its route, never under its path.
async fn measure(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (code, span) = (response.status().as_u16(), begun.elapsed());
    api.service.metrics().clients.answered(method.as_str(), route, code, span);
    response
}

/// Around every request: a place among those in flight, the key of a write, and the marks of log
/// and clock on the answer, whatever it is.
async fn frame(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let is_stale = request::asks_stale(request.uri().query());
    let age = is_stale.then(|| (Instant::now(), api.age_ms()));
    let mut response = match begin(&api, &mut request) {
        Err(refusal) => refusal.into_response(),
        Ok(Begun { place, key, patience }) => {
            let deadline = Instant::now()
                + patience
                    .map_or(api.request_timeout, |patience| patience.min(api.request_timeout));
            let mut response = DEADLINE.scope(deadline, next.run(request)).await;
            drop(place);
            if let Some(value) = key {
                response.headers_mut().insert(request::IDEMPOTENCY_KEY, value);
            }
            response
        }
    };
    let headers = response.headers_mut();
    if let Some(age) = age {
        headers.insert(AGE_MS, HeaderValue::from(age_since(age)));
        refresh(&api);
    }
    // Taken after the answer was made: whoever sends it back never reads older state than this
    // answer showed.
    headers.entry(INDEX).or_insert_with(|| HeaderValue::from(api.service.applied_now()));
    if let Ok(time) = HeaderValue::from_str(&wire::rfc3339(api.service.clock_us())) {
        headers.insert(TIME, time);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The age of the state that a stale read looked at: that of its beginning and what has passed since,
/// for the state may have been proved current after it was looked at.
fn age_since((begun, age_ms): (Instant, u64)) -> u64 {
    age_ms.saturating_add(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Has the state proved current behind the back of a stale read, so that the age told stays near
/// the truth.
fn refresh(api: &Api) {
    if let Some(turn) = api.age.turn() {
        let api = api.clone();
        tokio::spawn(async move {
            if let Err(refusal) = api.barrier().await {
                tracing::debug!(code = refusal.code, "the state could not be proved current");
            }
            drop(turn);
        });
    }
}

/// What a request holds while it is answered, and what its head said.
struct Begun {
    place: tokio::sync::OwnedSemaphorePermit,
    key: Option<HeaderValue>,
    patience: Option<Duration>,
}

fn begin(api: &Api, request: &mut Request) -> Result<Begun, Refusal> {
    let place = api.room.take(weight(request, limits::size(api.limits.body_bytes)))?;
    let patience = request::patience(request.headers())?;
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(Begun { place, key: None, patience });
    }
    let key = request::Key::of(request.headers(), &api.service)?;
    request.extensions_mut().insert(key);
    Ok(Begun { place, key: HeaderValue::from_str(&key.0.to_string()).ok(), patience })
}

/// What a request counts for among the bytes in flight. Whether the node lives, and how it does, is
/// told however busy it is.
fn weight(request: &Request, body_bytes_max: usize) -> usize {
    if matches!(request.uri().path(), "/healthz" | "/readyz" | scrape::PATH) {
        return 0;
    }
    let size = usize::try_from(request.body().size_hint().upper().unwrap_or(u64::MAX));
    size.unwrap_or(usize::MAX).clamp(limits::REQUEST_BYTES_MIN, body_bytes_max)
}
