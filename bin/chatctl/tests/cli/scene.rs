//! A node played by a small server that answers by method and path, and one user's home.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A node, and one user's home.
pub(super) struct Scene {
    pub(super) home: TempDir,
    pub(super) endpoint: String,
    pub(super) seen: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    /// A node that answers by "METHOD /path" and body with status and body. `SELF` in an answer is its
    /// own address.
    pub(super) fn new(answers: impl Fn(&str, &str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, own) = (Arc::clone(&seen), endpoint.clone());
        let answers = move |line: &str, body: &str| {
            let (status, answer) = answers(line, body);
            (status, answer.to_string().replace("SELF", &own))
        };
        thread::spawn(move || {
            for tcp in listener.incoming() {
                serve(tcp.unwrap(), &answers, &log);
            }
        });
        Self { home: tempfile::tempdir().unwrap(), endpoint, seen }
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("HOLDFAST_ENDPOINTS", &self.endpoint)
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(super) fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(super) fn login(&self) {
        let output = self.run_with_stdin(&["login", "alice", "--password-stdin"], "secret word\n");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.home.path().join(".local/state/holdfast/default.json")
    }
}

fn serve(
    mut tcp: TcpStream,
    answers: &impl Fn(&str, &str) -> (u16, String),
    log: &Mutex<Vec<String>>,
) {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let read = tcp.read(&mut chunk).unwrap();
        if read == 0 {
            return;
        }
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8(request.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let session = head.lines().find_map(|line| line.strip_prefix("holdfast-min-index: "));
    let session = session.map_or_else(String::new, |index| format!("not below {index}"));
    let index = {
        let mut log = log.lock().unwrap();
        log.push(format!("{line} {body}{session}").trim_end().to_owned());
        100 + log.len()
    };
    let (status, answer) = answers(&line, &body);
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\nholdfast-index: {index}\r\ncontent-length: {length}"
    );
    tcp.write_all(format!("{head}\r\n\r\n{answer}").as_bytes()).unwrap();
}

pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(super) fn message(id: u64, conversation: &str, seq: u64, author: &str, text: &str) -> Value {
    json!({"id": id.to_string(), "conversation": conversation, "seq": seq, "author": author,
        "time": "2026-01-31T12:00:00.123456Z", "text": text, "edited": false, "reply_to": null,
        "reactions": {}})
}

pub(super) fn cluster() -> Value {
    let node = |id: u64, role: &str, reachable: bool| {
        json!({"id": id, "role": role, "reachable": reachable, "term": 7, "commit": 10,
            "applied": 9, "durable": 10, "lag": 1, "version": "0.1.0", "hash": "ab", "hash_index": 9})
    };
    json!({"cluster": "team", "leader": 1, "term": 7, "mode": "majority", "survives": [[2], [3]],
        "nodes": [node(1, "leader", true), node(2, "follower", true), node(3, "follower", false)]})
}

/// A node where everything goes well.
pub(super) fn willing(line: &str, body: &str) -> (u16, Value) {
    let user = json!({"name": "alice", "role": "member"});
    match line {
        "POST /v1/register" | "POST /v1/login" => {
            assert!(body.contains(r#""password":"secret word""#), "{body}");
            let expires = "2026-03-01T00:00:00.000000Z";
            (200, json!({"user": user, "token": "the-token", "expires": expires, "unread": 2}))
        }
        "POST /v1/logout" => (204, Value::Null),
        "GET /v1/me" => (200, json!({"name": "alice", "role": "member", "unread": 2})),
        "GET /v1/cluster" => (200, cluster()),
        "POST /v1/messages" => (201, message(20, "@bob", 3, "alice", "hi")),
        "GET /v1/conversations" => {
            let conversation = |name: &str, unread: u64, read_upto: u64| {
                json!({"conversation": name, "unread": unread, "mentions": 0,
                    "last": message(15, name, 3, "bob", "c"), "read_upto": read_upto})
            };
            let items = [
                conversation("#general", 2, 1),
                conversation("@bob", 1, 0),
                conversation("@eve", 0, 9),
            ];
            (200, json!({"items": items, "next": null}))
        }
        "GET /v1/channels/general/messages?after=1&limit=200" => {
            let items = [
                message(11, "#general", 2, "bob", "a"),
                message(13, "#general", 3, "alice", "mine"),
                message(15, "#general", 4, "bob", "c"),
            ];
            (200, json!({"items": items, "more_before": true, "more_after": false}))
        }
        "GET /v1/direct/bob/messages?after=0&limit=200" => {
            let items = [message(12, "@bob", 1, "bob", "b\u{1b}[2J")];
            (200, json!({"items": items, "more_before": false, "more_after": false}))
        }
        "POST /v1/channels/general/read" | "POST /v1/direct/bob/read" => (204, Value::Null),
        _ => (404, json!({"error": {"code": "not_found", "message": "not there", "hint": "look"}})),
    }
}
