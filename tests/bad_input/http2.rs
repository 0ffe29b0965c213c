//! HTTP/2 in clear, frame by frame: floods that cost the sender little and must cost the node no more.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    target::{Target, attack},
    wire::{connect, soon},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
/// On headers and data.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / http`, by the static table, and the authority `localhost`.
const GET: &[u8] = b"\x82\x84\x86\x01\x09localhost";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The odd numbers that a client gives its streams.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

/// What the node does with these frames: whether it ended the connection, while it read them or soon
/// after.
async fn ends(target: &Target, frames: &[u8]) -> bool {
    let (mut from, mut to) = connect(target.address).await.into_split();
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, b""), frames].concat();
    let writing = async {
        drop(to.write_all(&bytes).await);
        to
    };
    let reading = async {
        let mut rest = Vec::new();
        drop(from.read_to_end(&mut rest).await);
    };
    let both = async { tokio::join!(reading, writing) };
    timeout(Duration::from_secs(3), both).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_rapid_reset_ends_the_connection() {
    attack(async |target| {
        let flood: Vec<u8> = streams(20_000)
            .flat_map(|stream| {
                let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
                [open, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
            })
            .collect();
        assert!(ends(target, &flood).await);
    })
    .await;
}

/// Resets that the node itself must send count as well.
#[tokio::test(flavor = "multi_thread")]
async fn http2_made_you_reset_ends_the_connection() {
    attack(async |target| {
        let flood: Vec<u8> = streams(20_000)
            .flat_map(|stream| {
                let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
                [open, frame(WINDOW, 0, stream, &0_u32.to_be_bytes())].concat()
            })
            .collect();
        assert!(ends(target, &flood).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_continuation_flood_ends_the_connection() {
    attack(async |target| {
        let mut flood = frame(HEADERS, END_STREAM, 1, GET);
        for _ in 0..20_000 {
            flood.extend(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"));
        }
        assert!(ends(target, &flood).await);
        let empty =
            [frame(HEADERS, END_STREAM, 1, GET), frame(CONTINUATION, 0, 1, b"").repeat(100_000)];
        assert!(ends(target, &empty.concat()).await);
    })
    .await;
}

/// A header of 4 KiB, put into the table once and named ten thousand times.
#[tokio::test(flavor = "multi_thread")]
async fn http2_header_bomb_is_refused() {
    attack(async |target| {
        let mut block = GET.to_vec();
        block.extend_from_slice(b"\x40\x01a\x7f\x81\x1e");
        block.extend_from_slice(&[b'x'; 4000]);
        block.extend_from_slice(&[0xbe; 10_000]);
        let bomb = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
        // It is an answer or an end; the node serves on.
        ends(target, &bomb).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_floods_of_small_frames_are_survived() {
    attack(async |target| {
        let floods = [
            ("pings", frame(PING, 0, 0, &[0; 8])),
            ("settings", frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\xff\xff")),
            ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
            ("empty data", frame(DATA, 0, 1, b"")),
        ];
        let floods = floods.map(async |(case, one)| {
            let frames = [frame(HEADERS, END_HEADERS, 1, GET), one.repeat(50_000)].concat();
            ends(target, &frames).await;
            let sent = target.send(&target.alice, "@bob", case).await;
            assert_eq!(sent.status, 201, "{case}: {sent:?}");
        });
        futures_util::future::join_all(floods).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_frames_that_break_the_protocol_end_the_connection() {
    attack(async |target| {
        let open = frame(HEADERS, END_HEADERS, 1, GET);
        let cases = [
            ("an oversize frame", frame(DATA, 0, 1, &[0; 20_000])),
            ("data on no stream", frame(DATA, 0, 0, b"a")),
            ("data on a stream never opened", frame(DATA, 0, 5, b"a")),
            ("an even stream", frame(HEADERS, END_HEADERS, 2, GET)),
            ("a push", frame(PUSH, END_HEADERS, 1, &[0, 0, 0, 2])),
            ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
            ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
            ("a window beyond its bound", frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
            ("no step of the window", frame(WINDOW, 0, 0, &0_u32.to_be_bytes())),
            ("headers that are none", frame(HEADERS, END_HEADERS, 1, &[0xff; 100])),
            ("a stream number going back", [&*frame(HEADERS, END_HEADERS, 9, GET), &open].concat()),
            (
                "something between headers",
                [frame(HEADERS, 0, 1, GET), frame(PING, 0, 0, &[0; 8])].concat(),
            ),
            ("garbage", vec![0xa5; 4096]),
        ];
        for (case, frames) in cases {
            assert!(ends(target, &frames).await, "{case}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_connections_without_a_sign_of_life_are_closed() {
    attack(async |target| {
        let mut silent = connect(target.address).await;
        silent.write_all(PREFACE).await.unwrap();
        let mut rest = Vec::new();
        drop(soon("the end", silent.read_to_end(&mut rest)).await);
    })
    .await;
}
