//! A service on the real log and the real fold; in place of the core stands a leader without
//! followers, which takes every command at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use election::{Index, NodeId, StoreId, Term};
use replication::{Change, ClusterConfig, Member, Mode, Outcome, Refusal, Role};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use wal::{Entry, EntryKind, Log, Op};

use crate::{
    config::Limits,
    driver::{
        Refused, Request, View,
        apply::Fold,
        clock::Clock,
        report::{Report, Reports},
    },
    genesis::token_hash,
    metrics::Metrics,
    service::{Parts, Service},
    small_log,
};

const TERM: u64 = 1;

/// What lives as long as the service.
pub(super) struct Held {
    requests: mpsc::Sender<Request>,
    paused: watch::Sender<bool>,
    leaderless: Arc<AtomicBool>,
    fold: Arc<Fold>,
    reports: Arc<Reports>,
    folding: Option<thread::JoinHandle<()>>,
    _dir: TempDir,
}

/// A service whose chat is empty.
pub(super) fn start() -> (Service, Held) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    let reader = log.reader();
    let clock = Arc::new(Clock::start());
    let metrics = Metrics::new();
    let genesis = chat::Genesis { owner_token_hash: Some(token_hash(super::kit::OWNER_TOKEN)) };
    let fold = Arc::new(Fold::new(genesis, Arc::clone(&clock), metrics.fold.clone()));
    let (requests, inbox) =
        mpsc::channel(super::super::limits::size(Limits::DEFAULT.queued_requests));
    let (_, view) = watch::channel(leading());
    let (_, draining) = watch::channel(false);
    let (paused, go) = watch::channel(false);
    let leaderless = Arc::new(AtomicBool::new(false));
    let parts = (Arc::clone(&fold), Arc::clone(&clock), Arc::clone(&leaderless));
    tokio::spawn(lead(log, inbox, go, parts));
    let folding = (Arc::clone(&fold), reader.clone());
    let folding = thread::spawn(move || folding.0.run(&folding.1).unwrap());
    let reports = Arc::new(Reports::new(NodeId(1)));
    let service = Service::of(Parts {
        requests: requests.clone(),
        fold: Arc::clone(&fold),
        reader,
        view,
        reports: Arc::clone(&reports),
        clock,
        me: NodeId(1),
        admission: "chatctl cluster add 1".to_owned(),
        cluster_name: "team".to_owned(),
        draining,
        metrics,
    });
    (
        service,
        Held { requests, paused, leaderless, fold, reports, folding: Some(folding), _dir: dir },
    )
}

impl Held {
    /// The leader takes nothing until it is told to go on.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// The node reports how it does, as it does all the time in a cluster.
    pub(super) fn report(&self) {
        self.reports.own(Report::of(&leading(), (Index(self.fold.applied()), false), &self.fold));
    }

    /// There is no leader until it is told otherwise.
    pub(super) fn depose(&self, leaderless: bool) {
        self.leaderless.store(leaderless, Ordering::Relaxed);
    }

    /// How many requests wait for the leader.
    pub(super) fn waiting(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.fold.stop();
        if let Some(folding) = self.folding.take() {
            folding.join().unwrap();
        }
    }
}

fn open(dir: &TempDir) -> Log {
    let mut log = small_log::create(dir.path(), small_log::options());
    put(&mut log, Entry::new(1, TERM, EntryKind::NoOp, Bytes::new()));
    log
}

fn leading() -> View {
    let me = Member {
        node: NodeId(1),
        store: Some(StoreId(1)),
        peer: "127.0.0.1:7410".to_owned(),
        client: "http://127.0.0.1:7411".to_owned(),
    };
    let config = ClusterConfig {
        mode: Mode::Solo,
        voters: vec![me],
        learners: Vec::new(),
        known: Vec::new(),
        target_size: 1,
        level: 1,
        predecessor: Index(0),
    };
    View {
        role: Role::Leader,
        term: Term(TERM),
        leader: Some(NodeId(1)),
        commit: Index(1),
        config: Arc::new(config),
        level: 1,
    }
}

async fn lead(
    mut log: Log,
    mut inbox: mpsc::Receiver<Request>,
    mut paused: watch::Receiver<bool>,
    (fold, clock, leaderless): (Arc<Fold>, Arc<Clock>, Arc<AtomicBool>),
) {
    let mut last = 1;
    fold.commit(last, []);
    while let Some(request) = next(&mut inbox, &mut paused).await {
        match request {
            Request::Propose { answer, .. } if leaderless.load(Ordering::Relaxed) => {
                answer.send(Err(Refused::NotAccepted(Refusal::NoLeader))).ok();
            }
            Request::Read { answer } if leaderless.load(Ordering::Relaxed) => {
                answer.send(None).ok();
            }
            Request::Propose { body, answer } => {
                last += 1;
                let mut payload = clock.client_us().to_le_bytes().to_vec();
                payload.extend_from_slice(&body);
                put(&mut log, Entry::new(last, TERM, EntryKind::Command, payload.into()));
                fold.commit(last, [(last, answer)]);
            }
            Request::Read { answer } => drop(answer.send(Some(last))),
            Request::Reconfigure { change, answer } => {
                // As a cluster of one would.
                let refusal = match change {
                    Change::Add(member)
                        if member.node == NodeId(1)
                            && member.peer != leading().config.voters[0].peer =>
                    {
                        Refusal::AlreadyMember
                    }
                    Change::Remove(NodeId(1)) | Change::Replace(NodeId(1), _) => Refusal::LastVoter,
                    Change::Remove(_) | Change::Replace(..) => Refusal::NotMember,
                    Change::Transfer(_) => Refusal::NoSuccessor,
                    Change::Add(_) => {
                        last += 1;
                        put(&mut log, Entry::new(last, TERM, EntryKind::NoOp, Bytes::new()));
                        fold.commit(last, []);
                        answer.send(Outcome::Committed(Index(last))).ok();
                        continue;
                    }
                };
                answer.send(Outcome::NotAccepted(refusal)).ok();
            }
            Request::Drain { .. } | Request::Leave => {}
            Request::Stop => break,
        }
    }
}

fn put(log: &mut Log, entry: Entry) {
    log.stage(entry.index, Op::Append(vec![entry]));
    log.write().unwrap();
}

async fn next(
    inbox: &mut mpsc::Receiver<Request>,
    paused: &mut watch::Receiver<bool>,
) -> Option<Request> {
    loop {
        paused.wait_for(|paused| !paused).await.ok()?;
        tokio::select! {
            biased;
            Ok(()) = paused.changed() => {}
            request = inbox.recv() => return request,
        }
    }
}
