//! `node --config FILE`: put the parts together, run them, take them down in order.
//!
//! What always holds:
//! - everything that can be refused (configuration, certificates, identity, ports) is refused before
//!   the first message leaves;
//! - a thread of the core that panics or fails takes the process down: a half-dead node is worse
//!   than a dead one;
//! - on SIGTERM leadership moves away first, then requests in flight are answered, then the log is
//!   closed.

mod boot;
mod files;
mod join;
mod promise;
mod reload;
mod scrub;

use std::{fs, num::NonZeroUsize, path::Path, sync::Arc, thread, time::Duration};

use replication::{Role, quic::Transport};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, timeout},
};

use self::{reload::Reload, scrub::ScrubThread};
use crate::{
    config::{Config, METRICS_TOKEN_BYTES_MAX, METRICS_TOKEN_BYTES_MIN, TlsClient},
    driver::{
        CoreError, Driver, Durability, PEER_EVENTS_MAX, Parts, Request, View,
        apply::Fold,
        clock::Clock,
        fetch::{Fetched, Fetches},
        line::Line,
        report::Reports,
        space::Space,
    },
    error::NodeError,
    http::{self, limits},
    metrics::{Disk, Metrics},
    program::chain,
    service::{self, Service},
    systemd,
};

/// The writer says why the log stopped right after it stopped.
const REASON_MAX: Duration = Duration::from_secs(1);
/// The peers are told goodbye within this time or not at all.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// Run one node in the foreground until it is asked to stop.
///
/// # Errors
/// What was refused at the start, or what ended the node.
pub fn run(config: Config) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers(thread::available_parallelism().map_or(1, NonZeroUsize::get)))
        .enable_all()
        .build()
        .map_err(|source| NodeError::System { action: "start a thread", source })?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// The threads that serve clients and peers, on so many processors: half of them. The other half are
/// for the threads of the core, of which the fold and the driver are as busy as one of these, and for
/// the system, which carries every packet. More would only take their time, and wake each other.
fn workers(processors: usize) -> usize {
    (processors / 2).max(1)
}

async fn serve(config: Config) -> Result<(), NodeError> {
    let mut signals = Signals::listen()?;
    files::allow(config.limits.connections);
    if !join::fetch(&config, &mut signals).await? {
        return Ok(());
    }
    let mut node = Node::start(&config)?;
    systemd::notify(systemd::READY);
    let mut reminder = tokio::time::interval(join::REMINDER);
    reminder.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = reminder.tick() => {
                if let Some(waiting) = node.service.awaits_admission() {
                    tracing::warn!("{waiting}");
                }
            }
            // The core is gone: what is in flight must not be answered.
            result = node.ended.recv() => {
                let ended = result.unwrap_or(Err(CoreError::Ended("core")));
                return node.with_reason(ended).await.map_err(NodeError::from);
            }
            asked = signals.next() => match asked {
                Asked::Stop => break,
                Asked::Reload => node.reload.run(),
            },
        }
    }
    tracing::info!("asked to stop: draining");
    systemd::notify(systemd::STOPPING);
    tokio::select! {
        () = signals.stop() => Ok(()),
        result = node.stop() => result,
    }
}

type Ended = mpsc::Receiver<Result<(), CoreError>>;

/// A node that runs.
struct Node {
    drain: Duration,
    reload: Reload,
    service: Service,
    transport: Arc<Transport>,
    fold: Arc<Fold>,
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<View>,
    draining: watch::Sender<bool>,
    close: watch::Sender<bool>,
    gateway: JoinHandle<Result<(), http::HttpError>>,
    threads: Vec<thread::JoinHandle<()>>,
    /// Ends when it is dropped.
    scrub: Option<ScrubThread>,
    /// What the threads of the core end with.
    ended: Ended,
    durability: watch::Receiver<Durability>,
}

impl Node {
    fn start(config: &Config) -> Result<Self, NodeError> {
        let clock = Arc::new(Clock::start());
        let metrics = Metrics::new();
        let boot = boot::open(config, clock.now(), &metrics.disk)?;
        let listener = http::bind(&http_options(config)?)?;
        let (peer_events, peer_events_in) = mpsc::channel(PEER_EVENTS_MAX);
        let transport =
            Arc::new(Transport::start(boot.transport_options(config.listen.peer, peer_events))?);
        let reload = Reload::new(config, &transport, listener.certificate());
        let fold = Arc::new(Fold::new(boot.chat, Arc::clone(&clock), metrics.fold.clone()));
        let reports = Arc::new(Reports::new(boot.me.node));
        let reader = boot.log.reader();
        let (requests, requests_in) = mpsc::channel(limits::size(config.limits.queued_requests));
        let (view, view_out) = watch::channel(View::of(&boot.replica));
        let (draining, draining_out) = watch::channel(false);
        let scrub = ScrubThread::start(&reader, &config.storage, &metrics.disk)?;
        let (fetches, fetched) = start_fetches(&reader)?;
        let (writer, durability) = spawn_writer(boot.log, metrics.disk.clone())?;
        let driver = Driver::new(Parts {
            me: boot.me,
            replica: boot.replica,
            line: Line::new(writer),
            reader: reader.clone(),
            fetches,
            fetched,
            durability: durability.clone(),
            space: space(config, &metrics.disk).watch(),
            transport: Arc::clone(&transport),
            seeds: join::others(config).collect(),
            genesis: boot.genesis,
            peer_events: peer_events_in,
            requests: requests_in,
            fold: Arc::clone(&fold),
            view,
            reports: Arc::clone(&reports),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        });
        let (threads, ended) = spawn_core(driver, Arc::clone(&fold), reader.clone())?;
        let service = Service::of(service::Parts {
            requests: requests.clone(),
            fold: Arc::clone(&fold),
            reader,
            view: view_out.clone(),
            reports,
            clock,
            me: boot.me.node,
            admission: join::admission(config),
            cluster_name: config.cluster.name.clone(),
            draining: draining_out,
            metrics,
        });
        let (close, close_out) = watch::channel(false);
        let gateway = tokio::spawn(http::serve(listener, service.clone(), close_out));
        announce(config);
        Ok(Self {
            drain: Duration::from_millis(config.timing.drain_ms),
            reload,
            service,
            transport,
            fold,
            requests,
            view: view_out,
            draining,
            close,
            gateway,
            threads,
            scrub,
            ended,
            durability,
        })
    }

    /// Whoever reads may meet the stopped log before the reason is known: wait for it, so that the last
    /// words name the file and what happened to it.
    async fn with_reason(mut self, ended: Result<(), CoreError>) -> Result<(), CoreError> {
        let Err(CoreError::Log(wal::Error::Poisoned)) = ended else { return ended };
        let is_failed = |durability: &Durability| matches!(durability, Durability::Failed(_));
        let reason = timeout(REASON_MAX, self.durability.wait_for(is_failed)).await;
        match reason.ok().and_then(Result::ok).as_deref() {
            Some(Durability::Failed(reason)) => Err(CoreError::LogFailed(reason.clone())),
            Some(Durability::Upto(_)) | None => ended,
        }
    }

    /// Hand over, answer what is in flight, close the log.
    async fn stop(mut self) -> Result<(), NodeError> {
        self.draining.send_replace(true);
        drop(self.scrub.take());
        let handed_over = timeout(self.drain, hand_over(&self.requests, self.view)).await;
        if handed_over.is_err() {
            tracing::warn!("leadership could not be handed over in time");
        }
        self.close.send_replace(true);
        if timeout(self.drain, self.gateway).await.is_err() {
            tracing::warn!("some requests were not answered in time");
        }
        self.transport.close(true);
        let told = timeout(CLOSE_MAX, self.transport.closed()).await;
        tracing::debug!(told = told.is_ok(), "transport closed");
        // A driver that has ended already needs no telling.
        drop(self.requests.send(Request::Stop).await);
        self.fold.stop();
        tokio::task::spawn_blocking(move || {
            self.threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_panic| CoreError::Ended("core")))
        })
        .await
        .map_err(|_panic| CoreError::Ended("core"))??;
        while let Ok(ended) = self.ended.try_recv() {
            ended?;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

fn announce(config: &Config) {
    tracing::info!(
        node = config.node.id.0,
        cluster = config.cluster.name,
        peer = %config.listen.peer,
        client = %config.listen.client,
        "started"
    );
}

/// Ask the core to hand leadership over, and wait until it does not lead or has nobody to lead.
async fn hand_over(requests: &mpsc::Sender<Request>, mut view: watch::Receiver<View>) {
    if requests.send(Request::Leave).await.is_ok() {
        // An error means that the driver has ended: then it leads no more either.
        drop(view.wait_for(|view| view.role != Role::Leader || view.is_alone()).await);
    }
}

fn space(config: &Config, metrics: &Disk) -> Space {
    let directory = config.node.data_dir.clone();
    Space::of(directory, config.storage.reserve_bytes, metrics.clone())
}

fn spawn_writer(
    log: wal::Log,
    metrics: Disk,
) -> Result<(wal::Writer, watch::Receiver<Durability>), NodeError> {
    let (sender, receiver) = watch::channel(Durability::Upto(0));
    let tell = move |result: Result<u64, wal::Error>| {
        sender.send_replace(match result {
            Ok(ticket) => {
                metrics.durable(ticket);
                Durability::Upto(ticket)
            }
            Err(error) => Durability::Failed(chain(&error)),
        });
    };
    Ok((wal::Writer::spawn(log, Box::new(tell))?, receiver))
}

fn start_fetches(reader: &wal::Reader) -> Result<(Fetches, mpsc::Receiver<Fetched>), NodeError> {
    Fetches::start(reader.clone())
        .map_err(|source| NodeError::System { action: "start a thread", source })
}

/// The driver's own loop: nothing else runs on its thread.
fn driver_runtime() -> Result<tokio::runtime::Runtime, NodeError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| NodeError::System { action: "start a thread", source })
}

/// The threads of the core, and how they end.
fn spawn_core(
    driver: Driver,
    fold: Arc<Fold>,
    reader: wal::Reader,
) -> Result<(Vec<thread::JoinHandle<()>>, Ended), NodeError> {
    let (ended_in, ended) = mpsc::channel(2);
    let runtime = driver_runtime()?;
    let threads = vec![
        spawn("fold", ended_in.clone(), move || fold.run(&reader))?,
        spawn("driver", ended_in, move || runtime.block_on(driver.run()))?,
    ];
    Ok((threads, ended))
}

/// A thread of the core: it says how it ended, and takes the process down when it panics.
fn spawn(
    name: &str,
    ended: mpsc::Sender<Result<(), CoreError>>,
    work: impl FnOnce() -> Result<(), CoreError> + Send + 'static,
) -> Result<thread::JoinHandle<()>, NodeError> {
    struct AbortOnPanic;
    impl Drop for AbortOnPanic {
        fn drop(&mut self) {
            if thread::panicking() {
                std::process::abort();
            }
        }
    }
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _guard = AbortOnPanic;
            let result = work();
            // Nobody listens any more while the node stops.
            drop(ended.blocking_send(result));
        })
        .map_err(|source| NodeError::System { action: "start a thread", source })
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Stop,
    Reload,
}

/// SIGTERM and SIGINT, which stop, and SIGHUP, which has files read again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, NodeError> {
        let listen = |kind| {
            signal(kind).map_err(|source| NodeError::System { action: "start a thread", source })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

fn http_options(config: &Config) -> Result<http::Options, NodeError> {
    let tls = match &config.tls.client {
        TlsClient::Off => http::Tls::Off,
        TlsClient::Cluster => {
            http::Tls::Files { cert: config.tls.cert.clone(), key: config.tls.key.clone() }
        }
        TlsClient::Files { cert, key } => http::Tls::Files { cert: cert.clone(), key: key.clone() },
    };
    let millis = Duration::from_millis;
    let timing = &config.timing;
    Ok(http::Options {
        names: [&config.own().client.at.host]
            .into_iter()
            .chain(&config.listen.names)
            .cloned()
            .collect(),
        metrics_token: metrics_token(&config.metrics.token_file)?,
        metrics_listen: config.listen.metrics,
        limits: config.limits,
        request_timeout: millis(timing.request_ms),
        drain_timeout: millis(timing.drain_ms),
        patience: http::Patience {
            handshake: millis(timing.handshake_ms),
            head: millis(timing.head_ms),
            body: millis(timing.body_ms),
            hello: millis(timing.hello_ms),
        },
        ..http::Options::new(config.listen.client, tls)
    })
}

/// The hash of the token in this file, if the file is there.
fn metrics_token(file: &Path) -> Result<Option<chat::TokenHash>, NodeError> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(file).map_err(NodeError::io("read", file))?;
    let token = text.trim();
    let sizes = METRICS_TOKEN_BYTES_MIN..=METRICS_TOKEN_BYTES_MAX;
    if sizes.contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(http::token_hash(token)));
    }
    Err(NodeError::Certificate {
        path: file.to_path_buf(),
        problem: format!(
            "a metrics token is {METRICS_TOKEN_BYTES_MIN} to {METRICS_TOKEN_BYTES_MAX} characters \
             without a space: make one with `head -c 32 /dev/urandom | base64`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metrics_token_has_its_bounds_and_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metrics.token");
        assert_eq!(metrics_token(&file).unwrap(), None, "there is none");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            metrics_token(&file)
        };
        for bytes in [METRICS_TOKEN_BYTES_MIN, METRICS_TOKEN_BYTES_MAX] {
            let token = "t".repeat(bytes);
            let hash = Some(http::token_hash(&token));
            assert_eq!(read(&format!("{token}\n")).unwrap(), hash);
        }
        let [short, long] = [METRICS_TOKEN_BYTES_MIN - 1, METRICS_TOKEN_BYTES_MAX + 1];
        let spaced = format!("{0} {0}", "t".repeat(short));
        for wrong in ["".to_owned(), "t".repeat(short), "t".repeat(long), spaced] {
            let error = read(&wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.to_string().contains("tt"), "a token stands in no message");
        }
    }
}
