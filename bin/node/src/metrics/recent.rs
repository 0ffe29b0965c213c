//! How quick the world is: the slowest of recent round trips and syncs, which election timeouts follow.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Samples that are kept; the third largest of so many is their 99th percentile.
const SAMPLES_MAX: usize = 256;
/// Of fewer the slowest alone would be the percentile: nothing is said.
const SAMPLES_MIN: usize = 100;
/// What is older says nothing about now.
const AGE_MAX: Duration = Duration::from_secs(60);

/// The newest samples of one kind.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<(Instant, Duration)>);

impl Recent {
    /// Measured just now.
    pub(crate) fn add(&mut self, now: Instant, span: Duration) {
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, span));
    }

    /// The 99th percentile of what is not too old; nothing, when there is too little.
    pub(crate) fn p99(&self, now: Instant) -> Duration {
        let fresh = self.0.iter().filter(|(at, _)| now.saturating_duration_since(*at) <= AGE_MAX);
        let mut spans: Vec<Duration> = fresh.map(|(_, span)| *span).collect();
        if spans.len() < SAMPLES_MIN {
            return Duration::ZERO;
        }
        spans.sort_unstable();
        let place = (spans.len() * 99).div_ceil(100);
        spans.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_sync_of_many_is_no_pace() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        assert_eq!(recent.p99(now), Duration::ZERO);
        recent.add(now, Duration::from_millis(70));
        assert_eq!(recent.p99(now), Duration::ZERO, "one says nothing");
        for _ in 0..SAMPLES_MAX - 1 {
            recent.add(now, Duration::from_millis(2));
        }
        assert_eq!(recent.p99(now), Duration::from_millis(2));
        for _ in 0..3 {
            recent.add(now, Duration::from_millis(30));
        }
        assert_eq!(recent.p99(now), Duration::from_millis(30));
        assert_eq!(recent.0.len(), SAMPLES_MAX);
        assert_eq!(recent.p99(now + AGE_MAX + Duration::from_secs(1)), Duration::ZERO);
    }
}
