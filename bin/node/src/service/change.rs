//! Changes of the cluster, as an operator asks for them through any node.

use std::time::Duration;

use election::NodeId;
use replication::{Change, Outcome, Refusal};
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::{Instant, timeout_at},
};

use super::{RETRY_PAUSE, Service};
use crate::driver::Request;

/// With less time left than this nothing is asked any more: it would not be known what came of it.
const CHANGE_TIME_MIN: Duration = Duration::from_millis(100);
/// How often a node that is to lead no more is told so, until it says that it knows.
const DRAIN_AGAIN: Duration = Duration::from_millis(200);

/// Why the cluster was not changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// Nothing was done.
    #[error("the change was refused")]
    Refused(Refusal),
    /// It may or may not be in the log: the status of the cluster tells.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// Nothing was done, as far as is known: the node concerned does not answer.
    #[error("node {0} does not answer")]
    NoAnswer(NodeId),
}

impl Service {
    /// Have the cluster changed; gives an index at which it was.
    ///
    /// What will pass (no leader, another change under way, a leader that must first hand over) is
    /// waited for until `deadline`, and where it is not known what came of it the same is asked again:
    /// what is done already is not done twice.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change(&self, change: Change, deadline: Instant) -> Result<u64, ChangeError> {
        if Instant::now() + CHANGE_TIME_MIN >= deadline {
            return Err(ChangeError::Refused(Refusal::NoLeader));
        }
        let change = self.said_in_full(change);
        let leader = self.inner.view.borrow().leader;
        let mut maybe_done = false;
        loop {
            let mut view = self.inner.view.clone();
            view.mark_unchanged();
            let error = match self.change_once(change.clone(), deadline).await {
                Outcome::Committed(index) => return Ok(index.0),
                Outcome::Unknown => {
                    maybe_done = true;
                    ChangeError::OutcomeUnknown
                }
                Outcome::NotAccepted(refusal) => ChangeError::Refused(refusal),
            };
            let (now, commit) = (view.borrow().leader, view.borrow().commit);
            if maybe_done && change == Change::Transfer(None) && now.is_some() && now != leader {
                return Ok(commit.0);
            }
            let is_late = Instant::now() + RETRY_PAUSE + CHANGE_TIME_MIN >= deadline;
            if is_late || !will_pass(&error) {
                return Err(if maybe_done { ChangeError::OutcomeUnknown } else { error });
            }
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    async fn change_once(&self, change: Change, deadline: Instant) -> Outcome {
        let (answer, answered) = oneshot::channel();
        match self.inner.requests.try_send(Request::Reconfigure { change, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Outcome::NotAccepted(Refusal::Busy),
            Err(TrySendError::Closed(_)) => return Outcome::NotAccepted(Refusal::NoLeader),
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        }
    }

    /// Which disk is lost, if nobody said so: the one that the number has now, whatever comes after.
    fn said_in_full(&self, change: Change) -> Change {
        let Change::Replace(node, None) = change else { return change };
        let view = self.inner.view.borrow();
        Change::Replace(node, view.config.member(node).and_then(|member| member.store))
    }

    /// Have `node` lead no more until it is started again, or `undo` that.
    ///
    /// # Errors
    /// It is no member, or does not answer before `deadline`.
    pub async fn drain(
        &self,
        node: NodeId,
        undo: bool,
        deadline: Instant,
    ) -> Result<(), ChangeError> {
        if self.inner.view.borrow().config.member(node).is_none() {
            return Err(ChangeError::Refused(Refusal::NotMember));
        }
        while Instant::now() < deadline {
            if self.inner.requests.try_send(Request::Drain { node, undo }).is_err() {
                return Err(ChangeError::Refused(Refusal::Busy));
            }
            let again = (Instant::now() + DRAIN_AGAIN).min(deadline);
            while Instant::now() < again {
                if self.inner.reports.is_draining(node) == Some(!undo) {
                    return Ok(());
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        Err(ChangeError::NoAnswer(node))
    }
}

/// May the same be done in a moment?
const fn will_pass(error: &ChangeError) -> bool {
    match error {
        ChangeError::OutcomeUnknown => true,
        ChangeError::NoAnswer(_) => false,
        ChangeError::Refused(refusal) => match refusal {
            Refusal::NoLeader
            | Refusal::Busy
            | Refusal::Draining
            | Refusal::NoSuccessor
            | Refusal::ConfigPending
            | Refusal::NoQuorum => true,
            Refusal::NoSpace
            | Refusal::TooLarge
            | Refusal::AlreadyMember
            | Refusal::NotMember
            | Refusal::LastVoter
            | Refusal::Full
            | Refusal::WouldSplit => false,
        },
    }
}
