//! Messages that are edited or deleted, and sends that are refused, over the API.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    fresh_key,
    kit::{Answer, Node, hear, say},
};

fn tombstone(id: &str, conversation: &str, seq: u64) -> Value {
    json!({"id": id, "conversation": conversation, "seq": seq, "deleted": true, "text": null})
}

async fn change(node: &Node, method: Method, id: &str, token: &str, body: Option<Value>) -> Answer {
    node.call(method, &format!("/v1/messages/{id}"), Some(token), body).await
}

#[tokio::test]
async fn an_edit_is_read_everywhere_and_only_the_author_makes_it() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let first = node.send(&ann, "@bob", "helo").await;
    let answering = json!({"to": "@bob", "text": "yuo", "reply_to": first});
    let second = node.post("/v1/messages", &ann, answering).await.json;
    let id = second["id"].as_str().unwrap();
    for text in ["yo", "you"] {
        let edited = change(&node, Method::PATCH, id, &ann, Some(json!({"text": text}))).await;
        assert_eq!(edited.status, StatusCode::OK, "{}", edited.json);
        assert_eq!((&edited.json["text"], &edited.json["edited"]), (&text.into(), &true.into()));
        for field in ["id", "seq", "author", "time"] {
            assert_eq!(edited.json[field], second[field], "{field}");
        }
        assert_eq!(edited.json["reply_to"], first);
        let mut read = edited.json;
        read["conversation"] = "@ann".into();
        assert_eq!(node.get(&format!("/v1/messages/{id}"), &bob).await.json, read);
        let page = node.get("/v1/direct/ann/messages?after=1", &bob).await;
        assert_eq!(page.json["items"], json!([read]));
        assert_eq!(node.get("/v1/conversations", &bob).await.json["items"][0]["last"], read);
    }
    let refused = change(&node, Method::PATCH, id, &bob, Some(json!({"text": "x"}))).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "not_author"));
    let refused = change(&node, Method::PATCH, id, &ann, Some(json!({"text": ""}))).await;
    assert_eq!(refused.code(), "text_empty");
    for nowhere in ["0", "1", "99999", "x", "-1", "18446744073709551616"] {
        let refused = change(&node, Method::PATCH, nowhere, &ann, Some(json!({"text": "x"}))).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::NOT_FOUND, "no_such_message"),
            "{nowhere}"
        );
    }
}

#[tokio::test]
async fn ones_own_message_is_deleted_for_everyone_and_stays_so() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let id = node.send(&ann, "@bob", "secret").await;
    let reply = json!({"to": "@ann", "text": "what?", "reply_to": id});
    let reply = node.post("/v1/messages", &bob, reply).await.json;
    for _ in 0..2 {
        let deleted = change(&node, Method::DELETE, &id, &ann, None).await;
        assert_eq!(deleted.status, StatusCode::OK);
        assert_eq!(deleted.json, tombstone(&id, "@bob", 1));
    }
    let seen = tombstone(&id, "@ann", 1);
    assert_eq!(node.get(&format!("/v1/messages/{id}"), &bob).await.json, seen);
    let page = node.get("/v1/direct/ann/messages", &bob).await;
    assert_eq!(page.json["items"][0], seen);
    // What answered it still says so.
    assert_eq!(page.json["items"][1]["id"], reply["id"]);
    assert_eq!(page.json["items"][1]["reply_to"], id);
    assert_eq!(node.get("/v1/me", &bob).await.json["unread"], 0);
    let late = change(&node, Method::PATCH, &id, &ann, Some(json!({"text": "x"}))).await;
    assert_eq!((late.status, late.code()), (StatusCode::CONFLICT, "message_deleted"));
    // The tombstone is the last message of a conversation, if it came last.
    let last = node.send(&ann, "@bob", "again").await;
    change(&node, Method::DELETE, &last, &ann, None).await;
    let inbox = node.get("/v1/conversations", &bob).await.json;
    assert_eq!(inbox["items"][0]["last"], tombstone(&last, "@ann", 3));
    assert_eq!(inbox["items"][0]["unread"], 0);
}

#[tokio::test]
async fn a_message_of_another_is_deleted_for_oneself_alone() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let id = node.send(&ann, "@bob", "hi").await;
    assert_eq!(node.get("/v1/me", &bob).await.json["unread"], 1);
    let hidden = change(&node, Method::DELETE, &id, &bob, None).await;
    assert_eq!(hidden.json, tombstone(&id, "@ann", 1));
    assert_eq!(node.get(&format!("/v1/messages/{id}"), &bob).await.json, hidden.json);
    assert_eq!(node.get("/v1/me", &bob).await.json["unread"], 0);
    let kept = node.get(&format!("/v1/messages/{id}"), &ann).await.json;
    assert_eq!((&kept["text"], &kept["edited"]), (&"hi".into(), &false.into()));
    // To others it is not even there.
    let eve = node.register("eve").await;
    let refused = change(&node, Method::DELETE, &id, &eve, None).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "no_such_message"));
}

#[tokio::test]
async fn changes_are_heard_by_those_they_concern() {
    let node = Node::start();
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let id = node.send(&ann, "@bob", "helo").await;
    let (mut anns, _) = node.follow(&ann, None).await;
    let (mut bobs, _) = node.follow(&bob, None).await;
    change(&node, Method::PATCH, &id, &ann, Some(json!({"text": "hello"}))).await;
    for (socket, conversation) in [(&mut anns, "@bob"), (&mut bobs, "@ann")] {
        let frame = hear(socket).await;
        assert_eq!(frame["type"], "edited", "{frame}");
        let message = &frame["message"];
        assert_eq!((&message["id"], &message["text"]), (&Value::from(&*id), &"hello".into()));
        assert_eq!(message["conversation"], conversation);
        assert_eq!(message["edited"], true);
    }
    change(&node, Method::DELETE, &id, &bob, None).await;
    let frame = hear(&mut bobs).await;
    assert_eq!(
        (&frame["type"], &frame["message"]),
        (&"deleted".into(), &tombstone(&id, "@ann", 1))
    );
    change(&node, Method::DELETE, &id, &ann, None).await;
    // She has heard nothing of his.
    let frame = hear(&mut anns).await;
    assert_eq!(
        (&frame["type"], &frame["message"]),
        (&"deleted".into(), &tombstone(&id, "@bob", 1))
    );
}

#[tokio::test]
async fn a_retried_change_is_answered_and_done_once() {
    let node = Node::start();
    let (ann, _bob) = (node.register("ann").await, node.register("bob").await);
    let id = node.send(&ann, "@bob", "one").await;
    let key = fresh_key();
    let edit = async |text: &str| {
        let request = node.request(Method::PATCH, &format!("/v1/messages/{id}"));
        let request = request.bearer_auth(&ann).header("Idempotency-Key", &key);
        Answer::of(request.json(&json!({"text": text}))).await
    };
    assert_eq!(edit("two").await.json["text"], "two");
    change(&node, Method::PATCH, &id, &ann, Some(json!({"text": "three"}))).await;
    // Not done again: the answer shows the message as it is now.
    assert_eq!(edit("two").await.json["text"], "three");
    assert_eq!(edit("four").await.code(), "request_id_conflict");
}

#[tokio::test]
async fn a_stream_goes_on_after_a_message_that_is_refused() {
    let node = Node::start();
    let (ann, _bob) = (node.register("ann").await, node.register("bob").await);
    let (mut socket, _) = node.follow(&ann, None).await;
    let long = "\u{fc}".repeat(chat::limits::TEXT_BYTES_MAX);
    for (to, text, code) in [
        ("@bob", &*long, "text_too_long"),
        ("bob", "x", "target_malformed"),
        ("", "x", "target_malformed"),
        ("@Not a name", "x", "name_invalid"),
        (&*format!("#{}", "x".repeat(60_000)), "x", "name_invalid"),
        ("@nobody", "x", "no_such_user"),
    ] {
        let (refused, next) = (fresh_key(), fresh_key());
        let send = json!({"type": "send", "request_id": refused, "to": to, "text": text});
        say(&mut socket, &send).await;
        let frame = hear(&mut socket).await;
        assert_eq!((&frame["type"], &frame["error"]["code"]), (&"failed".into(), &code.into()));
        assert_eq!(frame["retry"], false);
        let after = json!({
            "type": "send", "request_id": next, "to": "@bob", "text": "y", "after_request": refused
        });
        say(&mut socket, &after).await;
        // The message and its acknowledgement, in either order.
        for _ in 0..2 {
            let frame = hear(&mut socket).await;
            assert!(frame["type"] == "sent" || frame["type"] == "message", "{frame}");
        }
    }
}
