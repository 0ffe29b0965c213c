//! Pages laid side by side are the whole list, whatever their size, and while more is added.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::kit::{Answer, Node};

const MESSAGES: u64 = 23;

/// Every item of a listing, read in pages of this size.
async fn listed(node: &Node, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let page = node.get(&format!("{path}?limit={limit}{after}"), token).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let found = page.json["items"].as_array().unwrap();
        assert!(found.len() <= limit, "{page:?}");
        items.extend(found.iter().cloned());
        match page.json["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return items,
        }
    }
}

fn names(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

async fn make(node: &Node, token: &str, name: &str) {
    let made = node.post("/v1/channels", token, json!({"name": name})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}

/// Sequence numbers of a page, and whether there is more on either side.
async fn page(node: &Node, token: &str, query: &str) -> (Vec<u64>, bool, bool) {
    let path = format!("/v1/channels/talk/messages?{query}");
    let Answer { status, json, .. } = node.get(&path, token).await;
    assert_eq!(status, StatusCode::OK, "{query}: {json}");
    let items = json["items"].as_array().unwrap();
    let seqs: Vec<u64> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(json["first"].as_u64().unwrap(), seqs.first().copied().unwrap_or(0), "{query}");
    assert_eq!(json["last"].as_u64().unwrap(), seqs.last().copied().unwrap_or(0), "{query}");
    let more = |side: &str| json[side].as_bool().unwrap();
    (seqs, more("more_before"), more("more_after"))
}

#[tokio::test]
async fn pages_of_any_size_are_the_whole_list_without_repeat() {
    let node = Node::start();
    let ann = node.register("ann").await;
    make(&node, &ann, "talk").await;
    for name in ["bob", "carl", "dora", "emil"] {
        let token = node.register(name).await;
        node.call(Method::POST, "/v1/channels/talk/join", Some(&token), None).await;
        node.send(&ann, &format!("@{name}"), "hello").await;
    }
    for name in ["a", "m-1", "m-2", "m-3", "zoo"] {
        make(&node, &ann, name).await;
    }
    let lists = [
        ("/v1/users", "name", 5),
        ("/v1/channels", "name", 6),
        ("/v1/channels/talk/members", "name", 5),
        ("/v1/conversations", "conversation", 10),
    ];
    for (path, field, count) in lists {
        let whole = names(&listed(&node, &ann, path, 200).await, field);
        assert_eq!(whole.len(), count, "{path}: {whole:?}");
        if field == "name" {
            assert!(whole.is_sorted(), "{path}: {whole:?}");
        }
        for limit in 1..=count + 1 {
            let paged = names(&listed(&node, &ann, path, limit).await, field);
            assert_eq!(paged, whole, "{path} in pages of {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_stays_good_while_items_are_added() {
    let node = Node::start();
    let ann = node.register("ann").await;
    for name in ["b", "d", "f", "h"] {
        make(&node, &ann, name).await;
    }
    let first = node.get("/v1/channels?limit=2", &ann).await;
    assert_eq!(names(first.json["items"].as_array().unwrap(), "name"), ["b", "d"]);
    // One is added before the cursor, one after it.
    make(&node, &ann, "a").await;
    make(&node, &ann, "e").await;
    let next = first.json["next"].as_str().unwrap();
    let rest = node.get(&format!("/v1/channels?limit=9&after={next}"), &ann).await;
    assert_eq!(names(rest.json["items"].as_array().unwrap(), "name"), ["e", "f", "h"]);

    let first = node.get("/v1/conversations?limit=2", &ann).await;
    assert_eq!(names(first.json["items"].as_array().unwrap(), "conversation"), ["#e", "#a"]);
    node.send(&ann, "#e", "on top again").await;
    let next = first.json["next"].as_str().unwrap();
    let rest = node.get(&format!("/v1/conversations?after={next}"), &ann).await;
    let rest = names(rest.json["items"].as_array().unwrap(), "conversation");
    assert_eq!(rest, ["#h", "#f", "#d", "#b"]);
}

#[tokio::test]
async fn history_is_read_from_either_end_and_from_the_middle() {
    let node = Node::start();
    let ann = node.register("ann").await;
    make(&node, &ann, "talk").await;
    for query in ["", "before=1", "after=0", "around=1"] {
        assert_eq!(page(&node, &ann, query).await, (vec![], false, false), "empty: {query}");
    }
    for number in 1..=MESSAGES {
        node.send(&ann, "#talk", &format!("message {number}")).await;
    }
    let all: Vec<u64> = (1..=MESSAGES).collect();
    for limit in 1..=MESSAGES + 1 {
        let mut down = Vec::new();
        let mut query = format!("limit={limit}");
        loop {
            let (seqs, before, after) = page(&node, &ann, &query).await;
            assert_eq!(after, !down.is_empty(), "{query}");
            down.splice(0..0, seqs.iter().copied());
            if !before {
                break;
            }
            query = format!("limit={limit}&before={}", seqs[0]);
        }
        assert_eq!(down, all, "from the newest, by {limit}");
        let mut up = Vec::new();
        loop {
            let last = up.last().copied().unwrap_or(0);
            let query = format!("limit={limit}&after={last}");
            let (seqs, before, after) = page(&node, &ann, &query).await;
            assert_eq!(before, last > 0, "{query}");
            up.extend(seqs);
            if !after {
                break;
            }
        }
        assert_eq!(up, all, "from the oldest, by {limit}");
        for around in [1, 2, MESSAGES / 2, MESSAGES - 1, MESSAGES] {
            let query = format!("limit={limit}&around={around}");
            let (seqs, before, after) = page(&node, &ann, &query).await;
            assert!(seqs.contains(&around) && seqs.is_sorted(), "{query}: {seqs:?}");
            assert_eq!(before, seqs[0] > 1, "{query}");
            assert_eq!(after, seqs.last() < Some(&MESSAGES), "{query}");
        }
    }
    let (beyond, before, after) = page(&node, &ann, &format!("after={MESSAGES}")).await;
    assert_eq!((beyond.len(), before, after), (0, true, false), "there is nothing newer");
    let (none, before, after) = page(&node, &ann, "before=1").await;
    assert_eq!((none.len(), before, after), (0, false, true), "there is nothing older");
}
