//! The children: started, watched, signalled.
//!
//! Each child has a task that alone owns it, so a signal never reaches a process id that was given
//! to somebody else meanwhile.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    process::{ExitStatus, Stdio},
};

use election::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

use super::{Event, PARENT_VARIABLE, prepare::Cluster, probe};
use crate::NodeError;

/// Signals that wait for a child's task; a person does not type faster.
const SIGNALS_MAX: usize = 16;

/// All nodes of the cluster.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    cluster: &'a Cluster,
    events: mpsc::Sender<Event>,
    running: BTreeMap<NodeId, Running>,
}

#[derive(Debug)]
struct Running {
    pid: u32,
    signals: mpsc::Sender<Signal>,
    /// It is to be started again when it has ended.
    restart: bool,
}

impl<'a> Fleet<'a> {
    /// None of them runs yet.
    pub(super) fn new(cluster: &'a Cluster, events: mpsc::Sender<Event>) -> Self {
        Self { cluster, events, running: BTreeMap::new() }
    }

    /// Start every node.
    pub(super) fn start_all(&mut self) -> Result<(), NodeError> {
        for config in &self.cluster.nodes {
            self.start(config.node.id)?;
        }
        Ok(())
    }

    /// Process ids of those that run, ascending by node.
    pub(super) fn pids(&self) -> BTreeMap<NodeId, u32> {
        self.running.iter().map(|(node, running)| (*node, running.pid)).collect()
    }

    /// A child has ended. Its new process id, when it was to be started again.
    pub(super) fn exited(&mut self, node: NodeId) -> Result<Option<u32>, NodeError> {
        let ended = self.running.remove(&node);
        let pid_file = self.cluster.pid_file(node);
        if pid_file.exists() {
            fs::remove_file(&pid_file).map_err(NodeError::io("remove", &pid_file))?;
        }
        match ended {
            Some(Running { restart: true, .. }) => self.start(node).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A child that ends is not to be started again.
    pub(super) fn forget_restart(&mut self, node: NodeId) {
        if let Some(running) = self.running.get_mut(&node) {
            running.restart = false;
        }
    }

    /// Kill a node as a crash would.
    pub(super) fn kill(&mut self, node: NodeId) -> Result<String, NodeError> {
        self.check_known(node)?;
        match self.running.get(&node) {
            Some(running) => {
                send(running, Signal::KILL);
                Ok(String::new())
            }
            None => Ok(format!("node {node} does not run; `r {node}` starts it\n")),
        }
    }

    /// Stop a node, if it runs, and start it.
    pub(super) fn restart(&mut self, node: NodeId) -> Result<String, NodeError> {
        self.check_known(node)?;
        match self.running.get_mut(&node) {
            Some(running) => {
                running.restart = true;
                send(running, Signal::TERM);
                Ok(format!("node {node} is told to stop, and will be started again\n"))
            }
            None => Ok(format!("node {node} is started, pid {}\n", self.start(node)?)),
        }
    }

    /// Signal every node that runs.
    pub(super) fn signal_all(&self, signal: Signal) {
        for running in self.running.values() {
            send(running, signal);
        }
    }

    fn check_known(&self, node: NodeId) -> Result<(), NodeError> {
        if self.cluster.nodes.iter().any(|config| config.node.id == node) {
            return Ok(());
        }
        Err(NodeError::Usage(format!("there is no node {node}")))
    }

    fn start(&mut self, node: NodeId) -> Result<u32, NodeError> {
        assert!(!self.running.contains_key(&node), "node {node} runs already");
        let child = spawn(self.cluster, node)?;
        let pid = child.id().expect("nobody has waited for the child yet");
        let pid_file = self.cluster.pid_file(node);
        fs::write(&pid_file, format!("{pid}\n")).map_err(NodeError::io("write", &pid_file))?;
        let (signals, received) = mpsc::channel(SIGNALS_MAX);
        tokio::spawn(watch(node, child, received, self.events.clone()));
        let config = self.cluster.nodes.iter().find(|config| config.node.id == node);
        if let Some(config) = config {
            let gone = signals.clone();
            tokio::spawn(probe::watch(node, config.listen.client, gone, self.events.clone()));
        }
        self.running.insert(node, Running { pid, signals, restart: false });
        Ok(pid)
    }
}

fn send(running: &Running, signal: Signal) {
    if let Err(error) = running.signals.try_send(signal) {
        // Full: as many are on their way already. Closed: it has ended, and the event says so.
        tracing::debug!(pid = running.pid, %error, "no signal was sent");
    }
}

fn spawn(cluster: &Cluster, node: NodeId) -> Result<Child, NodeError> {
    let path = cluster.log(node);
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let log = open().map_err(NodeError::io("open", &path))?;
    let same = log.try_clone().map_err(NodeError::io("open", &path))?;
    // The very program that runs here, though its file may have been built anew.
    Command::new("/proc/self/exe")
        .arg0("node")
        .arg("--config")
        .arg(cluster.folder(node).join("node.toml"))
        .env(PARENT_VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(same)
        .process_group(0)
        .spawn()
        .map_err(|source| NodeError::System { action: "start a node", source })
}

/// Own a child until it ends.
async fn watch(
    node: NodeId,
    mut child: Child,
    mut signals: mpsc::Receiver<Signal>,
    events: mpsc::Sender<Event>,
) {
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            Some(signal) = signals.recv() => signal_child(&child, signal),
        }
    };
    let how = match ended {
        Ok(status) => describe(status),
        Err(error) => format!("cannot be waited for: {error}"),
    };
    // Nobody listens: the parent is ending.
    drop(events.send(Event::Exited { node, how }).await);
}

fn signal_child(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        // It has not been waited for, so the id is its own; at worst it has ended already.
        tracing::debug!(%error, "no signal was sent");
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "stopped".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended: {status}"),
    }
}
