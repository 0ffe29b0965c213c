//! What a subscription tells of messages edited and deleted, of accounts deleted, and of the cluster.

use chat::{Action, MessageId};
use serde_json::{Value, json};

use super::{
    super::limits,
    kit::{Node, Socket, cursor_of, hear, hello, say, texts_and_others, two},
};
use crate::{driver::kept::EVENTS_KEPT_MAX, genesis::token_hash};

fn id(text: &str) -> MessageId {
    MessageId(text.parse().unwrap())
}

fn edit(message: &str, text: &str) -> Action {
    Action::Edit { message: id(message), text: text.to_owned() }
}

fn delete(message: &str) -> Action {
    Action::Delete { message: id(message) }
}

fn tombstone(message: &str, conversation: &str, seq: u64) -> Value {
    json!({"id": message, "conversation": conversation, "seq": seq, "deleted": true, "text": null})
}

/// Ann and Bob are in a channel, Carl is not.
async fn general(node: &Node) -> (String, String, String) {
    let (ann, bob) = two(node).await;
    let carl = node.register("carl").await;
    node.post("/v1/channels", &ann, json!({"name": "general"})).await;
    node.post("/v1/channels/general/join", &bob, json!({})).await;
    (ann, bob, carl)
}

/// The next frame is of this kind; gives it.
async fn hear_kind(socket: &mut Socket, kind: &str) -> Value {
    let frame = hear(socket).await;
    assert_eq!(frame["type"], kind, "{frame}");
    frame
}

#[tokio::test]
async fn an_edit_and_a_deletion_reach_the_members() {
    let node = Node::start();
    let (ann, bob, carl) = general(&node).await;
    let (mut anns, _) = node.follow(&ann, None).await;
    let (mut bobs, _) = node.follow(&bob, None).await;
    let (mut carls, _) = node.follow(&carl, None).await;
    let message = node.send(&ann, "#general", "first").await;
    node.act(&ann, edit(&message, "second")).await;
    let mut cursors = Vec::new();
    for socket in [&mut anns, &mut bobs] {
        let sent = hear_kind(socket, "message").await;
        let edited = hear_kind(socket, "edited").await;
        assert_eq!(edited["message"]["id"], message);
        assert_eq!(edited["message"]["seq"], sent["message"]["seq"]);
        assert!(cursor_of(&sent) < cursor_of(&edited));
        cursors.push(cursor_of(&edited));
    }
    // Not before: of what is deleted, an edit is told no more.
    node.act(&ann, delete(&message)).await;
    for (socket, edited) in [&mut anns, &mut bobs].into_iter().zip(cursors) {
        let deleted = hear_kind(socket, "deleted").await;
        assert_eq!(deleted["message"], tombstone(&message, "#general", 1));
        assert!(edited < cursor_of(&deleted));
    }
    node.send(&ann, "@carl", "the end").await;
    assert_eq!(hear_kind(&mut carls, "message").await["message"]["text"], "the end");
}

#[tokio::test]
async fn an_edit_shows_the_new_text() {
    let node = Node::start();
    let (ann, bob, _) = general(&node).await;
    let (mut bobs, _) = node.follow(&bob, None).await;
    for to in ["#general", "@bob"] {
        let message = node.send(&ann, to, "first").await;
        let sent = hear_kind(&mut bobs, "message").await;
        assert_eq!(
            (&sent["message"]["text"], &sent["message"]["edited"]),
            (&json!("first"), &json!(false))
        );
        node.act(&ann, edit(&message, "second")).await;
        let edited = hear_kind(&mut bobs, "edited").await;
        let mut expected = sent["message"].clone();
        expected["text"] = "second".into();
        expected["edited"] = true.into();
        assert_eq!(edited["message"], expected);
        assert_ne!(edited["cursor"], sent["cursor"]);
    }
}

#[tokio::test]
async fn what_one_hides_is_told_to_its_own_devices_alone() {
    let node = Node::start();
    let (ann, bob, _) = general(&node).await;
    let (mut anns, _) = node.follow(&ann, None).await;
    let (mut bobs, start) = node.follow(&bob, None).await;
    let message = node.send(&ann, "#general", "not for bob").await;
    assert_eq!(hear_kind(&mut bobs, "message").await["message"]["text"], "not for bob");
    node.act(&bob, delete(&message)).await;
    let hidden = hear_kind(&mut bobs, "deleted").await;
    assert_eq!(hidden["message"], tombstone(&message, "#general", 1));
    let next = node.send(&ann, "#general", "for both").await;
    let after_hidden = hear_kind(&mut bobs, "message").await;
    assert_eq!(after_hidden["cursor"], json!(next));
    for text in ["not for bob", "for both"] {
        assert_eq!(hear_kind(&mut anns, "message").await["message"]["text"], text);
    }
    // Who comes back is shown no more of it than now.
    let (mut again, _) = node.follow(&bob, start["cursor"].as_str()).await;
    let first = hear_kind(&mut again, "message").await;
    assert_eq!(first["cursor"], json!(message));
    assert_eq!(first["message"], tombstone(&message, "#general", 1));
    let (mut whole, _) = node.follow(&ann, start["cursor"].as_str()).await;
    assert_eq!(hear_kind(&mut whole, "message").await["message"]["text"], "not for bob");
}

/// A message that was edited and one that was deleted; who comes back after `cursor` is told of both
/// as they are now.
async fn changed(node: &Node, ann: &str) -> [String; 2] {
    let edited = node.send(ann, "#general", "a secret").await;
    let deleted = node.send(ann, "#general", "a secret").await;
    node.act(ann, edit(&edited, "harmless")).await;
    node.act(ann, edit(&edited, "open")).await;
    node.act(ann, delete(&deleted)).await;
    [edited, deleted]
}

#[tokio::test]
async fn whoever_comes_back_is_shown_messages_as_they_are_now() {
    let node = Node::start();
    let (ann, bob, _) = general(&node).await;
    let (mut live, start) = node.follow(&bob, None).await;
    let [edited, deleted] = changed(&node, &ann).await;
    // What is told live may lag behind, but never says more than that.
    for _ in 0..5 {
        hear(&mut live).await;
    }
    let (mut socket, _) = node.follow(&bob, start["cursor"].as_str()).await;
    let first = hear_kind(&mut socket, "message").await;
    assert_eq!((&first["cursor"], &first["message"]["text"]), (&json!(edited), &json!("open")));
    let second = hear_kind(&mut socket, "message").await;
    assert_eq!(second["cursor"], json!(deleted));
    assert_eq!(second["message"], tombstone(&deleted, "#general", 2));
    for _ in 0..2 {
        let frame = hear_kind(&mut socket, "edited").await;
        assert_eq!(
            (&frame["message"]["id"], &frame["message"]["text"]),
            (&json!(edited), &json!("open"))
        );
    }
    let frame = hear_kind(&mut socket, "deleted").await;
    assert_eq!(frame["message"], second["message"]);
}

#[tokio::test]
async fn the_log_brings_messages_back_as_they_are_now() {
    let node = Node::start();
    let (ann, bob, _) = general(&node).await;
    let [edited, deleted] = changed(&node, &ann).await;
    let count = EVENTS_KEPT_MAX + limits::REPLAY_PAGE;
    node.pour(&ann, "@bob", (0..count).map(|n| n.to_string())).await;
    let (mut socket, _) = node.follow(&bob, Some("0")).await;
    // Before any message: whoever is cut off among them begins behind what was missed.
    let resync = hear_kind(&mut socket, "resync").await;
    assert_eq!(resync["cursor"], "0", "edits may have been missed");
    let first = hear_kind(&mut socket, "message").await;
    assert_eq!((&first["cursor"], &first["message"]["text"]), (&json!(edited), &json!("open")));
    let second = hear_kind(&mut socket, "message").await;
    assert_eq!(second["message"], tombstone(&deleted, "#general", 2));
    let (_, others) = texts_and_others(&mut socket, count).await;
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn the_deletion_of_an_account_is_told() {
    let node = Node::start();
    let (ann, bob, _) = general(&node).await;
    let (mut bobs, start) = node.follow(&bob, None).await;
    let (mut anns, _) = node.follow(&ann, None).await;
    node.send(&ann, "#general", "stays").await;
    hear_kind(&mut bobs, "message").await;
    hear_kind(&mut anns, "message").await;
    node.act(&ann, Action::DeleteAccount { password_generation: 0, erase_messages: false }).await;
    let gone = hear_kind(&mut bobs, "account").await;
    assert_eq!(
        (&gone["user"], &gone["deleted"], &gone["erased"]),
        (&json!("ann"), &json!(true), &json!(false))
    );
    let (frames, close) = super::kit::hear_end(&mut anns).await;
    assert_eq!(frames[0]["error"]["code"], "session_ended", "its own sockets end");
    assert_eq!(u16::from(close.code), 4401);
    // Its name is no longer told, though it was told before.
    let (mut again, _) = node.follow(&bob, start["cursor"].as_str()).await;
    let stays = hear_kind(&mut again, "message").await;
    assert_eq!(
        (&stays["message"]["author"], &stays["message"]["text"]),
        (&json!("deleted user"), &json!("stays"))
    );
}

#[tokio::test]
async fn a_socket_lives_as_long_as_its_session_whatever_becomes_of_its_token() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let access = |n: usize| format!("access token {n}");
    let open = |n: usize| Action::OpenToken { token_hash: token_hash(&access(n)) };
    node.act(&bob, open(0)).await;
    let (mut socket, _) = node.follow(&access(0), None).await;
    // Each opened beyond the bound ends the oldest one.
    for n in 1..=chat::limits::ACCESS_TOKENS_MAX {
        node.act(&bob, open(n)).await;
    }
    assert_eq!(node.get("/v1/me", &access(0)).await.code(), "session_ended");
    let text = node.send(&ann, "@bob", "still there?").await;
    assert_eq!(hear_kind(&mut socket, "message").await["cursor"], json!(text));
}

#[tokio::test]
async fn a_socket_that_asks_is_told_how_the_cluster_does() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut plain, _) = node.follow(&bob, None).await;
    let mut socket = node.connect().await;
    let mut asks = hello(&bob, None);
    asks["cluster"] = true.into();
    say(&mut socket, &asks).await;
    hear_kind(&mut socket, "ready").await;
    let mut told = hear_kind(&mut socket, "cluster").await;
    let status = node.get("/v1/cluster", &bob).await.json;
    told.as_object_mut().unwrap().remove("type");
    assert_eq!(told, status, "the first at once");

    let id = node.send(&ann, "@bob", "hi").await;
    hear_kind(&mut socket, "message").await;
    node.held.report();
    let changed = hear_kind(&mut socket, "cluster").await;
    assert_eq!(changed["nodes"][0]["applied"].to_string(), id);
    assert_eq!(hear_kind(&mut plain, "message").await["cursor"], json!(id));
    node.send(&ann, "@bob", "again").await;
    hear_kind(&mut plain, "message").await;
}
