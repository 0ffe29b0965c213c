//! Who may change the cluster, and how each refusal is told.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::kit::{Answer, Node, OWNER_TOKEN, PASSWORD};

const NODES: &str = "/v1/admin/cluster/nodes";

/// A method, what follows [`NODES`], a body, and the status and code of the answer.
type Asked = (Method, &'static str, Option<&'static str>, (u16, &'static str));

/// What an operator asks for, and the answer of a cluster of one.
const ASKED: [Asked; 16] = [
    (Method::POST, "", Some(r#"{"node":2,"peer":"b:7410","client":"https://b:7411"}"#), (201, "")),
    // It is there already, under these addresses.
    (
        Method::POST,
        "",
        Some(r#"{"node":1,"peer":"127.0.0.1:7410","client":"http://127.0.0.1:7411"}"#),
        (201, ""),
    ),
    (
        Method::POST,
        "",
        Some(r#"{"node":1,"peer":"b:7410","client":"https://b:7411"}"#),
        (409, "already_member"),
    ),
    (
        Method::POST,
        "",
        Some(r#"{"node":0,"peer":"b:1","client":"https://b:2"}"#),
        (400, "malformed"),
    ),
    (Method::POST, "", Some(r#"{"node":2,"peer":"b","client":"https://b:2"}"#), (400, "malformed")),
    (Method::POST, "", Some(r#"{"node":2,"peer":"b:1","client":"ftp://b"}"#), (400, "malformed")),
    (Method::DELETE, "/1", None, (409, "last_voter")),
    (Method::DELETE, "/9", None, (404, "not_member")),
    (Method::DELETE, "/first", None, (400, "malformed")),
    (Method::POST, "/1/replace", Some("{}"), (409, "last_voter")),
    (Method::POST, "/9/replace", Some(r#"{"disk":null}"#), (404, "not_member")),
    (Method::POST, "/1/replace", Some(r#"{"disk":"7"}"#), (400, "malformed")),
    (Method::POST, "/9/drain", None, (404, "not_member")),
    // The core of these tests knows of no draining.
    (Method::POST, "/1/drain", None, (503, "no_answer")),
    (Method::DELETE, "/1/drain", None, (503, "no_answer")),
    (Method::DELETE, "/9/drain", None, (404, "not_member")),
];

async fn ask(
    node: &Node,
    token: &str,
    (method, path, body): (Method, &str, Option<&str>),
) -> Answer {
    let request = node.request(method, path).bearer_auth(token);
    let request = request.header("Holdfast-Timeout-Ms", "200");
    Answer::of(match body {
        Some(body) => request.json(&serde_json::from_str::<Value>(body).unwrap()),
        None => request,
    })
    .await
}

async fn owner(node: &Node) -> String {
    let body = json!({"name": "ann", "password": PASSWORD, "invite": OWNER_TOKEN});
    let answer = node.call(Method::POST, "/v1/register", None, Some(body)).await;
    answer.json["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let node = Node::start();
    let owner = owner(&node).await;
    for (method, path, body, (status, code)) in ASKED {
        let what = format!("{method} {path} {body:?}");
        let answer = ask(&node, &owner, (method, &format!("{NODES}{path}"), body)).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {answer:?}");
        if code.is_empty() {
            let index = answer.json["index"].as_str().unwrap();
            assert!(index.parse::<u64>().unwrap() > 0, "{what}");
        } else {
            assert_eq!(answer.code(), code, "{what}");
        }
    }
    let path = "/v1/admin/cluster/transfer";
    for body in ["{}", r#"{"to":null}"#, r#"{"to":2}"#] {
        let answer = ask(&node, &owner, (Method::POST, path, Some(body))).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "no_successor"), "{answer:?}");
    }
}

#[tokio::test]
async fn members_change_nothing() {
    let node = Node::start();
    let owner = owner(&node).await;
    let bob = node.register("bob").await;
    for (method, path, body, (status, _)) in ASKED {
        if status != 400 {
            let answer = ask(&node, &bob, (method, &format!("{NODES}{path}"), body)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {answer:?}");
            assert_eq!(answer.code(), "not_allowed");
        }
    }
    let transfer = (Method::POST, "/v1/admin/cluster/transfer", Some("{}"));
    assert_eq!(ask(&node, &bob, transfer).await.code(), "not_allowed");
    drop(owner);
}
