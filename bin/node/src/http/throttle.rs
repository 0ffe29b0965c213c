//! The pace at which log-ins may fail, under one name and from one address. It is no lock: whoever
//! goes too fast is told when the next attempt is let through, and a log-in that succeeds costs
//! nothing. It knows names only as hashes and not whether they exist, so its answer does not tell.
//!
//! ```text
//! budget of a key: so many failures a minute, and no more than a minute's worth saved up
//! attempt -> takes one of both budgets -> given back, unless the password was wrong
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chat::TokenHash;

use super::{auth::hash_of, error::Refusal, limits};
use crate::{config::Limits, metrics::Clients};

/// What a budget lasts for.
const WINDOW: Duration = Duration::from_secs(60);

/// The budgets of all names and addresses.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    names: Arc<Budgets<Name>>,
    addresses: Arc<Budgets<IpAddr>>,
    metrics: Clients,
}

/// Under which name, and by whom: what strangers try takes nothing from whoever has a session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Name {
    Stranger(TokenHash),
    Session(TokenHash),
}

/// A log-in under way. Dropped, it costs nothing.
#[derive(Debug)]
#[must_use = "a wrong password has to be told"]
pub(super) struct Attempt {
    throttle: Throttle,
    name: Option<Name>,
    address: Option<IpAddr>,
    is_wrong: bool,
}

/// So many attempts a minute for each key.
#[derive(Debug)]
struct Budgets<K> {
    /// From one attempt to the next, once the budget is spent; none is no limit.
    pace: Option<Duration>,
    /// When each key's budget is whole again.
    whole_at: Mutex<BTreeMap<K, Instant>>,
}

impl Throttle {
    pub(super) fn new(bounds: &Limits, metrics: Clients) -> Self {
        Self {
            names: Arc::new(Budgets::new(bounds.failed_logins_per_name)),
            addresses: Arc::new(Budgets::new(bounds.failed_logins_per_address)),
            metrics,
        }
    }

    /// Begins a log-in, or tells how long to wait.
    pub(super) fn attempt(&self, name: &str, address: IpAddr) -> Result<Attempt, Refusal> {
        self.attempt_at(Some(stranger(name)), Some(address), Instant::now())
    }

    /// Begins a registration: it costs a hash, so refused ones count for the address.
    pub(super) fn registration(&self, address: IpAddr) -> Result<Attempt, Refusal> {
        self.attempt_at(None, Some(address), Instant::now())
    }

    /// Begins to check the password of whoever has a session already.
    pub(super) fn attempt_again(&self, name: &str) -> Result<Attempt, Refusal> {
        self.attempt_at(Some(Name::Session(hash_of(name))), None, Instant::now())
    }

    fn attempt_at(
        &self,
        name: Option<Name>,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt, Refusal> {
        let address = address.map(neighbourhood);
        let refuse = |wait: Duration| {
            self.metrics.logins_throttled.inc();
            let message = "too many log-ins failed, under this name or from this address";
            Refusal { retry_after: Some(wait), ..Refusal::too_fast(message) }
        };
        if let Some(name) = name {
            self.names.take(name, now).map_err(refuse)?;
        }
        // From here on the name gets back what is not used.
        let mut attempt = Attempt { throttle: self.clone(), name, address: None, is_wrong: false };
        if let Some(address) = address {
            self.addresses.take(address, now).map_err(refuse)?;
            attempt.address = Some(address);
        }
        Ok(attempt)
    }
}

/// A name as a client wrote it.
fn stranger(name: &str) -> Name {
    Name::Stranger(hash_of(&name.to_lowercase()))
}

impl Attempt {
    /// The password was wrong, or there is no such account.
    pub(super) fn failed(mut self) {
        self.is_wrong = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_wrong {
            if let Some(name) = &self.name {
                self.throttle.names.give_back(name);
            }
            if let Some(address) = &self.address {
                self.throttle.addresses.give_back(address);
            }
        }
    }
}

impl<K: Ord + Copy> Budgets<K> {
    fn new(per_minute: u64) -> Self {
        let pace = u32::try_from(per_minute).ok().and_then(|count| WINDOW.checked_div(count));
        Self { pace, whole_at: Mutex::default() }
    }

    /// Takes one, or tells how long until there is one.
    fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let Some(pace) = self.pace else { return Ok(()) };
        let mut keys = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let whole_at = keys.get(&key).map_or(now, |whole_at| now.max(*whole_at)) + pace;
        let wait = whole_at.saturating_duration_since(now + WINDOW);
        if !wait.is_zero() {
            return Err(wait);
        }
        if keys.len() >= limits::LOGIN_KEYS_MAX && !keys.contains_key(&key) {
            make_room(&mut keys, now);
        }
        keys.insert(key, whole_at);
        Ok(())
    }

    fn give_back(&self, key: &K) {
        let Some(pace) = self.pace else { return };
        let mut keys = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole_at) = keys.get_mut(key) {
            *whole_at = whole_at.checked_sub(pace).unwrap_or(*whole_at);
        }
    }
}

/// Forgets whose budget is whole, or else whose soonest will be: they lose least by it.
fn make_room<K: Ord + Copy>(keys: &mut BTreeMap<K, Instant>, now: Instant) {
    keys.retain(|_, whole_at| *whole_at > now);
    if keys.len() >= limits::LOGIN_KEYS_MAX
        && let Some(soonest) =
            keys.iter().min_by_key(|(_, whole_at)| **whole_at).map(|(key, _)| *key)
    {
        keys.remove(&soonest);
    }
}

/// What counts as one address: of IPv6 a whole /64, since that is what one host is given.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn throttle(per_name: u64, per_address: u64) -> Throttle {
        let bounds = Limits {
            failed_logins_per_name: per_name,
            failed_logins_per_address: per_address,
            ..Limits::default()
        };
        Throttle::new(&bounds, Metrics::new().clients)
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_name_fails_up_to_its_bound_from_anywhere_and_then_at_its_pace() {
        let throttle = throttle(3, 1_000);
        let start = Instant::now();
        for last in 1..=3 {
            throttle.attempt_at(Some(stranger("ann")), Some(host(last)), start).unwrap().failed();
        }
        let refusal = throttle.attempt_at(Some(stranger("Ann")), Some(host(4)), start).unwrap_err();
        assert_eq!(refusal.code, "too_fast");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(20)));
        drop(throttle.attempt_at(Some(stranger("bob")), Some(host(4)), start).unwrap());
        let later = start + Duration::from_secs(20);
        throttle.attempt_at(Some(stranger("ann")), Some(host(4)), later).unwrap().failed();
        throttle.attempt_at(Some(stranger("ann")), Some(host(4)), later).unwrap_err();
    }

    #[test]
    fn an_address_fails_up_to_its_bound_under_any_names() {
        let throttle = throttle(1_000, 2);
        let start = Instant::now();
        for name in ["ann", "bob"] {
            throttle.attempt_at(Some(stranger(name)), Some(host(1)), start).unwrap().failed();
        }
        throttle.attempt_at(Some(stranger("carl")), Some(host(1)), start).unwrap_err();
        drop(throttle.attempt_at(Some(stranger("carl")), Some(host(2)), start).unwrap());
    }

    #[test]
    fn strangers_take_nothing_from_whoever_has_a_session() {
        let throttle = throttle(1, 1_000);
        for name in ["ann", "ann again", "Ann"] {
            throttle.attempt(name, host(1)).map(Attempt::failed).ok();
        }
        throttle.attempt("ann", host(2)).unwrap_err();
        throttle.attempt_again("ann").unwrap().failed();
        throttle.attempt_again("ann").unwrap_err();
    }

    #[test]
    fn what_does_not_fail_costs_nothing() {
        let throttle = throttle(1, 1);
        let start = Instant::now();
        for _ in 0..100 {
            drop(throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap());
        }
        throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap().failed();
        throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap_err();
    }

    #[test]
    fn attempts_under_way_count_until_they_end() {
        let throttle = throttle(1, 1);
        let start = Instant::now();
        let under_way = throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap();
        throttle.attempt_at(Some(stranger("ann")), Some(host(2)), start).unwrap_err();
        drop(under_way);
        drop(throttle.attempt_at(Some(stranger("ann")), Some(host(2)), start).unwrap());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let throttle = throttle(0, 0);
        let start = Instant::now();
        for _ in 0..1_000 {
            throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap().failed();
        }
    }

    #[test]
    fn the_names_remembered_are_bounded_and_the_worst_are_kept() {
        let throttle = throttle(2, 0);
        let start = Instant::now();
        for _ in 0..2 {
            throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap().failed();
        }
        for number in 0..limits::LOGIN_KEYS_MAX + 10 {
            throttle
                .attempt_at(Some(stranger(&number.to_string())), Some(host(1)), start)
                .unwrap()
                .failed();
        }
        assert_eq!(throttle.names.whole_at.lock().unwrap().len(), limits::LOGIN_KEYS_MAX);
        throttle.attempt_at(Some(stranger("ann")), Some(host(1)), start).unwrap_err();
    }

    #[test]
    fn neighbours_of_one_host_are_one_address() {
        let parse = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
    }
}
