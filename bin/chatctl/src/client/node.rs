//! One node by itself: asked alone, or looked at from outside without a login.

use std::{
    net::{SocketAddr, TcpStream as BlockingStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{
    CONNECT_LIMIT, Client, Endpoint, Inner,
    call::{TRY_MIN, root_cause},
    endpoint::Endpoints,
    request_id::RequestIds,
};
use crate::{ClientError, types::StateHash};

/// A node that is not ready is asked so often, with a pause between.
const ASKED_MAX: usize = 3;
const ASKED_PAUSE: Duration = Duration::from_millis(300);

/// What a node looks like from outside. Each step is tried when the one before it went well; otherwise it
/// is none.
#[derive(Debug)]
pub struct Probe {
    /// The addresses of its name.
    pub addresses: Result<Vec<SocketAddr>, String>,
    /// The address that took a connection.
    pub connected: Option<Result<SocketAddr, String>>,
    /// When the first certificate of its chain expires; none for plain HTTP too.
    pub expires: Option<Result<Timestamp, String>>,
    /// What it says over HTTP.
    pub answer: Option<Result<ProbeAnswer, String>>,
}

/// What a node says to anybody.
#[derive(Clone, Copy, Debug)]
pub struct ProbeAnswer {
    /// Whether it knows a leader and has caught up.
    pub is_ready: bool,
    /// Its clock minus this machine's, as far as that can be told over a network; none when it does not
    /// tell its time.
    pub ahead: Option<SignedDuration>,
}

impl Client {
    /// A client in the same session that asks this node and no other.
    #[must_use]
    pub fn only(&self, endpoint: &Endpoint) -> Self {
        let inner = Inner {
            endpoints: Endpoints::one(endpoint.clone()),
            http: self.inner.http.clone(),
            tls: Arc::clone(&self.inner.tls),
            token: Mutex::new(self.token()),
            ids: RequestIds::new(),
            index: AtomicU64::new(self.inner.index.load(Ordering::Relaxed)),
            timeout: self.inner.timeout,
            read: self.inner.read,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The state of the node that answers, at one index; a node that is behind gets there first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn state_hash(&self, index: u64) -> Result<StateHash, ClientError> {
        self.get(vec!["cluster", "hash"], vec![("index", index.to_string())]).await
    }

    /// The endpoints, in the order in which they are tried.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoints = &self.inner.endpoints;
        endpoints.order().map(|at| endpoints.get(at).clone()).collect()
    }

    /// Looks at a node from outside, step by step.
    pub async fn probe(&self, endpoint: &Endpoint) -> Probe {
        let mut probe = Probe {
            addresses: addresses(endpoint).await,
            connected: None,
            expires: None,
            answer: None,
        };
        let Ok(addresses) = &probe.addresses else { return probe };
        let connected = connect(addresses).await;
        let address = connected.as_ref().ok().copied();
        probe.connected = Some(connected);
        let Some(address) = address else { return probe };
        if endpoint.is_tls() {
            let expires = expires(&self.inner.tls, endpoint.host().to_owned(), address).await;
            let failed = expires.is_err();
            probe.expires = Some(expires);
            if failed {
                return probe;
            }
        }
        let mut answer = self.ask(endpoint).await;
        for _ in 1..ASKED_MAX {
            if answer.as_ref().is_ok_and(|answer| !answer.is_ready) {
                // It may be applying what has just been committed, or hold an election.
                sleep(ASKED_PAUSE).await;
                answer = self.ask(endpoint).await;
            }
        }
        probe.answer = Some(answer);
        probe
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<ProbeAnswer, String> {
        let before = Timestamp::now();
        let request = self.inner.http.get(endpoint.readiness()).timeout(TRY_MIN);
        let response = request.send().await.map_err(|error| root_cause(&error))?;
        let took = before.until(Timestamp::now()).unwrap_or_default();
        let middle = SignedDuration::try_from(took).unwrap_or_default() / 2;
        let there = response
            .headers()
            .get("holdfast-time")
            .and_then(|time| time.to_str().ok()?.parse::<Timestamp>().ok());
        let ahead = there.map(|there| there.duration_since(before) - middle);
        Ok(ProbeAnswer { is_ready: response.status().is_success(), ahead })
    }
}

async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(TRY_MIN, lookup_host((endpoint.host(), endpoint.port()))).await;
    let found: Vec<_> = found
        .map_err(|_elapsed| "no answer from the name server".to_owned())?
        .map_err(|error| error.to_string())?
        .collect();
    if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut reason = String::new();
    for address in addresses {
        match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(_open)) => return Ok(*address),
            Ok(Err(error)) => reason = error.to_string(),
            Err(_elapsed) => reason = format!("no answer within {CONNECT_LIMIT:?}"),
        }
    }
    Err(reason)
}

/// Shakes hands, with every check that a request makes, and looks at the certificates.
async fn expires(
    tls: &Arc<ClientConfig>,
    host: String,
    address: SocketAddr,
) -> Result<Timestamp, String> {
    let tls = Arc::clone(tls);
    let shaken = tokio::task::spawn_blocking(move || handshake(tls, host, address));
    match timeout(2 * TRY_MIN, shaken).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("no answer to the TLS handshake".to_owned()),
    }
}

fn handshake(
    tls: Arc<ClientConfig>,
    host: String,
    address: SocketAddr,
) -> Result<Timestamp, String> {
    let text = |error: std::io::Error| error.to_string();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let mut connection = ClientConnection::new(tls, name).map_err(|error| error.to_string())?;
    let mut tcp = BlockingStream::connect_timeout(&address, CONNECT_LIMIT).map_err(text)?;
    tcp.set_read_timeout(Some(Duration::from_secs(1))).map_err(text)?;
    tcp.set_write_timeout(Some(Duration::from_secs(1))).map_err(text)?;
    connection.complete_io(&mut tcp).map_err(text)?;
    let chain = connection.peer_certificates().unwrap_or_default();
    let ends = chain.iter().map(|certificate| {
        let (_rest, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|error| error.to_string())
    });
    let ends: Vec<Timestamp> = ends.collect::<Result<_, _>>()?;
    ends.into_iter().min().ok_or_else(|| "the node shows no certificate".to_owned())
}
