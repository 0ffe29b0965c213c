//! The promises of requests, asked for in ways that no good client asks.

use std::time::{SystemTime, UNIX_EPOCH};

use chatctl::{ClientError, Outgoing};
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, PASSWORD},
    conversation::whole_history,
};
use uuid::{Builder, Uuid};

use crate::{PROGRAMS, target::attack};

const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;

fn key() -> String {
    Uuid::now_v7().to_string()
}

/// A request id as a client makes it whose clock shows this time.
fn key_at(time_ms: u64) -> String {
    let mut random = [0; 10];
    random.copy_from_slice(&Uuid::now_v7().as_bytes()[6..]);
    Builder::from_unix_timestamp_millis(time_ms, &random).into_uuid().to_string()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn same_request_id_and_body_give_the_same_answer() {
    attack(async |target| {
        let (key, body) = (key(), json!({"to": "#general", "text": "once"}));
        let first = target.post_under(&key, "/v1/messages", &target.alice, &body).await;
        assert_eq!(first.status, 201, "{first:?}");
        for _ in 0..3 {
            let again = target.post_under(&key, "/v1/messages", &target.alice, &body).await;
            assert_eq!((again.status, again.json()), (200, first.json()));
        }
        // The same body written otherwise is the same request.
        let other = br##" { "text" : "\u006fnce", "to":"#general" } "##;
        let bearer = format!("Bearer {}", target.alice);
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key.as_str())];
        let again = target.call_raw("POST", "/v1/messages", &headers, other).await;
        assert_eq!((again.status, again.json()), (200, first.json()));
        // Of another account it is another request.
        let others = target.post_under(&key, "/v1/messages", &target.bob, &body).await;
        assert_eq!(others.status, 201, "{others:?}");
        assert_ne!(others.json()["id"], first.json()["id"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn same_request_id_and_another_body_is_a_conflict() {
    attack(async |target| {
        let (key, body) = (key(), json!({"to": "#general", "text": "once"}));
        let first = target.post_under(&key, "/v1/messages", &target.alice, &body).await;
        assert_eq!(first.status, 201, "{first:?}");
        let others = [
            ("/v1/messages", json!({"to": "#general", "text": "twice"})),
            ("/v1/messages", json!({"to": "@bob", "text": "once"})),
            (
                "/v1/messages",
                json!({"to": "#general", "text": "once", "reply_to": first.json()["id"]}),
            ),
            ("/v1/channels", json!({"name": "another"})),
            ("/v1/channels/general/join", Value::Null),
        ];
        for (path, body) in others {
            let answer = target.post_under(&key, path, &target.alice, &body).await;
            assert_eq!(answer.refused(409), "request_id_conflict", "{path} {body}");
        }
        let again = target.post_under(&key, "/v1/messages", &target.alice, &body).await;
        assert_eq!((again.status, again.json()), (200, first.json()));
        // A refusal is an answer as well, and stays.
        let (refused, late) = (Uuid::now_v7().to_string(), json!({"to": "@late", "text": "a"}));
        let answer = target.post_under(&refused, "/v1/messages", &target.alice, &late).await;
        assert_eq!(answer.refused(404), "no_such_user");
        let answer = target.post_under(&refused, "/v1/messages", &target.alice, &body).await;
        assert_eq!(answer.refused(409), "request_id_conflict");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_rollbacks_in_a_stream_are_out_of_order() {
    attack(async |target| {
        let send = async |key: &str, after: &str, token: &str| {
            let body = json!({"to": "#general", "text": "in order", "after_request": after});
            target.post_under(key, "/v1/messages", token, &body).await
        };
        let keys: Vec<String> = (0..4).map(|_| key()).collect();
        let first = json!({"to": "#general", "text": "the first"});
        let (alice, bob) = (&target.alice, &target.bob);
        assert_eq!(target.post_under(&keys[0], "/v1/messages", alice, &first).await.status, 201);
        // The second is missing.
        assert_eq!(send(&keys[2], &keys[1], alice).await.refused(409), "out_of_order");
        assert_eq!(send(&keys[2], &keys[2], alice).await.refused(409), "out_of_order");
        assert_eq!(send(&keys[1], &keys[0], alice).await.status, 201);
        assert_eq!(send(&keys[2], &keys[1], alice).await.status, 201);
        // Going back does not send again.
        let again = send(&keys[1], &keys[0], alice).await;
        assert_eq!(again.status, 200);
        assert_eq!(send(&keys[1], &keys[2], alice).await.refused(409), "request_id_conflict");
        // The order of another is another's.
        assert_eq!(send(&keys[3], &keys[2], bob).await.refused(409), "out_of_order");
        for nonsense in ["", "x", "00000000-0000-4000-8000-000000000000"] {
            assert_eq!(send(&keys[3], nonsense, alice).await.refused(400), "request_id_malformed");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_wrong_by_years_is_told() {
    attack(async |target| {
        let (now, body) = (now_ms(), json!({"to": "#general", "text": "what year is it?"}));
        for (time_ms, code) in [
            (0, "request_id_expired"),
            (now - 10 * YEAR_MS, "request_id_expired"),
            (now - 2 * 24 * 60 * 60 * 1000, "request_id_expired"),
            (now + 60_000, "request_id_ahead"),
            (now + 10 * YEAR_MS, "request_id_ahead"),
            ((1 << 48) - 1, "request_id_ahead"),
        ] {
            let answer =
                target.post_under(&key_at(time_ms), "/v1/messages", &target.alice, &body).await;
            assert_eq!(answer.refused(409), code, "{time_ms}");
            assert!(answer.header("holdfast-time").is_some(), "the clock to go by: {answer:?}");
        }
        // The account goes on: no id from the future has moved its window.
        let answer = target.post_under(&key(), "/v1/messages", &target.alice, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_to_what_is_not_there_or_not_any_more() {
    attack(async |target| {
        let send = async |to: &str| target.send(&target.alice, to, "anyone?").await;
        assert_eq!(send("@nobody").await.refused(404), "no_such_user");
        assert_eq!(send("#nowhere").await.refused(404), "no_such_channel");
        assert_eq!(send("@alice").await.refused(422), "to_self");
        let name = format!("left-{}", now_ms());
        for private in [false, true] {
            let name = format!("{name}-{private}");
            let body = json!({"name": name, "private": private});
            assert_eq!(target.post("/v1/channels", &target.bob, &body).await.status, 201);
            let body = json!({"user": "alice"});
            let invites = format!("/v1/channels/{name}/invites");
            assert_eq!(target.post(&invites, &target.bob, &body).await.status, 204);
            if !private {
                target
                    .post(&format!("/v1/channels/{name}/join"), &target.alice, &Value::Null)
                    .await;
            }
            assert_eq!(send(&format!("#{name}")).await.status, 201);
            let leave = format!("/v1/channels/{name}/leave");
            assert_eq!(target.post(&leave, &target.alice, &Value::Null).await.status, 204);
            let answer = send(&format!("#{name}")).await;
            assert!(matches!(answer.status, 403 | 404), "{answer:?}");
            answer.refused(answer.status);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_gone_for_everybody() {
    attack(async |target| {
        let name = format!("brief-{}", now_ms());
        let token = target.register(&name, None).await;
        let to = format!("@{name}");
        assert_eq!(target.send(&target.alice, &to, "hello").await.status, 201);
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let delete = async |password: &str| {
            let body = json!({"password": password, "erase_messages": true});
            target.call("DELETE", "/v1/me", &headers, Some(&body)).await
        };
        assert_eq!(delete("wrong password").await.status / 100, 4);
        assert_eq!(target.get("/v1/me", &token).await.status, 200, "nothing was done");
        assert_eq!(delete(PASSWORD).await.status, 204);
        target.get("/v1/me", &token).await.refused(401);
        target.send(&token, "@alice", "from beyond").await.refused(401);
        let answer = target.send(&target.alice, &to, "are you there?").await;
        answer.refused(answer.status);
        let body = json!({"name": name, "password": PASSWORD});
        assert_eq!(
            target.call("POST", "/v1/login", &[], Some(&body)).await.refused(401),
            "bad_credentials"
        );
        assert_eq!(
            target.call("POST", "/v1/register", &[], Some(&body)).await.refused(409),
            "name_taken"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_of_one_user_do_not_disturb_each_other() {
    attack(async |target| {
        let body = json!({"name": "bob", "password": PASSWORD});
        let opened = target.call("POST", "/v1/login", &[], Some(&body)).await.json();
        let (one, two) = (&target.bob, opened["token"].as_str().unwrap());
        let sends = (0..20).map(|number| {
            let device = if number % 2 == 0 { one } else { two };
            target.send(device, "#general", "from two devices")
        });
        let sent = futures_util::future::join_all(sends).await;
        assert!(sent.iter().all(|answer| answer.status == 201), "{sent:?}");
        // A request begun on one and asked again on the other is one request.
        let (key, body) = (key(), json!({"to": "#general", "text": "once"}));
        let first = target.post_under(&key, "/v1/messages", one, &body).await;
        let again = target.post_under(&key, "/v1/messages", two, &body).await;
        assert_eq!((first.status, again.status), (201, 200), "{again:?}");
        assert_eq!(first.json(), again.json());
        // What one has read, both have.
        let seq = first.json()["seq"].clone();
        let mark = json!({"upto": seq});
        assert_eq!(target.post("/v1/channels/general/read", one, &mark).await.status, 204);
        let back = json!({"upto": 1});
        assert_eq!(target.post("/v1/channels/general/read", two, &back).await.status, 204);
        let inbox = target.get("/v1/conversations", two).await.json();
        let general =
            inbox["items"].as_array().unwrap().iter().find(|c| c["conversation"] == "#general");
        assert!(general.unwrap()["read_upto"].as_u64() >= seq.as_u64(), "it never goes back");
        assert_eq!(target.post("/v1/logout", two, &Value::Null).await.status, 204);
        assert_eq!(target.get("/v1/me", one).await.status, 200);
    })
    .await;
}

/// A request is asked again after the leader was killed before it came, while it was under way, and
/// after it was answered: each time it takes effect once.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_holds_across_a_leader_change_at_each_step() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    let mut expected = Vec::new();
    for step in ["before", "during", "after"] {
        let leader = cluster.leader(&owner).await;
        let survivors: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
        let client = cluster.client_with(&survivors, owner.token());
        let id = Uuid::now_v7();
        let outgoing = Outgoing {
            to: "#general".parse().unwrap(),
            text: step.to_owned(),
            reply_to: None,
            after_request: None,
            request_id: Some(id),
        };
        let first = match step {
            "before" => {
                cluster.kill(leader);
                client.send(&outgoing).await
            }
            "during" => {
                let (client, outgoing) = (client.clone(), outgoing.clone());
                let sending = tokio::spawn(async move { client.send(&outgoing).await });
                tokio::task::yield_now().await;
                cluster.kill(leader);
                sending.await.unwrap()
            }
            _ => {
                let sent = client.send(&outgoing).await;
                cluster.kill(leader);
                sent
            }
        };
        let again = client.send(&outgoing).await.unwrap();
        match first {
            Ok(first) => assert_eq!(first, again, "{step}"),
            Err(ClientError::Unknown { .. } | ClientError::Unavailable { .. }) => {}
            Err(error) => panic!("{step}: {error}"),
        }
        let other = Outgoing { text: format!("not {step}"), ..outgoing.clone() };
        let refused = client.send(&other).await.unwrap_err();
        assert_eq!(refused.code(), "request_id_conflict", "{step}: {refused}");
        let next = Outgoing {
            text: format!("{step}, and then"),
            after_request: Some(id),
            request_id: None,
            ..outgoing
        };
        client.send(&next).await.unwrap();
        expected.extend([step.to_owned(), next.text]);
        cluster.spawn(leader);
        cluster.ready(leader).await;
    }
    let history = whole_history(&owner, &"#general".parse().unwrap()).await;
    let texts: Vec<String> = history.into_iter().filter_map(|message| message.text).collect();
    assert_eq!(texts, expected);
}
