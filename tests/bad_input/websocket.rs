//! The WebSocket: frames that no well-behaved client sends. Whatever ends a socket says why.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use uuid::Uuid;

use crate::{
    target::{Target, attack},
    wire::{connect, read_head, soon},
};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const CONTINUED: u8 = 0x00;
/// Not the last of its message.
const MORE: u8 = 0x01;

/// The client's end of a WebSocket, frame by frame.
struct Socket {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

/// A frame from the node.
#[derive(Debug, PartialEq)]
enum Frame {
    Json(Value),
    Pong,
    Ping,
    Close(u16, String),
    End,
}

impl Socket {
    /// Open, and say nothing yet.
    async fn open(target: &Target) -> Self {
        let (stream, head) = upgrade(target, "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let (from, to) = stream.into_split();
        Self { from, to }
    }

    /// Open as alice, and be greeted.
    async fn greeted(target: &Target) -> Self {
        let mut socket = Self::open(target).await;
        socket.say(&json!({"type": "hello", "token": target.alice})).await;
        assert_eq!(socket.next().await, json!("ready"));
        socket
    }

    async fn say(&mut self, frame: &Value) {
        self.write(&frame_of(TEXT, frame.to_string().as_bytes())).await;
    }

    /// A node that has closed the connection takes nothing more.
    async fn write(&mut self, bytes: &[u8]) {
        drop(soon("a write", self.to.write_all(bytes)).await);
    }

    /// The type of the next frame of JSON.
    async fn next(&mut self) -> Value {
        loop {
            match self.frame().await {
                Frame::Json(frame) => return frame["type"].clone(),
                Frame::Ping | Frame::Pong => {}
                end @ (Frame::Close(..) | Frame::End) => panic!("{end:?}"),
            }
        }
    }

    /// The next send that failed; what others do meanwhile is passed over.
    async fn failure(&mut self) -> Value {
        loop {
            match self.frame().await {
                Frame::Json(frame) if frame["type"] == "failed" => return frame,
                Frame::Json(_) | Frame::Ping | Frame::Pong => {}
                end @ (Frame::Close(..) | Frame::End) => panic!("{end:?}"),
            }
        }
    }

    async fn frame(&mut self) -> Frame {
        soon("a frame", async {
            match self.read_frame().await {
                Ok(frame) => frame,
                Err(_end) => Frame::End,
            }
        })
        .await
    }

    async fn read_frame(&mut self) -> std::io::Result<Frame> {
        let (kind, short) = (self.from.read_u8().await?, self.from.read_u8().await?);
        let length = match short {
            126 => u64::from(self.from.read_u16().await?),
            127 => self.from.read_u64().await?,
            _ => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.from.read_exact(&mut payload).await?;
        Ok(match kind {
            TEXT => Frame::Json(serde_json::from_slice(&payload).unwrap()),
            CLOSE => {
                let (code, reason) = payload.split_first_chunk().unwrap();
                Frame::Close(u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
            }
            0x89 => Frame::Ping,
            0x8a => Frame::Pong,
            other => panic!("a frame of kind {other:#x}"),
        })
    }

    /// The socket is ended with this code, and its last words say so.
    #[track_caller]
    fn ended_with(mut self, case: &str, code: &str) -> impl Future<Output = ()> {
        let (case, code) = (case.to_owned(), code.to_owned());
        async move {
            let mut said = String::new();
            loop {
                match self.frame().await {
                    Frame::Json(frame) if frame["type"] == "error" => {
                        said = frame["error"]["code"].as_str().unwrap().to_owned();
                        for key in ["message", "hint"] {
                            assert!(frame["error"][key].is_string(), "{case}: {frame}");
                        }
                    }
                    Frame::Close(_, reason) => {
                        assert_eq!(said, code, "{case}: {reason}");
                        assert!(reason.contains(&code), "{case}: {reason}");
                        return;
                    }
                    Frame::Json(_) | Frame::Ping | Frame::Pong => {}
                    Frame::End => panic!("{case}: ended without a word"),
                }
            }
        }
    }
}

/// A masked frame.
fn frame_of(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head_of(kind, payload.len() as u64);
    let mask = [1, 2, 3, 4];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a frame of text that claims so many bytes.
fn claim_of(length: u64) -> Vec<u8> {
    let mut head = head_of(TEXT, length);
    head.extend_from_slice(&[1, 2, 3, 4]);
    head
}

/// The head of a masked frame, without its mask.
fn head_of(kind: u8, length: u64) -> Vec<u8> {
    let mut head = vec![kind];
    match length {
        0..=125 => head.push(0x80 | u8::try_from(length).unwrap()),
        126..=0xffff => {
            head.push(0x80 | 126);
            head.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
    head
}

async fn upgrade(target: &Target, more: &str) -> (TcpStream, String) {
    let mut stream = connect(target.address).await;
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    (stream, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_the_socket() {
    attack(async |target| {
        let hello = json!({"type": "hello", "token": target.alice}).to_string();
        let unmasked = [&[TEXT, u8::try_from(hello.len()).unwrap()], hello.as_bytes()].concat();
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("text that is not UTF-8", frame_of(TEXT, b"\"\xff\xfe\"")),
            ("an overlong NUL", frame_of(TEXT, b"\"\xc0\x80\"")),
            ("a surrogate", frame_of(TEXT, b"\"\xed\xa0\x80\"")),
            ("an unmasked frame", unmasked),
            ("a first reserved bit", frame_of(TEXT | 0x40, hello.as_bytes())),
            ("a second reserved bit", frame_of(TEXT | 0x20, hello.as_bytes())),
            ("a reserved kind of data", frame_of(0x83, b"")),
            ("a reserved kind of control", frame_of(0x8b, b"")),
            ("a continuation of nothing", frame_of(0x80, b"a")),
            ("a text within a text", [frame_of(MORE, b"{"), frame_of(TEXT, b"}")].concat()),
            ("a ping of 126 bytes", frame_of(PING, &[b'a'; 126])),
            ("a ping in two pieces", frame_of(0x09, b"a")),
            ("a close of one byte", frame_of(CLOSE, b"a")),
            ("a close that is not UTF-8", frame_of(CLOSE, b"\x03\xe8\xff\xfe")),
            ("a length of 2^64 - 1", claim_of(u64::MAX)),
            ("a length of 2^63 - 1", claim_of(u64::MAX >> 1)),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
            ("garbage", vec![0xa5; 4096]),
        ];
        for (case, bytes) in cases {
            for is_greeted in [false, true] {
                let mut socket = if is_greeted {
                    Socket::greeted(target).await
                } else {
                    Socket::open(target).await
                };
                socket.write(&bytes).await;
                socket.ended_with(case, "malformed").await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_frames_are_refused() {
    attack(async |target| {
        for mut socket in [Socket::open(target).await, Socket::greeted(target).await] {
            socket.write(&frame_of(BINARY, b"{}")).await;
            socket.ended_with("binary", "malformed").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_frames_and_messages_end_the_socket() {
    attack(async |target| {
        let piece = vec![b' '; 64 << 10];
        let pieces =
            [frame_of(MORE, &piece), frame_of(CONTINUED, &piece), frame_of(CONTINUED, &piece)];
        for (case, bytes) in [
            ("a frame", frame_of(TEXT, &vec![b' '; (128 << 10) + 1])),
            ("only its head", claim_of((128 << 10) + 1)),
            ("a message in pieces", pieces.concat()),
        ] {
            for mut socket in [Socket::open(target).await, Socket::greeted(target).await] {
                socket.write(&bytes).await;
                socket.ended_with(case, "malformed").await;
            }
        }
    })
    .await;
}

/// At the bound a frame is still read: it is the token that is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_is_read() {
    attack(async |target| {
        let mut hello = json!({"type": "hello", "token": "x"}).to_string();
        hello.push_str(&" ".repeat((128 << 10) - hello.len()));
        let mut socket = Socket::open(target).await;
        socket.write(&frame_of(TEXT, hello.as_bytes())).await;
        socket.ended_with("the largest frame", "session_ended").await;
    })
    .await;
}

/// Pieces without end: of bytes until the bound, of nothing until the hello is due.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_fragmented_for_ever_ends_the_socket() {
    attack(async |target| {
        for (case, payload, code) in
            [("bytes", &[b' '; 100][..], "malformed"), ("nothing", b"", "unauthenticated")]
        {
            let Socket { from, to } = Socket::open(target).await;
            let mut writer = Socket { from: connect(target.address).await.into_split().0, to };
            let mut flood = frame_of(CONTINUED, payload).repeat(1000);
            let first = frame_of(MORE, payload);
            let writing = tokio::spawn(async move {
                writer.write(&first).await;
                while writer.to.write_all(&flood).await.is_ok() {}
                flood.clear();
            });
            let reader = Socket { from, to: connect(target.address).await.into_split().1 };
            reader.ended_with(case, code).await;
            soon("the flood ends", writing).await.unwrap();
        }
    })
    .await;
}

/// A flood of pings is answered as it can be, and costs the others nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_ping_flood_is_survived() {
    const PINGS: usize = 100_000;
    attack(async |target| {
        let Socket { mut from, mut to } = Socket::greeted(target).await;
        let flood = frame_of(PING, &[b'a'; 100]).repeat(PINGS);
        let flooding = tokio::spawn(async move {
            to.write_all(&flood).await.unwrap();
            to
        });
        let sent = target.send(&target.bob, "@alice", "over the flood").await;
        assert_eq!(sent.status, 201, "{sent:?}");
        // Pongs may be left out, messages may not.
        soon("the message arrives", async {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("over the flood") {
                let kept = seen.len().saturating_sub(200);
                seen.drain(..kept);
                assert_ne!(from.read_buf(&mut seen).await.unwrap(), 0, "the socket lives");
            }
        })
        .await;
        // Who does not listen to the pongs is not listened to either.
        let reading =
            tokio::spawn(async move { while from.read(&mut [0; 4096]).await.unwrap() > 0 {} });
        let to = soon("the flood is taken", flooding).await.unwrap();
        drop(to);
        soon("the end", reading).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_offered_is_not_taken() {
    attack(async |target| {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let (stream, head) = upgrade(target, offer).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("extensions"), "{head}");
        let (from, to) = stream.into_split();
        let mut socket = Socket { from, to };
        socket.write(&frame_of(TEXT | 0x40, b"\xaaV*\xa9,HU\xb2R")).await;
        assert!(matches!(socket.frame().await, Frame::Close(..) | Frame::Json(_) | Frame::End));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hellos_that_are_none_end_the_socket() {
    attack(async |target| {
        let send = json!({"type": "send", "request_id": "x", "to": "@bob", "text": "a"});
        let token = &target.alice;
        let deep = "[".repeat(100_000);
        let hello = |more: &str| format!(r#"{{"type":"hello","token":"{token}"{more}}}"#);
        let cases = [
            ("a send first", send.to_string(), "malformed"),
            ("no JSON", "hello".to_owned(), "malformed"),
            ("nothing", String::new(), "malformed"),
            ("deep JSON", deep.clone(), "malformed"),
            ("a list", "[]".to_owned(), "malformed"),
            ("no token", r#"{"type":"hello"}"#.to_owned(), "malformed"),
            ("a number as a token", r#"{"type":"hello","token":1}"#.to_owned(), "malformed"),
            ("an unknown field", hello(r#","colour":"red""#), "malformed"),
            ("two tokens", hello(r#","token":"x""#), "malformed"),
            ("a negative cursor", hello(r#","after":-1"#), "malformed"),
            ("a fraction as a cursor", hello(r#","after":0.5"#), "malformed"),
            ("a cursor beyond all numbers", hello(r#","after":18446744073709551616"#), "malformed"),
            ("a cursor beyond the log", hello(r#","after":18446744073709551615"#), "cursor_ahead"),
            ("an empty token", r#"{"type":"hello","token":""}"#.to_owned(), "session_ended"),
            ("a bad token", r#"{"type":"hello","token":"AAAA"}"#.to_owned(), "session_ended"),
        ];
        for (case, frame, code) in cases {
            let mut socket = Socket::open(target).await;
            socket.write(&frame_of(TEXT, frame.as_bytes())).await;
            socket.ended_with(case, code).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hellos_end_the_socket() {
    attack(async |target| {
        let mut socket = Socket::greeted(target).await;
        socket.say(&json!({"type": "hello", "token": target.bob})).await;
        socket.ended_with("a second hello", "malformed").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_hello_is_not_waited_for() {
    attack(async |target| {
        let begun = Instant::now();
        Socket::open(target).await.ended_with("silence", "unauthenticated").await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Pings are no hello.
        let mut socket = Socket::open(target).await;
        socket.write(&frame_of(PING, b"a").repeat(10)).await;
        socket.ended_with("pings", "unauthenticated").await;
    })
    .await;
}

/// What names its request is refused alone, and the socket lives; what does not ends it.
#[tokio::test(flavor = "multi_thread")]
async fn bad_sends_fail_and_the_socket_lives() {
    attack(async |target| {
        let mut socket = Socket::greeted(target).await;
        let request = || Uuid::now_v7().to_string();
        let old = "01900000-0000-7000-8000-000000000000";
        let long = "x".repeat(16 * 1024 + 1);
        let cases = [
            (
                json!({"type": "send", "request_id": "x", "to": "@bob", "text": "a"}),
                "request_id_malformed",
            ),
            (
                json!({"type": "send", "request_id": old, "to": "@bob", "text": "a"}),
                "request_id_expired",
            ),
            (
                json!({"type": "send", "request_id": request(), "to": "bob", "text": "a"}),
                "target_malformed",
            ),
            (
                json!({"type": "send", "request_id": request(), "to": "@bob", "text": 1}),
                "malformed",
            ),
            (
                json!({"type": "send", "request_id": request(), "to": "@bob", "text": long}),
                "text_too_long",
            ),
            (
                json!({"type": "send", "request_id": request(), "to": "@bob", "text": "a", "b": 1}),
                "malformed",
            ),
            (json!({"type": "fetch", "request_id": request()}), "malformed"),
        ];
        for (frame, code) in cases {
            socket.say(&frame).await;
            let answer = socket.failure().await;
            assert_eq!(answer["error"]["code"], code, "{frame}: {answer}");
            assert_eq!(answer["request_id"], frame["request_id"], "{frame}: {answer}");
        }
        for frame in ["", "{", "null", r#"{"type":"send"}"#, &"{\"a\":".repeat(10_000)] {
            let mut socket = Socket::greeted(target).await;
            socket.write(&frame_of(TEXT, frame.as_bytes())).await;
            socket.ended_with("a frame that names no request", "malformed").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_none_are_refused() {
    attack(async |target| {
        let host = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n";
        let (upgrade, connection) = ("Upgrade: websocket\r\n", "Connection: Upgrade, close\r\n");
        let (version, key) = ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        let closing = "Connection: close\r\n";
        let cases = [
            ("nothing of it", closing.to_owned()),
            ("no upgrade", format!("{connection}{version}{key}")),
            ("no connection", format!("{upgrade}{closing}{version}{key}")),
            ("no key", format!("{upgrade}{connection}{version}")),
            ("no version", format!("{upgrade}{connection}{key}")),
            ("an old version", format!("{upgrade}{connection}Sec-WebSocket-Version: 8\r\n{key}")),
            ("another protocol", format!("Upgrade: h2c\r\n{connection}{version}{key}")),
        ];
        for (case, headers) in cases {
            let answer = target.raw(format!("{host}{headers}\r\n").as_bytes()).await.first();
            assert_eq!(answer.refused(answer.status), "not_a_websocket", "{case}");
            assert!((400..500).contains(&answer.status), "{case}: {answer:?}");
        }
        let post = format!("POST /v1/events HTTP/1.1\r\nHost: localhost\r\n{upgrade}{connection}{version}{key}Content-Length: 0\r\n\r\n");
        let answer = target.raw(post.as_bytes()).await.first();
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let bad = format!("{host}{upgrade}{connection}{version}{key}Authorization: Bearer x\r\n\r\n");
        assert_eq!(target.raw(bad.as_bytes()).await.first().refused(401), "session_ended");
        let tokens = [("token", &target.alice), ("access_token", &target.alice)];
        for (name, token) in tokens {
            let line = host.replace("/v1/events", &format!("/v1/events?{name}={token}"));
            let request = format!("{line}{upgrade}{connection}{version}{key}\r\n");
            assert_eq!(target.raw(request.as_bytes()).await.first().refused(400), "malformed");
        }
    })
    .await;
}
