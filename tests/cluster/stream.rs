//! A long pipe of messages through a kill of the leader.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use tests::{
    cluster::{Cluster, PASSWORD, eventually},
    conversation::whole_history,
};

use crate::{CHATCTL, PROGRAMS};

const LINES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_lines_through_a_kill_arrive_exactly_once_in_order() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    let leader = cluster.leader(&owner).await;
    let home = tempfile::tempdir().unwrap();
    let chatctl = |arguments: &[&str]| {
        let mut command = Command::new(CHATCTL);
        command
            .env("XDG_STATE_HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("HOLDFAST_PASSWORD", PASSWORD)
            .arg("--ca")
            .arg(cluster.ca());
        for id in cluster.ids() {
            command.args(["--endpoint", cluster.url(id)]);
        }
        command.args(arguments);
        command
    };
    let login = chatctl(&["login", "owner"]).output().unwrap();
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));

    let mut sending = chatctl(&["--timeout", "60s", "send", "#general", "--lines"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for number in 0..LINES {
        writeln!(lines, "line {number}").unwrap();
    }
    let mut input = sending.stdin.take().unwrap();
    let writing = tokio::task::spawn_blocking(move || input.write_all(lines.as_bytes()).unwrap());
    let general = "#general".parse().unwrap();
    eventually("a part of the lines has arrived", async || {
        let page = owner.history(&general, chatctl::HistoryQuery::default()).await.unwrap();
        page.last.is_some_and(|seq| seq > LINES as u64 / 10)
    })
    .await;
    cluster.kill(leader);
    writing.await.unwrap();
    let output = tokio::task::spawn_blocking(move || sending.wait_with_output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let history = whole_history(&owner, &general).await;
    let texts: Vec<String> = history.into_iter().filter_map(|message| message.text).collect();
    let expected: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    assert!(texts == expected, "{} of {LINES} lines, in order", texts.len());
}
