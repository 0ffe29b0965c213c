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
    /// waited for until `deadline`. A node that is there already under the same addresses is no error.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change(&self, change: Change, deadline: Instant) -> Result<u64, ChangeError> {
        if Instant::now() + CHANGE_TIME_MIN >= deadline {
            return Err(ChangeError::Refused(Refusal::NoLeader));
        }
        loop {
            let mut view = self.inner.view.clone();
            view.mark_unchanged();
            let refusal = match self.change_once(change.clone(), deadline).await? {
                Ok(index) => return Ok(index),
                Err(refusal) if self.is_done(&change, refusal) => {
                    return Ok(view.borrow().commit.0);
                }
                Err(refusal) if will_pass(refusal) => refusal,
                Err(refusal) => return Err(ChangeError::Refused(refusal)),
            };
            if Instant::now() + RETRY_PAUSE + CHANGE_TIME_MIN >= deadline {
                return Err(ChangeError::Refused(refusal));
            }
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    async fn change_once(
        &self,
        change: Change,
        deadline: Instant,
    ) -> Result<Result<u64, Refusal>, ChangeError> {
        let (answer, answered) = oneshot::channel();
        match self.inner.requests.try_send(Request::Reconfigure { change, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Ok(Err(Refusal::Busy)),
            Err(TrySendError::Closed(_)) => return Err(ChangeError::Refused(Refusal::Draining)),
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(Outcome::Committed(index))) => Ok(Ok(index.0)),
            Ok(Ok(Outcome::NotAccepted(refusal))) => Ok(Err(refusal)),
            Ok(Ok(Outcome::Unknown) | Err(_)) | Err(_) => Err(ChangeError::OutcomeUnknown),
        }
    }

    /// Is the cluster as `change` wants it, so that a repeated request comes to the same?
    fn is_done(&self, change: &Change, refusal: Refusal) -> bool {
        let view = self.inner.view.borrow();
        match change {
            Change::Add(wanted) => {
                let known = view.config.member(wanted.node);
                refusal == Refusal::AlreadyMember
                    && known.is_some_and(|known| {
                        (&known.peer, &known.client) == (&wanted.peer, &wanted.client)
                    })
            }
            Change::Remove(_) | Change::Replace(_) | Change::Transfer(_) => false,
        }
    }

    /// Have `node` lead no more until it is started again.
    ///
    /// # Errors
    /// It is no member, or does not answer before `deadline`.
    pub async fn drain(&self, node: NodeId, deadline: Instant) -> Result<(), ChangeError> {
        if self.inner.view.borrow().config.member(node).is_none() {
            return Err(ChangeError::Refused(Refusal::NotMember));
        }
        while Instant::now() < deadline {
            if self.inner.requests.try_send(Request::Drain { node }).is_err() {
                return Err(ChangeError::Refused(Refusal::Busy));
            }
            let again = (Instant::now() + DRAIN_AGAIN).min(deadline);
            while Instant::now() < again {
                if self.inner.reports.is_draining(node) {
                    return Ok(());
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        Err(ChangeError::NoAnswer(node))
    }
}

/// May the same be accepted in a moment?
const fn will_pass(refusal: Refusal) -> bool {
    match refusal {
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
    }
}
