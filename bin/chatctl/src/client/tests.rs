//! The client against nodes that die, hang, refuse and forget, played by small servers on loopback.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{accept_async, tungstenite::Message as Frame};

use super::*;
use crate::{Event, EventKind, Message};

/// What a node does with one request.
enum Reply {
    Answer(u16, String),
    Timed(u16, String, &'static str),
    Hang,
    Close,
}

/// One request as a node sees it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    key: Option<String>,
    body: String,
}

/// A node of the mock cluster: its endpoint and what it saw.
#[derive(Clone)]
struct Node {
    endpoint: Endpoint,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Node {
    async fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let node = Self { endpoint, seen: Arc::default() };
        let seen = Arc::clone(&node.seen);
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut tcp, _peer) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut tcp).await else { continue };
                let count = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len()
                };
                let (status, body, extra) = match reply(count, &request) {
                    Reply::Answer(status, body) => (status, body, String::new()),
                    Reply::Timed(status, body, time) => {
                        (status, body, format!("holdfast-time: {time}\r\n"))
                    }
                    Reply::Hang => {
                        held.push(tcp);
                        continue;
                    }
                    Reply::Close => continue,
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\n{extra}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                tcp.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        node
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(tcp: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = tcp.read(&mut chunk).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            let line = head.lines().next().unwrap().to_owned();
            return Some(Seen { line, key: header("idempotency-key"), body: body.to_owned() });
        }
    }
}

/// An address where nobody listens.
async fn dead() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}

fn client(endpoints: Vec<Endpoint>, timeout_ms: u64) -> Client {
    let timeout = Duration::from_millis(timeout_ms);
    Client::new(Options { timeout, token: Some("t".to_owned()), ..Options::new(endpoints) })
        .unwrap()
}

fn bob() -> Target {
    "@bob".parse().unwrap()
}

fn hello() -> Outgoing {
    let text = "hello".to_owned();
    Outgoing { to: bob(), text, reply_to: None, after_request: None, request_id: None }
}

fn message(id: u64) -> String {
    format!(
        r#"{{"id":"{id}","conversation":"@bob","seq":{id},"author":"alice",
            "time":"2026-01-31T12:00:00.123456Z","text":"hello","edited":false,"reply_to":null,
            "reactions":{{}}}}"#
    )
}

fn refusal(code: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"because","hint":null}}}}"#)
}

#[tokio::test]
async fn a_write_that_lost_its_answer_goes_on_under_the_same_id() {
    let dying = Node::start(|_, _| Reply::Close).await;
    let living = Node::start(|_, _| Reply::Answer(200, message(7))).await;
    let client = client(vec![dead().await, dying.endpoint.clone(), living.endpoint.clone()], 5_000);
    let sent = client.send(&hello()).await.unwrap();
    assert_eq!((sent.id, sent.text.as_deref()), (7, Some("hello")));
    let keys: Vec<_> = dying.seen().into_iter().chain(living.seen()).map(|seen| seen.key).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(sent.request_id.unwrap().to_string(), keys[0].clone().unwrap());
    assert_eq!(sent.request_id.unwrap().get_version_num(), 7);
    // The node that answered is asked first from now on.
    client.send(&hello()).await.unwrap();
    assert_eq!((dying.seen().len(), living.seen().len()), (1, 2));
    assert_ne!(living.seen()[1].key, living.seen()[0].key);
}

#[tokio::test]
async fn nobody_reached_means_nothing_was_done() {
    let client = client(vec![dead().await, dead().await], 150);
    let error = client.send(&hello()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn no_quorum_means_nothing_was_done() {
    let node = Node::start(|_, _| Reply::Answer(503, refusal("no_leader"))).await;
    let error = client(vec![node.endpoint.clone()], 150).send(&hello()).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(node.seen().len() > 1, "asked again while there was time");
    assert!(node.seen().iter().all(|seen| seen.key == node.seen()[0].key));
}

/// Research trap 48: retries end, and say so.
#[tokio::test]
async fn silence_after_sending_is_an_unknown_outcome_for_a_write_only() {
    let node = Node::start(|_, _| Reply::Hang).await;
    let client = client(vec![node.endpoint.clone(), dead().await], 200);
    let ClientError::Unknown { request_id, .. } = client.send(&hello()).await.unwrap_err() else {
        panic!("a write without an answer is unknown");
    };
    assert_eq!(node.seen()[0].key.as_deref(), Some(request_id.to_string().as_str()));
    assert_eq!(client.me().await.unwrap_err().exit_code(), 3);
}

#[tokio::test]
async fn an_unknown_outcome_stays_unknown_through_503() {
    let node = Node::start(|count, _| match count {
        1 => Reply::Answer(504, refusal("outcome_unknown")),
        _ => Reply::Answer(503, refusal("no_leader")),
    })
    .await;
    let error = client(vec![node.endpoint], 200).send(&hello()).await.unwrap_err();
    assert_eq!((error.exit_code(), error.code()), (5, "outcome_unknown"));
}

#[tokio::test]
async fn a_session_that_is_gone_says_nothing_about_the_attempt_before() {
    // Deleting an account ends its session: asked again, no node knows who asks.
    let dying = Node::start(|_, _| Reply::Close).await;
    let living = Node::start(|_, _| Reply::Answer(401, refusal("session_ended"))).await;
    let both = vec![dying.endpoint.clone(), living.endpoint.clone()];
    let error = client(both, 2_000).delete_account("secret", false).await.unwrap_err();
    assert_eq!((error.exit_code(), error.code()), (5, "outcome_unknown"));
    assert_eq!(dying.seen()[0].key, living.seen()[0].key);
    let error = client(vec![living.endpoint], 2_000).send(&hello()).await.unwrap_err();
    assert_eq!((error.exit_code(), error.code()), (1, "session_ended"));
}

#[tokio::test]
async fn a_hanging_node_is_passed_over() {
    let hanging = Node::start(|_, _| Reply::Hang).await;
    let living = Node::start(|_, _| Reply::Answer(201, message(1))).await;
    let client = client(vec![hanging.endpoint, living.endpoint], 10_000);
    let started = std::time::Instant::now();
    client.send(&hello()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_refusal_is_final_and_keeps_its_code() {
    let node = Node::start(|_, _| Reply::Answer(404, refusal("user_unknown"))).await;
    let error = client(vec![node.endpoint.clone()], 1_000).send(&hello()).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code(), node.seen().len()), ("user_unknown", 1, 1));
    assert_eq!(error.to_string(), "because");
}

#[tokio::test]
async fn an_id_ahead_is_made_anew_by_the_nodes_clock_unless_it_was_given() {
    let time = "2021-01-01T00:00:00.000000Z";
    let node = Node::start(move |count, _| match count {
        2 => Reply::Timed(201, message(1), time),
        _ => Reply::Timed(409, refusal("request_id_ahead"), time),
    })
    .await;
    let client = client(vec![node.endpoint.clone()], 2_000);
    let sent = client.send(&hello()).await.unwrap();
    let (seconds, _) = sent.request_id.unwrap().get_timestamp().unwrap().to_unix();
    assert!(seconds.abs_diff(1_609_459_200) < 10, "{seconds}");
    assert_ne!(node.seen()[0].key, node.seen()[1].key);
    let given = Outgoing { request_id: Some(Uuid::now_v7()), ..hello() };
    assert_eq!(client.send(&given).await.unwrap_err().code(), "request_id_ahead");
    assert_eq!(node.seen().len(), 3);
}

#[tokio::test]
async fn paths_and_bodies_follow_the_contract() {
    let node = Node::start(|_, _| Reply::Answer(204, String::new())).await;
    let client = client(vec![node.endpoint.clone()], 1_000);
    client.join("general").await.unwrap();
    client.mark_read(&bob(), 42).await.unwrap();
    drop(client.history(&bob(), HistoryQuery { after: Some(3), ..HistoryQuery::default() }).await);
    drop(client.users(Some("a*&b"), None, Some(5)).await);
    client.set_password("old", "new").await.unwrap();
    client.end_login(7).await.unwrap();
    drop(client.edit(4, "x").await);
    drop(client.delete(4).await);
    drop(client.state_hash(9).await);
    client.invite("general", "bob").await.unwrap();
    let lines: Vec<_> = node.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "POST /v1/channels/general/join HTTP/1.1",
            "POST /v1/direct/bob/read HTTP/1.1",
            "GET /v1/direct/bob/messages?after=3 HTTP/1.1",
            "GET /v1/users?match=a*%26b&limit=5 HTTP/1.1",
            "PUT /v1/me/password HTTP/1.1",
            "DELETE /v1/me/sessions/7 HTTP/1.1",
            "PATCH /v1/messages/4 HTTP/1.1",
            "DELETE /v1/messages/4 HTTP/1.1",
            "GET /v1/cluster/hash?index=9 HTTP/1.1",
            "POST /v1/channels/general/invites HTTP/1.1",
        ]
    );
    assert_eq!(node.seen()[1].body, r#"{"upto":42}"#);
}

/// What the mock cluster remembers: the messages in order, and the outcome of every id.
#[derive(Default)]
struct Log {
    texts: Vec<String>,
    outcomes: BTreeMap<String, usize>,
}

/// A WebSocket server over a shared log. Each connection dies after `lifetime` sends: the last ones of
/// them take effect, and their answers are lost.
async fn chat_node(log: Arc<Mutex<Log>>, lifetime: usize, refused: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let connections = AtomicUsize::new(0);
    tokio::spawn(async move {
        loop {
            let (tcp, _peer) = listener.accept().await.unwrap();
            let Ok(mut ws) = accept_async(tcp).await else { continue };
            let count = connections.fetch_add(1, SeqCst);
            let mut left = lifetime + count;
            while let Some(Ok(Frame::Text(text))) = ws.next().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                let answer = if frame["type"] == "hello" {
                    json!({"type": "ready", "cursor": "1"})
                } else {
                    left -= 1;
                    apply(&log, &frame, refused)
                };
                if left == 0 {
                    break;
                }
                // Every third answer is lost with the connection.
                if (left > 3 || lifetime > 1000)
                    && ws.send(Frame::text(answer.to_string())).await.is_err()
                {
                    break;
                }
            }
        }
    });
    endpoint
}

fn apply(log: &Mutex<Log>, frame: &Value, refused: &str) -> Value {
    let id = frame["request_id"].as_str().unwrap().to_owned();
    let text = frame["text"].as_str().unwrap().to_owned();
    let mut log = log.lock().unwrap();
    let after = frame["after_request"].as_str();
    let fail = |code: &str, retry: bool| json!({"type": "failed", "request_id": id, "retry": retry, "error": {"code": code}});
    if text == refused {
        return fail("text_refused", false);
    }
    if after.is_some_and(|after| !log.outcomes.contains_key(after)) {
        return fail("out_of_order", false);
    }
    let seq = match log.outcomes.get(&id) {
        Some(seq) => *seq,
        // Now and then nothing is done for once.
        None if log.outcomes.len() % 50 == 49 && log.texts.last() != Some(&"hiccup".to_owned()) => {
            log.texts.push("hiccup".to_owned());
            return fail("no_leader", true);
        }
        None => {
            log.texts.retain(|text| text != "hiccup");
            log.texts.push(text.clone());
            let seq = log.texts.len();
            log.outcomes.insert(id.clone(), seq);
            seq
        }
    };
    json!({"type": "sent", "request_id": id, "message":
        {"id": seq.to_string(), "conversation": "#general", "seq": seq, "author": "a", "text": text}})
}

async fn stream(endpoints: Vec<Endpoint>, lines: &[String]) -> (StreamSummary, Vec<Message>) {
    let (sender, receiver) = mpsc::channel(16);
    let given = lines.to_vec();
    tokio::spawn(async move {
        for line in given {
            if sender.send(line).await.is_err() {
                return;
            }
        }
    });
    let mut acknowledged = Vec::new();
    let client = client(endpoints, 5_000);
    client.inner.ids.learn(&jiff::Timestamp::now().to_string());
    let to = "#general".parse().unwrap();
    let summary =
        client.stream_send(&to, receiver, |message| acknowledged.push(message.clone())).await;
    (summary, acknowledged)
}

#[tokio::test]
async fn a_stream_arrives_once_and_in_order_over_lost_connections() {
    let log = Arc::new(Mutex::new(Log::default()));
    let endpoints = vec![
        dead().await,
        chat_node(Arc::clone(&log), 97, "").await,
        chat_node(Arc::clone(&log), 333, "").await,
    ];
    let lines: Vec<String> = (0..2_000).map(|number| format!("line {number}")).collect();
    let (summary, acknowledged) = stream(endpoints, &lines).await;
    assert!(summary.stopped.is_none(), "{summary:?}");
    assert_eq!(summary.acknowledged, 2_000);
    assert!(summary.reconnects > 3, "{summary:?}");
    assert_eq!(log.lock().unwrap().texts, lines);
    let texts: Vec<_> = acknowledged.into_iter().map(|message| message.text.unwrap()).collect();
    assert_eq!(texts, lines);
}

#[tokio::test]
async fn a_stream_stops_at_a_refusal() {
    let log = Arc::new(Mutex::new(Log::default()));
    let endpoint = chat_node(Arc::clone(&log), 100_000, "line 20").await;
    let lines: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
    let (summary, acknowledged) = stream(vec![endpoint], &lines).await;
    let stop = summary.stopped.unwrap();
    assert_eq!((stop.position, stop.error.code()), (21, "text_refused"));
    assert_eq!(acknowledged.len(), 20);
    assert_eq!(log.lock().unwrap().texts, lines[..20]);
}

#[tokio::test]
async fn a_stream_without_nodes_did_nothing() {
    let (sender, receiver) = mpsc::channel(1);
    sender.send("x".to_owned()).await.unwrap();
    let client = client(vec![dead().await], 200);
    let summary = client.stream_send(&bob(), receiver, |_| {}).await;
    assert_eq!(summary.stopped.unwrap().error.exit_code(), 3);
}

/// A WebSocket server that plays one script per connection and notes the greetings.
async fn event_node(scripts: Vec<Vec<Value>>, hellos: Arc<Mutex<Vec<Value>>>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        for script in scripts {
            let (tcp, _peer) = listener.accept().await.unwrap();
            let mut ws = accept_async(tcp).await.unwrap();
            let Some(Ok(Frame::Text(hello))) = ws.next().await else { continue };
            hellos.lock().unwrap().push(serde_json::from_str(&hello).unwrap());
            for frame in script {
                ws.send(Frame::text(frame.to_string())).await.unwrap();
            }
        }
    });
    endpoint
}

#[tokio::test]
async fn a_subscription_continues_where_it_was_cut() {
    let hellos = Arc::new(Mutex::new(Vec::new()));
    let ready = |cursor: u64| json!({"type": "ready", "cursor": cursor.to_string()});
    let new = |id: u64| json!({"type": "message", "cursor": id.to_string(), "message": serde_json::from_str::<Value>(&message(id)).unwrap()});
    let first = event_node(
        vec![vec![ready(5), new(6), json!({"type": "later"}), new(8)]],
        Arc::clone(&hellos),
    );
    let second = event_node(vec![vec![ready(8), new(9)]], Arc::clone(&hellos));
    let client = client(vec![first.await, second.await], 1_000);
    let mut follow = client.follow(None);
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let Event { kind, message, .. } = follow.next().await.unwrap();
        if kind == EventKind::Message {
            ids.push(message.unwrap().id);
        }
    }
    assert_eq!(ids, [6, 8, 9]);
    let hellos = hellos.lock().unwrap();
    assert_eq!((&hellos[0]["after"], &hellos[1]["after"]), (&Value::Null, &json!("8")));
    assert_eq!(hellos[0]["token"], "t");
}

#[tokio::test]
async fn a_resync_moves_no_cursor_and_nothing_comes_twice() {
    let hellos = Arc::new(Mutex::new(Vec::new()));
    let ready = |cursor: u64| json!({"type": "ready", "cursor": cursor.to_string()});
    let new = |id: u64| json!({"type": "message", "cursor": id.to_string(), "message": serde_json::from_str::<Value>(&message(id)).unwrap()});
    let resync = |cursor: u64| json!({"type": "resync", "cursor": cursor.to_string()});
    let gone =
        json!({"type": "account", "cursor": "10", "user": "eve", "deleted": true, "erased": true});
    let first = event_node(
        // Told before the messages that it stands for, and cut off in the middle of them.
        vec![vec![ready(5), resync(8), new(6)]],
        Arc::clone(&hellos),
    );
    let second = event_node(
        vec![vec![ready(6), resync(8), new(6), new(7), new(9), gone]],
        Arc::clone(&hellos),
    );
    let client = client(vec![first.await, second.await], 1_000);
    let mut follow = client.follow(Some(5));
    let mut ids = Vec::new();
    let last = loop {
        let event = follow.next().await.unwrap();
        if event.kind == EventKind::Account {
            break event;
        }
        ids.extend(event.message.map(|message| message.id));
    };
    assert_eq!(ids, [6, 7, 9]);
    assert_eq!((last.user.as_deref(), last.erased, last.cursor), (Some("eve"), true, Some(10)));
    assert_eq!(hellos.lock().unwrap()[1]["after"], "6");
}

#[tokio::test]
async fn load_tells_how_every_send_ended() {
    let log = Arc::new(Mutex::new(Log::default()));
    let endpoints = vec![
        chat_node(Arc::clone(&log), 97, "").await,
        dead().await,
        chat_node(Arc::clone(&log), 100_000, "").await,
    ];
    let load = Load {
        to: "#general".parse().unwrap(),
        clients: 2,
        in_flight: 8,
        size_bytes: 50,
        duration: Duration::from_secs(30),
    };
    let (mut open, mut acknowledged, mut unknown) = (BTreeMap::new(), Vec::new(), 0);
    let (stopping, stop) = tokio::sync::watch::channel(false);
    let client = client(endpoints, 2_000);
    client.inner.ids.learn(&jiff::Timestamp::now().to_string());
    let observer = |event: &LoadEvent| match &event.ended {
        None => assert!(open.insert(event.request_id, event.client).is_none()),
        Some((ended, _)) => {
            assert_eq!(open.remove(&event.request_id), Some(event.client));
            match ended {
                Ended::Sent { .. } => acknowledged.push(event.request_id.to_string()),
                Ended::Refused { code } => assert_eq!(code, "no_leader"),
                Ended::Unknown { .. } => unknown += 1,
            }
            stopping.send_replace(acknowledged.len() > 200 && unknown > 0);
        }
    };
    client.load(&load, stop, observer).await.unwrap();
    assert!(open.is_empty(), "every send has ended");
    assert!(acknowledged.len() > 200 && unknown > 0, "{} and {unknown}", acknowledged.len());
    let log = log.lock().unwrap();
    assert!(acknowledged.iter().all(|id| log.outcomes.contains_key(id)));
    assert!(log.texts.iter().all(|text| text.len() == 50 || text == "hiccup"));
}

#[tokio::test]
async fn load_without_nodes_says_so() {
    let load = Load {
        to: bob(),
        clients: 2,
        in_flight: 1,
        size_bytes: 1,
        duration: Duration::from_millis(50),
    };
    let (_stopping, stop) = tokio::sync::watch::channel(false);
    let error = client(vec![dead().await], 100).load(&load, stop, |_| {}).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_subscription_that_never_stood_gives_up() {
    let error = client(vec![dead().await], 100).follow(Some(0)).next().await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
}
