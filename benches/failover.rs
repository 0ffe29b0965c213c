//! How long clients wait when nodes fail: real processes, shipped defaults.
//!
//! - kill -9 of the leader of 3 and of 5, to the next acknowledged send of a client of every node, the
//!   killed one included, each sent in the instant of the kill;
//! - SIGTERM to the leader under clients that send without a pause: the longest gap of each;
//! - every pair of five killed in one instant.
//!
//! `cargo bench -p benches --bench failover` does all of it; `-- leader`, `-- stop` or `-- pairs` one
//! part, and a number behind it the repetitions.

use anyhow::Result;
use benches::{Bound, answered_list, is_full_run, millis, percentile, say, say_against};
use tests::{
    cluster::Programs,
    failover::{Talk, Wait},
};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const KILLS: usize = 100;
const STOPS: usize = 30;
const TIMES_EACH_PAIR: usize = 10;

#[tokio::main]
async fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    say(&format!("{:<26} {:>10}      {:<8} {:<7}", "milliseconds", "measured", "mark", ""));
    if is_asked("leader") {
        for nodes in [3, 5] {
            leaders(nodes, repetitions(KILLS)).await;
        }
    }
    if is_asked("stop") {
        for nodes in [3, 5] {
            stops(nodes, repetitions(STOPS)).await;
        }
    }
    if is_asked("pairs") {
        pairs(repetitions(TIMES_EACH_PAIR)).await;
    }
    Ok(())
}

/// Is this part asked for, or none?
fn is_asked(part: &str) -> bool {
    let parts = ["leader", "stop", "pairs"];
    let asked: Vec<String> =
        std::env::args().filter(|argument| parts.contains(&argument.as_str())).collect();
    if is_full_run() {
        asked.is_empty() || asked.iter().any(|one| one == part)
    } else {
        part != "pairs"
    }
}

fn repetitions(full: usize) -> usize {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    if is_full_run() { asked.unwrap_or(full) } else { 1 }
}

/// What clients waited for, apart by whether their node was hit.
#[derive(Default)]
struct Waits {
    hit: Vec<f64>,
    spared: Vec<f64>,
}

impl Waits {
    fn add(&mut self, victims: &[u64], waits: Vec<Wait>) {
        for Wait { node, span } in waits {
            let of = if victims.contains(&node) { &mut self.hit } else { &mut self.spared };
            of.push(millis(span));
        }
    }

    fn all(&self) -> Vec<f64> {
        self.hit.iter().chain(&self.spared).copied().collect()
    }

    /// One line for all clients, with the rest behind it.
    fn say(&self, name: &str, per_mille: usize, mark: f64) {
        let of = |waits: &[f64]| percentile(waits, per_mille);
        let more = format!(
            "clients of the node(s) that failed {:.0}, of the others {:.0}",
            of(&self.hit),
            of(&self.spared)
        );
        say_against(name, of(&self.all()), Bound::AtMost(mark), &more);
    }
}

async fn leaders(nodes: usize, kills: usize) {
    let mut talk = Talk::start(PROGRAMS, nodes).await;
    let mut waits = Waits::default();
    for _ in 0..kills {
        let leader = talk.leader().await;
        waits.add(&[leader], talk.kill(&[leader]).await);
        talk.mend(&[leader]).await;
    }
    waits.say(&format!("kill -9 of {nodes}, p50"), 500, 250.0);
    waits.say(&format!("kill -9 of {nodes}, p99"), 990, 500.0);
    let messages = talk.check().await;
    say(&format!(
        "  {kills} kills; worst {:.0} ms; {messages} messages, 0 lost, 0 doubled",
        percentile(&waits.all(), 1_000)
    ));
}

async fn stops(nodes: usize, stops: usize) {
    let mut talk = Talk::start(PROGRAMS, nodes).await;
    let mut waits = Waits::default();
    for _ in 0..stops {
        let (leader, gaps) = talk.stop_leader().await;
        waits.add(&[leader], gaps);
        talk.mend(&[leader]).await;
    }
    waits.say(&format!("SIGTERM of {nodes}, worst gap"), 1_000, 100.0);
    let messages = talk.check().await;
    say(&format!(
        "  {stops} stops; median gap {:.0} ms; {messages} messages, 0 failed, 0 lost, 0 doubled",
        percentile(&waits.all(), 500)
    ));
}

async fn pairs(times: usize) {
    let mut talk = Talk::start(PROGRAMS, 5).await;
    let mut waits = Waits::default();
    for _ in 0..times {
        for first in 1..=5 {
            for second in first + 1..=5 {
                waits.add(&[first, second], talk.kill(&[first, second]).await);
                talk.mend(&[first, second]).await;
            }
        }
    }
    waits.say("pairs of 5, worst", 1_000, 1_000.0);
    let messages = talk.check().await;
    say(&format!(
        "  10 pairs, {times} times each; median {:.0} ms; {messages} messages, 0 lost, 0 doubled",
        percentile(&waits.all(), 500)
    ));
}
