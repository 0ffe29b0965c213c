//! What people do on the page: one script of `scenarios/` each, on three nodes of its own.

use serde_json::Value;
use tests::{browser::play, cluster::Cluster};

use crate::PROGRAMS;

async fn on_three_nodes(scenario: &str) {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    play(&mut cluster, scenario, Value::Null).await;
}

/// The browser refuses what the policy forbids.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_holds_in_a_browser() {
    on_three_nodes("policy").await;
}
