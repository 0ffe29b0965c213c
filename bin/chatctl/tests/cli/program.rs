//! Logins, messages, output: the program when all is well, and when a session is over.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::scene::{Scene, cluster, code, stderr, stdout, willing};

fn without_quorum(_line: &str, _body: &str) -> (u16, Value) {
    (503, json!({"error": {"code": "unavailable", "message": "no leader", "hint": null}}))
}

fn without_session(line: &str, body: &str) -> (u16, Value) {
    match line {
        "POST /v1/login" => willing(line, body),
        _ => (401, json!({"error": {"code": "session_ended", "message": "over", "hint": null}})),
    }
}

#[test]
fn a_login_is_kept_by_its_owner_until_the_logout() {
    let scene = Scene::new(willing);
    scene.login();
    let mode = std::fs::metadata(scene.token_file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let whoami = scene.run(&["whoami"]);
    assert_eq!(stdout(&whoami), "alice (member), 2 unread\n");
    assert_eq!(code(&scene.run(&["logout"])), 0);
    assert!(!scene.token_file().exists());
    let nobody = scene.run(&["whoami", "-o", "json"]);
    assert_eq!((code(&nobody), stdout(&nobody).as_str()), (1, ""));
    let error: Value = serde_json::from_str(&stderr(&nobody)).unwrap();
    assert_eq!(error["error"]["code"], "unauthenticated");
    assert!(error["error"]["hint"].as_str().unwrap().contains("chatctl login"));
}

#[test]
fn profiles_are_users_side_by_side() {
    let scene = Scene::new(willing);
    scene.login();
    let other = scene.run(&["--profile", "bob", "whoami"]);
    assert_eq!(code(&other), 1);
    assert!(stderr(&other).contains("chatctl --profile bob login"), "{}", stderr(&other));
}

#[test]
fn a_token_is_not_shown_to_another_cluster() {
    let scene = Scene::new(willing);
    scene.login();
    let elsewhere = Scene::new(willing);
    let output = scene.run(&["whoami", "--endpoint", &elsewhere.endpoint]);
    assert_eq!(code(&output), 1);
    assert!(elsewhere.seen.lock().unwrap().is_empty());
}

#[test]
fn a_password_comes_from_the_variable_or_the_command_too() {
    let scene = Scene::new(willing);
    let register =
        scene.command(&["register", "alice"]).env("HOLDFAST_PASSWORD", "secret word").output();
    assert_eq!(code(&register.unwrap()), 0);
    let config = scene.home.path().join("chatctl.toml");
    std::fs::write(&config, "password_command = \"echo secret word\"\n").unwrap();
    let output = scene.run(&["--config", config.to_str().unwrap(), "login", "alice"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let nobody_to_ask = scene.run(&["login", "alice", "--no-input"]);
    assert_eq!(code(&nobody_to_ask), 2);
    assert!(stderr(&nobody_to_ask).contains("--password-stdin"));
}

#[test]
fn a_sent_message_is_told() {
    let scene = Scene::new(willing);
    scene.login();
    let text = scene.run(&["send", "@bob", "hi"]);
    assert_eq!(stdout(&text), "id 20 seq 3 time 2026-01-31 12:00:00\n");
    let piped = scene.run_with_stdin(&["send", "@bob", "-o", "json"], "two\nlines\n");
    let object: Value = serde_json::from_str(&stdout(&piped)).unwrap();
    assert_eq!((&object["id"], &object["seq"]), (&json!("20"), &json!(3)));
    assert_eq!(object["request_id"].as_str().unwrap().len(), 36);
    let seen = scene.seen.lock().unwrap();
    assert!(seen.iter().any(|line| line.contains(r#""text":"two\nlines""#)), "{seen:?}");
}

#[test]
fn everything_unread_is_shown_oldest_first_and_marked() {
    let scene = Scene::new(willing);
    scene.login();
    let output = scene.run(&["read", "--mark"]);
    let wanted = "11 2026-01-31 12:00:00 #general bob: a\n\
                  12 2026-01-31 12:00:00 @bob bob: b\\x1b[2J\n\
                  15 2026-01-31 12:00:00 #general bob: c\n";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (wanted, ""));
    let seen = scene.seen.lock().unwrap();
    let marks: Vec<_> = seen.iter().filter(|line| line.contains("/read ")).collect();
    assert_eq!(
        marks,
        [r#"POST /v1/channels/general/read {"upto":4}"#, r#"POST /v1/direct/bob/read {"upto":1}"#]
    );
}

#[test]
fn the_cluster_is_told_by_name_and_as_one_object() {
    let scene = Scene::new(willing);
    scene.login();
    let text = stdout(&scene.run(&["cluster", "status"]));
    assert!(text.starts_with("cluster team: leader node 1, term 7, mode majority\n"), "{text}");
    assert!(text.contains("survives the loss of any one of 2 and 3; not of node 1"), "{text}");
    let object = stdout(&scene.run(&["cluster", "status", "-o", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&object).unwrap(), cluster());
    assert_eq!(object.lines().count(), 1);
}

#[test]
fn exit_codes_tell_refused_from_nothing_done() {
    let scene = Scene::new(willing);
    scene.login();
    let refused = scene.run(&["channel", "join", "nowhere"]);
    assert_eq!(code(&refused), 1);
    assert_eq!(stderr(&refused), "error: not there [not_found]\nhint: look\n");
    for wrong in [&["send", "bob", "x"][..], &["send"], &["--timeout", "0s", "whoami"], &["nope"]] {
        assert_eq!(code(&scene.run(wrong)), 2, "{wrong:?}");
    }
    let missing = scene.run(&["--config", "/nowhere.toml", "whoami"]);
    assert_eq!(code(&missing), 2);
    assert!(stderr(&missing).contains("/nowhere.toml"));
    let down = Scene::new(without_quorum);
    let args = ["register", "alice", "--password-stdin", "--timeout", "200ms"];
    let output = down.run_with_stdin(&args, "secret word\n");
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("no leader"), "{}", stderr(&output));
}

#[test]
fn a_read_says_how_fresh_it_has_to_be() {
    let scene = Scene::new(|line, body| match line {
        "GET /v1/me?consistency=stale" => willing("GET /v1/me", body),
        _ => willing(line, body),
    });
    scene.login();
    let before = scene.seen.lock().unwrap().len();
    for level in ["session", "linearizable", "stale", "session"] {
        assert_eq!(code(&scene.run(&["whoami", "--read", level])), 0, "{level}");
    }
    // Each answer of this node tells an index that is one higher.
    let wanted = [
        format!("GET /v1/me not below {}", 100 + before),
        "GET /v1/me".to_owned(),
        "GET /v1/me?consistency=stale".to_owned(),
        format!("GET /v1/me not below {}", 100 + before + 3),
    ];
    assert_eq!(scene.seen.lock().unwrap()[before..], wanted);
}

#[test]
fn an_ended_session_says_how_to_log_in_again() {
    let scene = Scene::new(without_session);
    scene.login();
    let output = scene.run(&["whoami"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("hint: log in again: chatctl login alice"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let scene = Scene::new(willing);
    scene.login();
    let mut child = scene.command(&["read"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn help_and_version_are_data() {
    let scene = Scene::new(willing);
    let version = scene.run(&["--version"]);
    assert_eq!(code(&version), 0);
    assert!(stdout(&version).starts_with("chatctl 0."));
    let help = scene.run(&["send", "--help"]);
    assert_eq!((code(&help), stderr(&help).as_str()), (0, ""));
    assert!(stdout(&help).contains("Examples:"));
}
