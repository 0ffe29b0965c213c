//! Who may see the metrics, and that nobody else does.

use reqwest::{Method, StatusCode, header::CONTENT_TYPE};

use super::{
    super::{Options, token_hash},
    kit::{Answer, Node, OWNER_TOKEN, PASSWORD, options},
};
use crate::config::Limits;

const TOKEN: &str = "0123456789abcdef";

fn with_token() -> Options {
    Options { metrics_token: Some(token_hash(TOKEN)), ..options() }
}

async fn scrape(node: &Node, token: &str) -> (StatusCode, String) {
    let answer = node.request(Method::GET, "/metrics").bearer_auth(token).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_metrics_open_to_their_token_and_to_accounts_alone() {
    let node = Node::with(&with_token());
    let member = node.register("ann").await;
    let answer = node.request(Method::GET, "/metrics").bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers().get(CONTENT_TYPE).unwrap().to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
    assert_eq!(scrape(&node, &member).await.0, StatusCode::OK);
    for (token, status) in [
        ("0123456789abcdeg", StatusCode::UNAUTHORIZED),
        ("0123456789abcde", StatusCode::UNAUTHORIZED),
        (OWNER_TOKEN, StatusCode::UNAUTHORIZED),
    ] {
        let answer = Answer::of(node.request(Method::GET, "/metrics").bearer_auth(token)).await;
        assert_eq!(answer.status, status, "{token}");
        assert_ne!(answer.code(), "");
    }
    let nobody = Answer::of(node.request(Method::GET, "/metrics")).await;
    assert_eq!((nobody.status, nobody.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
}

#[tokio::test]
async fn without_a_metrics_token_no_guess_opens_them() {
    let node = Node::start();
    for token in ["", TOKEN] {
        assert_eq!(scrape(&node, token).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_metrics_are_told_without_a_leader_and_without_room() {
    let node = Node::with(&Options {
        limits: Limits { in_flight_bytes: 1, ..Limits::DEFAULT },
        ..with_token()
    });
    node.held.pause(true);
    let (status, text) = scrape(&node, TOKEN).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("\nholdfast_http_connections "), "{text}");
}

#[tokio::test]
async fn the_listener_on_loopback_tells_the_metrics_and_nothing_else() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = Node::with(&Options { metrics_listen: Some(free), ..options() });
    let get =
        async |path: &str| node.client.get(format!("http://{free}{path}")).send().await.unwrap();
    let answer = get("/metrics").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
    for path in ["/", "/v1/me", "/v1/cluster", "/healthz"] {
        assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let taken = super::super::bind(&Options { metrics_listen: Some(free), ..options() });
    assert!(taken.unwrap_err().to_string().contains(&free.to_string()));
    node.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_the_pattern_of_their_route_and_name_nobody() {
    let node = Node::with(&with_token());
    let (ann, bob) = (node.register("annabel").await, node.register("bobby").await);
    node.send(&ann, "@bobby", "a secret text").await;
    node.get("/v1/direct/bobby/messages", &ann).await;
    node.get("/v1/direct/nobody-known/messages", &ann).await;
    node.get("/v1/some/path/of/nobody", &ann).await;
    node.call(Method::PUT, "/v1/messages", None, None).await;
    let (_, text) = scrape(&node, TOKEN).await;
    for line in [
        "{method=\"POST\",route=\"/v1/register\",code=\"201\"} 2",
        "{method=\"POST\",route=\"/v1/messages\",code=\"201\"} 1",
        "{method=\"PUT\",route=\"/v1/messages\",code=\"405\"} 1",
        "{method=\"GET\",route=\"/v1/direct/{user}/messages\",code=\"200\"} 1",
        "{method=\"GET\",route=\"/v1/direct/{user}/messages\",code=\"404\"} 1",
        "{method=\"GET\",route=\"none\",code=\"404\"} 1",
    ] {
        assert!(
            text.contains(&format!("\nholdfast_http_requests_total{line}\n")),
            "{line}\n{text}"
        );
    }
    for word in ["annabel", "bobby", "nobody", "secret", PASSWORD, TOKEN, OWNER_TOKEN, &ann, &bob] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
}
