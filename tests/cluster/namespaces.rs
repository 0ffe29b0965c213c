//! Five hosts in network namespaces of their own, partitioned once and healed.
//!
//! ```text
//!   hf-N-1  hf-N-2      hf-N-3  hf-N-4  hf-N-5      10.77.0.1 .. 10.77.0.5
//!      |       |           |       |       |
//!   [ bridge left ]====[      bridge right     ]    hf-N-switch
//!                 trunk: cut and mended
//! ```
//!
//! Every host runs `node --config` from the folder that `node init` made for it; clients are
//! `chatctl` processes inside the hosts. Skipped only where namespaces are forbidden; a run leaves a
//! mark that the gate looks for.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    cluster::{PASSWORD, eventually},
    mark::Mark,
};

use crate::{CHATCTL, PROGRAMS};

const HOSTS: usize = 5;
/// Hosts 1 and 2 are to the left of the trunk: the minority.
const LEFT: usize = 2;

struct Network {
    name: String,
}

struct Host {
    network: String,
    number: usize,
    dir: PathBuf,
    child: Option<Child>,
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hosts_are_partitioned_and_healed() {
    let Some(network) = Network::build() else {
        skipped();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut hosts = start_hosts(&network, &dir).await;
    let token = fs::read_to_string(dir.path().join("team/owner-token")).unwrap();
    hosts[2].chatctl(&["register", "owner", "--invite", token.trim()]).done();
    hosts[2].chatctl(&["channel", "create", "general"]).done();
    let mut said = Vec::new();
    for number in 0..10 {
        said.push(hosts[2].says(&format!("before {number}")));
    }

    network.trunk("down");
    for number in 0..10 {
        said.push(hosts[2].says(&format!("apart {number}")));
    }
    let alone =
        ["--timeout", "2s", "--endpoint", "https://10.77.0.1:7411", "send", "#general", "x"];
    let refused = hosts[0].chatctl_with(&alone);
    assert!(
        matches!(refused.status.code(), Some(3 | 5)),
        "the minority commits nothing: {refused:?}"
    );

    network.trunk("up");
    eventually("all five hold the same state", async || hosts[0].all_agree()).await;
    for number in 0..10 {
        said.push(hosts[0].says(&format!("healed {number}")));
    }
    let read = hosts[4].chatctl(&["-o", "json", "read", "#general", "--limit", "200"]).done();
    let texts: Vec<String> = String::from_utf8(read.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|message| message["text"].as_str().unwrap().to_owned())
        .filter(|text| text != "x")
        .collect();
    assert_eq!(texts, said, "everything acknowledged, once, in order");
    for host in &mut hosts {
        host.stop();
    }
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "network-namespaces").leave();
}

async fn start_hosts(network: &Network, dir: &TempDir) -> Vec<Host> {
    let addresses: Vec<String> = (1..=HOSTS).map(|number| format!("10.77.0.{number}")).collect();
    let init = Command::new(PROGRAMS.node)
        .args(["init", "--name", "team", "--nodes", &addresses.join(","), "--dir"])
        .arg(dir.path().join("team"))
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut hosts: Vec<Host> = (1..=HOSTS)
        .map(|number| Host {
            network: network.name.clone(),
            number,
            dir: dir.path().to_owned(),
            child: None,
        })
        .collect();
    for host in &mut hosts {
        host.start();
    }
    eventually("the cluster takes requests", async || {
        hosts.iter().all(|host| host.chatctl(&["login", "nobody"]).0.status.code() == Some(1))
    })
    .await;
    hosts
}

/// Say that nothing was tested, and leave no mark.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must know")]
fn skipped() {
    eprintln!("SKIPPED: network namespaces are forbidden here");
}

impl Network {
    /// None where namespaces are forbidden.
    fn build() -> Option<Self> {
        let network = Self { name: format!("hf-{}", std::process::id()) };
        let switch = network.switch();
        if !ip(&["netns", "add", &switch]) {
            return None;
        }
        network.in_switch(&["link", "add", "left", "type", "bridge"]);
        network.in_switch(&["link", "add", "right", "type", "bridge"]);
        network.in_switch(&["link", "add", "trunk", "type", "veth", "peer", "name", "trunk-r"]);
        network.in_switch(&["link", "set", "trunk", "master", "left"]);
        network.in_switch(&["link", "set", "trunk-r", "master", "right"]);
        for device in ["left", "right", "trunk", "trunk-r"] {
            network.in_switch(&["link", "set", device, "up"]);
        }
        for number in 1..=HOSTS {
            network.plug_in(number);
        }
        Some(network)
    }

    fn plug_in(&self, number: usize) {
        let host = namespace(&self.name, number);
        let port = format!("port{number}");
        let bridge = if number <= LEFT { "left" } else { "right" };
        let address = format!("10.77.0.{number}/24");
        must(&["netns", "add", &host]);
        self.in_switch(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &host,
        ]);
        self.in_switch(&["link", "set", &port, "master", bridge, "up"]);
        must(&["-n", &host, "addr", "add", &address, "dev", "eth0"]);
        must(&["-n", &host, "link", "set", "eth0", "up"]);
        must(&["-n", &host, "link", "set", "lo", "up"]);
    }

    fn trunk(&self, state: &str) {
        self.in_switch(&["link", "set", "trunk", state]);
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn in_switch(&self, arguments: &[&str]) {
        let switch = self.switch();
        must(&[&["-n", switch.as_str()], arguments].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 1..=HOSTS {
            ip(&["netns", "del", &namespace(&self.name, number)]);
        }
        ip(&["netns", "del", &self.switch()]);
    }
}

impl Host {
    fn start(&mut self) {
        let dir = self.dir.join(format!("team/node-{}", self.number));
        let log = File::create(dir.join("node.log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &namespace(&self.network, self.number), PROGRAMS.node])
            .arg("--config")
            .arg(dir.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// `chatctl` on this host, with the configuration that `node init` made.
    fn chatctl(&self, arguments: &[&str]) -> Done {
        Done(self.chatctl_with(arguments))
    }

    fn chatctl_with(&self, arguments: &[&str]) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &namespace(&self.network, self.number), CHATCTL])
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .env("HOLDFAST_CONFIG", self.dir.join("team/chatctl.toml"))
            .env("HOLDFAST_PASSWORD", PASSWORD)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn says(&self, text: &str) -> String {
        self.chatctl(&["send", "#general", text]).done();
        text.to_owned()
    }

    fn all_agree(&self) -> bool {
        let output = self.chatctl_with(&["-o", "json", "cluster", "status"]);
        let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.len() == HOSTS
            && nodes.iter().all(|node| {
                node["reachable"] == true
                    && node["applied"] == nodes[0]["applied"]
                    && node["hash"] == nodes[0]["hash"]
            })
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The output of a command.
struct Done(Output);

impl Done {
    /// It must have succeeded.
    fn done(self) -> Output {
        assert!(self.0.status.success(), "{}", String::from_utf8_lossy(&self.0.stderr));
        self.0
    }
}

fn namespace(network: &str, number: usize) -> String {
    format!("{network}-{number}")
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip")
        .args(arguments)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn must(arguments: &[&str]) {
    assert!(ip(arguments), "ip {}", arguments.join(" "));
}
