//! What the routes answer when all is well, and to whom.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::kit::{Answer, Node, OWNER_TOKEN, PASSWORD};

#[tokio::test]
async fn the_owners_token_makes_the_owner() {
    let node = Node::start();
    let body = json!({"name": "Ann", "password": PASSWORD, "invite": OWNER_TOKEN});
    let answer = node.call(Method::POST, "/v1/register", None, Some(body)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    assert_eq!(answer.json["user"], json!({"name": "ann", "role": "owner"}));
    let token = answer.json["token"].as_str().unwrap();
    assert_eq!(token.len(), 43, "32 bytes as base64url");
    assert!(answer.json["expires"].as_str().unwrap().ends_with('Z'));
    let me = node.get("/v1/me", token).await;
    assert_eq!(me.json, json!({"name": "ann", "role": "owner", "unread": 0}));
}

#[tokio::test]
async fn a_message_reads_the_same_in_its_answer_and_in_the_history() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let sent = node.post("/v1/messages", &ann, json!({"to": "@bob", "text": "hi\n\tthere"})).await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let mut message = sent.json.clone();
    let fields: Vec<_> = message.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        [
            "author",
            "conversation",
            "edited",
            "id",
            "reactions",
            "reply_to",
            "request_id",
            "seq",
            "text",
            "time"
        ],
    );
    assert_eq!(message["conversation"], "@bob");
    assert_eq!(message["text"], "hi\n\tthere");
    assert_eq!(message["request_id"], sent.header("idempotency-key"));
    message.as_object_mut().unwrap().remove("request_id");

    let seen = node.get("/v1/direct/ann/messages", &bob).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.json);
    message["conversation"] = "@ann".into();
    assert_eq!(
        seen.json,
        json!({"items": [message], "first": 1, "last": 1, "more_before": false, "more_after": false}),
    );
    assert!(seen.header("holdfast-index").parse::<u64>().unwrap() > 0);
    assert!(seen.header("holdfast-time").ends_with('Z'));
    let one = node.get(&format!("/v1/messages/{}", message["id"].as_str().unwrap()), &bob).await;
    assert_eq!(one.json, message);
}

#[tokio::test]
async fn a_send_repeated_under_its_key_is_answered_with_the_first_message() {
    let node = Node::start();
    let (ann, _) = (node.register("ann").await, node.register("bob").await);
    let send = async |text: &str, key: Option<&str>| {
        let request = node.request(Method::POST, "/v1/messages").bearer_auth(&ann);
        let request = request.json(&json!({"to": "@bob", "text": text}));
        Answer::of(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
        .await
    };
    let first = send("once", None).await;
    let key = first.header("idempotency-key").to_owned();
    let again = send("once", Some(&key)).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json, again.json);
    let other = send("twice", Some(&key)).await;
    assert_eq!((other.status, other.code()), (StatusCode::CONFLICT, "request_id_conflict"));
    assert_eq!(other.header("idempotency-key"), key);
}

#[tokio::test]
async fn a_registration_and_a_login_may_be_repeated_under_their_keys() {
    let node = Node::start();
    let twice = async |path: &str, password: &str, key: &str| {
        let request = node.request(Method::POST, path).header("Idempotency-Key", key);
        Answer::of(request.json(&json!({"name": "ann", "password": password}))).await
    };
    let key = node.get("/v1/me", "x").await;
    assert_eq!(key.code(), "session_ended");
    let register = super::fresh_key();
    let (one, two) = (
        twice("/v1/register", PASSWORD, &register).await,
        twice("/v1/register", PASSWORD, &register).await,
    );
    assert_eq!(
        (one.status, two.status),
        (StatusCode::CREATED, StatusCode::CREATED),
        "{}",
        two.json
    );
    let other = twice("/v1/register", "another password", &register).await;
    assert_eq!(other.code(), "request_id_conflict");

    let login = super::fresh_key();
    let (one, two) =
        (twice("/v1/login", PASSWORD, &login).await, twice("/v1/login", PASSWORD, &login).await);
    for answer in [&one, &two] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        assert_eq!(answer.json["unread"], 0);
        let me = node.get("/v1/me", answer.json["token"].as_str().unwrap()).await;
        assert_eq!(me.status, StatusCode::OK, "each answer's token opens the one session");
    }
    let sessions = node.get("/v1/me/sessions", one.json["token"].as_str().unwrap()).await;
    assert_eq!(sessions.json["items"].as_array().unwrap().len(), 2, "{}", sessions.json);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let node = Node::start();
    node.register("ann").await;
    let login = async |name: &str| {
        let body = json!({"name": name, "password": "wrong password"});
        node.call(Method::POST, "/v1/login", None, Some(body)).await
    };
    let (known, unknown, no_name) = (login("ann").await, login("bob").await, login("b b").await);
    assert_eq!((known.status, known.code()), (StatusCode::UNAUTHORIZED, "bad_credentials"));
    assert_eq!(known.json, unknown.json);
    assert_eq!(known.json, no_name.json);
}

#[tokio::test]
async fn a_session_ends_at_logout_and_can_be_ended_from_another() {
    let node = Node::start();
    let first = node.register("ann").await;
    let body = json!({"name": "ann", "password": PASSWORD});
    let login = node.call(Method::POST, "/v1/login", None, Some(body)).await;
    let second = login.json["token"].as_str().unwrap();
    let sessions = node.get("/v1/me/sessions", second).await;
    let items = sessions.json["items"].as_array().unwrap();
    let other = items.iter().find(|item| item["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("/v1/me/sessions/{other}");
    let ended = node.call(Method::DELETE, &path, Some(second), None).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get("/v1/me", &first).await.code(), "session_ended");
    let out = node.call(Method::POST, "/v1/logout", Some(second), None).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get("/v1/me", second).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_channel_is_made_found_joined_and_left() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let made = node.post("/v1/channels", &ann, json!({"name": "General", "topic": "all"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!((&made.json["name"], &made.json["member"]), (&json!("general"), &json!(true)));
    let unread = node.get("/v1/channels/general/messages", &bob).await;
    assert_eq!((unread.status, unread.code()), (StatusCode::FORBIDDEN, "not_a_member"));
    for _ in 0..2 {
        let joined = node.call(Method::POST, "/v1/channels/general/join", Some(&bob), None).await;
        assert_eq!(joined.status, StatusCode::OK, "joining twice is no error: {}", joined.json);
    }
    let members = node.get("/v1/channels/general/members", &bob).await;
    assert_eq!(
        members.json["items"][1],
        json!({"name": "bob", "role": "member", "deleted": false})
    );
    node.send(&ann, "#general", "first").await;
    node.send(&ann, "#general", "second").await;
    let inbox = node.get("/v1/conversations", &bob).await;
    let item = &inbox.json["items"][0];
    assert_eq!((&item["conversation"], &item["unread"]), (&json!("#general"), &json!(2)));
    assert_eq!(item["last"]["text"], "second");
    let marked = node.post("/v1/channels/general/read", &bob, json!({"upto": 1})).await;
    assert_eq!(marked.status, StatusCode::NO_CONTENT);
    let me = node.get("/v1/me", &bob).await;
    assert_eq!(me.json["unread"], 1);
    let page = node.get("/v1/channels/general/messages?after=1&limit=1", &bob).await;
    assert_eq!((&page.json["first"], &page.json["more_before"]), (&json!(2), &json!(true)));
    let left = node.call(Method::POST, "/v1/channels/general/leave", Some(&bob), None).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    let listed = node.get("/v1/channels?match=gen*", &bob).await;
    assert_eq!(listed.json["items"][0]["member"], false);
}

#[tokio::test]
async fn a_private_channel_is_not_there_for_others_until_they_are_invited() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let made = node.post("/v1/channels", &ann, json!({"name": "plans", "private": true})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    for path in ["/v1/channels/plans", "/v1/channels/plans/messages", "/v1/channels/plans/members"]
    {
        let answer = node.get(path, &bob).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "no_such_channel"));
    }
    let invited = node.post("/v1/channels/plans/invites", &ann, json!({"user": "bob"})).await;
    assert_eq!(invited.status, StatusCode::NO_CONTENT, "{}", invited.json);
    assert_eq!(node.get("/v1/channels/plans", &bob).await.status, StatusCode::OK);
    // What a member wrote stays readable when it has left.
    node.send(&bob, "#plans", "mine").await;
    node.call(Method::POST, "/v1/channels/plans/leave", Some(&bob), None).await;
    let history = node.get("/v1/channels/plans/messages", &ann).await;
    assert_eq!(history.json["items"][0]["author"], "bob", "{}", history.json);
}

#[tokio::test]
async fn users_are_listed_by_pattern_in_pages() {
    let node = Node::start();
    let ann = node.register("ann").await;
    for name in ["bob", "bill", "carl"] {
        node.register(name).await;
    }
    let first = node.get("/v1/users?match=b*&limit=1", &ann).await;
    assert_eq!(first.json["items"], json!([{"name": "bill", "role": "member", "deleted": false}]));
    assert_eq!(first.json["next"], "bill");
    let second = node.get("/v1/users?match=b*&limit=1&after=bill", &ann).await;
    assert_eq!(second.json["items"][0]["name"], "bob");
}

#[tokio::test]
async fn a_read_says_how_fresh_it_is() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let stale = node.get("/v1/me?consistency=stale", &ann).await;
    assert_eq!(stale.status, StatusCode::OK);
    stale.header("holdfast-age-ms").parse::<u64>().unwrap();
    let index = stale.header("holdfast-index").to_owned();
    let session = node.request(Method::GET, "/v1/me").bearer_auth(&ann);
    let session = Answer::of(session.header("Holdfast-Min-Index", &index)).await;
    assert_eq!(session.status, StatusCode::OK);
    assert!(session.headers.get("holdfast-age-ms").is_none());
}

#[tokio::test]
async fn health_and_readiness_are_open_and_the_cluster_needs_a_token() {
    let node = Node::start();
    let ann = node.register("ann").await;
    for path in ["/healthz", "/readyz", "/"] {
        let answer = node.call(Method::GET, path, None, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let closed = node.call(Method::GET, "/v1/cluster", None, None).await;
    assert_eq!((closed.status, closed.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    let cluster = node.get("/v1/cluster", &ann).await;
    assert_eq!(cluster.json["leader"], 1, "{}", cluster.json);
}

#[tokio::test]
async fn the_hash_of_the_state_is_told_at_an_index() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let applied = node.service.applied_now();
    let told = node.get(&format!("/v1/cluster/hash?index={applied}"), &ann).await;
    assert_eq!(told.json["index"], applied, "{}", told.json);
    node.post("/v1/channels", &ann, json!({"name": "general"})).await;
    let later = node.get(&format!("/v1/cluster/hash?index={}", applied + 1), &ann).await;
    assert_ne!(later.json["hash"], told.json["hash"]);
    let again = node.get(&format!("/v1/cluster/hash?index={applied}"), &ann).await;
    assert_eq!(again.json, told.json, "the past does not change");
    let gone = node.get("/v1/cluster/hash?index=0", &ann).await;
    assert_eq!(
        (gone.status, &gone.json["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("hash_gone"))
    );
    let path = format!("/v1/cluster/hash?index={applied}");
    let closed = node.call(Method::GET, &path, None, None).await;
    assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
}
