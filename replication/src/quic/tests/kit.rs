//! Certificates, nodes, and a peer that may say anything.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use election::{NodeId, StoreId, VoterId};
use quinn::{Connection, ConnectionError, Endpoint, SendStream};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Lane, LinkEvent,
    codec::{self, Hello, Packet},
    quic::{
        EVENTS_MAX, Event, Options, QueueBounds, TlsOptions, Transport,
        endpoint::client_config,
        error::CloseCode,
        identity::{Credentials, san_uri, server_name},
    },
};

pub(super) const CLUSTER: u128 = 0xc1;
pub(super) const QUEUES: QueueBounds =
    QueueBounds { control_bytes: 64 * 1024, log_bytes: 2 * 1024 * 1024, bulk_bytes: 64 * 1024 };

const DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn voter(node: u64) -> VoterId {
    VoterId { node: NodeId(node), store: StoreId(u128::from(node) + 100) }
}

/// Nothing in these tests takes longer, unless it does not happen.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(DEADLINE, future).await else { panic!("never happened: {what}") };
    value
}

/// A certificate authority.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What is written into a node's certificate.
pub(super) struct Names {
    pub(super) uris: Vec<String>,
    pub(super) dns: String,
    /// First and last year.
    pub(super) years: (i32, i32),
    pub(super) usages: Vec<ExtendedKeyUsagePurpose>,
}

impl Names {
    pub(super) fn of(node: u64) -> Self {
        Self {
            uris: vec![san_uri(CLUSTER, NodeId(node))],
            dns: server_name(NodeId(node)),
            years: (2020, 2120),
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(vec![self.dns.clone()]).unwrap();
        for uri in &self.uris {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        }
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.extended_key_usages = self.usages.clone();
        params
    }

    /// A certificate that nobody but its own key vouches for.
    pub(super) fn self_signed(&self) -> TlsOptions {
        let key = KeyPair::generate().unwrap();
        let pem = self.params().self_signed(&key).unwrap().pem();
        TlsOptions {
            ca_pem: pem.clone().into(),
            cert_pem: pem.into(),
            key_pem: key.serialize_pem().into(),
        }
    }
}

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(super) fn issue(&self, names: &Names) -> TlsOptions {
        let key = KeyPair::generate().unwrap();
        let certificate = names.params().signed_by(&key, &self.issuer).unwrap();
        TlsOptions {
            ca_pem: self.pem.clone().into(),
            cert_pem: certificate.pem().into(),
            key_pem: key.serialize_pem().into(),
        }
    }

    pub(super) fn node(&self, node: u64) -> TlsOptions {
        self.issue(&Names::of(node))
    }
}

/// A node: its transport and what it was told.
pub(super) struct Node {
    pub(super) transport: Transport,
    pub(super) events: mpsc::Receiver<Event>,
}

pub(super) fn options(node: u64, tls: TlsOptions) -> (Options, mpsc::Receiver<Event>) {
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let options = Options {
        me: voter(node),
        cluster: CLUSTER,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls,
        epoch: 1,
        events,
        queues: QUEUES,
    };
    (options, received)
}

impl Node {
    pub(super) fn start(node: u64, tls: TlsOptions) -> Self {
        let (options, events) = options(node, tls);
        Self { transport: Transport::start(options).unwrap(), events }
    }

    pub(super) fn address(&self) -> String {
        self.transport.local_addr().to_string()
    }

    /// Let these in, and dial those whose address is known.
    pub(super) fn meet(&self, peers: &[(u64, String)]) {
        let peers = peers.iter().map(|(node, address)| (NodeId(*node), address.clone()));
        self.transport.set_peers(peers.collect());
    }

    pub(super) async fn event(&mut self) -> Event {
        soon("an event", self.events.recv()).await.unwrap()
    }

    /// The next event about links; messages of links that have ended since are passed over.
    pub(super) async fn link(&mut self, peer: u64) -> LinkEvent {
        loop {
            match self.event().await {
                Event::Link { peer: found, event } if found == NodeId(peer) => return event,
                Event::Link { .. }
                | Event::Message { .. }
                | Event::Report { .. }
                | Event::GenesisQuestion { .. }
                | Event::Genesis { .. } => {}
            }
        }
    }

    /// Wait for a link. The first connection may give way to one dialled at the same time.
    pub(super) async fn up(&mut self, peer: u64) {
        while self.link(peer).await != LinkEvent::Up(voter(peer)) {}
    }

    pub(super) fn report(&self, to: u64, text: &str) {
        let packet = Packet::Report(Bytes::copy_from_slice(text.as_bytes()));
        self.transport.send(voter(to), Lane::Log, packet);
    }

    /// The next report, whoever sends it, with its sender.
    pub(super) async fn reported(&mut self) -> (VoterId, String) {
        loop {
            if let Event::Report { from, bytes } = self.event().await {
                return (from, String::from_utf8(bytes.to_vec()).unwrap());
            }
        }
    }
}

/// Nodes 1 and 2 of one cluster, linked; only node 1 dials, so that there is one connection.
pub(super) async fn pair(ca: &Ca) -> (Node, Node) {
    let mut one = Node::start(1, ca.node(1));
    let mut two = Node::start(2, ca.node(2));
    two.meet(&[(1, NOWHERE.to_owned()), (3, NOWHERE.to_owned())]);
    one.meet(&[(2, two.address()), (3, NOWHERE.to_owned())]);
    one.up(2).await;
    two.up(1).await;
    (one, two)
}

/// An address at which nobody answers.
pub(super) const NOWHERE: &str = "127.0.0.1:9";

/// Nodes 1 and 2 still talk to each other, over the link they had.
pub(super) async fn still_talking(one: &mut Node, two: &mut Node) {
    one.report(2, "still there?");
    assert_eq!(two.reported().await, (voter(1), "still there?".to_owned()));
    two.report(1, "still here");
    assert_eq!(one.reported().await, (voter(2), "still here".to_owned()));
}

/// Whoever has a certificate, and says what the test wants.
pub(super) struct Stranger {
    pub(super) connection: Connection,
    pub(super) control: SendStream,
    _endpoint: Endpoint,
}

impl Stranger {
    /// Connect to `node` with the certificates of a node. The handshake may fail later.
    pub(super) async fn connect(to: &Node, tls: &TlsOptions, me: u64) -> Self {
        let credentials = Credentials::load(tls, CLUSTER, NodeId(me)).unwrap();
        let config = credentials.client(to.transport.node.me.node).unwrap();
        Self::with(to, config).await.unwrap()
    }

    pub(super) async fn with(
        to: &Node,
        config: rustls::ClientConfig,
    ) -> Result<Self, ConnectionError> {
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let name = server_name(to.transport.node.me.node);
        let address = to.transport.local_addr();
        let connecting = endpoint.connect_with(client_config(config), address, &name).unwrap();
        let connection = soon("a handshake", connecting).await?;
        let control = soon("a stream", connection.open_uni()).await?;
        Ok(Self { connection, control, _endpoint: endpoint })
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) {
        soon("room", self.control.write_all(bytes)).await.unwrap();
    }

    pub(super) async fn hello(&mut self, hello: Hello) {
        self.say(&codec::encode(&Packet::Hello(hello)).unwrap()).await;
    }

    /// How the connection was ended.
    pub(super) async fn ended(self) -> ConnectionError {
        soon("the end of a connection", self.connection.closed()).await
    }

    pub(super) async fn closed_with(self, code: CloseCode) {
        let error = self.ended().await;
        let ConnectionError::ApplicationClosed(close) = &error else { panic!("{error}") };
        assert_eq!(close.error_code, code.into(), "{error}");
    }
}

/// An honest hello of `node`.
pub(super) fn hello(node: u64) -> Hello {
    Hello { version_min: 1, version_max: 1, cluster: CLUSTER, from: voter(node), epoch: 1 }
}
