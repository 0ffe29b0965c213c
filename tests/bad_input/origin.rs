//! What other web sites may have a browser do: nothing, and they read nothing.

use serde_json::{Value, json};
use tests::cluster::PASSWORD;

use crate::{
    target::{Target, attack},
    wire::Answer,
};

const FOREIGN: &str = "https://evil.example";

/// The cookie that the node's own page is given at a login.
async fn cookie(target: &Target) -> String {
    let headers = [("Sec-Fetch-Site", "same-origin")];
    let body = json!({"name": "bob", "password": PASSWORD});
    let answer = target.call("POST", "/v1/login", &headers, Some(&body)).await;
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{answer:?}"));
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(set.contains(attribute), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

/// No page of another origin may read this answer.
#[track_caller]
fn unreadable(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_foreign_is_refused() {
    attack(async |target| {
        let port = target.address.port();
        let rebound = format!("evil.example:{port}");
        let hosts = [
            "evil.example",
            &rebound,
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "evil.example#127.0.0.1",
            "127.0.0.1@evil.example",
            "user@127.0.0.1",
            "[::1].evil.example",
            "127.0.0.1:x",
            "127.0.0.1,evil.example",
            "2130706433",
            "",
            " ",
        ];
        for host in hosts {
            for path in ["/", "/assets/main.js", "/v1/me", "/healthz", "/v1/nowhere"] {
                let bearer = format!("Bearer {}", target.alice);
                let headers = [("Host", host), ("Authorization", bearer.as_str())];
                let answer = target.call("GET", path, &headers, None).await;
                assert!(matches!(answer.status, 400 | 403), "{host:?} {path}: {answer:?}");
                unreadable(&answer);
            }
        }
        let none = target.raw(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert_eq!(none.first().status, 400);
        let two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        assert_eq!(target.raw(two).await.first().status, 400);
        let url = "http://evil.example/healthz";
        let answer = target.call("GET", url, &[("Host", "localhost")], None).await;
        assert_eq!(answer.refused(403), "unknown_host");
        for host in ["localhost", "LOCALHOST", &format!("127.0.0.1:{port}"), "[::1]"] {
            let answer = target.call("GET", "/healthz", &[("Host", host)], None).await;
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn origin_foreign_or_missing_opens_no_socket_to_a_page() {
    attack(async |target| {
        let own = format!("http://{}", target.address);
        let upgrade = [
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let open = async |origin: Option<&str>| {
            let mut request = format!(
                "GET /v1/events HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\n",
                target.address
            );
            for (name, value) in upgrade.into_iter().chain(origin.map(|origin| ("Origin", origin)))
            {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            // Without a hello the socket ends by itself.
            target.raw(format!("{request}\r\n").as_bytes()).await.first()
        };
        let foreign = [
            FOREIGN,
            "null",
            "",
            "http://127.0.0.1.evil.example",
            "http://localhost:1",
            "file://",
            &format!("{own}.evil.example"),
            &format!("{own}@evil.example"),
            &format!("{own}/path"),
        ];
        for origin in foreign {
            let answer = open(Some(origin)).await;
            assert_eq!(answer.refused(403), "foreign_origin", "{origin}");
            unreadable(&answer);
        }
        // Its own page may, and what is no browser tells no origin.
        for origin in [Some(own.as_str()), None] {
            assert_eq!(open(origin).await.status, 101, "{origin:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_preflight_from_a_foreign_origin_is_refused() {
    attack(async |target| {
        for origin in [FOREIGN, "null", "http://localhost:1"] {
            for path in ["/v1/messages", "/v1/me", "/v1/token", "/v1/login", "/v1/nowhere"] {
                let headers = [
                    ("Origin", origin),
                    ("Access-Control-Request-Method", "POST"),
                    ("Access-Control-Request-Headers", "authorization"),
                ];
                let answer = target.call("OPTIONS", path, &headers, None).await;
                assert_eq!(answer.refused(403), "foreign_origin");
                unreadable(&answer);
            }
            let bearer = format!("Bearer {}", target.alice);
            let headers = [("Origin", origin), ("Authorization", bearer.as_str())];
            unreadable(&target.call("GET", "/v1/me", &headers, None).await);
        }
        let own = format!("http://{}", target.address);
        let headers = [("Origin", own.as_str()), ("Access-Control-Request-Method", "POST")];
        let answer = target.call("OPTIONS", "/v1/messages", &headers, None).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(own.as_str()));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    })
    .await;
}

/// The cookie opens one thing, to the node's own page alone.
#[tokio::test(flavor = "multi_thread")]
async fn csrf_form_post_with_the_cookie_does_nothing() {
    attack(async |target| {
        let cookie = cookie(target).await;
        let own = format!("http://{}", target.address);
        let post = async |path: &str, marks: &[(&str, &str)], body: &str| {
            let mut headers = vec![("Cookie", cookie.as_str())];
            headers.extend_from_slice(marks);
            target.call_raw("POST", path, &headers, body.as_bytes()).await
        };
        let strangers: [&[(&str, &str)]; 8] = [
            &[("Origin", FOREIGN), ("Sec-Fetch-Site", "cross-site")],
            &[("Origin", FOREIGN)],
            &[("Origin", "null")],
            &[("Sec-Fetch-Site", "same-site"), ("Origin", &own)],
            &[("Sec-Fetch-Site", "none")],
            &[("Sec-Fetch-Site", "cross-site"), ("Origin", &own)],
            &[("Sec-Fetch-Site", "same-origin, cross-site")],
            &[],
        ];
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let text = [("Content-Type", "text/plain")];
        for marks in strangers {
            // Nothing that a page of another site sends gets as far as a token.
            let is_foreign =
                marks.contains(&("Origin", FOREIGN)) || marks.contains(&("Origin", "null"));
            let status = if is_foreign { 403 } else { 401 };
            for kind in [form, text] {
                let marks = [marks, &kind].concat();
                post("/v1/token", &marks, "").await.refused(status);
                let body = json!({"to": "@owner", "text": "forged"}).to_string();
                post("/v1/messages", &marks, &body).await.refused(status);
                post("/v1/messages", &marks, "to=%40owner&text=forged").await.refused(status);
                post("/v1/logout", &marks, "").await.refused(status);
                post("/v1/channels/general/leave", &marks, "").await.refused(status);
            }
            // No site signs a browser in as somebody else, nor has it make an account.
            let body = json!({"name": "alice", "password": PASSWORD}).to_string();
            let answer = target.call_raw("POST", "/v1/login", marks, body.as_bytes()).await;
            assert_eq!(answer.header("set-cookie"), None, "{marks:?}: {answer:?}");
            if is_foreign {
                assert_eq!(answer.refused(403), "foreign_origin");
                let body = json!({"name": "mallory", "password": PASSWORD}).to_string();
                let answer = target.call_raw("POST", "/v1/register", marks, body.as_bytes()).await;
                assert_eq!(answer.refused(403), "foreign_origin");
            }
        }
        for path in ["/v1/messages", "/v1/logout"] {
            post(path, &[("Sec-Fetch-Site", "same-origin")], "").await.refused(401);
        }
        let opened = post("/v1/token", &[("Sec-Fetch-Site", "same-origin")], "").await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let opened: Value = opened.json();
        let me = target.get("/v1/me", opened["token"].as_str().unwrap()).await;
        assert_eq!(me.json()["name"], "bob", "the cookie is as good as before");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_are_none_open_nothing() {
    attack(async |target| {
        let cookie = cookie(target).await;
        let token = cookie.split_once('=').unwrap().1;
        let doubled = format!("{cookie}; __Host-holdfast=x");
        let wrong = [
            "__Host-holdfast=",
            "__Host-holdfast",
            "__Host-holdfast=x",
            ";;;===;;",
            &format!("holdfast={token}"),
            &format!("__Secure-holdfast={token}"),
            &format!("__host-holdfast={token}"),
            &format!("a=__Host-holdfast={token}"),
            &format!("__Host-holdfast=\"{token}\""),
            &format!("__Host-holdfast={}", "A".repeat(10_000)),
        ];
        for cookie in wrong {
            let headers = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
            let answer = target.call("POST", "/v1/token", &headers, None).await;
            answer.refused(401);
        }
        // Two of one name: never both, never a crash.
        let headers = [("Cookie", doubled.as_str()), ("Sec-Fetch-Site", "same-origin")];
        let answer = target.call("POST", "/v1/token", &headers, None).await;
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    })
    .await;
}
