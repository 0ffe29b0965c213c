//! `cluster verify`: do all nodes hold the same state?
//!
//! The newest index that any node has applied is taken, every node is asked by itself for the hash of its
//! state there, and waits until it has got there. So a busy cluster is compared as exactly as an idle one.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{Table, presets};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::{app::App, cluster::list};
use crate::{
    Client, ClientError, Endpoint, Finding, NodeStatus,
    output::{columns, visible_line},
};

/// How long a node that counts as down may take all the same.
const DOWN_LIMIT: Duration = Duration::from_secs(1);

/// What one node said.
struct Compared {
    node: u64,
    result: Result<String, String>,
}

pub(super) async fn verify(app: &App) -> Result<(), ClientError> {
    let client = app.client()?;
    let status = client.cluster().await?;
    let newest = status.nodes.iter().filter_map(|node| node.applied).max().unwrap_or(0);
    let compared = join_all(status.nodes.iter().map(|node| ask(client, node, newest))).await;
    let common = common(&compared);
    show(app, newest, &compared, common.as_deref())?;
    judge(newest, &compared, common.as_deref())
}

async fn ask(client: &Client, node: &NodeStatus, index: u64) -> Compared {
    let hash = async {
        let text = node.client.as_deref().ok_or("it has no address for clients")?;
        let endpoint: Endpoint = text.parse().map_err(|error: ClientError| error.to_string())?;
        match client.only(&endpoint).state_hash(index).await {
            Ok(told) => Ok(told.hash),
            Err(ClientError::Unavailable { detail }) => Err(detail),
            Err(error) => Err(error.to_string()),
        }
    };
    // One that the others do not hear is asked all the same, and not waited for.
    let patience = if node.reachable { Duration::MAX } else { DOWN_LIMIT };
    let result = match timeout(patience, hash).await {
        Ok(result) => result,
        Err(_elapsed) => Err("it is down".to_owned()),
    };
    Compared { node: node.id, result }
}

/// The hash that more nodes have than any other; none when none has told one, or no side is larger.
fn common(compared: &[Compared]) -> Option<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for hash in compared.iter().filter_map(|node| node.result.as_deref().ok()) {
        *counts.entry(hash).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    let mut largest = counts.iter().filter(|(_, count)| **count == most);
    let (hash, _) = largest.next()?;
    largest.next().is_none().then(|| (*hash).to_owned())
}

fn show(
    app: &App,
    index: u64,
    compared: &[Compared],
    common: Option<&str>,
) -> Result<(), ClientError> {
    if app.output.is_json() {
        let nodes: Vec<_> = compared
            .iter()
            .map(|node| {
                json!({
                    "id": node.node, "index": index, "hash": node.result.as_ref().ok(),
                    "same": node.result.as_ref().ok().map(|hash| Some(hash.as_str()) == common),
                    "error": node.result.as_ref().err(),
                })
            })
            .collect();
        let same = compared.iter().all(|node| node.result.as_deref().ok() == common);
        return app.output.item(&json!({"index": index, "same": same, "nodes": nodes}), "");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["node", "index", "state", "verdict"]);
    for node in compared {
        let (hash, verdict) = match &node.result {
            Ok(hash) if Some(hash.as_str()) == common => (visible_line(hash), "same"),
            Ok(hash) => (visible_line(hash), "DIFFERS"),
            Err(_) => ("-".to_owned(), "not compared"),
        };
        table.add_row([node.node.to_string(), index.to_string(), hash, verdict.to_owned()]);
    }
    app.output.line(&columns(&table))
}

fn judge(index: u64, compared: &[Compared], common: Option<&str>) -> Result<(), ClientError> {
    let different: Vec<u64> = compared
        .iter()
        .filter(|node| node.result.as_deref().is_ok_and(|hash| Some(hash) != common))
        .map(|node| node.node)
        .collect();
    if !different.is_empty() {
        return Err(ClientError::Found {
            finding: Finding::Damaged,
            message: match different.as_slice() {
                [one] => format!("at index {index} the state of node {one} differs"),
                many => format!("at index {index} the states of {} differ", nodes(many)),
            },
            hint: Some("stop them and look at their logs: node wal verify DATA_DIR".to_owned()),
        });
    }
    let missing: Vec<u64> =
        compared.iter().filter(|node| node.result.is_err()).map(|node| node.node).collect();
    if missing.is_empty() && !compared.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<&str> = compared
        .iter()
        .filter_map(|node| node.result.as_deref().err())
        .map(String::as_str)
        .collect();
    reasons.dedup();
    Err(ClientError::Found {
        finding: Finding::Incomplete,
        message: format!(
            "{} could not be compared at index {index}: {}",
            nodes(&missing),
            reasons.join("; ")
        ),
        hint: Some("the other nodes agree; start what is down and compare again".to_owned()),
    })
}

fn nodes(ids: &[u64]) -> String {
    let plural = if ids.len() == 1 { "node" } else { "nodes" };
    format!("{plural} {}", list(ids, "and"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(hashes: &[Option<&str>]) -> Vec<Compared> {
        let result = |hash: &Option<&str>| hash.map(str::to_owned).ok_or_else(|| "down".to_owned());
        (1..).zip(hashes).map(|(node, hash)| Compared { node, result: result(hash) }).collect()
    }

    fn code(hashes: &[Option<&str>]) -> (u8, String) {
        let compared = compared(hashes);
        match judge(7, &compared, common(&compared).as_deref()) {
            Ok(()) => (0, String::new()),
            Err(error) => (error.exit_code(), error.to_string()),
        }
    }

    #[test]
    fn who_differs_is_named() {
        assert_eq!(code(&[Some("a"), Some("a"), Some("a")]).0, 0);
        let (exit, text) = code(&[Some("a"), Some("b"), Some("a")]);
        assert_eq!((exit, text.as_str()), (4, "at index 7 the state of node 2 differs"));
        let (exit, text) = code(&[Some("a"), None, Some("b")]);
        assert_eq!((exit, text.as_str()), (4, "at index 7 the states of nodes 1 and 3 differ"));
        let (exit, text) = code(&[Some("a"), None, Some("a")]);
        assert_eq!(exit, 3);
        assert!(text.starts_with("node 2 could not be compared at index 7"), "{text}");
        assert_eq!(code(&[Some("a"), None, Some("b"), Some("a")]).0, 4, "damage is the worse news");
    }
}
