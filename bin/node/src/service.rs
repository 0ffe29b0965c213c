//! What any gateway may do: submit a command, read, subscribe, look at the cluster.
//!
//! A gateway (HTTP, WebSocket) knows nothing of terms and logs; this is all it needs.

mod change;

use std::{borrow::Borrow, sync::Arc, time::Duration};

use bytes::Bytes;
use election::{Index, NodeId};
use replication::Refusal;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

pub use self::change::ChangeError;
pub use crate::driver::{
    apply::Submitted,
    kept::{Live, Missed},
    report::{ClusterView, NodeView},
};
use crate::{
    driver::{
        Refused, Request, View,
        apply::{Fold, command_of},
        clock::Clock,
        damage,
        ears::Ear,
        report::Reports,
    },
    level,
    metrics::Metrics,
};

/// Pause before a refused proposal is offered again, unless leadership changes earlier.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of entries read from the log in one go for message bodies.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Why a command has no outcome.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// Nothing was done: no leader took it before the deadline.
    #[error("no leader took the command in time")]
    Unavailable,
    /// Nothing was done: too much waits for commit.
    #[error("too many commands wait for commit")]
    Busy,
    /// Nothing was done: the leader's disk is full.
    #[error("the leader's disk has no room for more")]
    NoSpace,
    /// Nothing was done: the command is larger than a log entry may be.
    #[error("the command is too large")]
    TooLarge,
    /// Nothing was done: some node does not understand the command yet.
    #[error("not every node runs a version that understands this yet")]
    UpgradeUnderWay,
    /// It may or may not take effect: the same request id asked again finds out.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
}

/// Why a read has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// No leader confirmed itself before the deadline.
    #[error("no leader confirmed itself in time")]
    Unavailable,
    /// The state here has not got there before the deadline.
    #[error(
        "this node has the log up to {applied}, and the answer must not be older than {wanted}"
    )]
    Behind {
        /// The index asked for.
        wanted: u64,
        /// The index that it has got to.
        applied: u64,
    },
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Log(String),
}

/// The node, as its gateways see it.
#[derive(Clone, Debug)]
pub struct Service {
    inner: Arc<Parts>,
}

/// The parts that a service is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) fold: Arc<Fold>,
    pub(crate) reader: wal::Reader,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) me: NodeId,
    /// The command that admits this node to the cluster.
    pub(crate) admission: String,
    pub(crate) cluster_name: String,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) metrics: Metrics,
}

/// Every event above a cursor that one account may hear of, in order. It holds none itself: the fold
/// keeps the newest, for all.
#[derive(Debug)]
pub struct Subscription {
    fold: Arc<Fold>,
    ear: Ear,
    cursor: u64,
}

/// What one attempt to submit came to.
enum Attempt {
    Done(Submitted),
    Retry { unknown: bool, error: SubmitError },
    Final(SubmitError),
}

impl Service {
    pub(crate) fn of(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }

    /// Commit `command` and fold it here.
    ///
    /// It is offered again, under the same request id, through changes of leadership until
    /// `deadline`; the fold executes it at most once.
    ///
    /// # Errors
    /// See [`SubmitError`]; all but `OutcomeUnknown` mean that nothing was done.
    pub async fn submit(
        &self,
        command: impl Borrow<chat::Command>,
        deadline: Instant,
    ) -> Result<Submitted, SubmitError> {
        let command = command.borrow();
        if Instant::now() >= deadline {
            // A password was hashed for too long, say: nothing was offered to anyone yet.
            return Err(SubmitError::Unavailable);
        }
        if level::needed(command) > self.inner.view.borrow().level {
            return Err(SubmitError::UpgradeUnderWay);
        }
        let body = Bytes::from(command.encode());
        let mut maybe_done = false;
        loop {
            let mut view = self.inner.view.clone();
            view.mark_unchanged();
            let error = match timeout_at(deadline, self.attempt(body.clone())).await {
                Ok(Attempt::Done(submitted)) => return Ok(submitted),
                Ok(Attempt::Final(error)) if !maybe_done => return Err(error),
                // An earlier attempt may yet take effect, whatever became of this one.
                Ok(Attempt::Final(_)) => return Err(SubmitError::OutcomeUnknown),
                Ok(Attempt::Retry { unknown, error }) => {
                    maybe_done |= unknown;
                    error
                }
                Err(_elapsed) => return Err(SubmitError::OutcomeUnknown),
            };
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(if maybe_done { SubmitError::OutcomeUnknown } else { error });
            }
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Attempt {
        let (answer, answered) = oneshot::channel();
        let request = Request::Propose { body, answer };
        match self.inner.requests.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Attempt::Retry { unknown: false, error: SubmitError::Busy };
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Attempt::Final(SubmitError::Unavailable);
            }
        }
        match answered.await {
            Ok(Ok(submitted)) => Attempt::Done(submitted),
            Ok(Err(Refused::NotAccepted(refusal))) => on_refusal(refusal),
            // Nobody is left to say what became of it: the node is going down, say.
            Ok(Err(Refused::Unknown)) | Err(_) => {
                Attempt::Retry { unknown: true, error: SubmitError::OutcomeUnknown }
            }
        }
    }

    /// A linearizable read barrier: when it returns, the local state holds everything that was
    /// acknowledged anywhere before the call.
    ///
    /// # Errors
    /// No leader confirmed itself before `deadline`.
    pub async fn barrier(&self, deadline: Instant) -> Result<u64, ReadError> {
        loop {
            let mut view = self.inner.view.clone();
            view.mark_unchanged();
            let (answer, answered) = oneshot::channel();
            if self.inner.requests.try_send(Request::Read { answer }).is_ok()
                && let Ok(Ok(Some(index))) = timeout_at(deadline, answered).await
            {
                return self.applied(index, deadline).await;
            }
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(ReadError::Unavailable);
            }
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    /// Wait until the local state has applied at least `index`, and say how far it is.
    ///
    /// # Errors
    /// It has not got there before `deadline`.
    pub async fn applied(&self, index: u64, deadline: Instant) -> Result<u64, ReadError> {
        let mut applied = self.inner.fold.applied_watch();
        match timeout_at(deadline, applied.wait_for(|applied| *applied >= index)).await {
            Ok(Ok(applied)) => Ok(*applied),
            Ok(Err(_)) | Err(_) => {
                Err(ReadError::Behind { wanted: index, applied: self.applied_now() })
            }
        }
    }

    /// The running hash of the state behind the entry at `index`, once that is applied; none when
    /// it is no longer remembered.
    ///
    /// # Errors
    /// The entry is not applied here before `deadline`.
    pub async fn hash_at(&self, index: u64, deadline: Instant) -> Result<Option<u64>, ReadError> {
        self.applied(index, deadline).await?;
        Ok(self.inner.fold.hash_at(index))
    }

    /// Look at the state, under a read lock: be short.
    pub fn query<T>(&self, look: impl FnOnce(&chat::State) -> T) -> T {
        look(&self.inner.fold.state())
    }

    /// The newest index that the local state has applied.
    #[must_use]
    pub fn applied_now(&self) -> u64 {
        self.inner.fold.applied()
    }

    /// The commands at these indexes, read from the log; an index that holds none is left out.
    ///
    /// # Errors
    /// The log could not be read.
    pub async fn commands(
        &self,
        indexes: Vec<u64>,
    ) -> Result<Vec<(u64, chat::Command)>, ReadError> {
        let reader = self.inner.reader.clone();
        tokio::task::spawn_blocking(move || read_commands(&reader, &indexes))
            .await
            .map_err(|error| ReadError::Log(error.to_string()))?
    }

    /// Every event above `cursor` that `account` may hear of: those that have been, and those to come.
    #[must_use]
    pub fn subscribe_after(&self, account: chat::AccountId, cursor: u64) -> Subscription {
        let fold = Arc::clone(&self.inner.fold);
        let ear = fold.listen(account, cursor);
        Subscription { fold, ear, cursor }
    }

    /// The cluster as this node sees it.
    #[must_use]
    pub fn cluster(&self) -> ClusterView {
        let view = self.inner.view.borrow().clone();
        self.inner.reports.picture(&self.inner.cluster_name, &view)
    }

    /// The public addresses of the cluster's nodes.
    #[must_use]
    pub fn clients(&self) -> Vec<String> {
        let view = self.inner.view.borrow();
        let config = &view.config;
        let members = config.voters.iter().chain(&config.learners).chain(&config.known);
        members.map(|member| member.client.clone()).collect()
    }

    /// What has to be done before this node is of the cluster, if it is not.
    #[must_use]
    pub fn awaits_admission(&self) -> Option<String> {
        let Parts { me, admission, view, .. } = &*self.inner;
        let is_member = view.borrow().config.member(*me).is_some();
        (!is_member).then(|| format!("node {me} waits to be admitted: `{admission}`"))
    }

    /// Does the node know a leader, and is its state as new as that leader's term?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let (commit, term, led) = {
            let view = self.inner.view.borrow();
            (view.commit, view.term, view.leader.is_some())
        };
        led && commit > Index(0)
            && self.inner.fold.applied() >= commit.0
            && self.inner.reader.term_of(commit.0) == Some(term.0)
            && !*self.inner.draining.borrow()
            && self.repairs().is_none()
    }

    /// Why it is not ready, while a part of its log cannot be read.
    pub(crate) fn repairs(&self) -> Option<String> {
        let entries = damage::count(&self.inner.reader.faulty());
        let plural = if entries == 1 { "y" } else { "ies" };
        (entries > 0).then(|| {
            format!("repairing: {entries} entr{plural} of the log cannot be read, and are fetched")
        })
    }

    /// The node's clock for clients: microseconds since 1970, never below log time.
    #[must_use]
    pub fn clock_us(&self) -> u64 {
        self.inner.clock.client_us()
    }

    /// What this node measures.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// What this node measures, as the text of `OpenMetrics`. It needs no leader.
    pub(crate) fn metrics_text(&self) -> String {
        let metrics = self.metrics();
        let applied = self.inner.fold.applied();
        metrics.core.progress(applied, self.inner.view.borrow().commit.0);
        metrics.fold.holds(self.query(chat::State::census));
        metrics.text()
    }

    /// Becomes true when the node is about to stop.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.inner.draining.clone()
    }
}

impl Subscription {
    /// The next events, at most `count_max`, as soon as there are any, or something was applied that
    /// has no event and may still concern the account: then none. Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// The next events are no longer kept: read the state up to there, and
    /// [`skip_to`](Self::skip_to) it.
    pub async fn next(&mut self, count_max: usize) -> Result<Vec<Arc<Live>>, Missed> {
        loop {
            if let Some(ready) = self.ready(count_max)? {
                return Ok(ready);
            }
            self.ear.called().await;
        }
    }

    /// The same, of what is there now, if anything.
    ///
    /// # Errors
    /// The next events are no longer kept: read the state up to there, and
    /// [`skip_to`](Self::skip_to) it.
    pub fn ready(&mut self, count_max: usize) -> Result<Option<Vec<Arc<Live>>>, Missed> {
        self.fold.hear(&self.ear, &mut self.cursor, count_max)
    }

    /// Every event at or below has been given out, or is none that the account may hear of.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.fold.quiet_upto(&self.ear).map_or(self.cursor, |upto| self.cursor.max(upto))
    }

    /// Go on after `cursor`.
    pub fn skip_to(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.fold.hush(&self.ear);
    }
}

fn on_refusal(refusal: Refusal) -> Attempt {
    let error = match refusal {
        Refusal::TooLarge => return Attempt::Final(SubmitError::TooLarge),
        // It will not be freed while a client waits.
        Refusal::NoSpace => return Attempt::Final(SubmitError::NoSpace),
        Refusal::NoLeader | Refusal::Draining | Refusal::NoSuccessor => SubmitError::Unavailable,
        Refusal::Busy => SubmitError::Busy,
        // Only a change of the configuration is refused so, and none is submitted here.
        Refusal::ConfigPending
        | Refusal::AlreadyMember
        | Refusal::NotMember
        | Refusal::LastVoter
        | Refusal::Full
        | Refusal::WouldSplit
        | Refusal::NoQuorum => SubmitError::Unavailable,
    };
    Attempt::Retry { unknown: false, error }
}

fn read_commands(
    reader: &wal::Reader,
    indexes: &[u64],
) -> Result<Vec<(u64, chat::Command)>, ReadError> {
    let failed = |error: &dyn std::fmt::Display| ReadError::Log(error.to_string());
    let mut commands = Vec::with_capacity(indexes.len());
    for index in indexes {
        let entries =
            reader.read(*index, *index, BODY_BYTES_MAX).map_err(|error| failed(&error))?;
        for entry in entries.iter().filter(|entry| entry.kind == wal::EntryKind::Command) {
            let (_, command) = command_of(entry).map_err(|error| failed(&error))?;
            commands.push((entry.index, command));
        }
    }
    Ok(commands)
}

#[cfg(test)]
mod tests;
