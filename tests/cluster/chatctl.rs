//! The `chatctl` program walks through all of its commands, on a cluster of three.

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::cluster::{Cluster, PASSWORD, eventually};

use crate::{CHATCTL, PROGRAMS};

/// Lines of a program in the background that are not looked at yet.
const LINES_KEPT_MAX: usize = 1024;

/// The programs of everybody: each user is a profile.
struct Desk<'a> {
    cluster: &'a Cluster,
    home: TempDir,
}

impl Desk<'_> {
    fn command(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(CHATCTL);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("TZ", "UTC")
            .env("HOLDFAST_PASSWORD", PASSWORD)
            .arg("--ca")
            .arg(self.cluster.ca())
            .args(["--profile", user])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for id in self.cluster.ids() {
            command.args(["--endpoint", self.cluster.url(id)]);
        }
        command.args(arguments);
        command
    }

    fn run(&self, user: &str, arguments: &[&str]) -> Output {
        self.command(user, arguments).output().unwrap()
    }

    /// What a command that must succeed says.
    fn said(&self, user: &str, arguments: &[&str]) -> String {
        let output = self.run(user, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as objects, one per line.
    fn told(&self, user: &str, arguments: &[&str]) -> Vec<Value> {
        let text = self.said(user, &[arguments, &["-o", "json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The exit code and the stable code of a command that must fail.
    fn refused(&self, user: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.run(user, &[arguments, &["-o", "json"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        let error = text.lines().last().map(serde_json::from_str::<Value>);
        let code = error.unwrap_or_else(|| panic!("{arguments:?} says nothing")).unwrap();
        (output.status.code().unwrap(), code["error"]["code"].as_str().unwrap().to_owned())
    }

    fn with_input(&self, user: &str, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(user, arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap_or("-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chatctl_walks_through_all_of_its_commands() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    let desk = Desk { cluster: &cluster, home: tempfile::tempdir().unwrap() };
    accounts(&desk);
    channels(&desk);
    messages(&desk).await;
    changes(&desk).await;
    the_cluster(&desk).await;
    load(&desk, desk.home.path());
    endings(&desk);
    let home = desk.home;
    cluster.kill(3);
    let desk = Desk { cluster: &cluster, home };
    with_a_node_down(&desk).await;
}

fn accounts(desk: &Desk<'_>) {
    let token = desk.cluster.owner_token();
    assert_eq!(
        desk.said("alice", &["register", "alice", "--invite", &token]),
        "registered as alice (owner)\n"
    );
    assert_eq!(desk.said("bob", &["register", "bob"]), "registered as bob (member)\n");
    assert_eq!(desk.said("carol", &["register", "carol"]), "registered as carol (member)\n");
    assert_eq!(desk.refused("dave", &["register", "bob"]), (1, "name_taken".to_owned()));
    assert_eq!(desk.refused("dave", &["whoami"]), (1, "unauthenticated".to_owned()));
    assert_eq!(desk.told("bob", &["whoami"])[0]["role"], "member");
    let names = |arguments: &[&str]| -> Vec<String> {
        let users = desk.told("bob", arguments);
        users.iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["users"]), ["alice", "bob", "carol"]);
    assert_eq!(names(&["users", "*o*"]), ["bob", "carol"]);
    assert_eq!(names(&["users", "--limit", "1", "--after", "alice"]), ["bob"]);
}

fn channels(desk: &Desk<'_>) {
    desk.said("alice", &["channel", "create", "general", "--topic", "all of us"]);
    desk.said("alice", &["channel", "create", "staff", "--private"]);
    desk.said("bob", &["channel", "join", "general"]);
    desk.said("carol", &["channel", "join", "#general"]);
    assert_eq!(desk.refused("bob", &["channel", "join", "staff"]).0, 1);
    desk.said("alice", &["channel", "invite", "staff", "@bob"]);
    desk.said("bob", &["channel", "join", "staff"]);
    assert_eq!(desk.said("bob", &["channel", "members", "staff"]), "alice\nbob\n");
    desk.said("bob", &["channel", "leave", "staff"]);
    assert_eq!(desk.said("carol", &["channels"]), "#general: all of us\n");
    assert_eq!(
        desk.said("alice", &["channels", "--limit", "1", "--after", "general"]),
        "#staff (private)\n"
    );
}

async fn messages(desk: &Desk<'_>) {
    let mut following = Following::start(desk, "carol");
    following.stands().await;
    let first = desk.told("alice", &["send", "#general", "one"]);
    let request = first[0]["request_id"].as_str().unwrap();
    let again = desk.told("alice", &["send", "#general", "one", "--request-id", request]);
    assert_eq!(again[0]["id"], first[0]["id"], "a retry is the same message");
    let piped = desk.with_input("alice", &["send", "#general", "--lines"], "two\nthree\n");
    assert_eq!(piped.status.code(), Some(0), "{piped:?}");
    desk.said("bob", &["send", "@alice", "psst", "--read", "session"]);

    let page = desk.told("bob", &["read", "#general", "--limit", "2", "--read", "session"]);
    assert_eq!(texts(&page), ["two", "three"]);
    let older = desk.told("bob", &["read", "#general", "--before", "2"]);
    assert_eq!(texts(&older), ["one"]);
    let newer = desk.told("bob", &["read", "#general", "--after", "1", "--limit", "1"]);
    assert_eq!(texts(&newer), ["two"]);
    assert!(desk.said("alice", &["inbox", "--read", "stale"]).contains("conversation"));
    assert_eq!(texts(&desk.told("alice", &["read"])), ["psst"]);
    desk.said("bob", &["mark", "#general", "--upto", "2"]);
    assert_eq!(texts(&desk.told("bob", &["read", "--unread", "#general"])), ["three"]);
    desk.said("bob", &["read", "--mark"]);
    assert_eq!(desk.told("bob", &["whoami"])[0]["unread"], 0);
    desk.said("alice", &["mark", "@bob"]);
    assert_eq!(desk.told("alice", &["whoami"])[0]["unread"], 0);

    let evil = "\u{1b}]52;c;cm0gLXJm\u{7}";
    assert_eq!(desk.refused("bob", &["send", "@alice", evil]), (1, "text_control".to_owned()));
    desk.said("bob", &["send", "#general", "a\u{202e}b"]);
    assert!(desk.said("alice", &["read", "#general", "--limit", "1"]).contains(r"a\u{202e}b"));
    following.heard(&["one", "two", "three", "a\u{202e}b"]).await;
}

async fn changes(desk: &Desk<'_>) {
    let mut following = Following::start(desk, "carol");
    following.stands().await;
    let sent = desk.told("alice", &["send", "#general", "draft"]);
    let id = sent[0]["id"].as_str().unwrap();
    assert!(desk.said("alice", &["edit", id, "final"]).ends_with("alice: final (edited)\n"));
    assert_eq!(desk.refused("bob", &["edit", id, "mine"]).0, 1);
    assert_eq!(desk.told("bob", &["delete", id])[0]["deleted_for"], "you");
    let newest = ["read", "#general", "--limit", "1"];
    assert_eq!(texts(&desk.told("bob", &newest)), ["-"]);
    assert_eq!(texts(&desk.told("carol", &newest)), ["final"]);
    assert_eq!(desk.told("alice", &["delete", id])[0]["deleted_for"], "everyone");
    assert_eq!(desk.told("carol", &newest)[0]["deleted"], true);

    for (name, erase) in [("dave", false), ("eve", true)] {
        desk.said(name, &["register", name]);
        desk.said(name, &["channel", "join", "general"]);
        desk.said(name, &["send", "#general", "I was here"]);
        desk.said("alice", &["send", &format!("@{name}"), "stay"]);
        let mut arguments = vec!["account", "delete", "--yes"];
        arguments.extend(erase.then_some("--erase-messages"));
        assert_eq!(desk.told(name, &arguments)[0]["unread"], 1);
        assert_eq!(desk.refused(name, &["whoami"]), (1, "unauthenticated".to_owned()));
        assert_eq!(desk.refused(name, &["register", name]), (1, "name_taken".to_owned()));
        let left = desk.told("carol", &newest);
        let wanted = if erase { Value::Null } else { "deleted user".into() };
        assert_eq!(left[0]["author"], wanted, "{left:?}");
        assert_eq!(desk.refused("alice", &["send", &format!("@{name}"), "come back"]).0, 1);
    }
    assert_eq!(
        desk.refused("alice", &["account", "delete", "--no-input"]),
        (2, "usage".to_owned())
    );
    let owner = desk.refused("alice", &["account", "delete", "--yes"]);
    assert_eq!(owner, (1, "last_owner".to_owned()));
    // Sent, edited and deleted; then twice: sent, and the account gone.
    following.heard(&["draft", "final", "-", "I was here", "-", "I was here", "-"]).await;

    let change = |old: &str, new: &str| {
        let lines = format!("{old}\n{new}\n");
        desk.with_input("carol", &["passwd", "--password-stdin"], &lines).status.code()
    };
    assert_eq!(change("not the one", "another password"), Some(1));
    assert_eq!(change(PASSWORD, "another password"), Some(0));
    assert_eq!(desk.told("carol", &["whoami"])[0]["name"], "carol", "this login goes on");
    assert_eq!(
        desk.refused("carol-at-home", &["login", "carol"]),
        (1, "bad_credentials".to_owned())
    );
    assert_eq!(change("another password", PASSWORD), Some(0));
}

async fn the_cluster(desk: &Desk<'_>) {
    let status = desk.told("bob", &["cluster", "status"]);
    assert_eq!(status[0]["nodes"].as_array().unwrap().len(), 3);
    assert!(desk.said("bob", &["cluster", "verify"]).contains("same"));
    eventually("the doctor finds nothing", async || {
        // A node that is slow for a moment makes it fail for once.
        let output = desk.run("bob", &["doctor", "-o", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let checks: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        ["name", "port", "tls", "answer", "clock", "login", "version", "quorum"].iter().all(
            |check| {
                let mut of = checks.iter().filter(|line| line["check"] == **check).peekable();
                of.peek().is_some() && of.all(|line| line["verdict"] == "PASS")
            },
        )
    })
    .await;
    assert!(desk.said("nobody", &["completions", "bash"]).contains("_chatctl"));
    assert!(desk.said("nobody", &["man"]).contains(".TH chatctl"));
}

fn load(desk: &Desk<'_>, folder: &Path) {
    let history = folder.join("history.jsonl");
    let arguments =
        ["bench", "send", "--clients", "3", "--inflight", "4", "--duration", "500ms", "--history"];
    let file = history.to_str().unwrap();
    let busy = desk.command("alice", &[&arguments[..], &[file, "-o", "json"]].concat()).spawn();
    for _ in 0..3 {
        let verified = desk.said("bob", &["cluster", "verify"]);
        assert_eq!(verified.matches("same").count(), 3, "under load: {verified}");
    }
    let output = busy.unwrap().wait_with_output().unwrap();
    let told = [serde_json::from_slice::<Value>(&output.stdout).unwrap()];
    let acknowledged = told[0]["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 0 && told[0]["p999_ms"].as_f64().unwrap() > 0.0, "{told:?}");
    let text = std::fs::read_to_string(history).unwrap();
    let count = |kind: &str| text.lines().filter(|line| line.contains(kind)).count() as u64;
    assert_eq!(count(r#""type":"ok""#), acknowledged);
    assert_eq!(count(r#""type":"invoke""#), acknowledged);
    let newest = desk.told("alice", &["read", "#bench", "--limit", "1"]);
    assert_eq!(newest[0]["seq"].as_u64().unwrap(), acknowledged, "each is there once");
    assert!(desk.said("alice", &["cluster", "verify"]).contains("same"));
}

fn endings(desk: &Desk<'_>) {
    // A second login of bob's, which is ended from the first.
    desk.said("bob-at-home", &["login", "bob"]);
    let logins = desk.told("bob", &["account", "sessions"]);
    let other = logins.iter().find(|login| login["current"] == false).unwrap();
    desk.said("bob", &["account", "sessions", "--end", other["id"].as_str().unwrap()]);
    assert_eq!(desk.refused("bob-at-home", &["whoami"]), (1, "session_ended".to_owned()));

    assert_eq!(desk.said("bob", &["logout"]), "bob is logged out\n");
    assert_eq!(desk.refused("bob", &["whoami"]), (1, "unauthenticated".to_owned()));
}

async fn with_a_node_down(desk: &Desk<'_>) {
    let mut status = Vec::new();
    eventually("the node counts as down", async || {
        status = desk.told("alice", &["cluster", "status"]);
        status[0]["nodes"][2]["reachable"] == false
    })
    .await;
    assert_eq!(desk.refused("alice", &["cluster", "verify"]), (3, "incomplete".to_owned()));
    assert_eq!(desk.refused("alice", &["doctor"]), (1, "unhealthy".to_owned()));
}

/// A `chatctl follow` in the background.
struct Following {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    notes: std::sync::mpsc::Receiver<String>,
}

impl Following {
    fn start(desk: &Desk<'_>, user: &str) -> Self {
        let mut child = desk.command(user, &["follow", "#general", "-o", "json"]).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let notes = lines_of(child.stderr.take().unwrap());
        Self { child, lines, notes }
    }

    async fn stands(&mut self) {
        eventually("the subscription stands", async || {
            self.notes.try_recv().is_ok_and(|note| note.starts_with("following on"))
        })
        .await;
    }

    async fn heard(mut self, wanted: &[&str]) {
        let mut heard = Vec::new();
        eventually("every message is heard", async || {
            heard.extend(self.lines.try_iter());
            heard.len() >= wanted.len()
        })
        .await;
        let heard: Vec<Value> =
            heard.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(texts(&heard), wanted);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn lines_of(from: impl std::io::Read + Send + 'static) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(LINES_KEPT_MAX);
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(from)).map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
