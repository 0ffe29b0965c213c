//! A node for the tests: the real listener, the real fold, and a log that commits at once.

use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use chat::{Accepted, Action, Body, Command, RequestId, Target};
use futures_util::{SinkExt, StreamExt, stream::FuturesOrdered};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use super::super::{HttpError, Listener, Options, Tls, bind, serve};
use crate::service::Service;

/// What the owner registers with.
pub(super) const OWNER_TOKEN: &str = "owner-token";
/// Everyone's password.
pub(super) const PASSWORD: &str = "correct horse";

/// A running node.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) client: reqwest::Client,
    pub(super) service: Service,
    shutdown: watch::Sender<bool>,
    served: JoinHandle<Result<(), HttpError>>,
    pub(super) held: super::service::Held,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

/// The client's end of a WebSocket.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Options for a port of the system's choice.
pub(super) fn options() -> Options {
    let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), Tls::Off);
    options.request_timeout = Duration::from_secs(5);
    options
}

/// A client that trusts these authorities.
pub(super) fn client(roots: rustls::RootCertStore) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

impl Node {
    pub(super) fn start() -> Self {
        Self::with(&options())
    }

    pub(super) fn with(options: &Options) -> Self {
        Self::on(bind(options).unwrap())
    }

    pub(super) fn on(listener: Listener) -> Self {
        let address = listener.address();
        let (shutdown, stop) = watch::channel(false);
        let (service, held) = super::service::start();
        let served = tokio::spawn(serve(listener, service.clone(), stop));
        Self {
            service,
            address,
            client: client(rustls::RootCertStore::empty()),
            shutdown,
            served,
            held,
        }
    }

    /// One request with a JSON body.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.request(method, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, Some(token), None).await
    }

    pub(super) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(token), Some(body)).await
    }

    /// Registers an account; gives its token.
    pub(super) async fn register(&self, name: &str) -> String {
        let body = json!({"name": name, "password": PASSWORD});
        let answer = self.call(Method::POST, "/v1/register", None, Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["token"].as_str().unwrap().to_owned()
    }

    /// Sends a message; gives its id.
    pub(super) async fn send(&self, token: &str, to: &str, text: &str) -> String {
        let answer = self.post("/v1/messages", token, json!({"to": to, "text": text})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    /// Has the cluster do something in the session of this token, past HTTP and JSON.
    pub(super) async fn act(&self, token: &str, action: Action) -> Accepted {
        let command = Command::new(key(), self.body(token, action));
        self.service.submit(command, soon()).await.unwrap().outcome.unwrap()
    }

    /// Puts many texts into the log, in order, past HTTP and JSON.
    pub(super) async fn pour(&self, token: &str, to: &str, texts: impl Iterator<Item = String>) {
        let to = Target::parse(to).unwrap();
        let mut sends = FuturesOrdered::new();
        for text in texts {
            let send = Action::Send { to: to.clone(), text, reply_to: None, after_request: None };
            let command = Command::new(key(), self.body(token, send));
            sends.push_back(self.service.submit(command, soon()));
            if sends.len() == 1_000 {
                sends.next().await.unwrap().unwrap().outcome.unwrap();
            }
        }
        while let Some(sent) = sends.next().await {
            sent.unwrap().outcome.unwrap();
        }
    }

    fn body(&self, token: &str, action: Action) -> Body {
        let token = crate::genesis::token_hash(token);
        let session = self.service.query(|state| state.session(&token, state.time_us()));
        let (account, session, _) = session.unwrap();
        Body::Act { account, session, action }
    }

    /// A WebSocket that has not said anything.
    pub(super) async fn connect(&self) -> Socket {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/v1/events", self.address);
        client_async(url, stream).await.unwrap().0
    }

    /// A WebSocket that is ready.
    pub(super) async fn follow(&self, token: &str, after: Option<&str>) -> (Socket, Value) {
        let mut socket = self.connect().await;
        say(&mut socket, &hello(token, after)).await;
        let ready = hear(&mut socket).await;
        assert_eq!(ready["type"], "ready", "{ready}");
        (socket, ready)
    }

    /// Stops the node; everything begun has ended when this returns.
    pub(super) async fn stop(self) {
        self.shutdown.send_replace(true);
        self.served.await.unwrap().unwrap();
    }

    /// Tells the node to stop.
    pub(super) fn begin_stop(&self) {
        self.shutdown.send_replace(true);
    }
}

impl Answer {
    pub(super) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { status, headers, json }
    }

    /// The code of the error object; every error has a message and a hint as well.
    pub(super) fn code(&self) -> &str {
        let error = &self.json["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert!(error["hint"].is_string(), "{self:?}");
        error["code"].as_str().unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

fn key() -> RequestId {
    RequestId::parse(&super::fresh_key()).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The first frame of a subscription.
pub(super) fn hello(token: &str, after: Option<&str>) -> Value {
    let mut hello = json!({"type": "hello", "token": token});
    if let Some(after) = after {
        hello["after"] = after.into();
    }
    hello
}

/// Two accounts.
pub(super) async fn two(node: &Node) -> (String, String) {
    (node.register("ann").await, node.register("bob").await)
}

pub(super) async fn say(socket: &mut Socket, frame: &Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

/// The next frame that is not a ping.
pub(super) async fn hear(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                panic!("expected a frame of text: {other:?}")
            }
        }
    }
}

/// The frames until the close frame, and that one.
pub(super) async fn hear_end(socket: &mut Socket) -> (Vec<Value>, CloseFrame) {
    let mut frames = Vec::new();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => frames.push(serde_json::from_str(&text).unwrap()),
            Message::Close(close) => return (frames, close.unwrap()),
            Message::Ping(_) | Message::Pong(_) => {}
            other @ (Message::Binary(_) | Message::Frame(_)) => {
                panic!("expected text or the end: {other:?}")
            }
        }
    }
}

/// The texts of so many messages.
pub(super) async fn texts(socket: &mut Socket, count: usize) -> Vec<Value> {
    texts_and_others(socket, count).await.0
}

/// The texts of so many messages, and the frames among them.
pub(super) async fn texts_and_others(
    socket: &mut Socket,
    count: usize,
) -> (Vec<Value>, Vec<Value>) {
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    let mut last = 0;
    while texts.len() < count {
        let frame = hear(socket).await;
        let cursor = cursor_of(&frame);
        assert!(cursor > last || frame["type"] == "resync" && cursor == last, "{frame}");
        last = cursor;
        if frame["type"] == "message" {
            assert_eq!(frame["cursor"], frame["message"]["id"]);
            texts.push(frame["message"]["text"].clone());
        } else {
            others.push(frame);
        }
    }
    (texts, others)
}

pub(super) fn cursor_of(frame: &Value) -> u64 {
    frame["cursor"].as_str().unwrap().parse().unwrap()
}

/// Numbers, as texts.
pub(super) fn numbers(range: Range<usize>) -> Vec<Value> {
    range.map(|n| n.to_string().into()).collect()
}
