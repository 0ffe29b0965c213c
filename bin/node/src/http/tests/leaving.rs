//! Passwords that change, tokens for a short while, and accounts that are deleted, over the API.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    fresh_key,
    kit::{Answer, Node, OWNER_TOKEN, PASSWORD, hear, hear_end},
};

async fn login(node: &Node, name: &str, password: &str) -> Answer {
    let body = json!({"name": name, "password": password});
    node.call(Method::POST, "/v1/login", None, Some(body)).await
}

fn token_of(answer: &Answer) -> String {
    answer.json["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn delete_me(node: &Node, token: &str, body: Value) -> Answer {
    node.call(Method::DELETE, "/v1/me", Some(token), Some(body)).await
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let node = Node::start();
    let here = node.register("ann").await;
    let there = token_of(&login(&node, "ann", PASSWORD).await);
    let key = fresh_key();
    let change = async |old: &str, new: &str| {
        let request = node.request(Method::PUT, "/v1/me/password").bearer_auth(&here);
        let request = request.header("Idempotency-Key", &key);
        Answer::of(request.json(&json!({"password": old, "new_password": new}))).await
    };
    let refused = change("wrong horse", "battery staple").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "bad_credentials"));
    assert_eq!(change(PASSWORD, "short").await.code(), "password_invalid");
    assert_eq!(change(PASSWORD, "battery staple").await.status, StatusCode::NO_CONTENT);
    // A retry brings what is by now the old password, and is answered all the same; with another
    // new one it is no retry.
    assert_eq!(change(PASSWORD, "battery staple").await.status, StatusCode::NO_CONTENT);
    assert_eq!(change(PASSWORD, "another staple").await.code(), "request_id_conflict");

    assert_eq!(node.get("/v1/me", &here).await.status, StatusCode::OK);
    assert_eq!(node.get("/v1/me", &there).await.code(), "session_ended");
    assert_eq!(login(&node, "ann", PASSWORD).await.code(), "bad_credentials");
    assert_eq!(login(&node, "ann", "battery staple").await.status, StatusCode::OK);
    let sessions = node.get("/v1/me/sessions", &here).await.json;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_short_token_does_what_the_session_does_and_dies_with_it() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let answer = node.call(Method::POST, "/v1/token", Some(&ann), None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert!(answer.json["expires"].as_str().unwrap().ends_with('Z'));
    let short = token_of(&answer);
    assert_eq!(node.get("/v1/me", &short).await.status, StatusCode::OK);
    // It opens a further one, and is no session of its own.
    let further = token_of(&node.call(Method::POST, "/v1/token", Some(&short), None).await);
    assert_eq!(node.get("/v1/me", &further).await.status, StatusCode::OK);
    let sessions = node.get("/v1/me/sessions", &short).await.json;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["items"][0]["current"], true);

    // The oldest drops when there are too many; the session's own does not.
    for _ in 1..chat::limits::ACCESS_TOKENS_MAX {
        node.call(Method::POST, "/v1/token", Some(&ann), None).await;
    }
    assert_eq!(node.get("/v1/me", &short).await.code(), "session_ended");
    assert_eq!(node.get("/v1/me", &further).await.status, StatusCode::OK);
    let logout = node.call(Method::POST, "/v1/logout", Some(&further), None).await;
    assert_eq!(logout.status, StatusCode::NO_CONTENT);
    for token in [&ann, &further] {
        assert_eq!(node.get("/v1/me", token).await.code(), "session_ended");
    }
    let refused = node.call(Method::POST, "/v1/token", None, None).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_deleted_account_leaves_its_messages_under_no_name() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    node.post("/v1/channels", &ann, json!({"name": "ops"})).await;
    node.post("/v1/channels/ops/join", &bob, json!({})).await;
    node.send(&bob, "#ops", "read me").await;
    node.send(&bob, "@ann", "and me").await;
    node.send(&ann, "@bob", "nobody reads this").await;
    let refused = delete_me(&node, &bob, json!({"password": "wrong horse"})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "bad_credentials"));
    let body = json!({"password": PASSWORD, "erase_messages": false});
    let deleted = delete_me(&node, &bob, body.clone()).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);

    assert_eq!(node.get("/v1/me", &bob).await.code(), "session_ended");
    assert_eq!(delete_me(&node, &bob, body).await.code(), "session_ended");
    assert_eq!(login(&node, "bob", PASSWORD).await.code(), "bad_credentials");
    let taken = json!({"name": "bob", "password": PASSWORD});
    let taken = node.call(Method::POST, "/v1/register", None, Some(taken)).await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "name_taken"));
    let users = node.get("/v1/users", &ann).await.json;
    assert_eq!(users["items"][1], json!({"name": "bob", "role": "member", "deleted": true}));
    let members = node.get("/v1/channels/ops/members", &ann).await.json;
    assert_eq!(members["items"].as_array().unwrap().len(), 1, "{members}");

    // What it sent is there, and still unread.
    assert_eq!(node.get("/v1/me", &ann).await.json["unread"], 2);
    let page = node.get("/v1/channels/ops/messages", &ann).await.json;
    assert_eq!(page["items"][0]["author"], "deleted user");
    assert_eq!(page["items"][0]["text"], "read me");
    let page = node.get("/v1/direct/bob/messages", &ann).await.json;
    assert_eq!(page["items"][0]["author"], "deleted user");
    assert_eq!(page["items"][1]["text"], "nobody reads this");
    let refused = node.post("/v1/messages", &ann, json!({"to": "@bob", "text": "?"})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "account_deleted"));
    let refused = node.post("/v1/channels/ops/invites", &ann, json!({"user": "bob"})).await;
    assert_eq!(refused.code(), "account_deleted");
}

#[tokio::test]
async fn an_account_can_take_its_messages_with_it() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    node.send(&bob, "@ann", "one").await;
    let two = node.send(&ann, "@bob", "two").await;
    node.send(&bob, "@ann", "three").await;
    assert_eq!(node.get("/v1/me", &ann).await.json["unread"], 2);
    let (mut anns, _) = node.follow(&ann, None).await;
    let (mut bobs, _) = node.follow(&bob, None).await;
    let body = json!({"password": PASSWORD, "erase_messages": true});
    assert_eq!(delete_me(&node, &bob, body).await.status, StatusCode::NO_CONTENT);

    let frame = hear(&mut anns).await;
    assert_eq!(frame["type"], "account", "{frame}");
    assert_eq!(
        (&frame["user"], &frame["deleted"], &frame["erased"]),
        (&"bob".into(), &true.into(), &true.into())
    );
    let (frames, _) = hear_end(&mut bobs).await;
    assert_eq!(frames[0]["error"]["code"], "session_ended", "{frames:?}");
    assert_eq!(node.get("/v1/me", &ann).await.json["unread"], 0);
    let page = node.get("/v1/direct/bob/messages", &ann).await.json;
    let shown: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|item| &item["text"]).collect();
    assert_eq!(shown, [&Value::Null, &"two".into(), &Value::Null]);
    assert_eq!(page["items"][1]["id"], two);
    assert_eq!(page["last"], 3);
}

#[tokio::test]
async fn the_last_owner_cannot_be_deleted() {
    let node = Node::start();
    let body = json!({"name": "ann", "password": PASSWORD, "invite": OWNER_TOKEN});
    let ann = token_of(&node.call(Method::POST, "/v1/register", None, Some(body)).await);
    let refused = delete_me(&node, &ann, json!({"password": PASSWORD})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "last_owner"));
    assert_eq!(node.get("/v1/me", &ann).await.status, StatusCode::OK);
}
