//! `cluster status`: the nodes, the leader, and which losses are survived now, by name.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::{Map, Value};

use super::{app::App, membership::part};
use crate::{
    ClientError, ClusterStatus, NodeStatus,
    output::{columns, visible_line},
};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Between two pictures on a terminal: cursor home and erase below, without flicker.
const REDRAW: &str = "\x1b[H\x1b[J";

pub(super) async fn status(app: &App, watch: bool) -> Result<(), ClientError> {
    let client = app.client()?;
    if !watch {
        let status = client.cluster().await?;
        return app.output.item(&status, &text(&status));
    }
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = async {
            ticks.tick().await;
            client.cluster().await
        };
        let status = tokio::select! {
            status = asked => status,
            _interrupt = tokio::signal::ctrl_c() => return Ok(()),
        };
        match status {
            Ok(status) if app.output.is_json() => app.output.item(&status, "")?,
            Ok(status) => {
                let before = if app.output.is_terminal() { REDRAW } else { "" };
                app.output.line(&format!("{before}{}\n", text(&status)))?;
            }
            // The next second may be better; a refusal stays one.
            Err(error @ (ClientError::Unavailable { .. } | ClientError::Unknown { .. })) => {
                app.output.error(&error);
            }
            Err(error) => return Err(error),
        }
    }
}

fn text(status: &ClusterStatus) -> String {
    let leader = status.leader.map_or_else(|| "none".to_owned(), |id| format!("node {id}"));
    let mut text = format!(
        "cluster {}: leader {leader}, term {}, mode {}{}\n{}\n\n",
        visible_line(&status.cluster),
        status.term,
        visible_line(&status.mode),
        status.level.map_or_else(String::new, |level| format!(", level {level}")),
        survives(status),
    );
    let mut table = Table::new();
    let header =
        ["node", "role", "reachable", "term", "commit", "applied", "durable", "lag", "version"];
    table.load_style(presets::NOTHING).set_header(header);
    for node in &status.nodes {
        table.add_row(row(node, status.term));
    }
    text.push_str(&columns(&table));
    for remark in remarks(status) {
        text.push_str(&format!("\n{remark}"));
    }
    text
}

/// What somebody may want to do something about, or to wait for, node by node.
fn remarks(status: &ClusterStatus) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    for node in &status.nodes {
        let id = node.id;
        if part(node) == "learner" {
            remarks.push(match node.lag.filter(|_| node.reachable) {
                None => format!("node {id} is to learn, and is not there: start it"),
                Some(0) => format!("node {id} has caught up, and votes by itself in a moment"),
                Some(lag) => format!(
                    "node {id} learns, {lag} entries behind: it votes by itself when it has caught up"
                ),
            });
        }
        if flag(node, "draining") {
            remarks.push(format!(
                "node {id} leads no more, until `chatctl cluster drain {id} --undo` or a restart"
            ));
        }
        if let Some(faulty) = number(&node.more, "faulty").filter(|faulty| *faulty > 0) {
            let entries = if faulty == 1 { "entry" } else { "entries" };
            remarks.push(format!(
                "node {id} cannot read {faulty} {entries} of its log: the others give them back"
            ));
        }
    }
    let joiners = status.more.get("joiners").and_then(Value::as_array);
    let joiners = joiners.into_iter().flatten().filter_map(Value::as_u64);
    remarks.extend(joiners.map(|id| {
        format!(
            "node {id} waits to be admitted, by the command in its log: \
             chatctl cluster add {id} --peer HOST:PORT --client URL"
        )
    }));
    remarks
}

fn flag(node: &NodeStatus, name: &str) -> bool {
    node.more.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn number(more: &Map<String, Value>, name: &str) -> Option<u64> {
    more.get(name).and_then(Value::as_u64)
}

/// Its role, and what is special about it.
fn role(node: &NodeStatus) -> String {
    let mut role = visible_line(&node.role);
    if part(node) != "voter" && part(node) != node.role {
        role.push_str(&format!(" {}", visible_line(part(node))));
    }
    if flag(node, "draining") {
        role.push_str(", drained");
    }
    role
}

fn row(node: &NodeStatus, term: u64) -> [String; 9] {
    let term = number(&node.more, "term").unwrap_or(term);
    // What an absent node was at is not known.
    let told = |value: Option<u64>| {
        let value = value.filter(|_| node.reachable);
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    };
    [
        node.id.to_string(),
        role(node),
        if node.reachable { "yes" } else { "no" }.to_owned(),
        told(Some(term)),
        told(node.commit),
        told(node.applied),
        told(node.durable),
        told(node.lag),
        node.version
            .as_deref()
            .filter(|text| !text.is_empty())
            .map_or_else(|| "-".to_owned(), visible_line),
    ]
}

/// Which losses are survived, of which single node not, and which nodes are lost already.
pub(super) fn survives(status: &ClusterStatus) -> String {
    let mut sets: Vec<&[u64]> =
        status.survives.iter().map(Vec::as_slice).filter(|set| !set.is_empty()).collect();
    sets.sort_unstable();
    let mut named: Vec<u64> = sets.iter().flat_map(|set| set.iter().copied()).collect();
    named.sort_unstable();
    named.dedup();
    let others = |reachable: bool| -> Vec<u64> {
        let voters = status.nodes.iter().filter(|node| part(node) == "voter");
        let others = voters.filter(|node| node.reachable == reachable && !named.contains(&node.id));
        others.map(|node| node.id).collect()
    };
    let mut text = match losses(&sets, &named) {
        Some(losses) => format!("survives the loss of {losses}"),
        None => return with_down("survives the loss of no node".to_owned(), &others(false)),
    };
    if let fatal @ [_, ..] = others(true).as_slice() {
        text.push_str(&format!("; not of node {}", list(fatal, "or")));
    }
    with_down(text, &others(false))
}

fn with_down(text: String, down: &[u64]) -> String {
    match down {
        [] => text,
        [one] => format!("{text}; node {one} is down"),
        many => format!("{text}; nodes {} are down", list(many, "and")),
    }
}

/// The sets in words, or none when there is no loss to survive.
fn losses(sets: &[&[u64]], named: &[u64]) -> Option<String> {
    let size = sets.first()?.len();
    let is_every =
        sets.iter().all(|set| set.len() == size) && sets.len() == combinations(named.len(), size);
    if is_every && named.len() > size {
        let count = match size {
            1 => "one".to_owned(),
            2 => "two".to_owned(),
            more => more.to_string(),
        };
        return Some(format!("any {count} of {}", list(named, "and")));
    }
    let each: Vec<String> = sets
        .iter()
        .map(|set| match set {
            [one] => format!("node {one}"),
            many => format!("nodes {} together", list(many, "and")),
        })
        .collect();
    Some(each.join(", or of "))
}

fn combinations(from: usize, size: usize) -> usize {
    (0..size).fold(1, |product, step| product * from.saturating_sub(step) / (step + 1))
}

/// The numbers in words: "1, 2 and 3".
pub(super) fn list(ids: &[u64], word: &str) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} {word} {last}", first.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sets: &str, nodes: u64, down: u64) -> String {
        let nodes: Vec<String> = (1..=nodes)
            .map(|id| format!(r#"{{"id":{id},"role":"follower","reachable":{}}}"#, id != down))
            .collect();
        let object = format!(
            r#"{{"cluster":"x","leader":1,"term":7,"mode":"majority","survives":{sets},
                "nodes":[{}]}}"#,
            nodes.join(",")
        );
        survives(&serde_json::from_str(&object).unwrap())
    }

    #[test]
    fn losses_are_told_by_name() {
        for (sets, nodes, text) in [
            ("[[1],[2],[3]]", 3, "any one of 1, 2 and 3"),
            ("[[1],[3]]", 3, "any one of 1 and 3; not of node 2"),
            ("[[2]]", 3, "node 2; not of node 1 or 3"),
            ("[[1,2],[1,3],[2,3]]", 3, "any two of 1, 2 and 3"),
            ("[[1,2],[3]]", 3, "nodes 1 and 2 together, or of node 3"),
            ("[[]]", 1, "no node"),
            ("[]", 2, "no node"),
        ] {
            assert_eq!(said(sets, nodes, 0), format!("survives the loss of {text}"), "{sets}");
        }
    }

    #[test]
    fn what_is_lost_already_is_told_apart() {
        let text = "survives the loss of any one of 2 and 3; node 1 is down";
        assert_eq!(said("[[2],[3]]", 3, 1), text);
        assert_eq!(said("[]", 2, 1), "survives the loss of no node; node 1 is down");
    }

    #[test]
    fn what_one_may_do_something_about_is_told_node_by_node() {
        let object = r#"{"cluster":"x","joiners":[7],"nodes":[
            {"id":1,"role":"leader","part":"voter","reachable":true,"lag":0,"draining":true},
            {"id":2,"role":"follower","part":"voter","reachable":true,"lag":0,"faulty":1},
            {"id":3,"role":"learner","part":"learner","reachable":true,"lag":9},
            {"id":4,"role":"learner","part":"learner","reachable":true,"lag":0},
            {"id":5,"role":"absent","part":"learner","reachable":false,"lag":9}]}"#;
        let told = remarks(&serde_json::from_str(object).unwrap());
        let [drained, damaged, behind, ready, away, joiner] = told.try_into().unwrap();
        assert!(drained.contains("`chatctl cluster drain 1 --undo`"), "{drained}");
        assert!(damaged.starts_with("node 2 cannot read 1 entry of its log"), "{damaged}");
        assert!(behind.starts_with("node 3 learns, 9 entries behind"), "{behind}");
        assert!(ready.starts_with("node 4 has caught up"), "{ready}");
        assert!(away.contains("not there: start it"), "{away}");
        assert!(joiner.ends_with("chatctl cluster add 7 --peer HOST:PORT --client URL"));
    }

    #[test]
    fn combinations_are_counted() {
        assert_eq!((combinations(5, 2), combinations(7, 3), combinations(3, 1)), (10, 35, 3));
    }
}
