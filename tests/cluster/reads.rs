//! How fresh an answer is: a session reads its own writes from any node, and a node without a
//! quorum answers only whoever asks for stale state, and says how old it is.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tests::cluster::{Cluster, eventually};

use crate::PROGRAMS;

/// Writes on one node, each read on another.
const ROUNDS: u64 = 60;
/// The history's last message.
const LAST: &str = "/v1/channels/general/messages?limit=1";
const LAST_STALE: &str = "/v1/channels/general/messages?limit=1&consistency=stale";
/// How long a request that cannot be answered is waited for.
const SHORT_MS: &str = "300";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, json: response.json().await.unwrap() }
    }

    fn number(&self, header: &str) -> u64 {
        self.headers[header].to_str().unwrap().parse().unwrap()
    }

    fn text(&self) -> &str {
        self.json["items"][0]["text"].as_str().unwrap()
    }

    fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap()
    }

    /// 503, and when to try again.
    fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.number("retry-after") > 0
    }
}

/// Someone with a session, who asks nodes one by one.
struct Someone {
    http: Client,
    urls: Vec<String>,
    token: String,
}

impl Someone {
    async fn on(cluster: &Cluster) -> Self {
        let owner = cluster.owner().await;
        owner.create_channel("general", false, None).await.unwrap();
        let urls = cluster.ids().into_iter().map(|id| cluster.url(id).to_owned()).collect();
        Self { http: cluster.http(), urls, token: owner.token().unwrap() }
    }

    fn ask(&self, node: u64, method: Method, path: &str) -> RequestBuilder {
        let url = &self.urls[usize::try_from(node - 1).unwrap()];
        self.http.request(method, format!("{url}{path}")).bearer_auth(&self.token)
    }

    async fn get(&self, node: u64, path: &str) -> Answer {
        Answer::of(self.ask(node, Method::GET, path).header("Holdfast-Timeout-Ms", SHORT_MS)).await
    }

    async fn get_since(&self, node: u64, index: u64) -> Answer {
        let request = self.ask(node, Method::GET, LAST).header("Holdfast-Min-Index", index);
        Answer::of(request.header("Holdfast-Timeout-Ms", SHORT_MS)).await
    }

    /// Writes; the index to read it at.
    async fn write(&self, node: u64, text: &str) -> u64 {
        let body = json!({"to": "#general", "text": text});
        let sent = Answer::of(self.ask(node, Method::POST, "/v1/messages").json(&body)).await;
        assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.json);
        sent.number("holdfast-index")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_one_node_is_read_on_another() {
    let cluster = Cluster::start(PROGRAMS, 3).await;
    let someone = Someone::on(&cluster).await;
    let mut index = 0;
    for round in 0..ROUNDS {
        let (one, other) = (round % 3 + 1, (round + 1 + round % 2) % 3 + 1);
        let text = format!("round {round}");
        index = someone.write(one, &text).await;
        let read = someone.ask(other, Method::GET, LAST).header("Holdfast-Min-Index", index);
        let read = Answer::of(read).await;
        assert_eq!(read.status, StatusCode::OK, "{}", read.json);
        assert_eq!(read.text(), text, "node {other} reads what node {one} acknowledged");
        assert!(read.number("holdfast-index") >= index);
    }
    let begun = Instant::now();
    let beyond = someone.get_since(1, index + 1_000_000).await;
    assert!(beyond.is_unavailable() && beyond.code() == "behind", "{}", beyond.json);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited no longer than the client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_answers_stale_reads_and_says_how_old_they_are() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    let someone = Someone::on(&cluster).await;
    let index = someone.write(2, "the last word").await;
    let alone = 1;
    let seen = someone.ask(alone, Method::GET, LAST).header("Holdfast-Min-Index", index);
    assert_eq!(Answer::of(seen).await.text(), "the last word");
    assert_eq!(someone.get(alone, LAST).await.status, StatusCode::OK);

    cluster.kill_all(&[2, 3]);
    let killed = Instant::now();
    let mut ages = Vec::new();
    eventually("a stale answer is two seconds old", async || {
        let since = killed.elapsed();
        let stale = someone.get(alone, LAST_STALE).await;
        assert_eq!(stale.status, StatusCode::OK, "{}", stale.json);
        assert_eq!(stale.text(), "the last word");
        assert!(stale.number("holdfast-index") >= index);
        let age = Duration::from_millis(stale.number("holdfast-age-ms") + 1);
        assert!(age >= since, "nothing can have been proved since the others died: {age:?}");
        ages.push(age);
        age > Duration::from_secs(2)
    })
    .await;
    assert!(ages.is_sorted(), "{ages:?}");

    let begun = Instant::now();
    let current = someone.get(alone, LAST).await;
    assert!(current.is_unavailable() && current.code() == "unavailable", "{}", current.json);
    let ahead = someone.get_since(alone, index + 1_000_000).await;
    assert!(ahead.is_unavailable() && ahead.code() == "behind", "{}", ahead.json);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited no longer than the client");
    assert_eq!(someone.get_since(alone, index).await.text(), "the last word");

    for id in [2, 3] {
        cluster.spawn(id);
    }
    eventually("reads are current again", async || {
        someone.get(alone, LAST).await.status == StatusCode::OK
    })
    .await;
    let index = someone.write(3, "one more").await;
    assert_eq!(someone.get_since(alone, index).await.text(), "one more");
    eventually("stale answers are young again", async || {
        someone.get(alone, LAST_STALE).await.number("holdfast-age-ms") < 1_000
    })
    .await;
}
