//! The page is what was built in, the browser is held to it, and no other site gets at a node.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest as _};

use super::{
    super::{Options, page::ASSETS},
    kit::{Answer, Node, PASSWORD, options},
};

/// The client URL of the tests' one node, as its cluster knows it.
const KNOWN: &str = "http://127.0.0.1:7411";

#[test]
fn every_file_of_the_page_is_embedded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("index.html") {
                files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut embedded: Vec<&str> = ASSETS.iter().map(|(name, ..)| *name).collect();
    files.sort();
    embedded.sort_unstable();
    assert_eq!(files, embedded);
}

#[tokio::test]
async fn the_page_holds_the_browser_to_itself_and_its_cluster() {
    let node = Node::start();
    let answer = node.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers().clone();
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    assert!(header("permissions-policy").contains("camera=()"));
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        "connect-src 'self' http://127.0.0.1:7411 ws://127.0.0.1:7411",
    ] {
        assert!(policy.split("; ").any(|told| told == part), "{part} is not in {policy}");
    }
    let page = answer.text().await.unwrap();
    assert!(page.contains(&format!("content=\"{KNOWN}\"")), "{page}");
    assert!(!page.contains("{{"), "{page}");
}

#[tokio::test]
async fn what_the_browser_holds_is_not_sent_again() {
    let node = Node::start();
    let get = async |path: &str, held: Option<&str>| {
        let request = node.request(Method::GET, path);
        Answer::of(match held {
            Some(held) => request.header("if-none-match", held),
            None => request,
        })
        .await
    };
    let paths = ASSETS.iter().map(|(name, ..)| format!("/assets/{name}"));
    for path in paths.chain(["/".to_owned()]) {
        let first = get(&path, None).await;
        assert_eq!(first.status, StatusCode::OK, "{path}");
        let tag = first.header("etag").to_owned();
        for held in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = get(&path, Some(&held)).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}, {held}");
            assert_eq!(again.header("etag"), tag);
        }
        assert_eq!(get(&path, Some("\"other\"")).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn no_path_leaves_the_table() {
    let node = Node::start();
    let paths = [
        "/assets/",
        "/assets/index.html",
        "/assets/..%2fnode.toml",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2fetc%2fpasswd",
        "/assets/style.css%00",
        "/assets/./style.css%2f..",
        "/assets/STYLE.CSS",
    ];
    for path in paths {
        let answer = Answer::of(node.request(Method::GET, path)).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_node_answers_under_its_own_names_only() {
    let node = Node::with(&Options { names: vec!["chat.example.org".to_owned()], ..options() });
    let get = async |host: &str| {
        Answer::of(node.request(Method::GET, "/healthz").header("host", host)).await
    };
    let known = [
        "127.0.0.1:1",
        "localhost",
        "LOCALHOST:7411",
        "[::1]:7411",
        "10.0.0.9",
        "chat.example.org:1",
    ];
    for host in known {
        assert_eq!(get(host).await.status, StatusCode::OK, "{host}");
    }
    for host in
        ["evil.example.org", "localhost.evil.example.org", "chat.example.org.evil", "127.1x"]
    {
        let answer = get(host).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "unknown_host"),
            "{host}"
        );
    }
    for host in ["", "a b", "me@localhost"] {
        let answer = get(host).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "malformed"),
            "{host}"
        );
    }
}

#[tokio::test]
async fn pages_of_the_clusters_nodes_read_answers_and_no_others() {
    let node = Node::start();
    let ask = async |method: Method, origin: &str| {
        let request = node.request(method, "/v1/me").header("origin", origin);
        Answer::of(request.header("access-control-request-method", "GET")).await
    };
    for origin in [KNOWN, "http://localhost:7411", "http://[::1]:7411"] {
        let preflight = ask(Method::OPTIONS, origin).await;
        assert_eq!(preflight.status, StatusCode::NO_CONTENT, "{origin}");
        assert_eq!(preflight.header("access-control-allow-origin"), origin);
        assert!(preflight.header("access-control-allow-headers").contains("authorization"));
        assert!(preflight.header("access-control-allow-methods").contains("DELETE"));
        // A refusal is read as well: the page has to know what went wrong.
        let answer = ask(Method::GET, origin).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        let exposed = answer.header("access-control-expose-headers");
        for name in ["holdfast-index", "holdfast-time", "idempotency-key", "retry-after"] {
            assert!(exposed.contains(name), "{exposed}");
        }
        assert_eq!(answer.header("vary"), "origin");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    for origin in ["http://127.0.0.1:7412", "https://127.0.0.1:7411", "http://evil:7411", "null"] {
        let preflight = ask(Method::OPTIONS, origin).await;
        assert_eq!((preflight.status, preflight.code()), (StatusCode::FORBIDDEN, "foreign_origin"));
        let answer = ask(Method::GET, origin).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
}

#[tokio::test]
async fn a_browser_opens_a_web_socket_from_a_page_of_the_cluster_only() {
    let node = Node::start();
    let open = async |origin: Option<&str>| {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let url = format!("ws://{}/v1/events", node.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        client_async(request, stream).await.is_ok()
    };
    let own = format!("http://{}", node.address);
    for origin in [None, Some(own.as_str()), Some(KNOWN), Some("http://localhost:7411")] {
        assert!(open(origin).await, "{origin:?}");
    }
    for origin in ["https://evil.example.org", "null", "http://127.0.0.1:1"] {
        assert!(!open(Some(origin)).await, "{origin}");
    }
}

#[tokio::test]
async fn only_the_nodes_own_page_is_given_a_cookie() {
    let node = Node::start();
    let own = format!("http://{}", node.address);
    let register = async |name: &str, marks: &[(&str, &str)]| {
        let mut request = node.request(Method::POST, "/v1/register");
        for (name, value) in marks {
            request = request.header(*name, *value);
        }
        let answer = Answer::of(request.json(&json!({"name": name, "password": PASSWORD}))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer
    };
    let given = register("ann", &[("sec-fetch-site", "same-origin")]).await;
    let token = given.json["token"].as_str().unwrap();
    let cookie = given.header("set-cookie");
    let rest = cookie.strip_prefix(&format!("__Host-holdfast={token}; ")).unwrap();
    let (attributes, age_s) = rest.rsplit_once('=').unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age");
    let lifetime_s = chat::limits::SESSION_LIFETIME_US / chat::limits::SECOND_US;
    assert!((lifetime_s - 60..=lifetime_s).contains(&age_s.parse().unwrap()), "{age_s}");
    // A browser without the header tells the origin.
    let given = register("bob", &[("origin", &own)]).await;
    assert!(given.headers.contains_key("set-cookie"));

    for (name, marks) in [
        ("cid", &[][..]),
        ("dan", &[("sec-fetch-site", "same-site"), ("origin", &own)]),
        ("eve", &[("sec-fetch-site", "cross-site")]),
        ("fay", &[("origin", "http://localhost:7411")]),
    ] {
        assert!(!register(name, marks).await.headers.contains_key("set-cookie"), "{name}");
    }
}

#[tokio::test]
async fn logging_out_takes_the_cookie_back() {
    let node = Node::start();
    let cookie = |headers: &HeaderMap| {
        headers.get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned())
    };
    let (first, second) = (node.register("ann").await, node.register("bob").await);
    let logout = |token: &str| node.request(Method::POST, "/v1/logout").bearer_auth(token);
    let page = Answer::of(logout(&first).header("sec-fetch-site", "same-origin")).await;
    assert_eq!(page.status, StatusCode::NO_CONTENT);
    let gone = "__Host-holdfast=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";
    assert_eq!(cookie(&page.headers).as_deref(), Some(gone));
    let script = Answer::of(logout(&second)).await;
    assert_eq!((script.status, cookie(&script.headers)), (StatusCode::NO_CONTENT, None));
}

#[tokio::test]
async fn a_cookie_is_no_token_for_any_route() {
    let node = Node::start();
    let ann = node.register("ann").await;
    for path in ["/v1/me", "/v1/conversations", "/v1/cluster", "/v1/users"] {
        let request = node.request(Method::GET, path);
        let request = request.header("sec-fetch-site", "same-origin");
        let answer = Answer::of(request.header("cookie", format!("__Host-holdfast={ann}"))).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    }
}

#[tokio::test]
async fn the_nodes_own_page_opens_a_short_token_by_its_cookie() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let own = format!("http://{}", node.address);
    let open = async |marks: &[(&str, &str)]| {
        let mut request = node.request(Method::POST, "/v1/token");
        for (name, value) in marks {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    };
    let cookie = format!("other=1; __Host-holdfast={ann}; more=2");
    for mark in [("sec-fetch-site", "same-origin"), ("origin", own.as_str())] {
        let given = open(&[("cookie", &cookie), mark]).await;
        assert_eq!(given.status, StatusCode::OK, "{}", given.json);
        let token = given.json["token"].as_str().unwrap();
        assert_ne!(token, ann);
        assert_eq!(given.json["user"]["name"], "ann", "the page is told whose it is");
        assert_eq!(node.get("/v1/me", token).await.json["name"], "ann");
        // The page, moved to another node, goes on with what it has.
        let renewed = node.call(Method::POST, "/v1/token", Some(token), None).await;
        assert_eq!(renewed.status, StatusCode::OK, "{}", renewed.json);
    }
    // A token goes before the cookie.
    let bearer = format!("Bearer {bob}");
    let marks =
        [("cookie", &*cookie), ("sec-fetch-site", "same-origin"), ("authorization", &bearer)];
    let given = open(&marks).await.json;
    assert_eq!(given["user"]["name"], "bob");
    let given = given["token"].as_str().unwrap();
    assert_eq!(node.get("/v1/me", given).await.json["name"], "bob");

    let foreign: [&[(&str, &str)]; 5] = [
        &[("cookie", &cookie)],
        &[("cookie", &cookie), ("sec-fetch-site", "same-site")],
        &[("cookie", &cookie), ("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("cookie", &cookie), ("origin", "http://localhost:7411")],
        &[("cookie", "__Host-holdfast=wrong"), ("sec-fetch-site", "same-origin")],
    ];
    for marks in foreign {
        let refused = open(marks).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{marks:?}");
    }
    node.call(Method::POST, "/v1/logout", Some(&ann), None).await;
    let ended = open(&[("cookie", &cookie), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!((ended.status, ended.code()), (StatusCode::UNAUTHORIZED, "session_ended"));
}
