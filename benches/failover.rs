//! kill -9 of the leader to the next acknowledged send: real processes, shipped defaults, 3 nodes.
//!
//! The client asks a surviving node, as a client does whose node lives on. Every message is checked
//! at the end: none lost, none doubled, none out of order.

use std::time::Instant;

use anyhow::Result;
use benches::{answered_list, is_full_run, median, millis, percentile, say};
use chatctl::{Outgoing, Target};
use tests::{
    cluster::{Cluster, Programs},
    conversation::{Spoken, check_promises, whole_history},
};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const NODES: usize = 3;
const KILLS: usize = 30;

#[tokio::main]
async fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let kills = if is_full_run() { KILLS } else { 1 };
    let mut cluster = Cluster::start(PROGRAMS, NODES).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await?;
    let general: Target = "#general".parse()?;
    let mut spoken = Spoken::default();
    let mut times = Vec::new();
    for kill in 0..kills {
        let leader = cluster.leader(&owner).await;
        let mut others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
        others.rotate_left(kill % 2);
        let client = cluster.client_with(&others, owner.token());
        let message = |text: String| Outgoing {
            to: general.clone(),
            text,
            reply_to: None,
            after_request: None,
            request_id: None,
        };
        spoken.acknowledged.push(client.send(&message(format!("before {kill}"))).await?);
        cluster.kill(leader);
        let start = Instant::now();
        spoken.acknowledged.push(client.send(&message(format!("after {kill}"))).await?);
        times.push(millis(start.elapsed()));
        cluster.spawn(leader);
        cluster.ready(leader).await;
        cluster.converged(&owner).await;
    }
    let sent = spoken.acknowledged.len();
    let history = whole_history(&owner, &general).await;
    check_promises(&history, &[spoken]);
    say(&format!(
        "failover, {NODES} nodes, {kills} kills of the leader: median {:.0} ms, p90 {:.0} ms, worst \
         {:.0} ms; {sent} acknowledged, {} in the log, 0 lost, 0 doubled",
        median(&times),
        percentile(&times, 900),
        percentile(&times, 1_000),
        history.len(),
    ));
    Ok(())
}
