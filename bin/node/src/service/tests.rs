//! What a gateway is told when the core answers late, otherwise, or not at all.

use std::time::Duration;

use election::{Index, NodeId, Term};
use replication::{ClusterConfig, Mode, Role};
use tempfile::TempDir;

use super::*;
use crate::{level::FEATURE_LEVEL, small_log};

/// A service whose core is the test.
fn service() -> (Service, mpsc::Receiver<Request>, TempDir) {
    service_of(FEATURE_LEVEL)
}

/// The same in a cluster of this feature level.
fn service_of(level: u16) -> (Service, mpsc::Receiver<Request>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let log = small_log::create(dir.path(), small_log::options());
    let config = ClusterConfig {
        mode: Mode::Majority,
        voters: Vec::new(),
        learners: Vec::new(),
        known: Vec::new(),
        target_size: 3,
        level: 1,
        predecessor: Index(0),
    };
    let (commit, term, config) = (Index(0), Term(1), Arc::new(config));
    let view = View { role: Role::Follower, term, leader: Some(NodeId(2)), commit, config, level };
    let clock = Arc::new(Clock::start());
    let metrics = Metrics::new();
    let (requests, inbox) = mpsc::channel(4);
    let service = Service::of(Parts {
        requests,
        fold: Arc::new(Fold::new(
            chat::Genesis::default(),
            Arc::clone(&clock),
            metrics.fold.clone(),
        )),
        reader: log.reader(),
        view: watch::channel(view).1,
        reports: Arc::new(Reports::new(NodeId(1))),
        clock,
        me: NodeId(1),
        admission: "chatctl cluster add 1".to_owned(),
        cluster_name: "team".to_owned(),
        draining: watch::channel(false).1,
        metrics,
    });
    (service, inbox, dir)
}

fn command() -> chat::Command {
    let register = chat::Register {
        name: "ann".to_owned(),
        password_hash: String::new(),
        invite: None,
        token_hash: [0; 32],
    };
    let request = chat::RequestId::new(1, 1);
    chat::Command::V1(chat::CommandV1 { request, body: chat::Body::Register(register) })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn a_core_that_ends_leaves_the_outcome_unknown() {
    let (service, mut inbox, _dir) = service();
    let core = async {
        // The command is taken, and then nobody is left to say what became of it.
        let taken = inbox.recv().await.unwrap();
        drop(inbox);
        drop(taken);
    };
    let (outcome, ()) = tokio::join!(service.submit(command(), soon()), core);
    assert_eq!(outcome.unwrap_err(), SubmitError::OutcomeUnknown);
    let outcome = service.submit(command(), soon()).await;
    assert_eq!(outcome.unwrap_err(), SubmitError::Unavailable, "this one was taken by nobody");
}

#[tokio::test]
async fn what_comes_too_late_is_offered_to_nobody() {
    let (service, mut inbox, _dir) = service();
    let outcome = service.submit(command(), Instant::now()).await;
    assert_eq!(outcome.unwrap_err(), SubmitError::Unavailable);
    inbox.try_recv().unwrap_err();
}

#[tokio::test]
async fn what_the_cluster_does_not_understand_yet_is_offered_to_nobody() {
    let (service, mut inbox, _dir) = service_of(0);
    let outcome = service.submit(command(), soon()).await;
    assert_eq!(outcome.unwrap_err(), SubmitError::UpgradeUnderWay);
    inbox.try_recv().unwrap_err();
}

#[tokio::test]
async fn what_was_unknown_once_is_never_called_refused() {
    let (service, mut inbox, _dir) = service();
    let core = async {
        for refusal in [Refused::Unknown, Refused::NotAccepted(Refusal::TooLarge)] {
            let Request::Propose { answer, .. } = inbox.recv().await.unwrap() else { return };
            answer.send(Err(refusal)).unwrap();
        }
    };
    let (outcome, ()) = tokio::join!(service.submit(command(), soon()), core);
    assert_eq!(outcome.unwrap_err(), SubmitError::OutcomeUnknown);
}

#[tokio::test]
async fn who_waits_for_an_index_that_never_comes_is_told_in_time() {
    let (service, _inbox, _dir) = service();
    let deadline = Instant::now() + Duration::from_millis(1);
    let outcome = service.applied(u64::MAX, deadline).await;
    assert_eq!(outcome, Err(ReadError::Behind { wanted: u64::MAX, applied: 0 }));
    assert_eq!(service.applied(0, deadline).await, Ok(0));
}

#[tokio::test]
async fn what_finds_the_line_to_the_core_full_is_told_busy() {
    let (service, mut inbox, _dir) = service();
    let waits = inbox.max_capacity();
    let soon = || Instant::now() + Duration::from_millis(100);
    let mut waiting = Vec::new();
    for _ in 0..waits {
        let service = service.clone();
        let deadline = Instant::now() + Duration::from_secs(60);
        waiting.push(tokio::spawn(async move { service.submit(command(), deadline).await }));
    }
    while inbox.len() < waits {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.submit(command(), soon()).await.unwrap_err(), SubmitError::Busy);
    inbox.recv().await.unwrap();
    let next = service.submit(command(), soon());
    assert_eq!(next.await.unwrap_err(), SubmitError::OutcomeUnknown, "it was taken");
    for task in waiting {
        task.abort();
    }
}
