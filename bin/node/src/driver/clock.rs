//! The two clocks of a node, read in one place.
//!
//! The cores never read a clock; they are told the time with every input.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use election::Micros;
use replication::Now;

/// Monotonic time since the process started, and the wall clock.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    log_time_us: AtomicU64,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), log_time_us: AtomicU64::new(0) }
    }

    /// Both clocks at this moment.
    pub(crate) fn now(&self) -> Now {
        Now { monotonic: Micros(whole_micros(self.start.elapsed())), wall: Micros(wall_us()) }
    }

    /// When the monotonic clock shows `moment`.
    pub(crate) fn instant(&self, moment: Micros) -> Instant {
        // An instant a day away stands for "never": nothing in the cores waits longer.
        const FAR_US: u64 = 86_400_000_000;
        let elapsed_us = whole_micros(self.start.elapsed());
        self.start + Duration::from_micros(moment.0.min(elapsed_us.saturating_add(FAR_US)))
    }

    /// Note the fold's log time, so that clients are never told an earlier one.
    pub(crate) fn saw_log_time(&self, time_us: u64) {
        self.log_time_us.fetch_max(time_us, Ordering::Relaxed);
    }

    /// The wall clock in microseconds since 1970, never below log time.
    pub(crate) fn client_us(&self) -> u64 {
        wall_us().max(self.log_time_us.load(Ordering::Relaxed))
    }
}

fn wall_us() -> u64 {
    // A clock before 1970 reads as 1970: the median of the voters' clocks outvotes it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_micros)
}

fn whole_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
