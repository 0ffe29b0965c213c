//! The client API: requests by the pattern of their route, connections, WebSockets, passwords.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Level, SECONDS, bytes, count, counter, level};

/// What the client API tells.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    requests: Family<RequestLabel, Counter>,
    durations: Family<RouteLabel, Histogram, fn() -> Histogram>,
    connections: Gauge,
    /// Connections closed before they were read.
    pub(crate) connections_refused: Counter,
    subscribers: Gauge,
    /// Frames of events written to WebSockets.
    pub(crate) events: Counter,
    /// WebSockets closed because their client read too slowly.
    pub(crate) slow: Counter,
    /// Attempts to log in that were told to wait.
    pub(crate) logins_throttled: Counter,
    in_flight: Level,
    hashes_running: Level,
    hashes_waiting: Level,
}

/// What of the client API is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse {
    /// Bytes of requests being answered.
    pub(crate) in_flight_bytes: usize,
    /// Passwords being hashed.
    pub(crate) hashes_running: usize,
    /// Passwords that wait for it.
    pub(crate) hashes_waiting: usize,
}

/// Something counted among what is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabel {
    method: &'static str,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabel {
    route: String,
}

impl Clients {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let help = "Requests answered, by method, pattern of the route and status";
        registry.register("http_requests", help, requests.clone());
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Time from a request's head to its answer, by pattern of the route";
        registry.register_with_unit(
            "http_request_duration",
            help,
            Unit::Seconds,
            durations.clone(),
        );
        let connections = Gauge::default();
        registry.register("http_connections", "Client connections open", connections.clone());
        let subscribers = Gauge::default();
        registry.register("websockets", "WebSockets open", subscribers.clone());
        let help = "Client connections closed at once because too many were open";
        let connections_refused = counter(registry, "http_connections_refused", help);
        let help = "Frames of events written to WebSockets";
        let events = counter(registry, "websocket_events", help);
        let help = "WebSockets closed because their client read too slowly";
        let slow = counter(registry, "websockets_slow", help);
        let help = "Attempts to log in that were told to wait after too many that failed";
        let logins_throttled = counter(registry, "logins_throttled", help);
        let help = "Bytes of requests that are being answered, as they count against the limit";
        Self {
            requests,
            durations,
            connections,
            connections_refused,
            subscribers,
            events,
            slow,
            logins_throttled,
            in_flight: bytes(registry, "http_in_flight", help),
            hashes_running: level(registry, "password_hashes_running", "Passwords being hashed"),
            hashes_waiting: level(
                registry,
                "password_hashes_waiting",
                "Passwords that wait to be hashed",
            ),
        }
    }

    /// A request was answered. Only what names no one may be a label: `route` is a pattern, and a
    /// method that nobody knows has no name of its own.
    pub(crate) fn answered(&self, method: &str, route: &str, code: u16, span: Duration) {
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.to_owned();
        let label = RequestLabel { method, route: route.clone(), code };
        self.requests.get_or_create(&label).inc();
        self.durations.get_or_create(&RouteLabel { route }).observe(span.as_secs_f64());
    }

    /// A client connected.
    pub(crate) fn connected(&self) -> Open {
        Open::new(&self.connections)
    }

    /// A WebSocket was opened.
    pub(crate) fn subscribed(&self) -> Open {
        Open::new(&self.subscribers)
    }

    /// How much of the client API is in use now.
    pub(crate) fn uses(&self, used: InUse) {
        self.in_flight.set(count(used.in_flight_bytes));
        self.hashes_running.set(count(used.hashes_running));
        self.hashes_waiting.set(count(used.hashes_waiting));
    }
}

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
