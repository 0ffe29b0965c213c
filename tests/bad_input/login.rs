//! Passwords and tokens: who is not who they say learns nothing and hinders nobody.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::cluster::PASSWORD;

use crate::target::{Target, attack};

async fn login(target: &Target, name: &str, password: &str) -> crate::wire::Answer {
    let body = json!({"name": name, "password": password});
    target.call("POST", "/v1/login", &[], Some(&body)).await
}

/// The time that the node's process has spent on the processor, in clock ticks.
fn ticks_of(target: &Target) -> u64 {
    let pid = target.cluster.pid(1);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: state is field 3, user time 14, system time 15.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Failed log-ins are not counted: only what one costs bounds how many there are.
const UNTHROTTLED: &str = "[limits]\nfailed_logins_per_name = 0\nfailed_logins_per_address = 0\n";

/// Text, status and headers of the answer to an unknown name are those of a wrong password, and so
/// is the work: not the time on the wall, which other work shares, but that on the processor.
#[tokio::test(flavor = "multi_thread")]
async fn user_enumeration_by_login_tells_nothing() {
    const LOGINS: usize = 10;
    let target = Target::start(UNTHROTTLED).await;
    let wrong = login(&target, "alice", "wrong password").await;
    assert_eq!(wrong.refused(401), "bad_credentials");
    let mut costs = Vec::new();
    for name in ["alice", "nobody", "n\u{f6} name at all"] {
        let before = ticks_of(&target);
        for _ in 0..LOGINS {
            let answer = login(&target, name, "wrong password").await;
            assert_eq!((answer.status, &answer.body), (wrong.status, &wrong.body), "{name}");
            let names = |answer: &crate::wire::Answer| -> BTreeSet<String> {
                answer.headers.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&answer), names(&wrong), "{name}");
        }
        costs.push(ticks_of(&target) - before);
    }
    let (least, most) = (costs.iter().min().unwrap(), costs.iter().max().unwrap());
    assert!(*least * 2 >= *most, "the work tells the names apart: {costs:?} ticks");
    target.serves_on().await;
}

/// Who guesses on is told to wait, and told the same under a name that nobody has.
#[tokio::test(flavor = "multi_thread")]
async fn user_enumeration_by_throttling_tells_nothing() {
    let target = Target::start("[limits]\nfailed_logins_per_name = 3\n").await;
    let mut told = Vec::new();
    for name in ["alice", "nobody"] {
        let mut answers = Vec::new();
        for _ in 0..5 {
            let answer = login(&target, name, "wrong password").await;
            answers.push((answer.status, answer.refused(answer.status)));
        }
        assert_eq!(answers[0].0, 401, "{answers:?}");
        assert_eq!(answers[4].0, 429, "{answers:?}");
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    // The right password waits as well: else waiting would tell that it was wrong.
    login(&target, "alice", PASSWORD).await.refused(429);
    assert_eq!(target.get("/v1/me", &target.alice).await.status, 200, "her session is not hurt");
    target.serves_on().await;
}

/// More logins than can be hashed or wait are told 429 at once, and meanwhile others send.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_flood_is_turned_away_and_sends_go_on() {
    const LOGINS: usize = 100;
    let target =
        Target::start(&format!("{UNTHROTTLED}password_hashes = 1\npassword_queue = 8\n")).await;
    let body = json!({"name": "alice", "password": "wrong password"});
    let flood = futures_util::future::join_all(
        (0..LOGINS).map(|_| target.call("POST", "/v1/login", &[], Some(&body))),
    );
    let sends = async {
        let mut slowest = Duration::ZERO;
        for number in 0..20 {
            let begun = Instant::now();
            let sent =
                target.send(&target.alice, "@bob", &format!("through the flood {number}")).await;
            assert_eq!(sent.status, 201, "{sent:?}");
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(flood, sends);
    let mut turned_away = 0;
    for answer in &answers {
        if answer.status == 429 {
            assert_eq!(answer.refused(429), "too_fast");
            assert_eq!(answer.header("retry-after"), Some("1"));
            turned_away += 1;
        } else {
            assert_eq!(answer.refused(401), "bad_credentials");
        }
    }
    assert!(turned_away > 0 && turned_away < LOGINS, "{turned_away} of {LOGINS}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    target.serves_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_open_nothing_are_refused() {
    attack(async |target| {
        let token = &target.alice;
        let (short, long) = (token.split_at(42).0, format!("{token}A"));
        let swapped: String = token
            .chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let headers = [
            "".to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            token.clone(),
            format!("Basic {token}"),
            format!("Bearer{token}"),
            format!("Bearer {short}"),
            format!("Bearer {long}"),
            format!("Bearer {swapped}"),
            format!("Bearer \"{token}\""),
            format!("Bearer {token} {token}"),
            format!("Bearer {token},Bearer {token}"),
            format!("Bearer {}", "A".repeat(20_000)),
            "Bearer \u{fc}\u{1f44d}".to_owned(),
            "Bearer ' or 1=1 --".to_owned(),
        ];
        for header in headers {
            let answer = target.call("GET", "/v1/me", &[("Authorization", &header)], None).await;
            let code = answer.refused(401);
            assert!(
                matches!(code.as_str(), "unauthenticated" | "session_ended"),
                "{header}: {code}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_url_or_a_cookie_opens_nothing() {
    attack(async |target| {
        let token = &target.alice;
        for name in ["token", "access_token", "authorization", "bearer", "key"] {
            let answer = target.call("GET", &format!("/v1/me?{name}={token}"), &[], None).await;
            assert!(matches!(answer.status, 400 | 401), "{answer:?}");
            answer.refused(answer.status);
        }
        for cookie in [format!("__Host-holdfast={token}"), format!("token={token}")] {
            let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
            target.call("GET", "/v1/me", &headers, None).await.refused(401);
            let body = json!({"to": "@bob", "text": "a"});
            target.call("POST", "/v1/messages", &headers, Some(&body)).await.refused(401);
        }
        let user_info = format!("http://{token}@{}/v1/me", target.address);
        let answer = target.call("GET", &user_info, &[], None).await;
        assert!(matches!(answer.status, 400 | 401), "{answer:?}");
        let twice = [("Authorization", "Bearer x"), ("Authorization", &format!("Bearer {token}"))];
        target.call("GET", "/v1/me", &twice, None).await.refused(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_dead_everywhere() {
    attack(async |target| {
        let opened = login(target, "bob", PASSWORD).await.json();
        let token = opened["token"].as_str().unwrap();
        assert_eq!(target.get("/v1/me", token).await.status, 200);
        assert_eq!(target.post("/v1/logout", token, &Value::Null).await.status, 204);
        for (method, path) in [
            ("GET", "/v1/me"),
            ("GET", "/v1/me?consistency=stale"),
            ("GET", "/v1/conversations"),
            ("GET", "/v1/cluster"),
            ("POST", "/v1/messages"),
            ("POST", "/v1/logout"),
            ("DELETE", "/v1/me"),
        ] {
            let bearer = format!("Bearer {token}");
            let body = json!({"to": "@alice", "text": "a"});
            let headers = [("Authorization", bearer.as_str())];
            let answer = target.call(method, path, &headers, Some(&body)).await;
            assert_eq!(answer.refused(401), "session_ended", "{method} {path}");
        }
        assert_eq!(target.get("/v1/me", &target.bob).await.status, 200, "the other session lives");
    })
    .await;
}

/// What belongs to others is not there.
#[tokio::test(flavor = "multi_thread")]
async fn anothers_token_opens_nothing_of_mine() {
    attack(async |target| {
        let sent = target.send(&target.owner, "@alice", "between us").await.json();
        let id = sent["id"].as_str().unwrap();
        let bob = &target.bob;
        target.get(&format!("/v1/messages/{id}"), bob).await.refused(404);
        let bearer = format!("Bearer {bob}");
        let headers = [("Authorization", bearer.as_str())];
        let path = format!("/v1/messages/{id}");
        target.call("PATCH", &path, &headers, Some(&json!({"text": "forged"}))).await.refused(404);
        target.call("DELETE", &path, &headers, None).await.refused(404);
        let reply = json!({"to": "@alice", "text": "a", "reply_to": id});
        let answer = target.post("/v1/messages", bob, &reply).await;
        assert_eq!(answer.refused(422), "reply_unknown");

        let sessions = target.get("/v1/me/sessions", &target.alice).await.json();
        let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/me/sessions/{session}");
        assert_eq!(
            target.call("DELETE", &path, &headers, None).await.refused(404),
            "no_such_session"
        );
        assert_eq!(target.get("/v1/me", &target.alice).await.status, 200);

        let private = json!({"name": "private", "private": true});
        let made = target.post("/v1/channels", &target.owner, &private).await;
        assert!(matches!(made.status, 201 | 409), "{made:?}");
        for path in [
            "/v1/channels/private",
            "/v1/channels/private/messages",
            "/v1/channels/private/members",
        ] {
            target.get(path, bob).await.refused(404);
        }
        target.post("/v1/channels/private/join", bob, &Value::Null).await.refused(404);
        assert_eq!(target.send(bob, "#private", "a").await.refused(404), "no_such_channel");
        let body = json!({"user": "bob"});
        target.post("/v1/channels/private/invites", bob, &body).await.refused(404);
        let listed = target.get("/v1/channels", bob).await;
        assert!(!listed.body.contains("\"private\","), "{listed:?}");
    })
    .await;
}
