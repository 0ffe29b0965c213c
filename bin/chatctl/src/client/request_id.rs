//! Request ids: rising version 7 UUIDs, timed by the nodes' clock and not by this machine's.
//!
//! A node refuses ids that lie too far from log time. The offset between the two clocks is learnt from the
//! `Holdfast-Time` header of any answer, so a client whose clock is wrong by years still gets its ids right.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::{ContextV7, Uuid};

/// When the clock was set back by more than this, ids start again from the new time; within it they keep
/// rising from the last one.
const STEP_BACK_US_MAX: i64 = 2_000_000;

/// Makes ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Node's clock minus this machine's.
    offset_us: Option<i64>,
    rising: ContextV7,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { offset_us: None, rising: ContextV7::new() }) }
    }

    /// Learns the node's clock from the value of a `Holdfast-Time` header.
    pub(crate) fn learn(&self, header: &str) {
        let Ok(there) = header.parse::<Timestamp>() else { return };
        let offset_us = there.as_microsecond().saturating_sub(Timestamp::now().as_microsecond());
        let mut state = self.lock();
        let before_us = state.offset_us.replace(offset_us).unwrap_or_default();
        if offset_us < before_us.saturating_sub(STEP_BACK_US_MAX) {
            state.rising = ContextV7::new();
        }
    }

    /// Whether a node's clock is known.
    pub(crate) fn is_timed(&self) -> bool {
        self.lock().offset_us.is_some()
    }

    /// A new id, greater than every one before.
    pub(crate) fn next(&self) -> Uuid {
        let state = self.lock();
        let now_us = Timestamp::now()
            .as_microsecond()
            .saturating_add(state.offset_us.unwrap_or_default())
            .max(0)
            .unsigned_abs();
        let nanos = u32::try_from(now_us % 1_000_000 * 1_000).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&state.rising, now_us / 1_000_000, nanos))
    }

    /// A new id above `last`, even when the clock was set back since: a stream's ids rise.
    pub(crate) fn next_above(&self, last: Option<Uuid>) -> Uuid {
        let id = self.next();
        match last {
            // The lowest bits are a random number: the one after it is as good.
            Some(last) if last >= id => Uuid::from_u128(last.as_u128().saturating_add(1)),
            Some(_) | None => id,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the state can be left half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_ms(id: Uuid) -> u64 {
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        seconds * 1000 + u64::from(nanos) / 1_000_000
    }

    #[test]
    fn ids_rise() {
        let ids = RequestIds::new();
        let made: Vec<_> = (0..10_000).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn ids_follow_the_nodes_clock_both_ways() {
        let ids = RequestIds::new();
        assert!(!ids.is_timed());
        ids.learn("2031-01-01T00:00:00.000000Z");
        assert!(ids.is_timed());
        let ahead = ids.next();
        ids.learn("2021-01-01T00:00:00.000000Z");
        let behind = ids.next();
        let at = |text: &str| {
            u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
        };
        assert!(time_ms(ahead).abs_diff(at("2031-01-01T00:00:00Z")) < 10_000);
        assert!(time_ms(behind).abs_diff(at("2021-01-01T00:00:00Z")) < 10_000);
        ids.learn("nonsense");
        assert!(ids.next() > behind);
        let above = ids.next_above(Some(ahead));
        assert!(above > ahead && above.get_version_num() == 7);
        assert!(ids.next_above(Some(behind)) < ahead);
    }
}
