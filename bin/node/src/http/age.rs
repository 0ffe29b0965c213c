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
    // Milliseconds after `start`, and one more; 0 before the first proof.
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
        let proved = millis_between(self.start, begun).saturating_add(1);
        self.proved.fetch_max(proved, Ordering::Relaxed);
    }

    /// The state may lack what was acknowledged within the last so many milliseconds; none when it
    /// was not proved current since the node started.
    pub(super) fn millis(&self) -> Option<u64> {
        self.millis_at(Instant::now())
    }

    fn millis_at(&self, now: Instant) -> Option<u64> {
        let proved = self.proved.load(Ordering::Relaxed).checked_sub(1)?;
        Some(millis_between(self.start, now).saturating_sub(proved))
    }

    /// The right to prove the state current, when that is due and nobody is at it.
    pub(super) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let is_due = self.millis().is_none_or(|age_ms| age_ms >= STALE_REFRESH_MS);
        is_due.then(|| Arc::clone(&self.refreshing).try_acquire_owned().ok()).flatten()
    }
}

fn millis_between(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.saturating_duration_since(earlier).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_age_counts_from_the_start_of_the_newest_proof() {
        let age = Age::default();
        let at = |time_ms| age.start + Duration::from_millis(time_ms);
        assert_eq!(age.millis_at(at(70)), None, "how long the node was away is not known here");
        age.confirmed(at(20));
        assert_eq!(age.millis_at(at(70)), Some(50));
        age.confirmed(at(10));
        assert_eq!(age.millis_at(at(70)), Some(50), "an older proof takes nothing back");
    }

    #[test]
    fn one_at_a_time_proves_the_state_when_that_is_due() {
        let age = Age::default();
        let turn = age.turn();
        assert!(turn.is_some() && age.turn().is_none(), "nothing was proved yet");
        drop(turn);
        age.confirmed(Instant::now());
        assert!(age.turn().is_none(), "it is fresh");
    }
}
