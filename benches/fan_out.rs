//! One channel, many listeners: from the acknowledgement of a message to its last delivery.
//!
//! A cluster of 3 nodes as `node init` makes it, TLS included. The subscribers are WebSockets spread
//! over the nodes, several per account as people have devices; each holds every frame to the promise:
//! `seq` without gap or repeat. One sender says a steady number of messages per second on a WebSocket
//! of its own. Everything runs on one machine: nodes, subscribers and the sender share its cores, so
//! the subscribers look for a frame's `seq` and parse nothing else.
//!
//! `cargo bench -p benches --bench fan_out -- [--subscribers N] [--rate R] [--seconds S] [--accounts A]`

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::{answered_list, is_full_run, millis, payload, percentile, say};
use chatctl::Client;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tests::cluster::{Cluster, PASSWORD, Programs};
use tokio::{net::TcpStream, runtime, task::spawn_blocking, time::interval};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{Message as Frame, protocol::WebSocketConfig},
};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_bench_node") };
const NODES: usize = 3;
const TEXT_BYTES: usize = 256;
/// Sockets that connect at once.
const CONNECTS_AT_ONCE: usize = 32;
/// Descriptors that a process needs besides its sockets.
const FILES_ELSE: u64 = 256;
/// Whatever is not delivered within this time after the last message counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ticks of a process's clock in `/proc/PID/stat`, per second.
const CPU_TICKS_PER_S: f64 = 100.0;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is measured.
#[derive(Clone, Copy)]
struct Plan {
    subscribers: usize,
    /// Accounts that the subscribers are devices of.
    accounts: usize,
    rate_per_s: usize,
    messages: usize,
}

/// What the subscribers have heard, all together.
struct Heard {
    start: Instant,
    /// By `seq` - 1: when the last subscriber had it, in nanoseconds since `start`.
    last_ns: Vec<AtomicU64>,
    deliveries: AtomicUsize,
    /// Frames with another `seq` than the next one.
    broken: AtomicUsize,
}

/// What the sender knows of a message.
#[derive(Clone, Copy)]
struct Told {
    sent: Instant,
    acknowledged: Instant,
}

/// A node's process.
#[derive(Clone, Copy, Default)]
struct Usage {
    anon_kib: u64,
    cpu_ticks: u64,
}

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let plan = Plan::asked()?;
    allow_files(plan.subscribers)?;
    // One thread for all subscribers, so that the nodes have the rest of the machine.
    let local = runtime::Builder::new_current_thread().enable_all().build()?;
    local.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Result<()> {
    let cluster = Cluster::start(PROGRAMS, NODES).await;
    let door = Door::of(&cluster)?;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await?;
    let tokens = tokens(&cluster, plan.accounts).await?;
    let before = usage(&cluster)?;
    let heard = Arc::new(Heard::new(plan.messages));
    let sockets = connect_all(&door, &tokens, plan.subscribers).await?;
    let listening: Vec<_> = sockets
        .into_iter()
        .map(|socket| tokio::spawn(listen(socket, Arc::clone(&heard))))
        .collect();
    let idle = usage(&cluster)?;
    let begun = Instant::now();
    // On a thread of its own, so that no subscriber keeps it waiting.
    let told = spawn_blocking(move || speak(&door, &owner, plan)).await??;
    wait_for(&heard, plan).await;
    let spoken = begun.elapsed();
    let after = usage(&cluster)?;
    for task in &listening {
        task.abort();
    }
    report(plan, &heard, &told, spoken);
    report_nodes(plan, [&before, &idle, &after], spoken);
    let missing = plan.subscribers * plan.messages - heard.deliveries.load(Ordering::Relaxed);
    let broken = heard.broken.load(Ordering::Relaxed);
    say(&format!("{missing} lost, {broken} repeated or out of order"));
    ensure!(missing == 0 && broken == 0, "deliveries broke the promise");
    Ok(())
}

impl Plan {
    fn asked() -> Result<Self> {
        let full = is_full_run();
        let or = |name, full_run, smoke| number_after(name, if full { full_run } else { smoke });
        let subscribers = or("--subscribers", 1_000, 6)?.max(1);
        let rate_per_s = or("--rate", 50, 50)?.max(1);
        let seconds = or("--seconds", 20, 0)?;
        let accounts = or("--accounts", 50, 2)?.clamp(1, subscribers);
        let messages = (rate_per_s * seconds).max(10);
        Ok(Self { subscribers, accounts, rate_per_s, messages })
    }
}

fn number_after(name: &str, default: usize) -> Result<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    let Some(_name) = arguments.next() else { return Ok(default) };
    let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
    value.parse().with_context(|| format!("{name} needs a number, not `{value}`"))
}

/// The nodes, started from here, have this bound too.
fn allow_files(subscribers: usize) -> Result<()> {
    let wanted = subscribers as u64 + FILES_ELSE;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = limit.maximum.map_or(Some(wanted), |maximum| Some(maximum.min(wanted)));
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Accounts in the channel; each token is one session, used by several sockets.
async fn tokens(cluster: &Cluster, count: usize) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for number in 0..count {
        let mut ids = cluster.ids();
        ids.rotate_left(number % NODES);
        let client = cluster.client(&ids);
        client.register(&format!("user{number}"), PASSWORD, None).await?;
        client.join("general").await?;
        tokens.push(client.token().context("a registration gives a token")?);
    }
    Ok(tokens)
}

/// How to get in.
#[derive(Clone)]
struct Door {
    nodes: Vec<SocketAddr>,
    tls: Arc<rustls::ClientConfig>,
}

impl Door {
    fn of(cluster: &Cluster) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cluster.ca())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = |id: &u64| cluster.url(*id).trim_start_matches("https://").parse();
        let nodes = cluster.ids().iter().map(address).collect::<Result<_, _>>()?;
        Ok(Self { nodes, tls: Arc::new(tls) })
    }

    /// A socket that hears what happens from now on.
    async fn enter(&self, node: usize, token: &str) -> Result<Socket> {
        let address = self.nodes[node % self.nodes.len()];
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
        let url = format!("wss://{address}/v1/events");
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let (mut socket, _) =
            client_async_tls_with_config(url, stream, Some(config), Some(connector)).await?;
        let hello = json!({"type": "hello", "token": token}).to_string();
        socket.send(Frame::text(hello)).await?;
        let ready = socket.next().await.context("the node says it is ready")??;
        ensure!(ready.to_text()?.starts_with(r#"{"type":"ready""#), "not ready: {ready}");
        Ok(socket)
    }
}

async fn connect_all(door: &Door, tokens: &[String], count: usize) -> Result<Vec<Socket>> {
    let places = (0..count).map(|number| door.enter(number, &tokens[number % tokens.len()]));
    stream::iter(places).buffer_unordered(CONNECTS_AT_ONCE).try_collect().await
}

impl Heard {
    fn new(messages: usize) -> Self {
        let last_ns = std::iter::repeat_with(AtomicU64::default).take(messages).collect();
        let (deliveries, broken) = <(AtomicUsize, AtomicUsize)>::default();
        Self { start: Instant::now(), last_ns, deliveries, broken }
    }

    fn hear(&self, seq: usize) {
        let now_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(last_ns) = seq.checked_sub(1).and_then(|place| self.last_ns.get(place)) {
            last_ns.fetch_max(now_ns, Ordering::Relaxed);
            self.deliveries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Listens until it is stopped, or the node ends it.
async fn listen(mut socket: Socket, heard: Arc<Heard>) {
    let mut next = 1;
    while let Some(Ok(frame)) = socket.next().await {
        let Frame::Text(text) = frame else { continue };
        let Some(seq) = seq_of(&text) else { continue };
        if seq == next {
            next += 1;
            heard.hear(seq);
        } else {
            heard.broken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `seq` stands before the text, so the first one is not the author's.
fn seq_of(frame: &str) -> Option<usize> {
    let (_, rest) = frame.strip_prefix(r#"{"type":"message""#)?.split_once(r#""seq":"#)?;
    let (digits, _) = rest.split_once(',')?;
    digits.parse().ok()
}

/// Sends in steady time, whether answered or not; gives what became of each, by `seq` - 1.
fn speak(door: &Door, owner: &Client, plan: Plan) -> Result<Vec<Told>> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let token = owner.token().context("the owner has a token")?;
        let (mut sink, mut stream) = door.enter(0, &token).await?.split();
        let texts: Vec<String> = (0..plan.messages).map(text).collect();
        let keys: Vec<String> = texts.iter().map(|_| owner.request_id().to_string()).collect();
        let mut pace = interval(Duration::from_secs(1) / u32::try_from(plan.rate_per_s)?);
        let mut under_way = BTreeMap::new();
        let mut told = vec![None; plan.messages];
        let mut messages = keys.iter().zip(texts);
        let mut answers = 0;
        while answers < plan.messages {
            tokio::select! {
                _ = pace.tick(), if messages.len() > 0 => {
                    let Some((key, text)) = messages.next() else { continue };
                    let frame = json!({
                        "type": "send", "request_id": key, "to": "#general", "text": text,
                    });
                    under_way.insert(key.clone(), Instant::now());
                    sink.send(Frame::text(frame.to_string())).await?;
                }
                frame = stream.next() => {
                    let now = Instant::now();
                    let frame = frame.context("the sender's socket lives")??;
                    let Some((key, seq)) = answer(&frame)? else { continue };
                    let sent = under_way.remove(&key).context("an answer to what was sent")?;
                    *told.get_mut(seq - 1).context("a `seq` of what was sent")? =
                        Some(Told { sent, acknowledged: now });
                    answers += 1;
                }
            }
        }
        told.into_iter().collect::<Option<_>>().context("every message has a `seq` of its own")
    })
}

fn text(number: usize) -> String {
    payload(number as u64, TEXT_BYTES)
        .into_iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect()
}

/// The key and `seq` of a message that is acknowledged.
fn answer(frame: &Frame) -> Result<Option<(String, usize)>> {
    let Frame::Text(text) = frame else { return Ok(None) };
    if text.starts_with(r#"{"type":"message""#) {
        return Ok(None);
    }
    let frame: Value = serde_json::from_str(text)?;
    ensure!(frame["type"] == "sent", "a send went wrong: {frame}");
    let key = frame["request_id"].as_str().context("an answer has its key")?;
    let seq = frame["message"]["seq"].as_u64().context("a message has a `seq`")?;
    Ok(Some((key.to_owned(), usize::try_from(seq)?)))
}

async fn wait_for(heard: &Heard, plan: Plan) {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = interval(Duration::from_millis(10));
    while heard.deliveries.load(Ordering::Relaxed) < plan.subscribers * plan.messages
        && Instant::now() < deadline
    {
        pause.tick().await;
    }
}

fn report(plan: Plan, heard: &Heard, told: &[Told], spoken: Duration) {
    let last = |place: usize| {
        heard.start + Duration::from_nanos(heard.last_ns[place].load(Ordering::Relaxed))
    };
    let since = |begin: fn(&Told) -> Instant| -> Vec<f64> {
        let ends = told.iter().enumerate();
        ends.map(|(place, told)| millis(last(place).saturating_duration_since(begin(told))))
            .collect()
    };
    let acknowledged: Vec<f64> =
        told.iter().map(|told| millis(told.acknowledged.duration_since(told.sent))).collect();
    say(&format!(
        "{} subscribers ({} accounts) on {NODES} nodes, {} messages of {TEXT_BYTES} bytes at {}/s, \
         {:.0} deliveries/s",
        plan.subscribers,
        plan.accounts,
        plan.messages,
        plan.rate_per_s,
        heard.deliveries.load(Ordering::Relaxed) as f64 / spoken.as_secs_f64(),
    ));
    say("from .. to                       p50 ms   p99 ms   max ms");
    for (name, samples) in [
        ("acknowledgement .. last delivery", since(|told| told.acknowledged)),
        ("send .. last delivery           ", since(|told| told.sent)),
        ("send .. acknowledgement         ", acknowledged),
    ] {
        let [p50, p99, max] = [500, 990, 1_000].map(|place| percentile(&samples, place));
        say(&format!("{name} {p50:>6.1} {p99:>8.1} {max:>8.1}"));
    }
}

fn report_nodes(plan: Plan, [before, idle, after]: [&[Usage]; 3], spoken: Duration) {
    let total = |usage: &[Usage]| usage.iter().map(|usage| usage.anon_kib).sum::<u64>();
    let per_subscriber = |usage: &[Usage]| {
        total(usage).saturating_sub(total(before)) as f64 / plan.subscribers as f64
    };
    say(&format!(
        "memory per subscriber: {:.0} KiB connected, {:.0} KiB after the run",
        per_subscriber(idle),
        per_subscriber(after),
    ));
    let cpu: Vec<String> = idle
        .iter()
        .zip(after)
        .map(|(idle, after)| {
            let seconds = (after.cpu_ticks - idle.cpu_ticks) as f64 / CPU_TICKS_PER_S;
            format!("{:.0}%", 100.0 * seconds / spoken.as_secs_f64())
        })
        .collect();
    say(&format!("CPU of the nodes, of one core: {}", cpu.join(" ")));
}

/// What every node's process uses. Memory is its anonymous pages: those of the log are the page
/// cache's.
fn usage(cluster: &Cluster) -> Result<Vec<Usage>> {
    cluster.ids().into_iter().map(|id| usage_of(cluster.pid(id))).collect()
}

fn usage_of(pid: u32) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let anon_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
        .context("a process has anonymous pages")?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    // Fields 14 and 15 of the whole line: in user mode and in the kernel.
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    Ok(Usage { anon_kib, cpu_ticks: ticks.sum::<Result<u64, _>>()? })
}
