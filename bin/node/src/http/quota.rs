//! What clients may take of a node at once: bytes of requests in flight, and requests per second of
//! an account. Whoever asks for more is told so at once; nothing waits here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Refusal;

const WINDOW: Duration = Duration::from_secs(1);

/// The room for requests being answered, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Bytes taken now.
    pub(super) fn taken(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.available_permits())
    }

    /// Room for a request of this size, held until it is answered.
    pub(super) fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok())
            .ok_or_else(|| Refusal::unavailable("busy", "this node answers too many requests now"))
    }
}

/// Places of which each is held by one at a time.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }

    /// A place, held until it is dropped; none when all are.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Places of which each key may hold so many at once. What is held bounds what is remembered.
#[derive(Clone, Debug)]
pub(super) struct Shares<K: Ord> {
    count_max: usize,
    held: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// One place of a key, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Ord> {
    key: K,
    shares: Shares<K>,
}

impl<K: Ord + Copy> Shares<K> {
    pub(super) fn new(count_max: usize) -> Self {
        Self { count_max, held: Arc::default() }
    }

    /// A place for this key; none when it has all of its own.
    pub(super) fn take(&self, key: K) -> Option<Share<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&key).copied().unwrap_or(0);
        if count >= self.count_max {
            return None;
        }
        held.insert(key, count + 1);
        drop(held);
        Some(Share { key, shares: self.clone() })
    }
}

impl<K: Ord> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// How fast each account asks: so many requests in each second of the node's life, 0 for no bound.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    per_second: u64,
    window: Arc<Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    // Bounded by the requests that one window admits.
    taken: BTreeMap<u64, u64>,
}

impl Rates {
    pub(super) fn new(per_second: u64) -> Self {
        let window = Window { since: Instant::now(), taken: BTreeMap::new() };
        Self { per_second, window: Arc::new(Mutex::new(window)) }
    }

    /// Counts one request of an account.
    pub(super) fn count(&self, account: u64) -> Result<(), Refusal> {
        self.count_at(account, Instant::now())
    }

    fn count_at(&self, account: u64, now: Instant) -> Result<(), Refusal> {
        if self.per_second == 0 {
            return Ok(());
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.since) >= WINDOW {
            window.since = now;
            window.taken.clear();
        }
        let taken = window.taken.entry(account).or_default();
        if *taken >= self.per_second {
            return Err(Refusal::too_fast(
                "more requests per second than this node allows an account",
            ));
        }
        *taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_refused_when_taken_and_given_back() {
        let room = Room::new(10);
        let held = room.take(10).unwrap();
        assert_eq!(room.take(1).unwrap_err().code, "busy");
        drop(held);
        drop(room.take(10).unwrap());
    }

    #[test]
    fn an_account_is_stopped_at_its_rate_and_goes_on_in_the_next_second() {
        let rates = Rates::new(2);
        let start = Instant::now();
        rates.count_at(1, start).unwrap();
        rates.count_at(1, start).unwrap();
        assert_eq!(rates.count_at(1, start).unwrap_err().code, "too_fast");
        rates.count_at(2, start).unwrap();
        rates.count_at(1, start + WINDOW).unwrap();
    }

    #[test]
    fn each_key_has_a_share_of_its_own_and_none_is_remembered_without_need() {
        let shares = Shares::new(2);
        let held = (shares.take(1).unwrap(), shares.take(1).unwrap());
        assert!(shares.take(1).is_none());
        drop(shares.take(2).unwrap());
        drop(held.0);
        drop(shares.take(1).unwrap());
        drop(held.1);
        assert!(shares.held.lock().unwrap().is_empty());
    }

    #[test]
    fn no_rate_is_no_bound() {
        let rates = Rates::new(0);
        for _ in 0..1000 {
            rates.count(1).unwrap();
        }
    }
}
