//! Sends to a local cluster of 3 nodes, 256 bytes each, acknowledged after fsync on a majority.
//!
//! A client is an account with one WebSocket and one send in flight, in a direct conversation of its
//! own; clients are spread over the nodes, and one thread drives them all. Everything runs on one
//! machine: nodes, clients and disks share its cores. The clients' links are in clear, as those of the
//! peers that we are measured against; those between nodes are not.
//!
//! `cargo bench -p benches --bench end_to_end -- [--clients 64,512] [--seconds S] [--node PROGRAM]`

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use benches::{
    Bound, answered_list, is_full_run, payload, percentile, say, say_against,
    sends::{Sender, Sends, send_for},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tests::cluster::{Cluster, PASSWORD, Programs};
use tokio::task::spawn_blocking;

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const NODES: usize = 3;
const TEXT_BYTES: usize = 256;
/// Accounts that are made at once; each costs a node a password hash.
const SIGN_UPS_AT_ONCE: usize = 8;
/// What one client waits for at most, in the middle, in milliseconds.
const ONE_MARK_MS: f64 = 0.6;
/// So many clients send at least so much in a second.
const MARKS_PER_S: [(usize, f64); 2] = [(64, 15_000.0), (512, 40_000.0)];
/// Microseconds in a tick of a process's clock in `/proc/PID/stat`.
const TICK_US: f64 = 10_000.0;

#[tokio::main]
async fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let full = is_full_run();
    let counts = asked("--clients").unwrap_or_else(|| if full { "64,512" } else { "4" }.to_owned());
    let counts = counts.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let seconds =
        asked("--seconds").map_or(Ok(if full { 8.0 } else { 0.05 }), |text| text.parse())?;
    let span = Duration::from_secs_f64(seconds);
    let node = asked("--node").map_or(PROGRAMS.node, |path| path.leak());
    let mut cluster = Cluster::init(Programs { node }, NODES);
    cluster.serve_in_clear();
    for id in cluster.ids() {
        cluster.spawn(id);
    }
    for id in cluster.ids() {
        cluster.ready(id).await;
    }
    let owner = cluster.owner().await;
    let leader = cluster.leader(&owner).await;
    let mut order = cluster.ids();
    order.sort_by_key(|id| *id != leader);
    let most = counts.iter().copied().max().unwrap_or(1).max(2);
    let doors = doors(&cluster, &order, most).await?;
    let pids: Vec<u32> = cluster.ids().into_iter().map(|id| cluster.pid(id)).collect();
    spawn_blocking(move || measure(&doors, &pids, &counts, span)).await?
}

/// The value after an argument.
fn asked(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// Where a client goes in, and its token.
type Door = (SocketAddr, String);

/// Those of so many clients, the first at the leader, the second at a follower.
async fn doors(cluster: &Cluster, order: &[u64], count: usize) -> Result<Vec<Door>> {
    let make = |number: usize| async move {
        let id = order[number % order.len()];
        let client = cluster.client(&[id]);
        client.register(&format!("user{number}"), PASSWORD, None).await?;
        let token = client.token().context("a registration gives a token")?;
        Ok((cluster.url(id).trim_start_matches("http://").parse()?, token))
    };
    stream::iter((0..count).map(make)).buffered(SIGN_UPS_AT_ONCE).try_collect().await
}

fn measure(doors: &[Door], pids: &[u32], counts: &[usize], span: Duration) -> Result<()> {
    say("clients          sends/s   p50 ms   p99 ms   CPU us per send: nodes, clients");
    for (name, place) in [("1, at the leader", 0), ("1, elsewhere", 1)] {
        let Row { p50, .. } = row(name, &doors[place..=place], pids, span)?;
        say_against(&format!("  {name}, p50 ms"), p50, Bound::AtMost(ONE_MARK_MS), "");
    }
    for count in counts {
        let Row { per_s, .. } = row(&count.to_string(), &doors[..*count], pids, span)?;
        if let Some((_, mark)) = MARKS_PER_S.iter().find(|(of, _)| of == count) {
            say_against(&format!("  {count}, sends/s"), per_s, Bound::AtLeast(*mark), "");
        }
    }
    Ok(())
}

/// What is judged of a line of the report.
struct Row {
    per_s: f64,
    p50: f64,
}

fn row(name: &str, doors: &[Door], pids: &[u32], span: Duration) -> Result<Row> {
    let text: String =
        payload(7, TEXT_BYTES).into_iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let open = |(node, token): &Door| Sender::open(*node, token, "@owner", &text);
    let mut senders = doors.iter().map(open).collect::<Result<Vec<_>>>()?;
    send_for(&mut senders, span / 8)?;
    let used = || -> Result<[u64; 2]> {
        let nodes = pids.iter().map(|pid| cpu_ticks(&pid.to_string()));
        Ok([nodes.sum::<Result<u64>>()?, cpu_ticks("self")?])
    };
    let before = used()?;
    let Sends { samples, span } = send_for(&mut senders, span)?;
    let after = used()?;
    let [nodes, clients] =
        [0, 1].map(|of| (after[of] - before[of]) as f64 * TICK_US / samples.len() as f64);
    let per_s = samples.len() as f64 / span.as_secs_f64();
    let [p50, p99] = [500, 990].map(|per_mille| percentile(&samples, per_mille));
    say(&format!("{name:<16} {per_s:>7.0} {p50:>8.2} {p99:>8.2} {nodes:>23.1} {clients:>8.1}"));
    Ok(Row { per_s, p50 })
}

/// What a process has used, in user mode and in the kernel.
fn cpu_ticks(process: &str) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    // Fields 14 and 15 of the whole line.
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()?)
}
