//! A browser in front of a cluster: headless Chromium, led by a script of `tests/browser`.
//!
//! The script knows the page and the people in front of it; the nodes belong to the test. The two
//! talk in lines of JSON over the script's stdin and stdout: the script asks (`{"do":"kill","node":1}`),
//! one thing at a time, and each ask is answered (`{"ok":true}`) once it is done.
//!
//! What always holds:
//! - a script has passed when it has said `done` and then ended well, and in no other way;
//! - script and browser end with the test: the script is killed, and Chromium ends with its pipe.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::cluster::{Cluster, PASSWORD};

/// A script that has not ended after this time fails the test.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(150);
/// Debian's browser; Playwright's own downloads are not used.
const CHROMIUM: &str = "/usr/bin/chromium";
/// The scripts, and the modules they need.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");

/// What a script may ask for.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    /// kill -9.
    Kill { node: u64 },
    /// Start a killed node again.
    Spawn { node: u64 },
    /// The same, and wait until it is ready.
    Start { node: u64 },
    /// It is over, and this came of it.
    Done { value: Value },
}

/// Play `scenario` in front of a running cluster, and hand back what it found out.
///
/// # Panics
/// When the script fails, with what it said.
pub async fn play(cluster: &mut Cluster, scenario: &str, settings: Value) -> Value {
    require_tools();
    let log = cluster.dir().join(format!("{scenario}.log"));
    let mut script = Script::start(cluster, scenario, &log);
    let outcome = timeout(SCRIPT_TIME_MAX, script.run(cluster, settings)).await;
    let problem = match outcome {
        Ok(Ok(value)) => return value,
        Ok(Err(problem)) => problem,
        Err(_) => format!("not over after {SCRIPT_TIME_MAX:?}"),
    };
    let said = fs::read_to_string(&log).unwrap_or_default();
    panic!("{scenario}: {problem}\n{said}");
}

/// Run the unit tests of the page's modules, those in `tests/browser/unit`.
///
/// # Panics
/// When one fails, with what was said.
pub async fn unit_tests() {
    let mut tests: Vec<PathBuf> = fs::read_dir(Path::new(FOLDER).join("unit"))
        .expect("the unit tests can be listed")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    tests.sort();
    assert!(!tests.is_empty(), "there are unit tests");
    let output = node()
        .arg("--test")
        .args(tests)
        .output()
        .await
        .unwrap_or_else(|error| panic!("node: {error}; {INSTALL}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

const INSTALL: &str = "the browser tests need: apt-get install -y chromium nodejs npm && \
                       npm ci --prefix tests/browser";

/// # Panics
/// When a tool is missing: a browser test is never skipped.
fn require_tools() {
    let modules = Path::new(FOLDER).join("node_modules");
    let tools = [CHROMIUM.into(), modules.join("playwright-core"), modules.join("axe-core")];
    for tool in tools {
        assert!(tool.exists(), "{} is missing; {INSTALL}", tool.display());
    }
}

fn node() -> Command {
    let mut command = Command::new("node");
    command.current_dir(FOLDER).stdin(Stdio::null()).kill_on_drop(true);
    command
}

struct Script {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(cluster: &Cluster, scenario: &str, log: &Path) -> Self {
        let log = File::create(log).expect("a log for the script");
        let mut child = node()
            .args(["run.mjs", scenario])
            // Node's own requests trust this cluster and nothing else of loopback.
            .env("NODE_EXTRA_CA_CERTS", cluster.ca())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}; {INSTALL}"));
        let stdin = child.stdin.take().expect("a pipe to the script");
        let stdout = child.stdout.take().expect("a pipe from the script");
        Self { child, stdin, stdout: BufReader::new(stdout).lines() }
    }

    async fn run(&mut self, cluster: &mut Cluster, settings: Value) -> Result<Value, String> {
        self.tell(&stage(cluster, settings)).await?;
        let mut found = None;
        while let Some(line) = self.stdout.next_line().await.map_err(|error| error.to_string())? {
            let ask = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            match ask {
                Ask::Kill { node } => cluster.kill(node),
                Ask::Spawn { node } => cluster.spawn(node),
                Ask::Start { node } => {
                    cluster.spawn(node);
                    cluster.ready(node).await;
                }
                Ask::Done { value } => found = Some(value),
            }
            self.tell(&json!({"ok": true})).await?;
        }
        let status = self.child.wait().await.map_err(|error| error.to_string())?;
        match found {
            Some(value) if status.success() => Ok(value),
            Some(_) | None => Err(format!("the script ended with {status}")),
        }
    }

    async fn tell(&mut self, line: &Value) -> Result<(), String> {
        let told = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        told.map_err(|error| format!("the script has ended: {error}"))
    }
}

/// What a script is told first: where everything is.
fn stage(cluster: &Cluster, settings: Value) -> Value {
    let nodes: Vec<Value> = cluster
        .ids()
        .into_iter()
        .map(|id| {
            let certificate: PathBuf = cluster.node_dir(id).join("node.pem");
            json!({"id": id, "url": cluster.url(id), "certificate": certificate})
        })
        .collect();
    json!({
        "nodes": nodes,
        "ownerToken": cluster.owner_token(),
        "password": PASSWORD,
        "chromium": CHROMIUM,
        "settings": settings,
    })
}
