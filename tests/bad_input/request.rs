//! Bodies and queries: what is not the JSON expected, and numbers beyond all bounds.

use serde_json::json;

use crate::target::attack;

#[tokio::test(flavor = "multi_thread")]
async fn bad_json_is_malformed() {
    attack(async |target| {
        let bodies = [
            "",
            " ",
            "{",
            "}",
            "[]",
            "null",
            "1",
            "\"text\"",
            "{'to':'@bob','text':'a'}",
            r#"{"to":"@bob","text":"a",}"#,
            r#"{"to":"@bob","text":"a"}}"#,
            r#"{"to":"@bob","text":"a"}{"to":"@bob","text":"b"}"#,
            r#"{"to":"@bob","text":"a"} // why"#,
            r#"{"to":"@bob","text":NaN}"#,
            r#"{"to":"@bob","text":"a\x41"}"#,
            "{\"to\":\"@bob\",\"text\":\"a\nb\"}",
            "{\"to\":\"@bob\",\"text\":\"\0\"}",
            r#"{"to":["@bob"],"text":"a"}"#,
            r#"{"to":"@bob","text":{"a":1}}"#,
            r#"{"to":"@bob"}"#,
            r#"{"to":null,"text":null}"#,
            "to=%40bob&text=a",
            "<message to='@bob'>a</message>",
        ];
        for body in bodies {
            let answer = target.post_raw("/v1/messages", &target.alice, body.as_bytes()).await;
            assert_eq!(answer.refused(400), "malformed", "{body}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_json_is_refused() {
    attack(async |target| {
        let deep = [
            "[".repeat(100_000),
            "{\"a\":".repeat(20_000),
            format!("{{\"to\":{}1{}", "[".repeat(50_000), "]".repeat(50_000)),
            format!("{{\"text\":\"a\",\"to\":{}", "{\"to\":".repeat(10_000)),
        ];
        for body in deep {
            for path in ["/v1/messages", "/v1/login", "/v1/channels"] {
                let answer = target.post_raw(path, &target.alice, body.as_bytes()).await;
                assert_eq!(answer.refused(400), "malformed");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_numbers_are_refused() {
    attack(async |target| {
        let digits = "9".repeat(100_000);
        let numbers = ["-1", "1e999", "-0.0", "0.5", "1e3", "18446744073709551616", &digits];
        for number in numbers {
            let body = format!(r#"{{"upto":{number}}}"#);
            let answer =
                target.post_raw("/v1/channels/general/read", &target.alice, body.as_bytes()).await;
            assert_eq!(answer.refused(400), "malformed", "{number}");
            let body = format!(r##"{{"to":"#general","text":"a","reply_to":{number}}}"##);
            let answer = target.post_raw("/v1/messages", &target.alice, body.as_bytes()).await;
            assert_eq!(answer.refused(400), "malformed", "{number}");
        }
        for id in ["", "-1", "+1", " 1", "1.0", "0x1", "18446744073709551616", "\u{661}"] {
            let body = json!({"to": "#general", "text": "a", "reply_to": id});
            let answer = target.post("/v1/messages", &target.alice, &body).await;
            assert!(matches!(answer.status, 400 | 422), "{id:?}: {answer:?}");
            answer.refused(answer.status);
        }
        let largest = u64::MAX.to_string();
        let body = json!({"to": "#general", "text": "a", "reply_to": largest});
        let answer = target.post("/v1/messages", &target.alice, &body).await;
        answer.refused(answer.status);
        // What is beyond the end is the end.
        let mark = json!({"upto": u64::MAX});
        let answer = target.post("/v1/channels/general/read", &target.alice, &mark).await;
        assert!(matches!(answer.status, 204 | 422), "{answer:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_numbers_in_a_query_are_judged() {
    attack(async |target| {
        let history = "/v1/channels/general/messages";
        for (query, status) in [
            ("limit=0", 422),
            ("limit=201", 422),
            ("limit=18446744073709551615", 422),
            ("limit=18446744073709551616", 400),
            ("limit=-1", 400),
            ("limit=", 400),
            ("limit=1&limit=2", 400),
            ("before=18446744073709551615", 200),
            ("after=18446744073709551615", 200),
            ("around=18446744073709551615", 200),
            ("around=18446744073709551615&limit=200", 200),
            ("before=0", 200),
            ("before=1&after=1", 400),
            ("colour=red", 400),
        ] {
            let answer = target.get(&format!("{history}?{query}"), &target.alice).await;
            assert_eq!(answer.status, status, "{query}: {answer:?}");
            if status != 200 {
                answer.refused(status);
            }
        }
        for id in ["0", "18446744073709551615", "18446744073709551616", "-1", "1e3", "x"] {
            target.get(&format!("/v1/messages/{id}"), &target.alice).await.refused(404);
        }
        let after = target.get("/v1/conversations?after=18446744073709551615", &target.alice).await;
        assert_eq!(after.status, 200, "{after:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_keys_are_refused() {
    attack(async |target| {
        for body in [
            r#"{"to":"@bob","to":"@owner","text":"a"}"#,
            r#"{"to":"@bob","text":"a","text":"b"}"#,
            r#"{"to":"@bob","text":"a","t\u0065xt":"b"}"#,
        ] {
            let answer = target.post_raw("/v1/messages", &target.alice, body.as_bytes()).await;
            assert_eq!(answer.refused(400), "malformed", "{body}");
        }
        let login = r#"{"name":"alice","name":"owner","password":"x"}"#;
        target.post_raw("/v1/login", "", login.as_bytes()).await.refused(400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf_8_is_refused() {
    attack(async |target| {
        let texts: [&[u8]; 9] = [
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc3",
            b"\x80",
            br"\ud800",
            br"\udc00\ud800",
            br"\ud83d\u0041",
        ];
        for text in texts {
            let body = [br#"{"to":"@bob","text":""#, text, br#""}"#].concat();
            let answer = target.post_raw("/v1/messages", &target.alice, &body).await;
            assert_eq!(answer.refused(400), "malformed", "{text:?}");
        }
        let good = r#"{"to":"@bob","text":"a"}"#;
        let marked = [b"\xef\xbb\xbf", good.as_bytes()].concat();
        let wide: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for body in [marked, wide] {
            target.post_raw("/v1/messages", &target.alice, &body).await.refused(400);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_refused() {
    attack(async |target| {
        let cases = [
            ("/v1/register", json!({"name": "x", "password": "x", "role": "owner"})),
            ("/v1/login", json!({"name": "alice", "password": "x", "admin": true})),
            ("/v1/messages", json!({"to": "@bob", "text": "a", "author": "owner"})),
            ("/v1/messages", json!({"to": "@bob", "text": "a", "__proto__": {"a": 1}})),
            ("/v1/channels", json!({"name": "x", "owner": "alice"})),
            ("/v1/channels/general/invites", json!({"user": "bob", "role": "owner"})),
            ("/v1/channels/general/read", json!({"upto": 1, "user": "bob"})),
        ];
        for (path, body) in cases {
            let answer = target.post(path, &target.alice, &body).await;
            assert_eq!(answer.refused(400), "malformed", "{path} {body}");
        }
    })
    .await;
}

/// What is no JSON is refused whatever it is called; what is JSON is read only as such.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_content_type_turns_nothing_into_a_request() {
    attack(async |target| {
        let bearer = format!("Bearer {}", target.alice);
        let parts = "--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n@bob\r\n--x--\r\n";
        for (kind, body) in [
            ("application/x-www-form-urlencoded", "to=%40bob&text=a"),
            ("multipart/form-data; boundary=x", parts),
            ("application/xml", "<to>@bob</to>"),
            ("application/octet-stream", "\u{1}\u{2}"),
            ("application/json; charset=utf-16", "\u{1}\u{2}"),
            ("x".repeat(5000).as_str(), "a"),
            ("", ""),
        ] {
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
            let answer = target.call_raw("POST", "/v1/messages", &headers, body.as_bytes()).await;
            assert_eq!(answer.refused(400), "malformed", "{kind}");
        }
    })
    .await;
}
