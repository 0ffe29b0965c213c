//! Sends to a local cluster of 3 nodes, 256 bytes each, acknowledged after fsync on a majority.
//!
//! A client sends one message at a time over HTTP and waits for its acknowledgement; clients are
//! spread over the nodes. Everything runs on one machine: nodes, clients and disks share its cores.

use std::time::{Duration, Instant};

use anyhow::Result;
use benches::{answered_list, is_full_run, millis, payload, percentile, say};
use chatctl::{Client, Outgoing, Target};
use tests::cluster::{Cluster, Programs};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const NODES: usize = 3;
const TEXT_BYTES: usize = 256;
const CLIENTS: [usize; 3] = [1, 16, 64];

#[tokio::main]
async fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let span = if is_full_run() { Duration::from_secs(8) } else { Duration::from_millis(50) };
    let cluster = Cluster::start(PROGRAMS, NODES).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await?;
    say("clients   sends/s   p50 ms   p99 ms");
    for clients in CLIENTS {
        let tasks: Vec<_> = (0..clients)
            .map(|number| {
                let mut ids = cluster.ids();
                ids.rotate_left(number % NODES);
                tokio::spawn(send_for(span, cluster.client_with(&ids, owner.token()), number))
            })
            .collect();
        let start = Instant::now();
        let mut samples = Vec::new();
        for task in tasks {
            samples.extend(task.await??);
        }
        say(&format!(
            "{clients:>7} {:>9.0} {:>8.2} {:>8.2}",
            samples.len() as f64 / start.elapsed().as_secs_f64(),
            percentile(&samples, 500),
            percentile(&samples, 990),
        ));
    }
    Ok(())
}

async fn send_for(span: Duration, client: Client, number: usize) -> Result<Vec<f64>> {
    let to: Target = "#general".parse()?;
    let text: String = payload(number as u64, TEXT_BYTES)
        .into_iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect();
    let message = Outgoing { to, text, reply_to: None, after_request: None, request_id: None };
    let (start, mut samples) = (Instant::now(), Vec::new());
    while start.elapsed() < span {
        let begun = Instant::now();
        client.send(&message).await?;
        samples.push(millis(begun.elapsed()));
    }
    Ok(samples)
}
