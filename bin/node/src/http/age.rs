//! How old the state of this node may be: the time since the start of the newest call that proved
//! it current.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::limits::STALE_REFRESH_MS;

/// An upper bound of the state's age.
#[derive(Clone, Debug)]
pub(super) struct Age {
    start: Instant,
    // Milliseconds after `start`; before the first proof the age counts from the start.
    proved: Arc<AtomicU64>,
    refreshing: Arc<Semaphore>,
}

impl Default for Age {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            proved: Arc::default(),
            refreshing: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Age {
    /// The state now holds whatever was acknowledged before `begun`.
    pub(super) fn confirmed(&self, begun: Instant) {
        self.proved.fetch_max(millis_between(self.start, begun), Ordering::Relaxed);
    }

    /// The state may lack what was acknowledged within the last so many milliseconds.
    pub(super) fn millis(&self) -> u64 {
        let proved = self.proved.load(Ordering::Relaxed);
        millis_between(self.start, Instant::now()).saturating_sub(proved)
    }

    /// The right to prove the state current, when that is due and nobody is at it.
    pub(super) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let is_due = self.millis() >= STALE_REFRESH_MS;
        is_due.then(|| Arc::clone(&self.refreshing).try_acquire_owned().ok()).flatten()
    }
}

fn millis_between(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.saturating_duration_since(earlier).as_millis()).unwrap_or(u64::MAX)
}
