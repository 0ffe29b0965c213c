//! Clusters of real processes: made by `node init`, killed with `kill -9`, watched from outside.
//!
//! What always holds: every node is its own process with its own directory and real TLS; whatever a
//! test starts is killed when the [`Cluster`] is dropped; waiting is for a condition, with a
//! deadline that fails the test.

mod ports;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chatctl::{Client, ClusterStatus, Endpoint, Options};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

pub use self::ports::free_ports;

/// A condition that is not met within this time fails the test.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The password of every account that a test makes.
pub const PASSWORD: &str = "correct horse battery";

/// Tells the `victim` which feature level it understands.
pub const LEVEL: &str = "HOLDFAST_TESTS_LEVEL";

/// The programs under test.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// The node binary.
    pub node: &'static str,
}

/// A cluster on loopback.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    dir: TempDir,
    nodes: Vec<NodeProcess>,
}

#[derive(Debug)]
struct NodeProcess {
    client: String,
    child: Option<Child>,
    /// The feature level of its build, if not today's.
    level: Option<u16>,
}

impl Cluster {
    /// Make a cluster of `count` nodes with `node init`; none runs yet.
    ///
    /// # Panics
    /// When `node init` fails.
    #[must_use]
    pub fn init(programs: Programs, count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the cluster");
        let ports = free_ports(count);
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let output = Command::new(programs.node)
            .args(["init", "--name", "team", "--nodes", &hosts.join(","), "--dir"])
            .arg(dir.path().join("team"))
            .output()
            .expect("`node init` runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let nodes = ports
            .iter()
            .map(|port| NodeProcess {
                client: format!("https://127.0.0.1:{}", port + 1),
                child: None,
                level: None,
            })
            .collect();
        Self { programs, dir, nodes }
    }

    /// Make the folder of one more node with `node certs issue`; it does not run yet. Gives its number
    /// and where its peers reach it.
    ///
    /// # Panics
    /// When `node certs issue` fails.
    pub fn issue(&mut self) -> (u64, String) {
        let port = free_ports(1)[0];
        let (id, peer) = (self.nodes.len() as u64 + 1, format!("127.0.0.1:{port}"));
        let output = Command::new(self.programs.node)
            .args(["certs", "issue", "--node", &id.to_string(), &peer, "--dir"])
            .arg(self.dir())
            .output()
            .expect("`node certs issue` runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let client = format!("https://127.0.0.1:{}", port + 1);
        self.nodes.push(NodeProcess { client, child: None, level: None });
        (id, peer)
    }

    /// Leave a stopped node nothing of its data.
    ///
    /// # Panics
    /// When its data cannot be removed.
    pub fn wipe(&self, id: u64) {
        let data = self.node_dir(id).join("data");
        fs::remove_dir_all(&data).expect("the data can be removed");
        fs::create_dir(&data).expect("an empty directory can be made");
    }

    /// Have every node serve its clients in clear, so that a test can write its own bytes.
    ///
    /// # Panics
    /// When a node's configuration cannot be rewritten.
    pub fn serve_in_clear(&mut self) {
        for id in self.ids() {
            let file = self.node_dir(id).join("node.toml");
            let text = fs::read_to_string(&file).expect("a configuration");
            let clear = text.replace("https://", "http://");
            let clear = clear.replace("client = \"cluster\"", "client = \"off\"");
            fs::write(&file, clear).expect("a configuration can be rewritten");
            let process = self.process(id);
            process.client = process.client.replace("https://", "http://");
        }
    }

    /// Add lines to the configuration of every node.
    ///
    /// # Panics
    /// When a node's configuration cannot be written.
    pub fn configure(&self, lines: &str) {
        for id in self.ids() {
            let file = self.node_dir(id).join("node.toml");
            let text = fs::read_to_string(&file).expect("a configuration");
            fs::write(&file, format!("{text}\n{lines}\n")).expect("it can be written");
        }
    }

    /// Make a cluster, start every node, and wait until all are ready.
    pub async fn start(programs: Programs, count: usize) -> Self {
        let mut cluster = Self::init(programs, count);
        for id in cluster.ids() {
            cluster.spawn(id);
        }
        for id in cluster.ids() {
            cluster.ready(id).await;
        }
        cluster
    }

    /// The nodes' numbers.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        (1..).take(self.nodes.len()).collect()
    }

    /// The folder that `node init` made.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("team")
    }

    /// The folder of one node.
    #[must_use]
    pub fn node_dir(&self, id: u64) -> PathBuf {
        self.dir().join(format!("node-{id}"))
    }

    /// The owner's one-time sign-up token.
    ///
    /// # Panics
    /// When `node init` left none.
    #[must_use]
    pub fn owner_token(&self) -> String {
        let text = fs::read_to_string(self.dir().join("owner-token")).expect("an owner token");
        text.trim().to_owned()
    }

    /// Start a node's process.
    ///
    /// # Panics
    /// When it runs already, or cannot be started.
    pub fn spawn(&mut self, id: u64) {
        let dir = self.node_dir(id);
        let log = append_to(&dir.join("node.log"));
        let programs = self.programs;
        let process = self.process(id);
        assert!(process.child.is_none(), "node {id} runs already");
        let level = process.level.map(|level| (LEVEL, level.to_string()));
        let child = Command::new(programs.node)
            .envs(level)
            .arg("--config")
            .arg(dir.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node's process starts");
        self.process(id).child = Some(child);
    }

    /// From its next start on, a node runs a build of this feature level.
    pub fn install(&mut self, id: u64, level: u16) {
        self.process(id).level = Some(level);
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When the node does not run.
    pub fn kill(&mut self, id: u64) {
        let mut child = self.process(id).child.take().expect("the node runs");
        child.kill().expect("a running process can be killed");
        child.wait().expect("a killed process ends");
    }

    /// Kill several in the same instant: all signals are sent before any is waited for.
    ///
    /// # Panics
    /// When one of them does not run.
    pub fn kill_all(&mut self, ids: &[u64]) {
        let mut children: Vec<Child> =
            ids.iter().map(|id| self.process(*id).child.take().expect("the node runs")).collect();
        for child in &mut children {
            child.kill().expect("a running process can be killed");
        }
        for mut child in children {
            child.wait().expect("a killed process ends");
        }
    }

    /// SIGTERM, and the exit code once it has ended.
    ///
    /// # Panics
    /// When the node does not run, or does not end.
    pub async fn terminate(&mut self, id: u64) -> Option<i32> {
        let mut child = self.process(id).child.take().expect("the node runs");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM).expect("a running process can be signalled");
        let mut ended = None;
        eventually("the node ends after SIGTERM", async || {
            ended = child.try_wait().expect("the child can be waited for");
            ended.is_some()
        })
        .await;
        ended.and_then(|status| status.code())
    }

    /// The exit code of a node that ends by itself.
    ///
    /// # Panics
    /// When the node does not run, or does not end.
    pub async fn ended(&mut self, id: u64) -> Option<i32> {
        let mut child = self.process(id).child.take().expect("the node runs");
        let mut ended = None;
        eventually("the node ends by itself", async || {
            ended = child.try_wait().expect("the child can be waited for");
            ended.is_some()
        })
        .await;
        ended.and_then(|status| status.code())
    }

    /// What a node has said on its standard error.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn said(&self, id: u64) -> String {
        fs::read_to_string(self.node_dir(id).join("node.log")).expect("the node was started")
    }

    /// The process of a running node.
    ///
    /// # Panics
    /// When the node does not run.
    #[must_use]
    pub fn pid(&self, id: u64) -> u32 {
        self.nodes[place(id)].child.as_ref().expect("the node runs").id()
    }

    /// SIGHUP.
    ///
    /// # Panics
    /// When the node does not run.
    pub fn hang_up(&self, id: u64) {
        let child = self.nodes[place(id)].child.as_ref().expect("the node runs");
        kill_process(Pid::from_child(child), Signal::HUP).expect("it can be signalled");
    }

    /// Wait until `/readyz` says yes.
    pub async fn ready(&self, id: u64) {
        let url = format!("{}/readyz", self.url(id));
        let http = self.http();
        eventually(&format!("node {id} is ready"), async || {
            http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// A node's client address.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn url(&self, id: u64) -> &str {
        &self.nodes[place(id)].client
    }

    /// An HTTP client that trusts this cluster.
    ///
    /// # Panics
    /// When the cluster's CA certificate cannot be used.
    #[must_use]
    pub fn http(&self) -> reqwest::Client {
        let pem = fs::read(self.ca()).expect("a CA certificate");
        let ca = reqwest::Certificate::from_pem(&pem).expect("a CA certificate in PEM");
        trusting(&ca)
    }

    /// The cluster's CA certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.node_dir(1).join("ca.pem")
    }

    /// A client of these nodes, in this order of preference.
    ///
    /// # Panics
    /// When the client cannot be made.
    #[must_use]
    pub fn client(&self, ids: &[u64]) -> Client {
        self.client_with(ids, None)
    }

    /// A client with the token of an earlier login.
    ///
    /// # Panics
    /// When the client cannot be made.
    #[must_use]
    pub fn client_with(&self, ids: &[u64], token: Option<String>) -> Client {
        let endpoints =
            ids.iter().map(|id| self.url(*id).parse::<Endpoint>().expect("an endpoint")).collect();
        let options = Options { ca: Some(self.ca()), token, ..Options::new(endpoints) };
        Client::new(options).expect("a client")
    }

    /// A client of all nodes, signed in as the owner.
    ///
    /// # Panics
    /// When the owner cannot be registered.
    pub async fn owner(&self) -> Client {
        let client = self.client(&self.ids());
        let token = self.owner_token();
        client.register("owner", PASSWORD, Some(&token)).await.expect("the owner registers");
        client
    }

    /// The leader that a node knows; waits until it knows one.
    pub async fn leader(&self, client: &Client) -> u64 {
        let mut leader = 0;
        eventually("a leader is known", async || {
            let status = client.cluster().await;
            leader = status.ok().and_then(|status| status.leader).unwrap_or(0);
            leader != 0
        })
        .await;
        leader
    }

    /// Wait until every running node has applied the same entries to the same state.
    ///
    /// # Panics
    /// When they do not within [`PATIENCE`].
    pub async fn converged(&self, client: &Client) -> ClusterStatus {
        let running: Vec<u64> =
            self.ids().into_iter().filter(|id| self.nodes[place(*id)].child.is_some()).collect();
        let mut last = None;
        eventually("all nodes hold the same state", async || {
            let Ok(status) = client.cluster().await else { return false };
            let same = same_state(&status, &running);
            last = Some(status);
            same
        })
        .await;
        last.expect("converged on a status")
    }

    fn process(&mut self, id: u64) -> &mut NodeProcess {
        &mut self.nodes[place(id)]
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.nodes {
            if let Some(mut child) = process.child.take() {
                // It may have ended by itself; the test is over either way.
                drop(child.kill());
                drop(child.wait());
            }
        }
        if std::thread::panicking() {
            for id in self.ids() {
                say_log_tail(&self.node_dir(id).join("node.log"), id);
            }
        }
    }
}

/// Wait until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = interval(Duration::from_millis(10));
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        pause.tick().await;
    }
}

/// An HTTP client that trusts one certificate authority.
fn trusting(ca: &reqwest::Certificate) -> reqwest::Client {
    // Another test of this process may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .tls_certs_only([ca.clone()])
        .timeout(Duration::from_secs(5))
        .build()
        .expect("an HTTP client")
}

fn same_state(status: &ClusterStatus, running: &[u64]) -> bool {
    let mut states = status.nodes.iter().filter(|node| running.contains(&node.id)).map(|node| {
        let hash = node.more.get("hash").and_then(|hash| hash.as_str()).unwrap_or("");
        (node.reachable, node.applied, hash.to_owned())
    });
    let Some(first) = states.next() else { return false };
    first.0 && !first.2.is_empty() && states.all(|state| state == first)
}

fn place(id: u64) -> usize {
    usize::try_from(id).expect("a small number") - 1
}

fn append_to(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("the node's log can be opened")
}

#[expect(clippy::print_stderr, reason = "a failed test shows what its nodes said")]
fn say_log_tail(path: &Path, id: u64) {
    const LINES: usize = 15;
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    eprintln!("--- node {id} ---\n{}", tail.join("\n"));
}
