//! `cluster add`, `remove`, `replace`, `transfer`, `drain`: who is in the cluster and who leads it.
//!
//! A change is told when it is committed. A node that was admitted learns before it votes: on a
//! terminal, or with `--wait`, the command stays until it does.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, interval};

use super::app::App;
use crate::{ClientError, ClusterStatus, Finding, NodeStatus, output::visible_line};

/// Between two looks at how far something has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64;

pub(super) async fn add(
    app: &App,
    node: u64,
    (peer, client): (&str, &str),
    wait: bool,
) -> Result<(), ClientError> {
    let index = app.client()?.add_node(node, peer, client).await?;
    admitted(app, node, ("add", index), wait).await
}

pub(super) async fn replace(
    app: &App,
    node: u64,
    (yes, wait): (bool, bool),
) -> Result<(), ClientError> {
    let client = app.client()?;
    let before = client.cluster().await?;
    let found = find(&before, node);
    confirm(app, node, yes, &replacement(node, found))?;
    // The disk that the question was about: an attempt that was not answered may have replaced it.
    let disk = found.and_then(|found| found.more.get("disk")?.as_str());
    let index = client.replace_node(node, disk).await?;
    admitted(app, node, ("replace", index), wait).await
}

pub(super) async fn remove(app: &App, node: u64, yes: bool) -> Result<(), ClientError> {
    let client = app.client()?;
    let before = client.cluster().await?;
    // Who is none is not asked about: it left before, or never was there.
    if find(&before, node).is_some() {
        confirm(app, node, yes, &removal(&before, node))?;
    }
    let index = client.remove_node(node).await?;
    let object = json!({"change": "remove", "node": node, "index": index.to_string()});
    app.output.item(
        &object,
        &format!("node {node} is out of the cluster for good: its data is never started again"),
    )
}

pub(super) async fn transfer(app: &App, to: Option<u64>) -> Result<(), ClientError> {
    let client = app.client()?;
    let before = client.cluster().await?.leader;
    if to.is_none() || to != before {
        client.transfer(to).await?;
    }
    let arrived = |status: &ClusterStatus| {
        status.leader.is_some()
            && if to.is_some() { status.leader == to } else { status.leader != before }
    };
    let Some(status) = until(app, arrived).await? else {
        return Err(ClientError::Found {
            finding: Finding::Unhealthy,
            message: "leadership did not move in time".to_owned(),
            hint: Some("`chatctl cluster status` tells who leads, and who is behind".to_owned()),
        });
    };
    let leader = status.leader.unwrap_or_default();
    let object = json!({"change": "transfer", "leader": leader, "term": status.term});
    app.output.item(&object, &format!("node {leader} leads now, in term {}", status.term))
}

pub(super) async fn drain(app: &App, node: u64, undo: bool) -> Result<(), ClientError> {
    app.client()?.drain_node(node, undo).await?;
    if undo {
        let object = json!({"change": "undrain", "node": node});
        return app.output.item(&object, &format!("node {node} may lead again"));
    }
    if until(app, |status| status.leader.is_some_and(|leader| leader != node)).await?.is_none() {
        return Err(ClientError::Found {
            finding: Finding::Unhealthy,
            message: format!("node {node} is to lead no more, and nobody else leads yet"),
            hint: Some("`chatctl cluster status` tells who is behind or away".to_owned()),
        });
    }
    app.output.item(
        &json!({"change": "drain", "node": node}),
        &format!(
            "node {node} leads no more, until `chatctl cluster drain {node} --undo` or a restart"
        ),
    )
}

/// Tells that a node was admitted, and waits until it votes if there is somebody to wait.
async fn admitted(
    app: &App,
    node: u64,
    (change, index): (&str, u64),
    wait: bool,
) -> Result<(), ClientError> {
    let object = |part: &str| json!({"change": change, "node": node, "index": index.to_string(), "part": part});
    let learner = format!("node {node} is a learner: it votes by itself when it has caught up");
    if !wait && !app.output.shows_progress() {
        return app.output.item(&object("learner"), &learner);
    }
    app.output.note(&learner);
    let watched = tokio::select! {
        watched = until_voter(app, node) => watched,
        // It goes on without anybody looking.
        _interrupt = tokio::signal::ctrl_c() => return app.output.item(&object("learner"), ""),
    };
    watched?;
    app.output.item(&object("voter"), &format!("node {node} is a voter"))
}

async fn until_voter(app: &App, node: u64) -> Result<(), ClientError> {
    let client = app.client()?;
    let mut looks = interval(LOOK_INTERVAL);
    let mut said = String::new();
    loop {
        looks.tick().await;
        let status = match client.cluster().await {
            Ok(status) => status,
            // The next look may be better.
            Err(ClientError::Unavailable { .. } | ClientError::Unknown { .. }) => continue,
            Err(error) => return Err(error),
        };
        let found = find(&status, node);
        if found.is_some_and(|found| part(found) == "voter") {
            return Ok(());
        }
        let text = progress(node, found);
        if app.output.shows_progress() && text != said {
            app.output.note(&text);
            said = text;
        }
    }
}

fn progress(node: u64, found: Option<&NodeStatus>) -> String {
    match found {
        None => format!("node {node}: not yet known to the node that answers"),
        Some(found) if !found.reachable => format!("node {node}: not there; start it"),
        Some(found) => match found.lag {
            Some(0) | None => format!("node {node}: has caught up"),
            Some(lag) => format!("node {node}: {lag} entries behind"),
        },
    }
}

/// Looks at the cluster until it is as it should be, or time is up.
async fn until(
    app: &App,
    arrived: impl Fn(&ClusterStatus) -> bool,
) -> Result<Option<ClusterStatus>, ClientError> {
    let client = app.client()?;
    let deadline = Instant::now() + app.timeout;
    let mut looks = interval(LOOK_INTERVAL);
    while Instant::now() < deadline {
        looks.tick().await;
        let status = client.cluster().await?;
        if arrived(&status) {
            return Ok(Some(status));
        }
    }
    Ok(None)
}

/// What replacing a node comes to.
fn replacement(node: u64, found: Option<&NodeStatus>) -> String {
    let text = format!(
        "Replacing node {node}: what its disk holds counts no more, and a node {node} with another \
         disk is taken for it."
    );
    match found {
        Some(found) if found.reachable => {
            format!("{text} It runs now, with the disk that would be given up!")
        }
        Some(_) | None => text,
    }
}

/// What removing a node comes to.
fn removal(status: &ClusterStatus, node: u64) -> String {
    let left =
        status.nodes.iter().filter(|found| part(found) == "voter" && found.id != node).count();
    let losses = left.saturating_sub(1) / 2;
    format!(
        "Removing node {node} for good: {left} voter{} remain{}, which survive the loss of {}.",
        if left == 1 { "" } else { "s" },
        if left == 1 { "s" } else { "" },
        match losses {
            0 => "none".to_owned(),
            losses => format!("any {losses}"),
        },
    )
}

fn find(status: &ClusterStatus, node: u64) -> Option<&NodeStatus> {
    status.nodes.iter().find(|found| found.id == node)
}

/// Its part in the configuration.
pub(super) fn part(node: &NodeStatus) -> &str {
    node.more.get("part").and_then(serde_json::Value::as_str).unwrap_or("voter")
}

/// Asks for the node's number, on the terminal that the answer comes from; a script is not asked.
fn confirm(app: &App, node: u64, yes: bool, text: &str) -> Result<(), ClientError> {
    app.output.note(&visible_line(text));
    if yes || app.no_input || !io::stdin().is_terminal() {
        return Ok(());
    }
    let wrong = |source| ClientError::Io { action: "asking".to_owned(), source };
    let mut err = io::stderr().lock();
    write!(err, "Type the number {node} to go on: ").map_err(wrong)?;
    err.flush().map_err(wrong)?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX).read_line(&mut answer).map_err(wrong)?;
    if answer.trim() == node.to_string() {
        return Ok(());
    }
    Err(ClientError::usage("the number was not repeated; nothing was done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(parts: &[&str]) -> ClusterStatus {
        let nodes: Vec<_> = (1..)
            .zip(parts)
            .map(|(id, part)| json!({"id": id, "part": part, "reachable": id != 2, "lag": 7 * id}))
            .collect();
        serde_json::from_value(json!({"cluster": "x", "nodes": nodes})).unwrap()
    }

    #[test]
    fn what_a_removal_leaves_is_told() {
        let told = |parts: &[&str]| removal(&status(parts), 1);
        let voters = |count| vec!["voter"; count];
        assert!(told(&voters(5)).ends_with("4 voters remain, which survive the loss of any 1."));
        assert!(told(&voters(6)).ends_with("5 voters remain, which survive the loss of any 2."));
        assert!(told(&voters(2)).ends_with("1 voter remains, which survive the loss of none."));
        assert!(told(&["voter", "voter", "voter", "learner"]).contains(": 2 voters remain"));
    }

    #[test]
    fn a_node_that_runs_is_not_replaced_unawares() {
        let status = status(&["voter", "voter"]);
        let told = |node| replacement(node, find(&status, node));
        assert!(told(1).ends_with("It runs now, with the disk that would be given up!"));
        assert!(told(2).ends_with("with another disk is taken for it."));
    }

    #[test]
    fn how_far_a_learner_has_come_is_told() {
        let status = status(&["learner", "learner"]);
        assert_eq!(progress(1, find(&status, 1)), "node 1: 7 entries behind");
        assert_eq!(progress(2, find(&status, 2)), "node 2: not there; start it");
        assert_eq!(progress(3, find(&status, 3)), "node 3: not yet known to the node that answers");
    }
}
