//! Virtual time: the queue of what happens next, and what each node's clocks show.
//!
//! Events leave in the order of (time, number of arrival), so equal times have one order. Time
//! moves only by taking an event out.

use std::{cmp::Reverse, collections::BinaryHeap};

use election::Micros;
use replication::Now;

use super::rng::Rng;

/// 2026-01-01T00:00:00Z in microseconds: where wall clocks start.
pub(crate) const WALL_EPOCH_US: u64 = 1_767_225_600_000_000;

/// What happens next, ordered by (time, number of arrival).
#[derive(Debug)]
pub(crate) struct Queue<E> {
    now: Micros,
    arrivals: u64,
    heap: BinaryHeap<Reverse<Scheduled<E>>>,
}

#[derive(Debug)]
struct Scheduled<E> {
    at: Micros,
    arrival: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { now: Micros(0), arrivals: 0, heap: BinaryHeap::new() }
    }

    /// The present.
    pub(crate) const fn now(&self) -> Micros {
        self.now
    }

    /// Let `event` happen this many microseconds from now.
    pub(crate) fn after(&mut self, delay_us: u64, event: E) {
        self.at(self.now.plus(Micros(delay_us)), event);
    }

    /// Let `event` happen at this time; at once when that has passed.
    pub(crate) fn at(&mut self, at: Micros, event: E) {
        let at = at.max(self.now);
        self.arrivals += 1;
        self.heap.push(Reverse(Scheduled { at, arrival: self.arrivals, event }));
    }

    /// Move time on to the next event.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse(next) = self.heap.pop()?;
        assert!(next.at >= self.now, "time went back");
        self.now = next.at;
        Some(next.event)
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.arrival).cmp(&(other.at, other.arrival))
    }
}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.arrival) == (other.at, other.arrival)
    }
}

impl<E> Eq for Scheduled<E> {}

/// A right wall clock is set to at most this much too late a time, ...
const WALL_SET_US_MAX: u64 = 4_000_000;
/// ... and what its rate adds in a seed keeps it below this.
const WALL_AHEAD_US_MAX: u64 = 6_000_000;

/// The latest that a right wall clock may show.
pub(crate) const fn wall_max_us(at: Micros) -> u64 {
    WALL_EPOCH_US + at.0 + WALL_AHEAD_US_MAX
}

/// The clocks of one node. The monotonic one runs fast or slow and starts anywhere at each boot; the
/// wall clock is off by some seconds, or quite wrong, and is set now and then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// Microseconds shown per second of virtual time.
    rate: u64,
    booted_at: Micros,
    monotonic_at_boot: Micros,
    wall_start_us: u64,
    /// The wall clock is quite wrong.
    is_wrong: bool,
}

impl Clocks {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            rate: *rng.pick(&[900_000, 990_000, 999_000, 1_000_000, 1_010_000, 1_100_000]),
            booted_at: Micros(0),
            monotonic_at_boot: Micros(0),
            wall_start_us: WALL_EPOCH_US + rng.below(WALL_SET_US_MAX),
            is_wrong: false,
        }
    }

    /// Is the wall clock quite wrong?
    pub(crate) const fn is_wrong(&self) -> bool {
        self.is_wrong
    }

    /// Set the wall clock wrong, by minutes to days.
    pub(crate) fn set_wrong(&mut self, rng: &mut Rng) {
        self.is_wrong = true;
        self.jump(rng);
    }

    /// The wall clock is set: a right one by seconds, back or forth; a wrong one to anything.
    pub(crate) fn jump(&mut self, rng: &mut Rng) {
        self.wall_start_us = WALL_EPOCH_US + rng.below(WALL_SET_US_MAX);
        if self.is_wrong {
            let off_us = rng.magnitude(60_000_000, 200_000_000_000);
            let is_ahead = rng.chance(700);
            let start_us = self.wall_start_us;
            self.wall_start_us = if is_ahead { start_us + off_us } else { start_us - off_us };
        }
    }

    /// The node boots: its monotonic clock starts anew.
    pub(crate) fn boot(&mut self, at: Micros, rng: &mut Rng) {
        self.booted_at = at;
        self.monotonic_at_boot = Micros(rng.below(1_000_000_000));
    }

    /// What the clocks show.
    pub(crate) fn now(&self, at: Micros) -> Now {
        let elapsed = at.since(self.booted_at).0 * self.rate / 1_000_000;
        Now {
            monotonic: self.monotonic_at_boot.plus(Micros(elapsed)),
            // The rates differ less than those of the others, for log time is held against it.
            wall: Micros(self.wall_start_us + at.0 + at.0 * (self.rate / 100_000) / 1_000),
        }
    }

    /// The first moment at which the monotonic clock shows `monotonic` or more.
    pub(crate) fn when(&self, monotonic: Micros) -> Micros {
        let elapsed = monotonic.since(self.monotonic_at_boot).0;
        self.booted_at.plus(Micros((elapsed * 1_000_000).div_ceil(self.rate)))
    }
}

#[cfg(test)]
mod tests {
    use election::Micros;

    use super::{Clocks, Queue};
    use crate::sim::rng::Rng;

    #[test]
    fn equal_times_leave_in_the_order_of_arrival() {
        let mut queue = Queue::new();
        queue.after(5, 'b');
        queue.after(5, 'c');
        queue.after(1, 'a');
        let order: Vec<char> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, ['a', 'b', 'c']);
        assert_eq!(queue.now(), Micros(5));
    }

    #[test]
    fn a_deadline_is_reached_when_its_moment_comes_and_not_before() {
        let mut rng = Rng::new(3);
        for _ in 0..1_000 {
            let mut clocks = Clocks::new(&mut rng);
            clocks.boot(Micros(rng.below(60_000_000)), &mut rng);
            let deadline = clocks.monotonic_at_boot.plus(Micros(rng.below(10_000_000)));
            let moment = clocks.when(deadline);
            assert!(clocks.now(moment).monotonic >= deadline);
            assert!(
                moment == clocks.booted_at || clocks.now(Micros(moment.0 - 1)).monotonic < deadline
            );
        }
    }
}
