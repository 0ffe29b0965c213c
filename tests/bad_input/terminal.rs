//! What reaches the terminal of whoever runs `chatctl`: never a control character of somebody else's,
//! not even when the node itself is hostile.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tests::cluster::PASSWORD;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{CHATCTL, target::attack};

/// Clear the screen, write the clipboard, forge a link, ring, go back, turn the line, pose as a line.
const EVIL: &str = "a\x1b[2J\x1b]52;c;YQ==\x07\x1b]8;;http://x\x1b\\b\u{9b}31m\u{90}\u{9d}\u{85}\0\r\x08\
                    \x7f\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\n9 #general owner: forged";
/// The same without what a node refuses.
const KEPT: &str = "a\u{202e}\u{2066}\u{200f}\u{200b}\u{feff}\u{e0041}\n9 #general owner: forged";

const COMMANDS: [&[&str]; 20] = [
    &["whoami"],
    &["users"],
    &["channels"],
    &["inbox"],
    &["read"],
    &["read", "#general"],
    &["read", "@bob", "--mark"],
    &["send", "#general", "hello"],
    &["send", "@bob", "hello", "--reply-to", "7"],
    &["mark", "#general"],
    &["edit", "7", "hello"],
    &["delete", "7"],
    &["account", "sessions"],
    &["channel", "create", "ops"],
    &["channel", "members", "ops"],
    &["channel", "invite", "ops", "bob"],
    &["cluster", "status"],
    &["cluster", "verify"],
    &["doctor"],
    &["follow", "#general"],
];

/// Those that end the login, or make a new one.
const LOGINS: [&[&str]; 3] = [&["login", "bob"], &["account", "delete", "--yes"], &["logout"]];

/// Nothing that a terminal would obey or hide.
#[track_caller]
fn clean(case: &str, output: &Output) {
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let leaks = |c: &char| {
            (c.is_control() && !matches!(c, '\n' | '\t'))
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                    | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        };
        if let Some(leak) = text.chars().find(leaks) {
            panic!("{case}: {leak:?} on {stream}: {text:?}");
        }
        let posed = text.lines().find(|line| line.starts_with("9 #general"));
        assert_eq!(posed, None, "{case}: a line of somebody else's poses as one of its own");
    }
}

fn chatctl(home: &Path, address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(CHATCTL);
    command
        .env_clear()
        .env("HOME", home)
        .env("HOLDFAST_PASSWORD", PASSWORD)
        .args(["--endpoint", &format!("http://{address}"), "--no-input"])
        .args(arguments)
        .stdin(Stdio::null());
    command
}

async fn run(home: &Path, address: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = chatctl(home, address, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    crate::wire::soon("chatctl ends", output).await.unwrap()
}

/// How a hostile node answers.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Honest,
    /// Evil in every text of an answer that is otherwise right.
    Evil,
    /// Evil in every text of a refusal.
    Refusing,
    /// No JSON at all.
    Babbling,
    /// No HTTP at all.
    Raving,
}

const MOODS: [Mood; 5] = [Mood::Honest, Mood::Evil, Mood::Refusing, Mood::Babbling, Mood::Raving];

/// A node that lies.
struct Liar {
    address: SocketAddr,
    mood: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Liar {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&mood);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = MOODS[shared.load(Ordering::Relaxed)];
                tokio::spawn(answer(stream, mood));
            }
        });
        Self { address, mood, task }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, mood: Mood) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let object = json!({"code": EVIL, "message": EVIL, "hint": EVIL});
    let (status, body) = match mood {
        Mood::Honest => ("200 OK", truth(method, path, "bob").to_string()),
        Mood::Evil => ("200 OK", truth(method, path, EVIL).to_string()),
        Mood::Refusing => ("422 \u{9b}31m", json!({"error": object}).to_string()),
        Mood::Babbling => ("200 OK", EVIL.to_owned()),
        Mood::Raving => ("\x1b[2J", EVIL.to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\nHoldfast-Time: {}\r\n\r\n{body}",
        body.len(),
        "\u{9b}31m\u{202e}",
    );
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
    // The client reads to the end before it is reset.
    drop(stream.read_to_end(&mut request).await);
}

/// The answers of a node, with this in place of every text.
fn truth(method: &str, path: &str, text: &str) -> Value {
    let message = json!({
        "id": "7", "conversation": text, "seq": 1, "author": text, "time": text, "text": text,
        "edited": true, "reply_to": null, "reactions": {text: [text]}, "request_id": text,
    });
    let channel = json!({
        "name": text, "private": true, "topic": text, "members": 1, "member": true, "created": text,
        "last_seq": 1,
    });
    let user = json!({"name": text, "role": text, "deleted": true});
    let page = |item: &Value| json!({"items": [item], "next": text});
    let path = path.split('?').next().unwrap_or_default();
    match path.trim_start_matches("/v1/").split('/').collect::<Vec<_>>().as_slice() {
        ["register" | "login"] => {
            json!({"user": user, "token": "token", "expires": text, "unread": 1})
        }
        ["me"] => json!({"name": text, "role": text, "unread": 1}),
        ["me", "sessions"] => {
            json!({"items": [{"id": "1", "opened": text, "expires": text, "current": false}], "next": null})
        }
        ["users"] => page(&user),
        ["channels"] if method == "GET" => page(&channel),
        ["channels", _, "members"] => json!({"items": [user], "next": null}),
        [_, _, "messages"] => {
            json!({"items": [message], "first": 1, "last": 1, "more_before": true, "more_after": false})
        }
        ["conversations"] => page(&json!({
            "conversation": text, "unread": 1, "mentions": 1, "last": message, "read_upto": 0,
        })),
        ["messages", ..] => message,
        ["channels", ..] => channel,
        ["cluster", "hash"] => json!({"index": 1, "hash": text}),
        ["cluster"] => json!({
            "cluster": text, "leader": 1, "term": 1, "mode": text, "survives": [],
            "nodes": [{
                "id": 1, "role": text, "reachable": true, "commit": 1, "applied": 1, "durable": 1, "lag": 0,
                "version": text, "hash": text, "hash_index": 1, "client": text,
            }],
        }),
        _ => json!({"error": {"code": text, "message": text, "hint": text}}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_a_hostile_node_controls_the_terminal() {
    let liar = Liar::start().await;
    let home = tempfile::tempdir().unwrap();
    for (mood, name) in MOODS.iter().enumerate().skip(1) {
        liar.mood.store(0, Ordering::Relaxed);
        let login = run(home.path(), liar.address, &["login", "bob"]).await;
        assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
        liar.mood.store(mood, Ordering::Relaxed);
        let check = async |command: &[&str], format: &str| {
            let arguments = [command, &["--output", format, "--timeout", "200ms"]].concat();
            let output = run(home.path(), liar.address, &arguments).await;
            clean(&format!("{name:?}: {arguments:?}"), &output);
        };
        for format in ["text", "json"] {
            futures_util::future::join_all(COMMANDS.iter().map(|command| check(command, format)))
                .await;
        }
        for (command, format) in LOGINS.into_iter().zip(["text", "json", "text"]) {
            check(command, format).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_shown_escaped() {
    attack(async |target| {
        let home = tempfile::tempdir().unwrap();
        let sent = target.send(&target.owner, "@bob", KEPT).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let topic = KEPT.replace('\n', " ");
        let body = json!({"name": "shown", "topic": topic});
        let made = target.post("/v1/channels", &target.owner, &body).await;
        assert!(matches!(made.status, 201 | 409), "{made:?}");
        let login = run(home.path(), target.address, &["login", "bob"]).await;
        assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
        for command in [&["read", "@owner"][..], &["read"], &["inbox"], &["channels"], &["users"]] {
            for format in ["text", "json"] {
                let arguments = [command, &["--output", format]].concat();
                let output = run(home.path(), target.address, &arguments).await;
                assert!(
                    output.status.success(),
                    "{arguments:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                clean(&format!("{arguments:?}"), &output);
            }
        }
        let output = run(home.path(), target.address, &["read", "@owner"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(r"a\u{202e}\u{2066}"), "{text}");
        let output = run(home.path(), target.address, &["read", "@owner", "-o", "json"]).await;
        let line = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
        assert_eq!(last["text"], KEPT, "a script reads what was written");
    })
    .await;
}
