//! Every bound of `[limits]`: what reaches it is taken, the next is refused in the way that
//! `node.example.toml` says. (Rates and places have tests beside them, a body's bound in `bounds`.)

use std::{io, time::Duration};

use futures_util::SinkExt;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message},
};

use super::{
    super::{Options, limits},
    kit::{Answer, Node, PASSWORD, hear, hear_end, options},
};
use crate::config::Limits;

fn limited(limits: Limits) -> Node {
    Node::with(&Options { limits, ..options() })
}

/// A request with this head and no body: the status of its answer, or none when it is cut off.
async fn status_of(node: &Node, head: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    std::str::from_utf8(&answer).unwrap().strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// JSON with space behind it.
fn padded(json: &str, bytes: usize) -> String {
    format!("{json}{}", " ".repeat(bytes - json.len()))
}

/// Waits until the node answers, for what was dropped to be free again.
async fn answers(node: &Node) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.client.get(format!("http://{}/healthz", node.address)).send().await.is_err() {
        assert!(Instant::now() < deadline, "no place became free");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]).await {
        Ok(count) => count == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn connections_are_taken_up_to_the_bound_and_the_next_is_closed() {
    for bounds in [
        Limits { connections: 2, ..Limits::DEFAULT },
        Limits { connections_per_address: 2, ..Limits::DEFAULT },
    ] {
        let node = limited(bounds);
        let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(node.address).await.unwrap();
            stream.write_all(health.as_bytes()).await.unwrap();
            stream.read_exact(&mut [0; 15]).await.unwrap();
            held.push(stream);
        }
        let mut next = TcpStream::connect(node.address).await.unwrap();
        assert!(is_closed(&mut next).await);
        drop(held);
        answers(&node).await;
    }
}

#[tokio::test]
async fn headers_are_read_up_to_the_bound_and_431_is_the_answer_to_more() {
    let node = limited(Limits { headers: 20, ..Limits::DEFAULT });
    let head = |count: usize| {
        let more: String = (1..count).map(|n| format!("X-{n}: a\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
    };
    assert_eq!(status_of(&node, &head(20)).await, Some(200));
    assert_eq!(status_of(&node, &head(21)).await, Some(431));
}

#[tokio::test]
async fn a_head_is_read_up_to_the_bound_and_431_is_the_answer_to_more() {
    let node = limited(Limits { head_bytes: 8_192, ..Limits::DEFAULT });
    let head = |bytes: usize| {
        let start = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ";
        let padding = "a".repeat(bytes - start.len() - 4);
        format!("{start}{padding}\r\n\r\n")
    };
    assert_eq!(status_of(&node, &head(8_192)).await, Some(200));
    assert_eq!(status_of(&node, &head(8_193)).await, Some(431));
}

#[tokio::test]
async fn a_body_is_read_up_to_the_bound_of_the_file() {
    let node = limited(Limits { body_bytes: 110_000, ..Limits::DEFAULT });
    let ann = node.register("ann").await;
    let send = async |bytes: usize| {
        let body = padded(r#"{"to":"@bob","text":"a"}"#, bytes);
        let request = node.request(Method::POST, "/v1/messages").bearer_auth(&ann);
        Answer::of(request.body(body)).await
    };
    assert_eq!(send(110_000).await.code(), "no_such_user");
    let refused = send(110_001).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    assert!(refused.json["error"]["message"].as_str().unwrap().contains("110000"));
}

#[tokio::test]
async fn websockets_are_opened_up_to_the_bound_and_the_next_is_told_busy() {
    let node = limited(Limits { websockets: 2, ..Limits::DEFAULT });
    let held = (node.connect().await, node.connect().await);
    let open = async || {
        let stream = TcpStream::connect(node.address).await.unwrap();
        client_async(format!("ws://{}/v1/events", node.address), stream).await
    };
    let Err(Error::Http(refused)) = open().await else { panic!("a third was opened") };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers().get("retry-after").unwrap(), "1");
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(10);
    while open().await.is_err() {
        assert!(Instant::now() < deadline, "no place became free");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_frame_is_read_up_to_the_bound_of_the_file() {
    let node = limited(Limits { frame_bytes: 110_000, ..Limits::DEFAULT });
    let ann = node.register("ann").await;
    let (mut socket, _) = node.follow(&ann, None).await;
    let frame = |bytes: usize| {
        let key = super::fresh_key();
        let send = format!(r#"{{"type":"send","request_id":"{key}","to":"@bob","text":"a"}}"#);
        Message::text(padded(&send, bytes))
    };
    socket.send(frame(110_000)).await.unwrap();
    let answer = hear(&mut socket).await;
    assert_eq!(answer["error"]["code"], "no_such_user", "{answer}");
    // The node may close before it has read the whole frame.
    if socket.send(frame(110_001)).await.is_ok() {
        let (frames, close) = hear_end(&mut socket).await;
        assert_eq!(frames[0]["error"]["code"], "malformed");
        assert!(frames[0]["error"]["message"].as_str().unwrap().contains("110000"));
        assert_eq!(u16::from(close.code), 1008);
    }
}

#[tokio::test]
async fn log_ins_fail_up_to_the_bound_and_the_next_waits_whether_the_name_exists_or_not() {
    let node = limited(Limits { failed_logins_per_name: 2, ..Limits::DEFAULT });
    node.register("ann").await;
    let login = async |name: &str, password: &str| {
        let body = json!({"name": name, "password": password});
        node.call(Method::POST, "/v1/login", None, Some(body)).await
    };
    let mut answers = Vec::new();
    for name in ["ann", "nobody"] {
        // What succeeds costs nothing.
        if name == "ann" {
            for _ in 0..3 {
                assert_eq!(login(name, PASSWORD).await.status, StatusCode::OK);
            }
        }
        for _ in 0..2 {
            let wrong = login(name, "wrong horse").await;
            assert_eq!((wrong.status, wrong.code()), (StatusCode::UNAUTHORIZED, "bad_credentials"));
        }
        let refused = login(name, PASSWORD).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_fast"));
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
        answers.push(refused.json);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn log_ins_fail_up_to_the_bound_from_one_address_under_any_names() {
    let node = limited(Limits { failed_logins_per_address: 2, ..Limits::DEFAULT });
    let login = async |name: &str| {
        let body = json!({"name": name, "password": "wrong horse"});
        node.call(Method::POST, "/v1/login", None, Some(body)).await.status
    };
    assert_eq!(login("ann").await, StatusCode::UNAUTHORIZED);
    assert_eq!(login("bob").await, StatusCode::UNAUTHORIZED);
    assert_eq!(login("carl").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_password_is_guessed_no_faster_by_whoever_has_a_token() {
    let node = limited(Limits { failed_logins_per_name: 2, ..Limits::DEFAULT });
    let ann = node.register("ann").await;
    let guess = async |password: &str| {
        let body = json!({"password": password, "new_password": "correct horse battery"});
        node.call(Method::PUT, "/v1/me/password", Some(&ann), Some(body)).await.status
    };
    assert_eq!(guess("wrong horse").await, StatusCode::UNAUTHORIZED);
    assert_eq!(guess("wrong horse").await, StatusCode::UNAUTHORIZED);
    assert_eq!(guess(PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn a_websocket_holds_more_than_it_gathers_for_one_write() {
    let least = crate::config::every_bounded()
        .find(|bounded| bounded.key == "limits.websocket_buffer_bytes")
        .unwrap()
        .min;
    let frame = limits::size(Limits::DEFAULT.frame_bytes);
    assert!(limits::size(least) > limits::WRITE_BUFFER_BYTES + frame);
}
