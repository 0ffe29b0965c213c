//! Deleting, changing, marking, the account, and what describes the program.

use serde_json::{Value, json};

use crate::scene::{Scene, code, message, stderr, stdout, willing};

/// Message 7 is alice's own, 8 is bob's, 9 is deleted.
fn deletable(line: &str, body: &str) -> (u16, Value) {
    let deleted = |id: &str| json!({"id": id, "conversation": "#general", "seq": 4, "deleted": true, "text": null});
    match line {
        "GET /v1/messages/7" => (200, message(7, "#general", 4, "alice", "mine")),
        "GET /v1/messages/8" => (200, message(8, "#general", 4, "bob", "his")),
        "GET /v1/messages/9" | "DELETE /v1/messages/7" | "DELETE /v1/messages/8" => {
            (200, deleted(line.rsplit('/').next().unwrap()))
        }
        "PATCH /v1/messages/7" => {
            assert_eq!(body, r#"{"text":"better"}"#);
            let mut changed = message(7, "#general", 4, "alice", "better");
            changed["edited"] = true.into();
            (200, changed)
        }
        "GET /v1/direct/bob/messages?limit=1" => {
            (200, json!({"items": [message(12, "@bob", 5, "bob", "b")], "last": 5}))
        }
        "PUT /v1/me/password" => {
            assert_eq!(body, r#"{"new_password":"another word","password":"secret word"}"#);
            (204, Value::Null)
        }
        "DELETE /v1/me" => {
            if !body.contains(r#""password":"secret word""#) {
                let error = json!({"code": "bad_credentials", "message": "wrong password", "hint": "again"});
                return (401, json!({"error": error}));
            }
            (204, Value::Null)
        }
        "GET /v1/me/sessions" => {
            let login = |id: u64, current: bool| {
                json!({"id": id.to_string(), "opened": "2026-01-31T12:00:00.000000Z",
                    "expires": "2026-03-01T00:00:00.000000Z", "current": current})
            };
            (200, json!({"items": [login(3, true), login(4711, false)], "next": null}))
        }
        "DELETE /v1/me/sessions/3" | "DELETE /v1/me/sessions/4711" => (204, Value::Null),
        _ => willing(line, body),
    }
}

fn scene() -> Scene {
    let scene = Scene::new(deletable);
    scene.login();
    scene
}

#[test]
fn each_deleted_message_is_told_apart() {
    let scene = scene();
    let output = scene.run(&["delete", "7", "8", "9"]);
    let wanted = "7 #general deleted for everyone\n\
                  8 #general hidden for you\n\
                  9 #general was deleted already\n";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (wanted, ""));
    let some = scene.run(&["delete", "10", "8", "-o", "json"]);
    assert_eq!(code(&some), 1);
    let object: Value = serde_json::from_str(&stdout(&some)).unwrap();
    assert_eq!((&object["id"], &object["deleted_for"]), (&json!("8"), &json!("you")));
    assert!(stderr(&some).contains("message 10: not there"), "{}", stderr(&some));
    assert!(stderr(&some).contains("1 of 2"), "{}", stderr(&some));
}

#[test]
fn an_edit_shows_the_message_after_it() {
    let scene = scene();
    let output = scene.run(&["edit", "7", "better"]);
    let wanted = "7 2026-01-31 12:00:00 #general alice: better (edited)\n";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (wanted, ""));
}

#[test]
fn a_conversation_is_marked_up_to_its_end_or_a_place() {
    let scene = scene();
    assert_eq!(stdout(&scene.run(&["mark", "@bob"])), "@bob is read up to 5\n");
    assert_eq!(stdout(&scene.run(&["mark", "@bob", "--upto", "2"])), "@bob is read up to 2\n");
    let seen = scene.seen.lock().unwrap();
    let marks: Vec<_> = seen.iter().filter(|line| line.contains("/read ")).collect();
    let wanted =
        [r#"POST /v1/direct/bob/read {"upto":5}"#, r#"POST /v1/direct/bob/read {"upto":2}"#];
    assert_eq!(marks, wanted);
}

#[test]
fn a_password_is_changed_from_two_lines() {
    let scene = scene();
    let output =
        scene.run_with_stdin(&["passwd", "--password-stdin"], "secret word\nanother word\n");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let one = scene.run_with_stdin(&["passwd", "--password-stdin"], "secret word\n");
    assert_eq!(code(&one), 2);
    assert!(stderr(&one).contains("second line"), "{}", stderr(&one));
    let nobody = scene.run(&["passwd"]);
    assert_eq!(code(&nobody), 2);
    assert!(stderr(&nobody).contains("--password-stdin"), "{}", stderr(&nobody));
}

#[test]
fn logins_are_listed_and_ended() {
    let scene = scene();
    let list = stdout(&scene.run(&["account", "sessions"]));
    let wanted = "id    since                until\n\
                  3     2026-01-31 12:00:00  2026-03-01 00:00:00  this one\n\
                  4711  2026-01-31 12:00:00  2026-03-01 00:00:00\n";
    assert_eq!(list, wanted);
    assert_eq!(
        stdout(&scene.run(&["account", "sessions", "--end", "4711"])),
        "the login 4711 has ended\n"
    );
    assert!(scene.token_file().exists());
    assert_eq!(
        stdout(&scene.run(&["account", "sessions", "--end", "3"])),
        "this login has ended\n"
    );
    assert!(!scene.token_file().exists());
}

#[test]
fn an_account_is_deleted_only_when_that_is_meant() {
    let scene = scene();
    for args in [
        &["account", "delete"][..],
        &["account", "delete", "--no-input"],
        &["account", "delete", "--password-stdin"],
    ] {
        let output = scene.run_with_stdin(args, "secret word\n");
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    }
    let wrong =
        scene.run_with_stdin(&["account", "delete", "--yes", "--password-stdin"], "wrong\n");
    assert_eq!(code(&wrong), 1);
    assert!(stderr(&wrong).contains("wrong password"), "{}", stderr(&wrong));
    assert!(!stderr(&wrong).contains("log in again"), "{}", stderr(&wrong));
    assert!(scene.token_file().exists());

    let args = ["account", "delete", "--erase-messages", "--yes", "--password-stdin", "--no-input"];
    let output = scene.run_with_stdin(&args, "secret word\n");
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "the account alice is deleted\n"));
    for said in
        ["2 messages are unread", "deleted, for everyone", "Nobody can ever register as alice"]
    {
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    }
    assert!(!scene.token_file().exists());
    let seen = scene.seen.lock().unwrap();
    let last = seen.iter().rfind(|line| line.starts_with("DELETE /v1/me ")).unwrap();
    assert!(last.contains(r#""erase_messages":true"#), "{last}");
}

#[test]
fn completions_and_manual_need_no_node() {
    let scene = Scene::new(willing);
    for (shell, word) in
        [("bash", "_chatctl"), ("zsh", "#compdef chatctl"), ("fish", "complete -c chatctl")]
    {
        let output = scene.run(&["completions", shell, "--config", "/nowhere.toml"]);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        assert!(stdout(&output).contains(word), "{shell}");
    }
    let page = stdout(&scene.run(&["man"]));
    assert!(page.contains(".TH chatctl 1") && page.contains("Example"), "{page}");
    let dir = scene.home.path().join("man1");
    std::fs::create_dir(&dir).unwrap();
    assert_eq!(code(&scene.run(&["man", dir.to_str().unwrap()])), 0);
    assert!(dir.join("chatctl-bench-send.1").exists());
    assert!(scene.seen.lock().unwrap().is_empty());
}
