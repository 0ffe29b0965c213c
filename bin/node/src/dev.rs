//! `node dev`: a whole cluster on this machine, one child process per node.
//!
//! The parent holds nothing that the cluster needs: each child is an ordinary `node --config`, in a
//! process group of its own, so that Ctrl-C reaches the parent alone. A child that dies stays dead
//! until it is asked for. When the parent dies the children are told to stop.
//!
//! ```text
//! prepare   make what is missing, check ports        files only
//! fleet     start, watch, signal, restart            one task per child
//! probe     is a node ready?                         GET /readyz
//! advice    what to type next                        text only
//! ```

mod advice;
mod fleet;
mod prepare;
mod probe;
#[cfg(test)]
mod tests;

use std::{
    io::{self, BufRead, IsTerminal},
    path::Path,
    str::FromStr,
    thread,
    time::Duration,
};

use election::NodeId;
use rustix::process::Signal;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

use self::fleet::Fleet;
use crate::{NodeError, args::DevArgs, program::say};

/// The environment variable by which a child learns who started it.
const PARENT_VARIABLE: &str = "HOLDFAST_DEV_PARENT";
/// All nodes answer `/readyz` within this time of their start, or the start has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Nodes that are told to stop have this long before they are killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Events that wait for the parent; more hold the tasks up that send them.
const EVENTS_MAX: usize = 64;

/// What can make the parent act.
#[derive(Debug)]
enum Event {
    /// A child ended.
    Exited { node: NodeId, how: String },
    /// A node answers `/readyz`.
    Ready { node: NodeId },
    /// Somebody typed a line.
    Line(String),
    /// SIGINT or SIGTERM.
    Interrupt,
}

/// What can be typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Request {
    Restart(NodeId),
    Kill(NodeId),
    Quit,
}

/// Run `node dev` until it is told to stop.
pub(crate) fn command(args: &DevArgs) -> Result<(), NodeError> {
    let cluster = prepare::prepare(args)?;
    // On this very thread: a child's parent is the thread that started it, and must outlive it.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| NodeError::System { action: "start the async runtime", source })?;
    runtime.block_on(supervise(&cluster))
}

/// In a child: be told to stop when the `node dev` that started it dies. Elsewhere: nothing. Call it
/// on the main thread, before there are others.
pub(crate) fn follow_parent() -> Result<(), NodeError> {
    let Some(parent) = std::env::var_os(PARENT_VARIABLE) else {
        return Ok(());
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| NodeError::System { action: "follow the parent", source: error.into() })?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    // The parent may have died before the line above.
    if now.as_deref() == parent.to_str() {
        return Ok(());
    }
    Err(NodeError::Stopped(format!(
        "the `node dev` that started this node has ended ({PARENT_VARIABLE})"
    )))
}

async fn supervise(cluster: &prepare::Cluster) -> Result<(), NodeError> {
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    listen_for_signals(&sender)?;
    let mut fleet = Fleet::new(cluster, sender.clone());
    let outcome = match fleet.start_all() {
        Ok(()) => run(cluster, &mut fleet, &mut events, sender).await,
        Err(error) => Err(error),
    };
    stop(&mut fleet, &mut events).await?;
    outcome
}

/// From the start of the children to the wish to stop.
async fn run(
    cluster: &prepare::Cluster,
    fleet: &mut Fleet<'_>,
    events: &mut mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
) -> Result<(), NodeError> {
    say(&format!("Starting {} nodes in {} ...\n", cluster.nodes.len(), cluster.dir.display()))?;
    if !wait_ready(cluster, fleet, events).await? {
        return Ok(());
    }
    say(&advice::text(cluster, &fleet.pids(), &advice::chatctl()))?;
    read_commands(sender);
    while let Some(event) = events.recv().await {
        match event {
            Event::Interrupt => break,
            Event::Exited { node, how } => report_exit(fleet, node, &how)?,
            Event::Ready { node } => say(&format!("node {node} is ready\n"))?,
            Event::Line(line) => match line.parse() {
                Ok(Request::Quit) => break,
                Ok(Request::Kill(node)) => act(fleet.kill(node))?,
                Ok(Request::Restart(node)) => act(fleet.restart(node))?,
                Err(problem) => say(&problem)?,
            },
        }
    }
    Ok(())
}

/// Wait until all nodes are ready; false when it was interrupted.
async fn wait_ready(
    cluster: &prepare::Cluster,
    fleet: &mut Fleet<'_>,
    events: &mut mpsc::Receiver<Event>,
) -> Result<bool, NodeError> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut waiting: Vec<NodeId> = cluster.nodes.iter().map(|node| node.node.id).collect();
    while !waiting.is_empty() {
        match tokio::time::timeout_at(deadline, events.recv()).await {
            Ok(Some(Event::Ready { node })) => waiting.retain(|id| *id != node),
            Ok(Some(Event::Exited { node, how })) => {
                fleet.exited(node)?;
                return Err(not_ready(cluster, node, &how));
            }
            Ok(Some(Event::Interrupt) | None) => return Ok(false),
            Ok(Some(Event::Line(_))) => {}
            Err(_) => {
                let late = waiting.first().copied().unwrap_or(NodeId(1));
                let how = format!("is not ready after {} s", READY_WITHIN.as_secs());
                return Err(not_ready(cluster, late, &how));
            }
        }
    }
    Ok(true)
}

/// Tell all to stop and wait for them; a second interrupt, or too long a wait, kills them.
async fn stop(fleet: &mut Fleet<'_>, events: &mut mpsc::Receiver<Event>) -> Result<(), NodeError> {
    if fleet.pids().is_empty() {
        return Ok(());
    }
    say("Stopping all nodes ...\n")?;
    fleet.signal_all(Signal::TERM);
    let deadline = Instant::now() + STOPPED_WITHIN;
    while !fleet.pids().is_empty() {
        match tokio::time::timeout_at(deadline, events.recv()).await {
            Ok(Some(Event::Exited { node, .. })) => {
                fleet.forget_restart(node);
                fleet.exited(node)?;
            }
            Ok(Some(Event::Interrupt)) => fleet.signal_all(Signal::KILL),
            Ok(Some(Event::Line(_) | Event::Ready { .. })) => {}
            Ok(None) => break,
            Err(_) => {
                fleet.signal_all(Signal::KILL);
                return Err(NodeError::Stopped(format!(
                    "nodes did not stop within {} s and were killed",
                    STOPPED_WITHIN.as_secs()
                )));
            }
        }
    }
    say("All nodes have stopped.\n")
}

fn report_exit(fleet: &mut Fleet<'_>, node: NodeId, how: &str) -> Result<(), NodeError> {
    act(fleet.exited(node).map(|again| match again {
        Some(pid) => format!("node {node} {how}; started again, pid {pid}\n"),
        None => format!("node {node} {how}; `r {node}` starts it again\n"),
    }))
}

/// Say what came of a request; that it failed is no reason to end.
fn act(outcome: Result<String, NodeError>) -> Result<(), NodeError> {
    match outcome {
        Ok(done) => say(&done),
        Err(error) => say(&format!("{}\n", crate::program::chain(&error))),
    }
}

fn not_ready(cluster: &prepare::Cluster, node: NodeId, how: &str) -> NodeError {
    let log = cluster.log(node);
    NodeError::NotReady(format!(
        "node {node} {how}; the last lines of {}:\n{}",
        log.display(),
        last_lines(&log, 20)
    ))
}

fn last_lines(log: &Path, count: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.iter().skip(from).map(|line| format!("  {line}\n")).collect()
}

fn listen_for_signals(sender: &mpsc::Sender<Event>) -> Result<(), NodeError> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)
            .map_err(|source| NodeError::System { action: "listen for signals", source })?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(Event::Interrupt).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// Lines from stdin become events; the end of stdin ends nothing. The thread ends with the process.
fn read_commands(sender: mpsc::Sender<Event>) {
    let stdin = io::stdin();
    // A job in the background that reads its terminal is stopped, and with it the whole parent.
    if stdin.is_terminal()
        && rustix::termios::tcgetpgrp(&stdin).ok() != Some(rustix::process::getpgrp())
    {
        return;
    }
    thread::spawn(move || {
        for line in stdin.lock().lines().map_while(Result::ok) {
            if sender.blocking_send(Event::Line(line)).is_err() {
                return;
            }
        }
    });
}

impl FromStr for Request {
    type Err = String;

    /// # Errors
    /// What can be typed.
    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse().map(NodeId).map_err(|_not_a_number| usage());
        match words[..] {
            ["q"] => Ok(Self::Quit),
            ["r", node] => Ok(Self::Restart(number(node)?)),
            ["k", node] => Ok(Self::Kill(number(node)?)),
            _ => Err(usage()),
        }
    }
}

fn usage() -> String {
    "r N restarts node N, k N kills it (-9), q quits\n".to_owned()
}
