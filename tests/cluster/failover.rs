//! What clients wait for when the leader is killed or stopped, and when any two of five are killed: few
//! repetitions, and twice the time that is promised (`cargo bench -p benches --bench failover` measures
//! it).

use std::time::Duration;

use tests::failover::{Talk, Wait};

use crate::PROGRAMS;

/// The span that this many of a hundred stay below.
fn percentile(waits: &[Wait], percent: usize) -> Duration {
    let mut spans: Vec<Duration> = waits.iter().map(|wait| wait.span).collect();
    spans.sort_unstable();
    spans[(spans.len() * percent).div_ceil(100) - 1]
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_every_node_go_on_soon_after_the_leader_was_killed() {
    let mut talk = Talk::start(PROGRAMS, 3).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let leader = talk.leader().await;
        waits.extend(talk.kill(&[leader]).await);
        talk.mend(&[leader]).await;
    }
    assert!(percentile(&waits, 50) <= millis(500), "{waits:?}");
    assert!(percentile(&waits, 90) <= millis(1_000), "{waits:?}");
    talk.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_send_fails_or_waits_long_while_the_leader_stops() {
    let mut talk = Talk::start(PROGRAMS, 3).await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        let (leader, gaps) = talk.stop_leader().await;
        waits.extend(gaps);
        talk.mend(&[leader]).await;
    }
    assert!(percentile(&waits, 50) <= millis(200), "{waits:?}");
    talk.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_serve_soon_after_any_two_were_killed_at_once() {
    let mut talk = Talk::start(PROGRAMS, 5).await;
    let mut waits = Vec::new();
    for other in 0..2 {
        let leader = talk.leader().await;
        let victim = talk.cluster.ids().into_iter().filter(|id| *id != leader).nth(other).unwrap();
        waits.extend(talk.kill(&[leader, victim]).await);
        talk.mend(&[leader, victim]).await;
    }
    assert!(percentile(&waits, 90) <= millis(2_000), "{waits:?}");
    talk.check().await;
}
