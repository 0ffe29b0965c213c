//! From a fresh directory to ready: how long a user waits for a single node.
//!
//! A test binary of its own, so that nothing else runs beside the measurement.

use std::time::{Duration, Instant};

use tests::cluster::{Cluster, Programs};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };

const ROUNDS: usize = 10;
const READY_WITHIN: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_single_node_is_ready_at_once() {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut cluster = Cluster::init(PROGRAMS, 1);
        let http = cluster.http();
        let url = format!("{}/readyz", cluster.url(1));
        let start = Instant::now();
        cluster.spawn(1);
        let mut poll = tokio::time::interval(Duration::from_millis(2));
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(start.elapsed() < Duration::from_secs(10), "never ready");
            poll.tick().await;
        }
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[ROUNDS / 2];
    assert!(median <= READY_WITHIN, "median {median:?} of {times:?}");
}
