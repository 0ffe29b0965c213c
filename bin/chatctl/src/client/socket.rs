//! One WebSocket to one node: connected, greeted, and bounded in frame size and time.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::StatusCode;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{Error as WsError, Message as Frame, protocol::WebSocketConfig},
};

use super::{Client, call};
use crate::{
    ClientError,
    types::{Event, EventKind},
};

/// Bytes of the largest frame: one message of 16 KiB, escaped, with its reactions, fits well.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// How long connecting, TLS, upgrade and greeting may take together.
pub(super) const OPEN_LIMIT: Duration = Duration::from_millis(1_500);

/// Why a connection did not come up, or ended.
#[derive(Debug)]
pub(super) enum Broken {
    /// The node refuses this client; another one would as well.
    Refused(ClientError),
    /// The node or the way to it is gone; another one may answer.
    Down(String),
}

/// An open, greeted connection.
#[derive(Debug)]
pub(super) struct Socket {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Which endpoint it leads to.
    pub(super) at: usize,
    /// The first frame of the node.
    pub(super) ready: Event,
}

impl Socket {
    /// Connects to one endpoint and greets it; `after` is where the events are to start.
    pub(super) async fn open(
        client: &Client,
        at: usize,
        after: Option<u64>,
    ) -> Result<Self, Broken> {
        match timeout(OPEN_LIMIT, Self::open_unbounded(client, at, after)).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(Broken::Down(format!("no answer within {OPEN_LIMIT:?}"))),
        }
    }

    async fn open_unbounded(
        client: &Client,
        at: usize,
        after: Option<u64>,
    ) -> Result<Self, Broken> {
        let endpoint = client.inner.endpoints.get(at);
        let tcp = connect(endpoint.host(), endpoint.port()).await?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let connector = if endpoint.is_tls() {
            Connector::Rustls(std::sync::Arc::clone(&client.inner.tls))
        } else {
            Connector::Plain
        };
        let upgrade =
            client_async_tls_with_config(endpoint.events(), tcp, Some(config), Some(connector));
        let (ws, response) = upgrade.await.map_err(|error| broken(&error))?;
        client.learn(response.headers());
        let ready = Event {
            kind: EventKind::Ready,
            cursor: None,
            message: None,
            user: None,
            erased: false,
            request_id: None,
            error: None,
            retry: false,
        };
        let mut socket = Self { ws, at, ready };
        let mut hello = serde_json::json!({"type": "hello", "token": client.token()});
        if let Some(after) = after {
            hello["after"] = after.to_string().into();
        }
        socket.feed(hello.to_string()).await?;
        socket.flush().await?;
        loop {
            let event = socket.next().await?;
            if event.kind == EventKind::Ready {
                socket.ready = event;
                return Ok(socket);
            }
        }
    }

    /// Queues one frame; [`Self::flush`] sends it.
    pub(super) async fn feed(&mut self, text: String) -> Result<(), Broken> {
        self.ws.feed(Frame::text(text)).await.map_err(|error| broken(&error))
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        self.ws.flush().await.map_err(|error| broken(&error))
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), Broken> {
        let ping = Frame::Ping(Vec::new().into());
        self.ws.send(ping).await.map_err(|error| broken(&error))
    }

    /// The next event; an `error` frame or a close is an error. Nothing is lost when it is dropped.
    pub(super) async fn next(&mut self) -> Result<Event, Broken> {
        loop {
            if let Some(event) = self.next_or_sign().await? {
                return Ok(event);
            }
        }
    }

    /// The next event, or none for a frame that only shows that the node lives.
    pub(super) async fn next_or_sign(&mut self) -> Result<Option<Event>, Broken> {
        let frame = match self.ws.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(Broken::Down("the connection ended".to_owned())),
        };
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Close(reason) => return Err(closed(reason)),
            Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {
                return Ok(None);
            }
        };
        let event: Event = serde_json::from_str(&text)
            .map_err(|error| Broken::Down(format!("a frame is not understood: {error}")))?;
        match (event.kind, event.error) {
            (EventKind::Error, Some(failure)) if !event.retry => {
                Err(Broken::Refused(failure.refusal(0)))
            }
            (EventKind::Error, failure) => Err(Broken::Down(failure.unwrap_or_default().message)),
            (_, error) => Ok(Some(Event { error, ..event })),
        }
    }
}

/// TCP to the first address that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Broken> {
    let down = |error: std::io::Error| Broken::Down(error.to_string());
    let mut last = Broken::Down("the name has no address".to_owned());
    for address in lookup_host((host, port)).await.map_err(down)? {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(down)?;
                return Ok(tcp);
            }
            Err(error) => last = down(error),
        }
    }
    Err(last)
}

fn broken(error: &WsError) -> Broken {
    if let WsError::Http(response) = error {
        let status = response.status();
        let body = response.body().as_deref().unwrap_or_default();
        let failure = call::failure(status, body);
        let decided = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        return if decided {
            Broken::Refused(failure.refusal(status.as_u16()))
        } else {
            Broken::Down(failure.message)
        };
    }
    Broken::Down(error.to_string())
}

/// Close codes 1008 (policy violation) and 4401 (no session) are refusals; every other close sends the client elsewhere.
fn closed(reason: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Broken {
    match reason {
        Some(reason) if matches!(u16::from(reason.code), 1008 | 4401) => {
            Broken::Refused(ClientError::Refused {
                status: 0,
                code: "unauthenticated".to_owned(),
                message: reason.reason.to_string(),
                hint: Some("log in again".to_owned()),
            })
        }
        Some(reason) => Broken::Down(format!("the node closed the connection: {}", reason.reason)),
        None => Broken::Down("the node closed the connection".to_owned()),
    }
}
