//! Names, texts and topics: what cannot be kept is refused, what is kept comes back as it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::cluster::PASSWORD;

use crate::{
    target::{Target, attack},
    wire::Answer,
};

/// What a text becomes that is sent to everybody: the answer, the history, and the message alone
/// must say the same.
async fn kept(target: &Target, text: &str) {
    let sent = target.send(&target.alice, "#general", text).await;
    assert_eq!(sent.status, 201, "{text:?}: {sent:?}");
    let sent = sent.json();
    let id = sent["id"].as_str().unwrap();
    let seq = sent["seq"].as_u64().unwrap();
    let one = target.get(&format!("/v1/messages/{id}"), &target.bob).await;
    let around = format!("/v1/channels/general/messages?after={}&limit=1", seq - 1);
    let history = target.get(&around, &target.bob).await;
    for answer in [&one, &history] {
        let kind = answer.header("content-type").unwrap();
        assert_eq!(
            (kind, answer.header("x-content-type-options")),
            ("application/json", Some("nosniff"))
        );
    }
    let history = history.json();
    for found in [&sent, &one.json(), &history["items"][0]] {
        assert_eq!(found["text"], text);
    }
}

async fn send(target: &Target, text: &str) -> Answer {
    target.send(&target.alice, "#general", text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_every_length() {
    const MAX: usize = 16 * 1024;
    attack(async |target| {
        assert_eq!(send(target, "").await.refused(422), "text_empty");
        for text in ["a".to_owned(), "a".repeat(MAX), "\u{1f44d}".repeat(MAX / 4)] {
            kept(target, &text).await;
        }
        for text in ["a".repeat(MAX + 1), format!("{}a", "\u{1f44d}".repeat(MAX / 4))] {
            assert_eq!(send(target, &text).await.refused(422), "text_too_long");
        }
        assert_eq!(send(target, &"a".repeat(1 << 20)).await.refused(413), "too_large");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_in_texts_are_refused() {
    attack(async |target| {
        let controls = [
            "\0",
            "\r\n",
            "\r",
            "\u{7}",
            "\u{8}",
            "\x1b[2J",
            "\x1b]52;c;YQ==\x07",
            "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
            "\u{9b}31m",
            "\u{90}",
            "\u{9d}",
            "\u{85}",
            "\u{7f}",
            "\x0b",
            "\x0c",
        ];
        for control in controls {
            for text in [control.to_owned(), format!("a{control}b")] {
                assert_eq!(send(target, &text).await.refused(422), "text_control", "{text:?}");
                let body = json!({"name": "topical", "topic": text});
                let answer = target.post("/v1/channels", &target.alice, &body).await;
                assert_eq!(answer.refused(422), "topic_invalid", "{text:?}");
            }
        }
        kept(target, "two\nlines and a\ttab").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_honest_texts_are_kept() {
    attack(async |target| {
        let zalgo = format!("z{}", "\u{301}\u{489}".repeat(4000));
        let storm = "@alice @bob @owner @nobody #general ".repeat(400);
        let word = "w".repeat(16 * 1024);
        let texts = [
            zalgo.as_str(),
            storm.as_str(),
            word.as_str(),
            " ",
            "\n\n\n",
            "\u{202e}gnp.exe",
            "\u{2066}\u{2067}\u{2068}unclosed",
            "zero\u{200b}width\u{feff}joined\u{2060}",
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{1f3fd} \u{1f3f4}\u{e0067}\u{e0062}\u{e007f}",
            "\u{fffe}\u{ffff}\u{10ffff}\u{fffd}",
            "\u{2028}\u{2029}",
            "<img src=x onerror=alert(1)>",
            "</script><script>alert(1)</script>",
            "javascript:alert(document.cookie)",
            "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
            "url(https://example.org/a.css)",
            "'; drop table messages; --",
            "\\u0000 \\x00 %00 &#0;",
            "../../etc/passwd",
            "%s%s%s%n",
            "\"}],\"items\":[{\"text\":\"forged",
        ];
        for text in texts {
            kept(target, text).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_deceive_are_refused() {
    attack(async |target| {
        let long = "a".repeat(33);
        let names = [
            "",
            " ",
            "-a",
            ".a",
            "_a",
            "a b",
            "a\0",
            "a\n",
            "a/b",
            "a@b",
            "#a",
            "@a",
            "a:b",
            "a%20b",
            "../a",
            "..",
            &long,
            // Homoglyphs: Cyrillic, fullwidth, small capital, long s, dotted capital I.
            "\u{430}lice",
            "\u{ff41}lice",
            "\u{1d00}lice",
            "ali\u{17f}e",
            "al\u{130}ce",
            "alic\u{435}",
            // What cannot be seen.
            "al\u{200b}ice",
            "alice\u{200d}",
            "\u{feff}alice",
            "al\u{ad}ice",
            "alice\u{301}",
            "alice\u{e0041}",
            // What turns the line.
            "\u{202e}ecila",
            "alice\u{202c}",
            "\u{2067}alice",
        ];
        for name in names {
            let register = json!({"name": name, "password": PASSWORD});
            let answer = target.call("POST", "/v1/register", &[], Some(&register)).await;
            assert_eq!(answer.refused(422), "name_invalid", "{name:?}");
            let answer = target.post("/v1/channels", &target.alice, &json!({"name": name})).await;
            assert_eq!(answer.refused(422), "name_invalid", "{name:?}");
            for to in [format!("@{name}"), format!("#{name}")] {
                let answer = target.send(&target.alice, &to, "a").await;
                assert!((400..=422).contains(&answer.status), "{to:?}: {answer:?}");
                answer.refused(answer.status);
            }
        }
        // The case is folded, and then the name is taken.
        let register = json!({"name": "ALICE", "password": PASSWORD});
        let answer = target.call("POST", "/v1/register", &[], Some(&register)).await;
        assert_eq!(answer.refused(409), "name_taken");
        for to in ["", "@", "#", "bob", "@@bob", "@bob ", "@bob,@owner", "\u{ff20}bob"] {
            let answer = target.send(&target.alice, to, "a").await;
            assert!((400..=422).contains(&answer.status), "{to:?}: {answer:?}");
            answer.refused(answer.status);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_every_length() {
    attack(async |target| {
        for password in ["", "1234567", &"a".repeat(129), &"\u{1f44d}".repeat(7)] {
            let body = json!({"name": "nobody", "password": password});
            let answer = target.call("POST", "/v1/register", &[], Some(&body)).await;
            assert_eq!(answer.refused(422), "password_invalid", "{password:?}");
        }
        let login = |password: Value| json!({"name": "alice", "password": password});
        for password in [
            json!(""),
            json!("a".repeat(100_000)),
            json!("\0\u{1b}"),
            json!(PASSWORD.to_uppercase()),
        ] {
            let answer = target.call("POST", "/v1/login", &[], Some(&login(password))).await;
            assert_eq!(answer.refused(401), "bad_credentials");
        }
        let body = login(json!("a".repeat(1 << 20)));
        assert_eq!(
            target.call("POST", "/v1/login", &[], Some(&body)).await.refused(413),
            "too_large"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_every_length() {
    attack(async |target| {
        let create = async |name: &str, topic: &str| {
            let body = json!({"name": name, "topic": topic});
            target.post("/v1/channels", &target.alice, &body).await
        };
        assert_eq!(create("topic-long", &"t".repeat(1025)).await.refused(422), "topic_invalid");
        let longest = create("topic-longest", &"t".repeat(1024)).await;
        assert!(matches!(longest.status, 201 | 409), "{longest:?}");
        let marked = create("topic-marked", "<b>\u{202e}").await;
        assert!(matches!(marked.status, 201 | 409), "{marked:?}");
        let found = target.get("/v1/channels/topic-marked", &target.bob).await;
        assert_eq!(found.json()["topic"], "<b>\u{202e}");
    })
    .await;
}

/// Patterns that make a simple matcher try every way.
#[tokio::test(flavor = "multi_thread")]
async fn patterns_cannot_make_the_node_search_for_ever() {
    attack(async |target| {
        let begun = Instant::now();
        let star = "*a".repeat(31);
        for pattern in [
            star.as_str(),
            "****************************************************a",
            "%3F%3F%3F*%3F*%3F*%3F*b",
        ] {
            let answer = target.get(&format!("/v1/users?match={pattern}"), &target.alice).await;
            assert_eq!(answer.status, 200, "{pattern}: {answer:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        let long = "*".repeat(65);
        for pattern in [long.as_str(), "%5B", "%00", "%F0%9F%91%8D"] {
            let answer = target.get(&format!("/v1/users?match={pattern}"), &target.alice).await;
            assert!(matches!(answer.status, 200 | 400 | 422), "{pattern}: {answer:?}");
        }
    })
    .await;
}
