//! The addresses of the nodes, and the order in which they are tried.
//!
//! Plain HTTP is accepted for loopback only: passwords and tokens travel in requests. The node that
//! answered last is tried first.

use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use reqwest::Url;

use crate::ClientError;

/// Most endpoints of one client; more are a mistake in the configuration.
pub(crate) const ENDPOINTS_MAX: usize = 64;

/// The address of one node's API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    url: Url,
}

impl Endpoint {
    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host, without brackets.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port, given or implied by the scheme.
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// A URL of the API: `/v1/` and the segments, each escaped.
    pub(crate) fn api(&self, segments: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("v1").extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The URL that says whether the node is ready.
    pub(crate) fn readiness(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path("/readyz");
        url
    }

    /// The URL of the WebSocket.
    pub(crate) fn events(&self) -> String {
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        let url = self.api(&["events"], &[]);
        format!("{scheme}{}", url.as_str().trim_start_matches(self.url.scheme()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl FromStr for Endpoint {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = |what: &str| {
            ClientError::usage_hint(
                format!("endpoint {text:?}: {what}"),
                "write https://HOST:PORT, or http://127.0.0.1:PORT for a node on this machine",
            )
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a path is not part of an endpoint"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a name or password is not part of an endpoint"));
        }
        match url.scheme() {
            "https" => Ok(Self { url }),
            "http" if is_loopback(&url) => Ok(Self { url }),
            "http" => Err(wrong("plain http would send passwords in clear; only loopback may")),
            _ => Err(wrong("the scheme is neither https nor http")),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// All endpoints of one client, with the one that answered last.
#[derive(Debug)]
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    preferred: AtomicUsize,
}

impl Endpoints {
    pub(crate) fn new(all: Vec<Endpoint>) -> Result<Self, ClientError> {
        if all.is_empty() || all.len() > ENDPOINTS_MAX {
            return Err(ClientError::usage(format!(
                "{} endpoints: 1 to {ENDPOINTS_MAX} are allowed",
                all.len()
            )));
        }
        Ok(Self { all, preferred: AtomicUsize::new(0) })
    }

    /// This one and no other.
    pub(crate) fn one(endpoint: Endpoint) -> Self {
        Self { all: vec![endpoint], preferred: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, at: usize) -> &Endpoint {
        &self.all[at % self.all.len()]
    }

    /// Every endpoint once, the preferred one first.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.all.len();
        let first = self.preferred.load(Ordering::Relaxed);
        (0..count).map(move |step| (first + step) % count)
    }

    pub(crate) fn prefer(&self, at: usize) {
        self.preferred.store(at, Ordering::Relaxed);
    }

    /// The next one becomes the preferred one, if `at` still is.
    pub(crate) fn pass_over(&self, at: usize) {
        // Two tasks that move it at the same time move it to a node that is tried like any other.
        if self.preferred.load(Ordering::Relaxed) == at {
            self.prefer((at + 1) % self.all.len());
        }
    }

    pub(crate) fn preferred(&self) -> &Endpoint {
        self.get(self.preferred.load(Ordering::Relaxed))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn any_tls(&self) -> bool {
        self.all.iter().any(Endpoint::is_tls)
    }
}
