//! Wrong input is refused with a clear message, and nothing is lost.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::{Cluster, PASSWORD};

use crate::PROGRAMS;

/// Start a node that must refuse to run; its exit code and what it says.
fn refused_start(dir: &Path) -> (Option<i32>, String) {
    let output: Output =
        Command::new(PROGRAMS.node).arg("--config").arg(dir.join("node.toml")).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let cluster = Cluster::init(PROGRAMS, 1);
    let dir = cluster.node_dir(1);
    edit(&dir.join("node.toml"), "[node]\n", "[node]\ncolour = \"red\"\n");
    let (code, message) = refused_start(&dir);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("node.toml") && message.contains("colour"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_a_directory_in_use_is_refused_and_the_first_node_serves_on() {
    let cluster = Cluster::start(PROGRAMS, 1).await;
    let (code, message) = refused_start(&cluster.node_dir(1));
    assert!(matches!(code, Some(1 | 2)), "{message}");
    assert!(message.contains("in use") || message.contains("held by another"), "{message}");

    let other = Cluster::init(PROGRAMS, 1);
    let client_port = |cluster: &Cluster| cluster.url(1).rsplit(':').next().unwrap().to_owned();
    let toml = other.node_dir(1).join("node.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let taken = text.replace(&client_port(&other), &client_port(&cluster));
    fs::write(&toml, taken).unwrap();
    let (code, message) = refused_start(&other.node_dir(1));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains(&client_port(&cluster)), "{message}");
    cluster.ready(1).await;
}

#[test]
fn data_of_another_node_or_cluster_is_refused_untouched() {
    let cluster = Cluster::init(PROGRAMS, 3);
    let other = Cluster::init(PROGRAMS, 3);
    for (from, what) in
        [(cluster.node_dir(2), "another node"), (other.node_dir(1), "another cluster")]
    {
        let data = cluster.node_dir(1).join("data");
        copy(&from.join("data/genesis"), &data.join("genesis"));
        let before = fs::read_dir(&data).unwrap().count();
        let (code, message) = refused_start(&cluster.node_dir(1));
        assert_eq!(code, Some(2), "{what}: {message}");
        assert_eq!(fs::read_dir(&data).unwrap().count(), before, "{what}: nothing was written");
    }
}

#[test]
fn a_certificate_of_another_cluster_or_node_is_refused() {
    let cluster = Cluster::init(PROGRAMS, 3);
    let other = Cluster::init(PROGRAMS, 3);
    for from in [other.node_dir(1), cluster.node_dir(2)] {
        for file in ["node.pem", "node.key"] {
            copy(&from.join(file), &cluster.node_dir(1).join(file));
        }
        let (code, message) = refused_start(&cluster.node_dir(1));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("node.pem"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_clear_answer_and_the_node_serves_on() {
    let cluster = Cluster::start(PROGRAMS, 1).await;
    let owner = cluster.owner().await;
    let token = owner.token().unwrap();
    let http = cluster.http();
    let messages = format!("{}/v1/messages", cluster.url(1));
    let post = async |body: String, token: &str| -> (StatusCode, Value) {
        let request = http
            .post(&messages)
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    };
    let text = |text: &str| json!({"to": "#general", "text": text}).to_string();
    let cases = [
        ("no JSON", "{".to_owned(), token.as_str(), &[400][..]),
        ("an unknown field", json!({"to": "@a", "text": "x", "y": 1}).to_string(), &token, &[400]),
        ("an unknown token", text("x"), "AAAA", &[401]),
        ("an unknown channel", text("x"), &token, &[404]),
        ("an empty text", json!({"to": "@owner", "text": ""}).to_string(), &token, &[422]),
        ("a long text", text(&"x".repeat(16 * 1024 + 1)), &token, &[413, 422]),
        ("a large body", text(&"x".repeat(1 << 20)), &token, &[413]),
        (
            "a bad name",
            json!({"to": "@no such", "text": "x"}).to_string(),
            &token,
            &[400, 404, 422],
        ),
    ];
    for (what, body, token, allowed) in cases {
        let (status, answer) = post(body, token).await;
        assert!(allowed.contains(&status.as_u16()), "{what}: {status} {answer}");
        for key in ["code", "message"] {
            assert!(answer["error"][key].is_string(), "{what}: {answer}");
        }
    }
    let client = cluster.client(&[1]);
    assert!(client.register("Not A Name", PASSWORD, None).await.is_err(), "a bad name");
    assert!(client.register("short", "1234567", None).await.is_err(), "a short password");
    assert!(client.login("owner", "wrong password").await.is_err(), "a wrong password");
    assert_eq!(owner.me().await.unwrap().name, "owner", "the node serves on");
}
