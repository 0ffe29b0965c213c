//! What went wrong: exit codes, the error object, closed pipes.

use serde_json::{Value, json};

use crate::scene::{Scene, cluster, code, stderr, stdout, willing};

fn failing(status: u16, code: &'static str) -> impl Fn(&str, &str) -> (u16, Value) + Send {
    move |line, body| match line {
        "POST /v1/login" | "GET /v1/cluster" => willing(line, body),
        _ => (status, json!({"error": {"code": code, "message": "because", "hint": "do this"}})),
    }
}

/// The one object on stderr, without its frame.
fn error_object(text: &str) -> Value {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}");
    serde_json::from_str::<Value>(lines[0]).unwrap()["error"].take()
}

#[test]
fn every_exit_code_says_what_was_done() {
    let send = &["send", "@bob", "hi"][..];
    for (status, name, args, exit) in [
        (403, "not_allowed", send, 1),
        (422, "text_too_long", send, 1),
        (429, "too_fast", send, 1),
        (500, "internal", send, 1),
        (503, "no_leader", send, 3),
        (504, "outcome_unknown", send, 5),
        (504, "outcome_unknown", &["whoami"], 3),
        (404, "no_such_message", &["edit", "7", "x"], 1),
        (404, "no_such_message", &["delete", "7"], 1),
        (404, "no_such_message", &["delete", "7", "8"], 1),
        (409, "last_owner", &["mark", "@bob", "--upto", "1"], 1),
    ] {
        let scene = Scene::new(failing(status, name));
        scene.login();
        // What is asked again until time is up is not to be waited for.
        let patience = if status > 500 || status == 429 { "500ms" } else { "30s" };
        let args = [args, &["--timeout", patience]].concat();
        let text = scene.run(&args);
        assert_eq!((code(&text), stdout(&text).as_str()), (exit, ""), "{name}: {}", stderr(&text));
        assert!(stderr(&text).contains("because") && stderr(&text).contains("hint: "), "{name}");
        let object = scene.run(&[&args[..], &["-o", "json"]].concat());
        assert_eq!((code(&object), stdout(&object).as_str()), (exit, ""), "{name}");
        for line in stderr(&object).lines() {
            let error = error_object(line);
            for key in ["code", "message", "hint"] {
                assert!(error[key].is_string(), "{name}: {error}");
            }
        }
    }
}

#[test]
fn nobody_there_means_nothing_was_done() {
    let scene = Scene::new(willing);
    scene.login();
    // An address where nobody listens, of the same cluster as far as the login knows.
    let file = std::fs::read_to_string(scene.token_file()).unwrap();
    std::fs::write(scene.token_file(), file.replace(&scene.endpoint, "http://127.0.0.1:9"))
        .unwrap();
    for args in [&["send", "@bob", "hi"][..], &["whoami"], &["doctor"]] {
        let args = [args, &["--endpoint", "http://127.0.0.1:9", "--timeout", "200ms"]].concat();
        let output = scene.run(&args);
        assert_eq!(code(&output), 3, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("http://127.0.0.1:9") || args[0] == "doctor");
    }
}

#[test]
fn wrong_usage_is_told_as_an_object_too() {
    let scene = Scene::new(willing);
    for wrong in [&["send"][..], &["nope"], &["mark", "bob"], &["--timeout", "0s", "whoami"]] {
        let output = scene.run(&[wrong, &["--output", "json"]].concat());
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{wrong:?}");
        let error = error_object(&stderr(&output));
        assert_eq!(error["code"], "usage");
        assert!(error["hint"].as_str().unwrap().contains("--help"), "{error}");
    }
    let config = scene.run(&["--config", "/nowhere.toml", "whoami", "-o", "json"]);
    assert_eq!((code(&config), &error_object(&stderr(&config))["code"]), (2, &json!("usage")));
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let scene = Scene::new(willing);
    scene.login();
    for args in [
        &["whoami"][..],
        &["read"],
        &["inbox"],
        &["inbox", "-o", "json"],
        &["cluster", "status"],
        &["doctor"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["send", "@bob", "hi"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = scene.command(args).stdout(writer).output().unwrap();
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{args:?}");
    }
}

/// Two nodes; the second one tells `hash` for its state.
fn two_nodes(hash: &'static str) -> (Scene, Scene) {
    let told = |index: &str, hash: &str| {
        assert_eq!(index, "9");
        (200, json!({"index": 9, "hash": hash}))
    };
    let second = Scene::new(move |line, body| match line.split_once("hash?index=") {
        Some((_, index)) if hash.is_empty() => (503, json!({"error": {"code": index}})),
        Some((_, index)) => told(index, hash),
        None => willing(line, body),
    });
    let other = second.endpoint.clone();
    let first = Scene::new(move |line, body| match line.split_once("hash?index=") {
        Some((_, index)) => told(index, "aa"),
        None if line == "GET /v1/cluster" => {
            let mut status = cluster();
            status["nodes"].as_array_mut().unwrap().truncate(2);
            status["nodes"][0]["client"] = "SELF".into();
            status["nodes"][1]["client"] = other.as_str().into();
            (200, status)
        }
        None => willing(line, body),
    });
    first.login();
    (first, second)
}

#[test]
fn nodes_that_differ_are_damage_and_nodes_that_are_down_are_named() {
    for (hash, exit, verdict, error) in [
        ("aa", 0, "same", ""),
        ("bb", 4, "DIFFERS", "damaged"),
        ("", 3, "not compared", "incomplete"),
    ] {
        let (scene, _second) = two_nodes(hash);
        let args = ["cluster", "verify", "--timeout", "2s"];
        let text = scene.run(&args);
        assert_eq!(code(&text), exit, "{}{}", stdout(&text), stderr(&text));
        assert!(stdout(&text).contains(verdict), "{}", stdout(&text));
        assert!(exit == 0 || stderr(&text).contains(" 2 "), "{}", stderr(&text));
        let object = scene.run(&[&args[..], &["-o", "json"]].concat());
        let told: Value = serde_json::from_str(&stdout(&object)).unwrap();
        assert_eq!((&told["same"], &told["index"]), (&json!(exit == 0), &json!(9)));
        if exit != 0 {
            assert_eq!(error_object(&stderr(&object))["code"], error);
        }
    }
}

#[test]
fn the_doctor_tells_each_check_and_its_mend() {
    let scene = Scene::new(|line, body| match line {
        "GET /readyz" => (200, Value::Null),
        _ => willing(line, body),
    });
    let stranger = scene.run(&["doctor", "--endpoint", &scene.endpoint]);
    assert_eq!(code(&stranger), 0, "{}{}", stdout(&stranger), stderr(&stranger));
    assert!(stdout(&stranger).contains("not logged in"), "{}", stdout(&stranger));
    scene.login();
    let output = scene.run(&["doctor", "-o", "json"]);
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            format!("{} {}", line["check"].as_str().unwrap(), line["verdict"].as_str().unwrap())
        })
        .collect();
    // Node 3 of the picture is down, and the played node does not tell its time.
    let wanted = [
        "name PASS",
        "port PASS",
        "answer PASS",
        "clock WARN",
        "login PASS",
        "version PASS",
        "quorum WARN",
    ];
    assert_eq!(told, wanted);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    for line in &lines {
        assert_eq!(line["mend"].is_null(), line["verdict"] == "PASS", "{line}");
    }
    // A node that is up and not ready fails, and so does one that is not there.
    let down = Scene::new(|line, body| match line {
        "GET /readyz" => (503, Value::Null),
        _ => willing(line, body),
    });
    let sick =
        down.run(&["doctor", "--endpoint", &down.endpoint, "--endpoint", "http://127.0.0.1:9"]);
    assert_eq!(code(&sick), 1, "{}", stdout(&sick));
    assert_eq!(stdout(&sick).matches("FAIL").count(), 2, "{}", stdout(&sick));
    assert!(stderr(&sick).contains("2 checks failed"), "{}", stderr(&sick));
}
