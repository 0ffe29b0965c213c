//! `node dev`: following just the text that it prints, one chats through the loss of two nodes.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::cluster::{PASSWORD, PATIENCE, eventually};

use crate::{CHATCTL, PROGRAMS};

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_leads_through_the_loss_of_two_nodes() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("dev");
    let base = free_base_port();
    let mut dev = Dev::start(&["--base-port", &base.to_string()], &dir);
    let (alice, bob) = scripts(&dev.until("Here: r N"));
    let (chat, look) = bob.rsplit_once("chatctl cluster status").unwrap();
    assert_eq!(look.trim(), "", "the last command shows the cluster");

    let heard = home.path().join("heard");
    let mut follow = shell(&alice, home.path())
        .stdout(File::create(&heard).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("alice is registered", async || {
        fs::read_to_string(&heard).unwrap().contains("registered as alice (owner)")
    })
    .await;
    succeeds(&mut shell(chat, home.path()));

    let mut dead = Vec::new();
    for _ in 0..2 {
        let said = dev.until("was killed by signal 9; `r ");
        dead.push(said.last().unwrap().split(' ').nth(1).unwrap().to_owned());
    }
    for node in &dead {
        assert!(!dir.join(format!("node-{node}/pid")).exists());
        dev.types(&format!("r {node}"));
        dev.until(&format!("node {node} is started, pid "));
    }
    let environment = chat.split("chatctl register").next().unwrap();
    let look = format!("{environment}\nchatctl cluster status -o json");
    eventually("all have caught up", async || {
        caught_up(&succeeds(&mut shell(&look, home.path())).stdout)
    })
    .await;
    let wanted = ["hello from bob", "the leader is dead", "and one more"];
    eventually("alice has heard it all", async || {
        fs::read_to_string(&heard).unwrap().contains(wanted[2])
    })
    .await;
    let heard = fs::read_to_string(&heard).unwrap();
    let places: Vec<_> = wanted.iter().map(|text| heard.find(text).unwrap()).collect();
    assert!(places.is_sorted(), "{heard}");
    assert!(wanted.iter().all(|text| heard.matches(text).count() == 1), "{heard}");
    follow.kill().unwrap();
    follow.wait().unwrap();
    dev.types("q");
    assert_eq!(dev.ended(), Some(0));
    assert!((1..=5).all(|node| !dir.join(format!("node-{node}/pid")).exists()));
    assert!(is_free(base, 5), "no child is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_resumes_restarts_and_leaves_no_child_behind() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("dev");
    let base = free_base_port();
    let mut dev = Dev::start(&["--nodes", "1", "--base-port", &base.to_string()], &dir);
    let (alice, _) = scripts(&dev.until("Here: r N"));
    let alice = alice.replace("chatctl follow", "chatctl whoami");
    succeeds(&mut shell(&alice, home.path()));
    dev.types("k 1");
    dev.until("node 1 was killed by signal 9; `r 1` starts it again");
    dev.types("r 1");
    dev.until("node 1 is ready");
    dev.types("r 1");
    dev.until("started again, pid ");
    dev.until("node 1 is ready");
    for wrong in ["r 2", "k", "nonsense"] {
        dev.types(wrong);
    }
    dev.until("there is no node 2");
    dev.until("q quits");
    let second = Command::new(PROGRAMS.node).args(["dev", "--dir"]).arg(&dir).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("cannot listen for peers on 127.0.0.1:"), "{message}");
    // Ctrl-C.
    kill_process(dev.pid(), Signal::INT).unwrap();
    assert_eq!(dev.ended(), Some(0));

    let mut dev = Dev::start(&[], &dir);
    dev.until("Here: r N");
    let environment = alice.split("chatctl register").next().unwrap();
    let who = succeeds(&mut shell(&format!("{environment}\nchatctl whoami"), home.path()));
    assert!(String::from_utf8_lossy(&who.stdout).contains("alice"), "still logged in");
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    eventually("the child follows its parent", async || is_free(base, 1)).await;
}

/// A `node dev`. When the test ends it is killed, and its children stop by themselves.
struct Dev {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Dev {
    fn start(arguments: &[&str], dir: &Path) -> Self {
        let mut child = Command::new(PROGRAMS.node)
            .arg("dev")
            .args(arguments)
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(1_000);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines }
    }

    /// The lines up to the first that contains `text`.
    #[track_caller]
    fn until(&self, text: &str) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(error) => panic!("{error} waiting for {text:?} after {said:#?}"),
            }
            if said.last().unwrap().contains(text) {
                return said;
            }
        }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn ended(&mut self) -> Option<i32> {
        self.until("All nodes have stopped.");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself; the test is over either way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The commands for each of the two terminals: the indented lines, from the definition of chatctl
/// on, which becomes the one that was built with the tests.
fn scripts(said: &[String]) -> (String, String) {
    let commands: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let starts: Vec<usize> =
        (0..commands.len()).filter(|at| commands[*at].starts_with("chatctl() {")).collect();
    let [alice, bob] = starts[..] else { panic!("two terminals in {said:#?}") };
    let script = |commands: &[&str]| {
        let definition = format!("chatctl() {{ '{CHATCTL}' \"$@\"; }}");
        let rest = commands.iter().skip(1).copied();
        let lines: Vec<&str> = std::iter::once(&*definition).chain(rest).collect();
        lines.join("\n")
    };
    (script(&commands[alice..bob]), script(&commands[bob..]))
}

fn shell(script: &str, home: &Path) -> Command {
    let state: PathBuf = home.join("state");
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", script])
        .env("XDG_STATE_HOME", &state)
        .env("XDG_CONFIG_HOME", &state)
        .env("HOLDFAST_PASSWORD", PASSWORD)
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    output
}

/// Does `cluster status` show five nodes that have applied the same?
fn caught_up(status: &[u8]) -> bool {
    let status: Value = serde_json::from_slice(status).unwrap();
    let nodes = status["nodes"].as_array().unwrap();
    nodes.len() == 5
        && nodes.iter().all(|node| node["reachable"] == true)
        && nodes.iter().all(|node| node["applied"] == nodes[0]["applied"])
}

/// A base port for up to seven nodes, below what other tests take.
fn free_base_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 38).unwrap();
    let mut steps = (0..38).map(|_| NEXT.fetch_add(1, Ordering::Relaxed));
    let bases = steps.by_ref().map(|step| 8_000 + (spread + step) % 38 * 100);
    bases.into_iter().find(|base| is_free(*base, 7)).unwrap()
}

fn is_free(base: u16, nodes: u16) -> bool {
    (1..=nodes).map(|node| base + 10 * node).all(|port| {
        UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port + 1)).is_ok()
    })
}
