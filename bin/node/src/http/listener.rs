//! The listening socket and the connections on it. A connection holds one of a bounded number of
//! places from its first byte to its last, a WebSocket included; with none free it is closed before
//! it is read.

use std::{
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    ops::{Deref, DerefMut},
    pin::Pin,
};

use axum::Router;
use axum_server::{Handle, accept::Accept, tls_rustls::RustlsAcceptor};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
};

use super::{
    Options, Patience,
    error::HttpError,
    limits,
    opening::Prompt,
    quota,
    throttle::neighbourhood,
    tls::{Reload, Tls},
};
use crate::{
    config::Limits,
    metrics::{Clients, Open},
};

/// A bound listener: the port is this process's from here on.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// For the metrics alone.
    metrics: Option<TcpListener>,
    options: Options,
    reload: Reload,
}

impl Listener {
    pub(super) fn bind(options: &Options) -> Result<Self, HttpError> {
        let address = options.listen;
        if matches!(options.tls, Tls::Off) && !address.ip().is_loopback() {
            return Err(HttpError::PlainOutsideLoopback { address });
        }
        let reload = Reload::new(&options.tls)?;
        let listen = |address| move |source| HttpError::Listen { address, source };
        let socket = TcpListener::bind(address).map_err(listen(address))?;
        let address = socket.local_addr().map_err(listen(address))?;
        let metrics = options
            .metrics_listen
            .map(|address| TcpListener::bind(address).map_err(listen(address)))
            .transpose()?;
        Ok(Self { socket, address, metrics, options: options.clone(), reload })
    }

    /// The address that clients reach, its port chosen by the system if none was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Takes a renewed certificate up while the listener serves.
    pub fn certificate(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves clients, and the metrics where those have a listener of their own, until `shutdown`
    /// holds true, then lets requests already begun end.
    pub(super) async fn serve(
        self,
        (router, metrics_router): (Router, Router),
        clients: Clients,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), HttpError> {
        let address = self.address;
        let drain = self.options.drain_timeout;
        let patience = self.options.patience;
        let handle = Handle::new();
        let stop = handle.clone();
        let metrics = self
            .metrics
            .map(|socket| tokio::spawn(scraped(socket, metrics_router, clients.clone())));
        let stopper = tokio::spawn(async move {
            // A dropped sender is a node that is gone: stop as well.
            if shutdown.wait_for(|stop| *stop).await.is_err() {
                tracing::debug!("the node ended without saying so");
            }
            stop.graceful_shutdown(Some(drain));
        });
        let bounds = self.options.limits;
        let places = Places::new(&bounds, clients);
        let tls = self.reload.config();
        let served = async {
            let mut server = axum_server::from_tcp(self.socket)?.handle(handle);
            bound(&mut server, patience, &bounds);
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            match tls {
                None => server.acceptor(Prompt::new(places, patience.head)).serve(service).await,
                Some(config) => {
                    let acceptor = RustlsAcceptor::new(config)
                        .handshake_timeout(patience.handshake)
                        .acceptor(places);
                    server.acceptor(Prompt::new(acceptor, patience.head)).serve(service).await
                }
            }
        };
        let result = served.await.map_err(|source| HttpError::Serve { address, source });
        stopper.abort();
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        result
    }
}

fn bound(server: &mut axum_server::Server<SocketAddr>, patience: Patience, bounds: &Limits) {
    let builder = server.http_builder();
    builder
        .http1()
        .header_read_timeout(patience.head)
        .max_headers(limits::size(bounds.headers))
        .max_buf_size(limits::size(bounds.head_bytes));
    builder
        .http2()
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(patience.head)
        .keep_alive_timeout(patience.head);
}

/// Serves the metrics on loopback, to the last moment. Few ask, so few places do.
async fn scraped(socket: TcpListener, router: Router, clients: Clients) {
    let few = limits::METRICS_CONNECTIONS_MAX;
    let bounds = Limits { connections: few, connections_per_address: few, ..Limits::DEFAULT };
    let places = Places::new(&bounds, clients);
    let served = async {
        let mut server = axum_server::from_tcp(socket)?;
        bound(&mut server, Patience::default(), &bounds);
        let places = Prompt::new(places, Patience::default().head);
        server.acceptor(places).serve(router.into_make_service()).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the metrics are no longer served");
    }
}

/// The places for connections.
#[derive(Clone, Debug)]
struct Places {
    all: quota::Places,
    addresses: quota::Shares<IpAddr>,
    metrics: Clients,
}

impl Places {
    fn new(bounds: &Limits, metrics: Clients) -> Self {
        Self {
            all: quota::Places::new(limits::size(bounds.connections)),
            addresses: quota::Shares::new(limits::size(bounds.connections_per_address)),
            metrics,
        }
    }

    /// A place for a connection from this address, or the key of the limit that it exceeds.
    fn take(&self, from: IpAddr) -> Result<Place, &'static str> {
        let share = self.addresses.take(neighbourhood(from));
        Ok(Place {
            _share: share.ok_or("limits.connections_per_address")?,
            _place: self.all.take().ok_or("limits.connections")?,
            _open: self.metrics.connected(),
        })
    }
}

/// What a connection holds until it ends.
#[derive(Debug)]
struct Place {
    _share: quota::Share<IpAddr>,
    _place: OwnedSemaphorePermit,
    _open: Open,
}

impl<S> Accept<TcpStream, S> for Places {
    type Stream = Pin<Placed>;
    type Service = S;
    type Future = Ready<io::Result<(Pin<Placed>, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let placed = stream.peer_addr().and_then(|from| {
            stream.set_nodelay(true)?;
            self.take(from.ip()).map_err(|limit| {
                self.metrics.connections_refused.inc();
                tracing::warn!(limit, "too many client connections: one is closed");
                io::Error::from(io::ErrorKind::QuotaExceeded)
            })
        });
        ready(placed.map(|place| (Pin::new(Placed { stream, _place: place }), service)))
    }
}

/// A connection that holds its place. Pinned it reads and writes as the stream does.
#[derive(Debug)]
struct Placed {
    stream: TcpStream,
    _place: Place,
}

impl Deref for Placed {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl DerefMut for Placed {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}
