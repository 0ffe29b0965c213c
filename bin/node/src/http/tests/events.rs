//! The WebSocket: a subscription without gap or repeat, and sends in order.

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    super::limits,
    fresh_key,
    kit::{Node, hear, hear_end, numbers, say, texts, texts_and_others, two},
};
use crate::{config::Limits, driver::kept::EVENTS_KEPT_MAX};

#[tokio::test]
async fn a_message_reaches_whoever_listens() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut socket, ready) = node.follow(&bob, None).await;
    assert!(ready["cursor"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    let id = node.send(&ann, "@bob", "hi").await;
    let frame = hear(&mut socket).await;
    assert_eq!((&frame["type"], &frame["cursor"]), (&json!("message"), &json!(id)));
    assert_eq!(frame["message"]["conversation"], "@ann");
    assert_eq!(frame["message"]["author"], "ann");
}

#[tokio::test]
async fn a_subscription_goes_on_after_its_cursor_without_gap_or_repeat() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let count = limits::REPLAY_PAGE + 3;
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(node.send(&ann, "@bob", &n.to_string()).await);
    }
    let (mut socket, ready) = node.follow(&bob, Some("0")).await;
    assert_eq!(ready["cursor"], "0");
    node.send(&ann, "@bob", "live").await;
    let seen = texts(&mut socket, count + 1).await;
    let mut expected: Vec<Value> = (0..count).map(|n| n.to_string().into()).collect();
    expected.push("live".into());
    assert_eq!(seen, expected);

    let (mut socket, _) = node.follow(&bob, Some(&ids[count - 2])).await;
    assert_eq!(texts(&mut socket, 2).await, [json!((count - 1).to_string()), json!("live")]);
}

#[tokio::test]
async fn whoever_comes_back_is_told_what_else_happened_too() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (socket, ready) = node.follow(&bob, None).await;
    drop(socket);
    node.post("/v1/channels", &ann, json!({"name": "general"})).await;
    node.call(Method::POST, "/v1/channels/general/join", Some(&bob), None).await;
    node.send(&ann, "#general", "hi").await;
    node.post("/v1/channels/general/read", &bob, json!({"upto": 1})).await;
    let (mut socket, _) = node.follow(&bob, ready["cursor"].as_str()).await;
    let mut last = 0;
    for kind in ["channel", "member", "message", "read"] {
        let frame = hear(&mut socket).await;
        assert_eq!(frame["type"], kind, "{frame}");
        let cursor: u64 = frame["cursor"].as_str().unwrap().parse().unwrap();
        assert!(cursor > last);
        last = cursor;
    }
}

#[tokio::test]
async fn what_lies_further_back_than_events_are_kept_is_read_from_the_log() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (_, before) = node.follow(&bob, None).await;
    node.post("/v1/channels", &ann, json!({"name": "general"})).await;
    let (_, behind) = node.follow(&bob, None).await;
    let count = EVENTS_KEPT_MAX + limits::REPLAY_PAGE + 7;
    node.pour(&ann, "@bob", (0..count).map(|n| n.to_string())).await;

    let (mut socket, _) = node.follow(&bob, behind["cursor"].as_str()).await;
    let (texts, others) = texts_and_others(&mut socket, count).await;
    assert!(texts == numbers(0..count), "every message, once, in order");
    assert!(others.is_empty(), "nothing but messages was missed: {others:?}");

    let (mut socket, _) = node.follow(&bob, before["cursor"].as_str()).await;
    let (texts, others) = texts_and_others(&mut socket, count).await;
    assert!(texts == numbers(0..count), "every message, once, in order");
    // The new channel is told no more: that something was is.
    let kinds: Vec<_> = others.iter().map(|frame| &frame["type"]).collect();
    assert_eq!(kinds, ["resync"]);
    // Told first, and again to whoever is cut off before the end: its cursor moves nobody on.
    assert_eq!(others[0]["cursor"], before["cursor"]);
}

#[tokio::test]
async fn who_reads_too_slowly_is_closed_with_the_cursor_to_go_on_from() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut slow, _) = node.follow(&bob, None).await;
    // More than the sockets' buffers and the events that wait for one subscriber hold together.
    let count = EVENTS_KEPT_MAX + 2_048;
    node.pour(&ann, "@bob", (0..count).map(|n| format!("{n:04000}"))).await;
    let (frames, close) = hear_end(&mut slow).await;
    let (error, messages) = frames.split_last().unwrap();
    assert_eq!((&error["error"]["code"], &error["retry"]), (&json!("too_slow"), &json!(true)));
    assert_eq!(u16::from(close.code), 1013);
    let reason: Value = serde_json::from_str(&close.reason).unwrap();
    assert_eq!(reason["cursor"], messages.last().unwrap()["cursor"]);
    let (mut socket, _) = node.follow(&bob, reason["cursor"].as_str()).await;
    let next = &texts(&mut socket, 1).await[0];
    assert_eq!(
        next.as_str().unwrap().parse::<usize>().unwrap(),
        messages.len(),
        "no gap, no repeat"
    );
}

#[tokio::test]
async fn sends_are_answered_and_keep_their_order() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut socket, _) = node.follow(&ann, None).await;
    let keys: Vec<String> = (0..100).map(|_| fresh_key()).collect();
    for (n, key) in keys.iter().enumerate() {
        let mut frame =
            json!({"type": "send", "request_id": key, "to": "@bob", "text": n.to_string()});
        if n > 0 {
            frame["after_request"] = keys[n - 1].as_str().into();
        }
        socket.feed(Message::text(frame.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut answered = Vec::new();
    while answered.len() < keys.len() {
        let frame = hear(&mut socket).await;
        if frame["type"] != "message" {
            assert_eq!(frame["type"], "sent", "{frame}");
            answered.push(frame["request_id"].as_str().unwrap().to_owned());
        }
    }
    answered.sort();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(answered, sorted);
    let history = node.get("/v1/direct/ann/messages?limit=200", &bob).await;
    let texts: Vec<_> = history.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["text"].as_str().unwrap().parse::<usize>().unwrap())
        .collect();
    assert_eq!(texts, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_socket_with_too_many_sends_under_way_is_not_read_until_one_is_answered() {
    let node = Node::start();
    let (ann, _) = two(&node).await;
    let (socket, _) = node.follow(&ann, None).await;
    let (mut sink, mut stream) = socket.split();
    node.held.pause(true);
    let at_once = limits::size(Limits::DEFAULT.sends_in_flight);
    let count = at_once + 100;
    let give = async {
        for n in 0..count {
            let key = fresh_key();
            let frame =
                json!({"type": "send", "request_id": key, "to": "@bob", "text": n.to_string()});
            sink.send(Message::text(frame.to_string())).await.unwrap();
        }
        while node.held.waiting() < at_once {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert_eq!(node.held.waiting(), at_once);
        }
        node.held.pause(false);
    };
    let mut unanswered = count;
    let take = async {
        while unanswered > 0 {
            let Message::Text(text) = stream.next().await.unwrap().unwrap() else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(frame["type"], "failed", "{frame}");
            unanswered -= usize::from(frame["type"] == "sent");
        }
    };
    tokio::join!(give, take);
}

#[tokio::test]
async fn a_send_that_fails_says_whether_to_try_again() {
    let node = Node::start();
    let (ann, _) = two(&node).await;
    let (mut socket, _) = node.follow(&ann, None).await;
    let key = fresh_key();
    let mut failed = async |frame: Value| {
        say(&mut socket, &frame).await;
        let answer = hear(&mut socket).await;
        assert_eq!(answer["type"], "failed", "{answer}");
        (answer["error"]["code"].as_str().unwrap().to_owned(), answer["retry"].as_bool().unwrap())
    };
    let send = |text: &str| json!({"type": "send", "request_id": key, "to": "@bob", "text": text});
    assert_eq!(failed(send("")).await, ("text_empty".to_owned(), false));
    let mut late = json!({"type": "send", "request_id": fresh_key(), "to": "@bob", "text": "b"});
    late["after_request"] = fresh_key().into();
    assert_eq!(failed(late).await, ("out_of_order".to_owned(), true));
    let mut unknown = send("a");
    unknown["colour"] = "red".into();
    assert_eq!(failed(unknown).await, ("malformed".to_owned(), false));
    let no_key = json!({"type": "send", "request_id": "x", "to": "@bob", "text": "a"});
    assert_eq!(failed(no_key).await, ("request_id_malformed".to_owned(), false));
}

#[tokio::test]
async fn a_socket_without_a_good_hello_is_closed_with_the_reason() {
    let node = Node::start();
    node.register("ann").await;
    let cases = [
        (json!({"type": "hello", "token": "x"}), "session_ended", 4401),
        (json!({"type": "hello"}), "malformed", 1008),
        (json!({"type": "send", "request_id": "x"}), "malformed", 1008),
    ];
    for (frame, code, close_code) in cases {
        let mut socket = node.connect().await;
        say(&mut socket, &frame).await;
        let (frames, close) = hear_end(&mut socket).await;
        assert_eq!(frames[0]["type"], "error");
        assert_eq!(
            (&frames[0]["error"]["code"], &frames[0]["retry"]),
            (&json!(code), &json!(false))
        );
        assert_eq!(u16::from(close.code), close_code);
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_log_is_refused() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let mut socket = node.connect().await;
    say(&mut socket, &json!({"type": "hello", "token": ann, "after": "1000000"})).await;
    let (frames, _) = hear_end(&mut socket).await;
    assert_eq!(frames[0]["error"]["code"], "cursor_ahead");
}

#[tokio::test]
async fn a_frame_beyond_the_bound_closes_the_socket() {
    let node = Node::start();
    let ann = node.register("ann").await;
    let (mut socket, _) = node.follow(&ann, None).await;
    let long = Message::text(" ".repeat(limits::size(Limits::DEFAULT.frame_bytes) + 1));
    // The node may close before it has read the whole frame.
    if socket.send(long).await.is_ok() {
        let (frames, close) = hear_end(&mut socket).await;
        assert_eq!(frames[0]["error"]["code"], "malformed");
        assert_eq!(u16::from(close.code), 1008);
    }
}

#[tokio::test]
async fn a_session_that_ends_closes_its_sockets_at_once() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut socket, ready) = node.follow(&bob, None).await;
    node.call(Method::POST, "/v1/logout", Some(&bob), None).await;
    node.send(&ann, "@bob", "for another session").await;
    let (frames, close) = hear_end(&mut socket).await;
    assert_eq!(frames[0]["error"]["code"], "session_ended", "{frames:?}");
    assert_eq!(frames.len(), 1, "nothing is shown to an ended session");
    assert_eq!(u16::from(close.code), 4401);
    let reason: Value = serde_json::from_str(&close.reason).unwrap();
    assert_eq!(reason, json!({"code": "session_ended", "cursor": ready["cursor"]}));
}

#[tokio::test]
async fn a_node_that_stops_sends_its_sockets_elsewhere() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let (mut socket, _) = node.follow(&bob, None).await;
    let id = node.send(&ann, "@bob", "last").await;
    assert_eq!(hear(&mut socket).await["cursor"], json!(id));
    node.begin_stop();
    let (frames, close) = hear_end(&mut socket).await;
    assert_eq!(
        (&frames[0]["error"]["code"], &frames[0]["retry"]),
        (&json!("draining"), &json!(true))
    );
    assert_eq!(u16::from(close.code), 1001);
    let reason: Value = serde_json::from_str(&close.reason).unwrap();
    assert_eq!(reason, json!({"code": "draining", "cursor": id}));
    node.stop().await;
}

#[tokio::test]
async fn one_sees_only_what_is_ones_own() {
    let node = Node::start();
    let (ann, bob) = two(&node).await;
    let carl = node.register("carl").await;
    let (mut socket, _) = node.follow(&carl, None).await;
    node.post("/v1/channels", &ann, json!({"name": "plans", "private": true})).await;
    node.send(&ann, "@bob", "secret").await;
    node.send(&bob, "@carl", "open").await;
    assert_eq!(hear(&mut socket).await["message"]["text"], "open");
    node.post("/v1/channels", &ann, json!({"name": "general"})).await;
    let channel = hear(&mut socket).await;
    assert_eq!(
        (&channel["type"], &channel["channel"]["name"]),
        (&json!("channel"), &json!("general"))
    );
    node.call(Method::POST, "/v1/channels/general/join", Some(&carl), None).await;
    let member = hear(&mut socket).await;
    assert_eq!((&member["type"], &member["user"]), (&json!("member"), &json!("carl")));
    node.post("/v1/direct/bob/read", &carl, json!({"upto": 1})).await;
    let read = hear(&mut socket).await;
    assert_eq!(
        (&read["type"], &read["conversation"], &read["upto"]),
        (&json!("read"), &json!("@bob"), &json!(1))
    );
}
