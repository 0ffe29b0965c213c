//! Who does not read, and who is silent: cut off in bounded time and memory, to the harm of nobody
//! else, and with everything there when they come back.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::TcpSocket,
    time::{Instant, interval, timeout},
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::{
    super::{Options, Patience, Sockets},
    kit::{Node, Socket, hear, hear_end, hello, options, say, texts, two},
};

const SOON: Duration = Duration::from_secs(30);

fn impatient(sockets: Sockets) -> Options {
    Options { sockets, ..options() }
}

/// A subscription of a client whose system takes in next to nothing unread.
async fn follow_narrowly(node: &Node, token: &str) -> Socket {
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = tcp.connect(node.address).await.unwrap();
    let url = format!("ws://{}/v1/events", node.address);
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    say(&mut socket, &hello(token, None)).await;
    assert_eq!(hear(&mut socket).await["type"], "ready");
    socket
}

/// A text of a message's greatest size, and its number.
fn long(n: usize) -> String {
    format!("{n:x<width$}", n = format!("{n} "), width = chat::limits::TEXT_BYTES_MAX)
}

fn number(text: &Value) -> usize {
    text.as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_misses_nothing() {
    let write_timeout = Duration::from_secs(1);
    let node = Node::with(&impatient(Sockets { write_timeout, ..Sockets::default() }));
    let (ann, bob) = two(&node).await;
    let (mut reading, start) = node.follow(&bob, None).await;
    let mut idle = follow_narrowly(&node, &bob).await;
    // More than the system holds for the socket, fewer than the events that are kept.
    let count = 500;
    let pour = node.pour(&ann, "@bob", (0..count).map(long));
    let (seen, ()) = tokio::join!(texts(&mut reading, count), pour);
    assert!(seen.iter().map(number).eq(0..count), "the others hear everything at once");

    // The node ends it, though it takes nothing in: sooner or later a write of its own fails.
    let deadline = Instant::now() + SOON;
    let mut pause = interval(Duration::from_millis(10));
    while idle.send(Message::Ping(Vec::new().into())).await.is_ok() {
        assert!(Instant::now() < deadline, "it is never cut off");
        pause.tick().await;
    }
    let mut cursor = start["cursor"].clone();
    let mut heard = Vec::new();
    while let Some(Ok(frame)) = idle.next().await {
        let Message::Text(frame) = frame else { continue };
        let frame: Value = serde_json::from_str(&frame).unwrap();
        if frame["type"] == "message" {
            heard.push(number(&frame["message"]["text"]));
            cursor = frame["cursor"].clone();
        }
    }
    assert!(heard.len() < count, "it was cut off before the end");
    let (mut again, _) = node.follow(&bob, cursor.as_str()).await;
    let rest = texts(&mut again, count - heard.len()).await;
    heard.extend(rest.iter().map(number));
    assert!(heard.into_iter().eq(0..count), "everything, once, in order");
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_gone_and_who_does_stays() {
    let sockets = Sockets {
        ping_interval: Duration::from_millis(50),
        silence_max: Duration::from_secs(1),
        ..Sockets::default()
    };
    let node = Node::with(&impatient(sockets));
    let (ann, bob) = two(&node).await;
    let (mut alive, _) = node.follow(&bob, None).await;
    let (dead, _) = node.follow(&bob, None).await;
    // Reads, but answers no ping.
    let mut dead = dead.into_inner();
    let mut taken = Vec::new();
    let ends = timeout(SOON, dead.read_to_end(&mut taken));
    // Reading answers the pings.
    let lives = async {
        let mut pings = 0;
        while let Some(Ok(frame)) = alive.next().await {
            pings += usize::from(matches!(frame, Message::Ping(_)));
            if pings == 40 {
                break;
            }
        }
        pings
    };
    let (ended, pings) = tokio::join!(ends, lives);
    ended.expect("a silent client is cut off").unwrap();
    assert_eq!(pings, 40, "a client that answers lives on, long after");
    node.send(&ann, "@bob", "hi").await;
    assert_eq!(texts(&mut alive, 1).await, ["hi"]);
}

#[tokio::test]
async fn who_does_not_say_hello_in_time_is_told_so_and_closed() {
    let patience = Patience { hello: Duration::from_millis(50), ..Patience::default() };
    let node = Node::with(&Options { patience, ..options() });
    let mut socket = node.connect().await;
    let (frames, close) = hear_end(&mut socket).await;
    assert_eq!(frames[0]["error"]["code"], "unauthenticated");
    assert_eq!(frames[0]["retry"], false);
    assert_eq!(u16::from(close.code), 4401);
}
