//! The node under attack. All attacks that run at the same time share one node, so that each has to
//! bear with the others.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tests::cluster::{Cluster, PASSWORD};
use tokio::sync::Mutex;

use crate::{
    PROGRAMS,
    wire::{self, Answer},
};

/// How long the node under attack waits for its clients: a slow client is cut off within a test.
const IMPATIENT: &str = "[timing]\nhead_ms = 1000\nbody_ms = 1000\nhello_ms = 1000\n";

/// A node with three accounts and a channel, serving in clear.
pub(crate) struct Target {
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
    pub(crate) owner: String,
    pub(crate) alice: String,
    pub(crate) bob: String,
    pid: u32,
}

/// Attack the shared node; afterwards it serves on.
pub(crate) async fn attack(attack: impl AsyncFnOnce(&Target)) {
    static SHARED: Mutex<Weak<Target>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    let target = match shared.upgrade() {
        Some(target) => target,
        None => {
            let target = Arc::new(Target::start("").await);
            *shared = Arc::downgrade(&target);
            target
        }
    };
    drop(shared);
    attack(&target).await;
    target.serves_on().await;
}

impl Target {
    /// A node of one's own, with more lines of configuration.
    pub(crate) async fn start(more: &str) -> Self {
        let mut cluster = Cluster::init(PROGRAMS, 1);
        cluster.serve_in_clear();
        cluster.configure(&format!("{IMPATIENT}{more}"));
        cluster.spawn(1);
        cluster.ready(1).await;
        let address = cluster.url(1).trim_start_matches("http://").parse().unwrap();
        let pid = cluster.pid(1);
        let [owner, alice, bob] = Default::default();
        let mut target = Self { cluster, address, owner, alice, bob, pid };
        let invite = target.cluster.owner_token();
        target.owner = target.register("owner", Some(&invite)).await;
        target.alice = target.register("alice", None).await;
        target.bob = target.register("bob", None).await;
        for token in [&target.owner, &target.alice, &target.bob] {
            let general = json!({"name": "general"});
            let made = target.post("/v1/channels", token, &general).await;
            let joined = target.post("/v1/channels/general/join", token, &json!({})).await;
            assert!(made.status == 201 || joined.status == 200, "{made:?} {joined:?}");
        }
        target
    }

    /// A new account's token.
    pub(crate) async fn register(&self, name: &str, invite: Option<&str>) -> String {
        let body = json!({"name": name, "password": PASSWORD, "invite": invite});
        let answer = self.call("POST", "/v1/register", &[], Some(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// One request on a connection of its own.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call_raw(method, path, headers, body.as_bytes()).await
    }

    /// The same, with a body of any bytes.
    pub(crate) async fn call_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut request = format!("{request}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        self.raw(&request).await.first()
    }

    /// `GET` with a token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, &[("Authorization", &format!("Bearer {token}"))], None).await
    }

    /// `POST` with a token.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call("POST", path, &[("Authorization", &format!("Bearer {token}"))], Some(body)).await
    }

    /// `POST` with a token and a body of any bytes.
    pub(crate) async fn post_raw(&self, path: &str, token: &str, body: &[u8]) -> Answer {
        self.call_raw("POST", path, &[("Authorization", &format!("Bearer {token}"))], body).await
    }

    /// `POST` with a token, under a key.
    pub(crate) async fn post_under(
        &self,
        key: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
        self.call("POST", path, &headers, Some(body)).await
    }

    /// Send a message.
    pub(crate) async fn send(&self, token: &str, to: &str, text: &str) -> Answer {
        self.post("/v1/messages", token, &json!({"to": to, "text": text})).await
    }

    /// The bytes as they are, and all that comes back until the node closes the connection.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> wire::Answers {
        wire::exchange(self.address, bytes).await
    }

    /// The same process answers, a message is committed, and nothing panicked.
    pub(crate) async fn serves_on(&self) {
        let pid = self.cluster.pid(1);
        assert_eq!(pid, self.pid);
        let process = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        test_kill_process(process).expect("the node lives");
        let sent = self.send(&self.owner, "@alice", "still there?").await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let log = fs::read_to_string(self.cluster.node_dir(1).join("node.log")).unwrap();
        assert!(!log.contains("panicked at"), "{log}");
    }
}
