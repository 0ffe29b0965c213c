//! From the key press in one browser to the text in another, on another node: three real nodes,
//! headless Chromium, shipped defaults. Both pages run in one browser and so share a clock.

use anyhow::{Context, Result};
use benches::{answered_list, is_full_run, percentile, say};
use serde_json::{Value, json};
use tests::{
    browser::play,
    cluster::{Cluster, Programs},
};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const NODES: usize = 3;
const MESSAGES: usize = 200;
/// The first messages, which find cold pages, are not counted.
const WARM_UP: usize = 20;

#[tokio::main]
async fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let (messages, warm_up) = if is_full_run() { (MESSAGES, WARM_UP) } else { (3, 0) };
    let mut cluster = Cluster::start(PROGRAMS, NODES).await;
    let settings = json!({"messages": messages, "warmUp": warm_up});
    let found = play(&mut cluster, "latency", settings).await;
    let samples: Vec<f64> =
        found.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    (samples.len() == messages).then_some(()).context("every message was measured")?;
    say(&format!(
        "browser to browser, {NODES} nodes, {messages} messages: p50 {:.0} ms, p99 {:.0} ms, worst \
         {:.0} ms",
        percentile(&samples, 500),
        percentile(&samples, 990),
        percentile(&samples, 1_000),
    ));
    Ok(())
}
