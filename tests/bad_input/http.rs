//! HTTP below the API: heads, bodies, framing, methods, paths.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::cluster::Cluster;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::interval,
};

use crate::{
    PROGRAMS,
    target::{Target, attack},
    wire::{Answers, connect, read_to_end, soon},
};

const GET_ME: &str = "GET /v1/me HTTP/1.1\r\nHost: localhost\r\n";

/// The node refuses the bytes, or ends the connection without a word: it does not act on them.
#[track_caller]
fn turned_away(case: &str, answers: &Answers) {
    if !answers.is_silence() {
        let answer = answers.first();
        assert!((400..500).contains(&answer.status), "{case}: {answer:?}");
    }
    assert!(answers.count() <= 1, "{case}: {answers:?}");
}

/// Dribbles bytes until the node has had enough; how long that took, and what it said.
async fn dribble(target: &Target, head: &str, drop_of: &[u8]) -> (Duration, Answers) {
    let begun = Instant::now();
    let (mut from, mut to) = connect(target.address).await.into_split();
    to.write_all(head.as_bytes()).await.unwrap();
    let dribbling = async {
        let mut pause = interval(Duration::from_millis(50));
        while to.write_all(drop_of).await.is_ok() {
            pause.tick().await;
        }
        std::future::pending::<Answers>().await
    };
    let answers = soon("patience ends", async {
        tokio::select! {
            answers = read_to_end(&mut from) => answers,
            answers = dribbling => answers,
        }
    })
    .await;
    (begun.elapsed(), answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn slowloris_head_is_cut_off() {
    attack(async |target| {
        let (took, answers) = dribble(target, GET_ME, b"X-A: b\r\n").await;
        turned_away("a head that never ends", &answers);
        assert!(took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slowloris_body_is_cut_off() {
    attack(async |target| {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            target.alice
        );
        let sized = format!("{head}Content-Length: 100000\r\n\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        for (head, drop_of) in [(sized, &b" "[..]), (chunked, b"1\r\n \r\n")] {
            let (took, answers) = dribble(target, &head, drop_of).await;
            answers.first().refused(408);
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    })
    .await;
}

/// A handler that reads no body has nothing to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn slowloris_body_that_nobody_reads_is_cut_off() {
    attack(async |target| {
        let head = "POST /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
        let (took, answers) = dribble(target, head, b" ").await;
        answers.first().refused(404);
        assert!(took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed() {
    attack(async |target| {
        for bytes in
            [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"PRI * HTTP/2.0\r\n"]
        {
            turned_away("half a request", &target.raw(bytes).await);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_100_mb_is_refused_early() {
    const BODY_BYTES: usize = 100 << 20;
    attack(async |target| {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            target.alice
        );
        let mut sized = format!("{head}Content-Length: {BODY_BYTES}\r\n\r\n").into_bytes();
        sized.resize(sized.len() + BODY_BYTES, b' ');
        let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for _ in 0..BODY_BYTES >> 20 {
            chunked.extend_from_slice(b"100000\r\n");
            chunked.resize(chunked.len() + (1 << 20), b' ');
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for request in [sized, chunked] {
            assert_eq!(target.raw(&request).await.first().refused(413), "too_large");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_headers_are_refused() {
    attack(async |target| {
        let mut request = GET_ME.to_owned();
        for number in 0..1_000_000 {
            request.push_str(&format!("A{number}: b\r\n"));
        }
        request.push_str("\r\n");
        let answers = target.raw(request.as_bytes()).await;
        assert_eq!(answers.first().status, 431, "{answers:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_line_too_long_is_refused() {
    attack(async |target| {
        let long = "x".repeat(1 << 20);
        for line in [format!("X-A: {long}"), format!("{long}: a"), format!("Cookie: {long}")] {
            let answers = target.raw(format!("{GET_ME}{line}\r\n\r\n").as_bytes()).await;
            assert_eq!(answers.first().status, 431, "{answers:?}");
        }
        let request = format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let status = target.raw(request.as_bytes()).await.first().status;
        assert!(matches!(status, 414 | 431), "{status}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_http_0_9_are_refused() {
    attack(async |target| {
        let nul = format!("{GET_ME}X-A: a\0b\r\n\r\n");
        let cases: [(&str, &[u8]); 17] = [
            ("HTTP/0.9", b"GET /\r\n\r\n"),
            ("HTTP/0.9 without a path", b"GET\r\n\r\n"),
            ("HTTP/3", b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n"),
            ("no version", b"GET / FTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("zeros", &[0; 4096]),
            ("ones", &[0xff; 4096]),
            ("empty lines", &[b'\n'; 65536]),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
            ("NUL in a header", nul.as_bytes()),
            ("a space before the colon", b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"),
            ("a folded header", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n"),
            ("a header without a name", b"GET / HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n"),
            ("a header without a colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nabc\r\n\r\n"),
            ("a lone CR", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\rc\r\n\r\n"),
            ("a space in the path", b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("a path that is none", b"GET v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ];
        for (case, bytes) in cases {
            turned_away(case, &target.raw(bytes).await);
        }
    })
    .await;
}

/// One message on the wire is one request: nobody behind a proxy can have a second one answered.
#[tokio::test(flavor = "multi_thread")]
async fn request_smuggling_finds_no_second_request() {
    attack(async |target| {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            target.alice
        );
        let inner = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let length = inner.len();
        let framings = [
            ("two lengths", "Content-Length: 0\r\nContent-Length: 5\r\n".to_owned()),
            ("a list of lengths", "Content-Length: 0, 5\r\n".to_owned()),
            ("a signed length", "Content-Length: +0\r\n".to_owned()),
            ("a negative length", "Content-Length: -1\r\n".to_owned()),
            ("a length in hex", "Content-Length: 0x10\r\n".to_owned()),
            ("an enormous length", "Content-Length: 18446744073709551616\r\n".to_owned()),
            ("an unknown coding", "Transfer-Encoding: xchunked\r\n".to_owned()),
            ("chunked not last", "Transfer-Encoding: chunked, identity\r\n".to_owned()),
            ("identity", "Transfer-Encoding: identity\r\n".to_owned()),
            ("a tab", "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n".to_owned()),
            ("a space", "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n".to_owned()),
            (
                "length and chunks",
                format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            ),
            (
                "chunks and length",
                format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            ),
        ];
        for (case, framing) in framings {
            for body in [inner.to_owned(), format!("0\r\n\r\n{inner}")] {
                let request = format!("{head}{framing}\r\n{body}");
                turned_away(case, &target.raw(request.as_bytes()).await);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunks_are_refused() {
    attack(async |target| {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            target.alice
        );
        let long = "x".repeat(1 << 17);
        let chunks = [
            ("no size", "\r\nabc\r\n0\r\n\r\n".to_owned()),
            ("not hex", "zz\r\nabc\r\n0\r\n\r\n".to_owned()),
            ("negative", "-1\r\nabc\r\n0\r\n\r\n".to_owned()),
            ("too large", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
            ("2^64 - 1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
            ("longer than said", "2\r\nabcdef\r\n0\r\n\r\n".to_owned()),
            ("an endless extension", format!("2;{long}\r\n{{}}\r\n0\r\n\r\n")),
            ("endless trailers", format!("2\r\n{{}}\r\n0\r\nX-A: {long}\r\n\r\n")),
        ];
        for (case, chunks) in chunks {
            turned_away(case, &target.raw(format!("{head}{chunks}").as_bytes()).await);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_one_by_one() {
    attack(async |target| {
        let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answers = target.raw(one.repeat(1000).as_bytes()).await;
        assert_eq!(answers.count(), 1000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn method_tricks_do_nothing() {
    attack(async |target| {
        for method in [
            "TRACE",
            "TRACK",
            "CONNECT",
            "PUT",
            "DELETE",
            "PROPFIND",
            "get",
            "A".repeat(300).as_str(),
        ] {
            let answer = target.call(method, "/v1/messages", &[("X-Secret", "s3cret")], None).await;
            assert!((400..500).contains(&answer.status), "{method}: {answer:?}");
            assert!(!answer.body.contains("s3cret"), "{method} gives back what was sent");
        }
        let connect = target.raw(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n");
        turned_away("CONNECT", &connect.await);
        // What says it is another method is none.
        for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
            let bearer = format!("Bearer {}", target.alice);
            let headers = [("Authorization", bearer.as_str()), (header, "DELETE")];
            let answer = target.call("GET", "/v1/me", &headers, None).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let answer = target.get("/v1/me?_method=DELETE", &target.alice).await;
        assert_eq!(answer.refused(400), "malformed");
        assert_eq!(target.get("/v1/me", &target.alice).await.status, 200, "nobody was deleted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_traversal_reaches_no_file() {
    attack(async |target| {
        let paths = [
            "/assets/..%2f..%2fetc/passwd",
            "/assets/../../../../etc/passwd",
            "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/assets/..%252f..%252fetc/passwd",
            "/assets/..%c0%af..%c0%afetc/passwd",
            "/assets/..\\..\\etc\\passwd",
            "/assets//etc/passwd",
            "/assets/app.js%00.png",
            "/assets/%00",
            "/..%2fnode.toml",
            "/%2e%2e/node.key",
            "//etc/passwd",
            "/v1/../../node.key",
            "/v1/channels/..%2f..%2fmessages/messages",
            "/v1/channels/%00/messages",
            "/v1/direct/%2e%2e/messages",
            "/v1/messages/..%2f1",
            "/v1/channels/general%0d%0aX-A:%20b",
            "http://example.org/v1/nowhere",
            "*",
        ];
        for path in paths {
            let answer = target.get(path, &target.alice).await;
            assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
            assert!(!answer.body.contains("root:"), "{path}: {answer:?}");
            assert_eq!(answer.header("x-a"), None, "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn percent_signs_in_a_path_or_query_are_judged() {
    attack(async |target| {
        for path in
            ["/v1/channels/%", "/v1/channels/%zz", "/v1/channels/%ff", "/v1/users?limit=%31%00"]
        {
            let answer = target.get(path, &target.alice).await;
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
            answer.refused(answer.status);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn range_abuse_is_ignored() {
    attack(async |target| {
        let many = (0..2000).map(|n| format!("{n}-")).collect::<Vec<_>>().join(",");
        for range in [
            "bytes=0-0",
            "bytes=-1",
            "bytes=5-1",
            "bytes=0-18446744073709551616",
            "lines=1-2",
            &format!("bytes={many}"),
        ] {
            for path in ["/", "/v1/conversations"] {
                let headers = [
                    ("Authorization", format!("Bearer {}", target.alice)),
                    ("Range", range.to_owned()),
                ];
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = target.call("GET", path, &headers, None).await;
                assert_eq!(answer.status, 200, "{range}: {answer:?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_body_is_not_decoded() {
    attack(async |target| {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let headers = [
                ("Authorization", format!("Bearer {}", target.alice)),
                ("Content-Encoding", coding.to_owned()),
            ];
            let mut request =
                "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_owned();
            for (name, value) in headers {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            // The first bytes of a gzip stream that would grow.
            let bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xc1\x01\x0d";
            let mut request =
                format!("{request}Content-Length: {}\r\n\r\n", bomb.len()).into_bytes();
            request.extend_from_slice(bomb);
            assert_eq!(target.raw(&request).await.first().refused(400), "malformed");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_of_this_api_are_judged() {
    attack(async |target| {
        let bearer = format!("Bearer {}", target.alice);
        let number = "18446744073709551615";
        let cases = [
            ("Holdfast-Timeout-Ms", "-1", 400),
            ("Holdfast-Timeout-Ms", "1e3", 400),
            ("Holdfast-Timeout-Ms", "18446744073709551616", 400),
            ("Holdfast-Timeout-Ms", number, 200),
            ("Holdfast-Min-Index", "0x1", 400),
            ("Holdfast-Min-Index", "\u{fc}", 400),
            ("Idempotency-Key", number, 200),
            ("Expect", "the unexpected", 200),
            ("Upgrade", "h2c", 200),
            ("Connection", "Upgrade, HTTP2-Settings", 200),
        ];
        for (name, value, status) in cases {
            let headers = [("Authorization", bearer.as_str()), (name, value)];
            let answer = target.call("GET", "/v1/me", &headers, None).await;
            assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
        }
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Holdfast-Min-Index", number),
            ("Holdfast-Timeout-Ms", "50"),
        ];
        target.call("GET", "/v1/me", &headers, None).await.refused(503);
        let body = json!({"to": "@bob", "text": "a"});
        for key in
            ["x".repeat(10_000).as_str(), "\u{fc}", "0", "00000000-0000-0000-0000-000000000000"]
        {
            let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
            let answer = target.call("POST", "/v1/messages", &headers, Some(&body)).await;
            assert_eq!(answer.refused(400), "request_id_malformed");
        }
    })
    .await;
}

/// Whoever speaks no TLS to a node that does, or begins a handshake and stops, is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_with_tls_hears_nothing_else() {
    let mut cluster = Cluster::init(PROGRAMS, 1);
    cluster.configure("[timing]\nhandshake_ms = 500\n");
    cluster.spawn(1);
    cluster.ready(1).await;
    let address = cluster.url(1).trim_start_matches("https://").parse().unwrap();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let endless = [b"\x16\x03\x01\x40\x00".as_slice(), &[1; 20_000]].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("HTTP", b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("nothing", b""),
        ("half a hello", hello),
        ("an oversize record", &endless),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        ("garbage", &[0xa5; 4096]),
    ];
    for (case, bytes) in cases {
        let answers = crate::wire::exchange(address, bytes).await;
        assert!(!String::from_utf8_lossy(&answers.0).contains("HTTP/1.1 2"), "{case}: {answers:?}");
    }
    let mut open = connect(address).await;
    open.write_all(hello).await.unwrap();
    cluster.ready(1).await;
    // Its place is free again.
    let mut rest = Vec::new();
    drop(soon("the handshake is given up", open.read_to_end(&mut rest)).await);
}
