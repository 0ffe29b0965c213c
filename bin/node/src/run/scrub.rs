//! The scrub thread: it reads full segments again at a bounded rate, so that damage is found while
//! other nodes still hold what was lost.
//!
//! What always holds: over any stretch of time no more is read than the rate allows and one step more;
//! a pass begins at most once in [`PASS_INTERVAL`]; it runs below everything else, and ends when its
//! handle is dropped, before the next step.

use std::{
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use wal::{Reader, Scrub, ScrubStep};

use crate::{config::Storage, error::NodeError, metrics::Disk};

/// At least so long from the beginning of one pass to that of the next.
const PASS_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// While no segment is full there is nothing to do.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);
/// Read in one step, at most: what the disk does for others must not wait long for it.
const STEP_BYTES_MAX: u64 = 256 * 1024;
/// So many steps in a second, if the rate is that low.
const STEPS_PER_S: u64 = 10;

/// The thread.
#[derive(Debug)]
pub(super) struct ScrubThread {
    stop: Option<SyncSender<()>>,
}

impl ScrubThread {
    /// Start it; with a rate of 0 there is none.
    pub(super) fn start(
        reader: &Reader,
        storage: &Storage,
        metrics: &Disk,
    ) -> Result<Option<Self>, NodeError> {
        let bytes_per_s = storage.scrub_bytes_per_s;
        if bytes_per_s == 0 {
            return Ok(None);
        }
        let metrics = metrics.scrub.clone();
        let mut scrub = Scrub::new(reader);
        let (stop, stopped) = sync_channel::<()>(0);
        let run = move || {
            // Of this thread alone. Where it is refused, the rate keeps it out of the way.
            if let Err(error) = rustix::process::setpriority_process(None, 19) {
                tracing::debug!(%error, "the scrub runs like everything else");
            }
            let begun = Instant::now();
            let mut pace = Pace::new(bytes_per_s);
            let mut is_cached = false;
            loop {
                let step = scrub.step(pace.step_bytes());
                metrics.stepped(&step);
                if step.is_cached && !std::mem::replace(&mut is_cached, true) {
                    tracing::warn!(
                        "the file system of the data directory lets nobody read past its cache \
                         (O_DIRECT): what rots on the disk may be found later"
                    );
                }
                tell(&step);
                let wait = pace.after(begun.elapsed(), &step);
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("scrub".to_owned()).spawn(run);
        thread.map_err(|source| NodeError::System { action: "start a thread", source })?;
        Ok(Some(Self { stop: Some(stop) }))
    }
}

impl Drop for ScrubThread {
    fn drop(&mut self) {
        // Nobody waits for it: it only reads, and on a failing disk a read may take long.
        drop(self.stop.take());
    }
}

/// Each finding comes once.
fn tell(step: &ScrubStep) {
    for found in &step.findings {
        let (file, byte) = (found.path.display(), found.offset);
        let entries = found.entries.map(|(first, last)| format!("{first} to {last}"));
        tracing::error!(
            %file,
            byte,
            entries = entries.unwrap_or_else(|| "none".to_owned()),
            "a full segment is damaged: {}; run `node wal verify` when this node is stopped",
            found.damage
        );
    }
}

/// When the next step may begin.
#[derive(Debug)]
struct Pace {
    bytes_per_s: u64,
    /// What was read so far is paid for by then.
    paid_at: Duration,
    /// When the next pass may begin.
    next_pass_at: Duration,
}

impl Pace {
    const fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, paid_at: Duration::ZERO, next_pass_at: PASS_INTERVAL }
    }

    fn step_bytes(&self) -> u64 {
        (self.bytes_per_s / STEPS_PER_S).clamp(1, STEP_BYTES_MAX)
    }

    /// How long to wait after this step, which ended at `now`.
    fn after(&mut self, now: Duration, step: &ScrubStep) -> Duration {
        if step.read_bytes == 0 && !step.is_pass_over {
            self.next_pass_at = now.saturating_add(IDLE_INTERVAL).saturating_add(PASS_INTERVAL);
            return IDLE_INTERVAL;
        }
        let nanos = u128::from(step.read_bytes) * 1_000_000_000;
        let nanos = nanos.div_ceil(u128::from(self.bytes_per_s));
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // What was not used while nothing was read is not saved up.
        self.paid_at = self.paid_at.max(now).saturating_add(price);
        let mut next_at = self.paid_at;
        if step.is_pass_over {
            next_at = next_at.max(self.next_pass_at);
            self.next_pass_at = next_at.saturating_add(PASS_INTERVAL);
        }
        next_at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(read_bytes: u64) -> ScrubStep {
        ScrubStep { read_bytes, ..ScrubStep::default() }
    }

    /// Steps of what is asked for, or sometimes of one large batch, with a disk that is slow at times.
    #[test]
    fn no_more_is_read_than_the_rate_allows_and_one_step() {
        for rate in [1, 1_000, 8 << 20, 1 << 34] {
            let mut pace = Pace::new(rate);
            let (mut now, mut before) = (Duration::ZERO, 0);
            for n in 0_u64..10_000 {
                let bytes = if n % 7 == 0 { 1 << 20 } else { pace.step_bytes() };
                let elapsed = u128::from(rate) * now.as_nanos() / 1_000_000_000;
                assert!(u128::from(before) <= elapsed, "{before} bytes in {now:?} at {rate}/s");
                now += Duration::from_micros(n % 5 * 300);
                now += pace.after(now, &read(bytes));
                before += bytes;
            }
        }
    }

    #[test]
    fn the_rate_is_reached_when_the_disk_is_faster() {
        let mut pace = Pace::new(8 << 20);
        let (mut now, mut sum) = (Duration::ZERO, 0);
        while now < Duration::from_secs(60) {
            sum += pace.step_bytes();
            now += pace.after(now, &read(pace.step_bytes()));
        }
        assert!(sum >= 59 * (8 << 20), "{sum} bytes in {now:?}");
    }

    #[test]
    fn a_pass_begins_at_most_once_in_its_interval() {
        let mut pace = Pace::new(8 << 20);
        let over = ScrubStep { is_pass_over: true, ..read(1 << 20) };
        let mut now = Duration::ZERO;
        let mut begun = vec![now];
        for _ in 0..5 {
            now += Duration::from_millis(3);
            now += pace.after(now, &over);
            begun.push(now);
        }
        for pair in begun.windows(2) {
            assert!(pair[1] - pair[0] >= PASS_INTERVAL, "{begun:?}");
            assert!(pair[1] - pair[0] < PASS_INTERVAL + Duration::from_secs(1), "{begun:?}");
        }
        // A pass that takes longer is followed at once by the next.
        now += 3 * PASS_INTERVAL;
        assert!(pace.after(now, &over) < Duration::from_secs(1));
    }

    #[test]
    fn with_nothing_to_read_it_looks_again_later() {
        let mut pace = Pace::new(8 << 20);
        assert_eq!(pace.after(Duration::from_secs(5), &ScrubStep::default()), IDLE_INTERVAL);
        assert!(Pace::new(1).step_bytes() >= 1);
        assert_eq!(Pace::new(u64::MAX).step_bytes(), STEP_BYTES_MAX);
    }
}
