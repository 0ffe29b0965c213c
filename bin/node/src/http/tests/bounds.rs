//! Wrong input is refused with the one error object, and nothing is done.

use std::net::SocketAddr;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    super::{HttpError, Options, Tls, bind, limits},
    kit::{Answer, Node, PASSWORD, client, options},
};
use crate::config::Limits;

#[tokio::test]
async fn what_is_not_the_json_expected_is_malformed() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        r#"{"to":"@ann"}"#,
        r#"{"to":"@ann","text":1}"#,
        r#"{"to":"@ann","text":"a","colour":"red"}"#,
        r#"{"to":"@ann","to":"@ann","text":"a"}"#,
        r#"{"to":"@ann","text":"a"} "more""#,
        r#"{"to":"@ann","text":"a","reply_to":"seven"}"#,
        "{\"to\":\"@ann\",\"text\":\"\u{1}\"}",
    ];
    for body in bodies {
        let request = node.request(Method::POST, "/v1/messages").bearer_auth(&ann);
        let answer = Answer::of(request.body(body)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "malformed"),
            "{body}"
        );
    }
    let request = node.request(Method::POST, "/v1/messages").bearer_auth(&ann);
    let answer = Answer::of(request.body(vec![0xff, 0xfe])).await;
    assert_eq!(answer.code(), "malformed");
}

#[tokio::test]
async fn a_body_is_taken_at_its_bound_and_refused_beyond() {
    let node = Node::start();
    let (ann, _) = (node.register("ann").await, node.register("bob").await);
    // The longest text, every character in the longest of its JSON forms.
    let text = r"\u0061".repeat(chat::limits::TEXT_BYTES_MAX);
    let mut body = format!(r#"{{"to":"@bob","text":"{text}"}}"#);
    body.push_str(&" ".repeat(limits::size(Limits::DEFAULT.body_bytes) - body.len()));
    let send = async |body: String| {
        Answer::of(node.request(Method::POST, "/v1/messages").bearer_auth(&ann).body(body)).await
    };
    let taken = send(body.clone()).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json);
    body.push(' ');
    let refused = send(body).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    let long = "a".repeat(chat::limits::TEXT_BYTES_MAX + 1);
    let refused = node.post("/v1/messages", &ann, json!({"to": "@bob", "text": long})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::UNPROCESSABLE_ENTITY, "text_too_long")
    );
}

#[tokio::test]
async fn what_is_out_of_bounds_has_its_own_code() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let send = async |to: &str, text: &str| {
        node.post("/v1/messages", &ann, json!({"to": to, "text": text})).await
    };
    assert_eq!(send("bob", "a").await.code(), "target_malformed");
    assert_eq!(send("@b b", "a").await.code(), "name_invalid");
    assert_eq!(send("@bob", "a").await.code(), "no_such_user");
    assert_eq!(send("@ann", "a").await.code(), "to_self");
    assert_eq!(send("#none", "a").await.code(), "no_such_channel");
    node.register("bob").await;
    assert_eq!(send("@bob", "").await.code(), "text_empty");
    assert_eq!(send("@bob", "\u{7}").await.code(), "text_control");
    let register = async |name: &str, password: &str| {
        let body = json!({"name": name, "password": password});
        node.call(Method::POST, "/v1/register", None, Some(body)).await
    };
    assert_eq!(register("-x", PASSWORD).await.code(), "name_invalid");
    assert_eq!(register(&"x".repeat(33), PASSWORD).await.code(), "name_invalid");
    assert_eq!(register("carl", "short").await.code(), "password_invalid");
    assert_eq!(register("ann", PASSWORD).await.code(), "name_taken");
    for query in ["limit=201", "limit=0"] {
        let answer = node.get(&format!("/v1/users?{query}"), &ann).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "limit_invalid")
        );
    }
}

#[tokio::test]
async fn a_query_is_judged_like_a_body() {
    let node = Node::start();
    let (ann, _) = (node.register("ann").await, node.register("bob").await);
    let paths = [
        "/v1/users?limit=many",
        "/v1/users?colour=red",
        "/v1/me?consistency=perhaps",
        "/v1/direct/bob/messages?before=1&after=2",
        "/v1/direct/bob/messages?before=-1",
        "/v1/direct/%ff/messages",
    ];
    for path in paths {
        let answer = node.get(path, &ann).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "malformed"),
            "{path}"
        );
    }
    for path in
        ["/v1/direct/b%20b/messages", "/v1/messages/0", "/v1/messages/x", "/v1/messages/99999"]
    {
        let answer = node.get(path, &ann).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.code());
    }
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_get_the_error_object() {
    let node = Node::start();
    let nowhere = node.call(Method::GET, "/v1/nowhere", None, None).await;
    assert_eq!((nowhere.status, nowhere.code()), (StatusCode::NOT_FOUND, "not_found"));
    let put = node.call(Method::PUT, "/v1/messages", None, None).await;
    assert_eq!((put.status, put.code()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    let plain = node.call(Method::GET, "/v1/events", None, None).await;
    assert_eq!(plain.code(), "not_a_websocket");
}

#[tokio::test]
async fn only_a_uuid_of_version_7_is_a_key() {
    let node = Node::start();
    let ann = node.register("ann").await;
    for key in ["", "x", "7f5e0f0e-2f3b-4c1d-9a5e-111111111111", "{\"a\":1}"] {
        let request = node.request(Method::POST, "/v1/logout").bearer_auth(&ann);
        let answer = Answer::of(request.header("Idempotency-Key", key)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "request_id_malformed")
        );
    }
    assert_eq!(node.get("/v1/me", &ann).await.status, StatusCode::OK, "nothing was done");
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_refused() {
    let node = Node::start();
    node.register("ann").await;
    for header in [
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "bearer \u{7f}x",
        "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let value = reqwest::header::HeaderValue::from_bytes(header.as_bytes());
        let Ok(value) = value else { continue };
        let answer =
            Answer::of(node.request(Method::GET, "/v1/me").header("Authorization", value)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
        assert!(matches!(answer.code(), "unauthenticated" | "session_ended"));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_session_read_of_an_index_that_does_not_come_says_that_nothing_was_done() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let request = node.request(Method::GET, "/v1/me").bearer_auth(&ann);
    let request = request.header("Holdfast-Timeout-Ms", "50");
    let answer = Answer::of(request.header("Holdfast-Min-Index", "1000000")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "behind"));
    assert_eq!(answer.header("retry-after"), "1");
    let request = node.request(Method::GET, "/v1/me").bearer_auth(&ann);
    let answer = Answer::of(request.header("Holdfast-Min-Index", "soon")).await;
    assert_eq!(answer.code(), "malformed");
    let request = node.request(Method::GET, "/v1/me").bearer_auth(&ann);
    let answer = Answer::of(request.header("Holdfast-Timeout-Ms", "soon")).await;
    assert_eq!(answer.code(), "malformed");
}

#[tokio::test]
async fn requests_beyond_the_room_are_told_busy() {
    let node = Node::with(&Options {
        limits: Limits { in_flight_bytes: 1, ..Limits::DEFAULT },
        ..options()
    });
    let answer = node.call(Method::GET, "/v1/cluster", None, None).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    let alive = node.call(Method::GET, "/healthz", None, None).await;
    assert_eq!(alive.status, StatusCode::OK, "a busy node lives");
}

#[tokio::test]
async fn an_account_is_stopped_at_its_rate() {
    let node = Node::with(&Options {
        limits: Limits { requests_per_s: 1, ..Limits::DEFAULT },
        ..options()
    });
    let ann = node.register("ann").await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(node.get("/v1/me", &ann).await.status);
    }
    assert!(codes.contains(&StatusCode::TOO_MANY_REQUESTS), "{codes:?}");
}

#[tokio::test]
async fn a_connection_beyond_the_bound_is_closed() {
    let node =
        Node::with(&Options { limits: Limits { connections: 1, ..Limits::DEFAULT }, ..options() });
    let held = node.connect().await;
    node.request(Method::GET, "/healthz").send().await.unwrap_err();
    drop(held);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let node = Node::start();
    let error = bind(&Options { listen: node.address, ..options() }).unwrap_err();
    assert!(error.to_string().contains(&node.address.to_string()), "{error}");
}

#[test]
fn plain_http_stays_on_loopback() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = bind(&Options::new(everywhere, Tls::Off)).unwrap_err();
    assert!(matches!(error, HttpError::PlainOutsideLoopback { address } if address == everywhere));
}

#[tokio::test]
async fn clients_are_served_under_the_certificate_and_take_up_a_renewed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let issue = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        client(roots)
    };
    let trusting = issue();
    let tls = Tls::Files { cert: cert.clone(), key: key.clone() };
    let listener = bind(&Options { tls, ..options() }).unwrap();
    let reload = listener.certificate();
    let url = format!("https://localhost:{}/healthz", listener.address().port());
    let node = Node::on(listener);
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), StatusCode::OK);
    client(rustls::RootCertStore::empty()).get(&url).send().await.unwrap_err();
    let renewed = issue();
    reload.reload().unwrap();
    assert_eq!(renewed.get(&url).send().await.unwrap().status(), StatusCode::OK);
    std::fs::write(&cert, "no certificate").unwrap();
    let error = reload.reload().unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
    assert_eq!(renewed.get(&url).send().await.unwrap().status(), StatusCode::OK);
    node.stop().await;
}
