//! How long things take, and the one source of randomness: a generator with an injected seed.

use crate::Micros;

/// A leader's silence is borne for as long as this many round trips and fsyncs take at their slowest:
/// an election itself needs a few of each (`research` §4).
const PACES: u64 = 10;

/// No measurement draws the election timeout out further: what is slower than this fails over late.
const TIMEOUT_MAX: Micros = Micros::from_millis(500);

/// The spans that elections run on (`research` §4 has the figures).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// A follower of rank 0 bears a silent leader so long; so long a voter stays loyal to one.
    pub election_timeout: Micros,
    /// Ranks stand this much apart; questions are repeated at this interval.
    pub slot: Micros,
    /// At most this much is added at random.
    pub jitter: Micros,
    /// A leader that has not heard an election quorum for so long steps down.
    pub quorum_silence: Micros,
}

/// A small generator (`SplitMix64`): the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Start from a seed; every seed is fine.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `max`, both included. The bias of the remainder does not matter here.
    pub const fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }
}

/// Timing and generator together.
#[derive(Clone, Debug)]
pub(crate) struct Timer {
    configured: Timing,
    /// What is configured, drawn out to the pace of the world.
    timing: Timing,
    random: Random,
}

impl Timer {
    pub(crate) const fn new(timing: Timing, seed: u64) -> Self {
        Self { configured: timing, timing, random: Random::new(seed) }
    }

    pub(crate) const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Follow the pace of the world: at once when it slows down, a little further than needed, and
    /// back only when it is much quicker. Says whether the spans are other ones now.
    pub(crate) fn set_pace(&mut self, rtt: Micros, fsync: Micros) -> bool {
        let configured = self.configured.election_timeout;
        let max = TIMEOUT_MAX.max(configured);
        let needed = Micros(rtt.plus(fsync).0.saturating_mul(PACES)).clamp(configured, max);
        let roomy = Micros(needed.0.saturating_add(needed.0 / 8)).min(max);
        let current = self.timing.election_timeout;
        let wanted = if needed == configured { configured } else { roomy };
        let is_slower = needed > current;
        let is_quicker = wanted < Micros(current.0 / 4 * 3);
        if !is_slower && !is_quicker {
            return false;
        }
        self.timing.election_timeout = wanted;
        let silence = u128::from(self.configured.quorum_silence.0) * u128::from(wanted.0);
        let silence = silence / u128::from(configured.0.max(1));
        self.timing.quorum_silence = Micros(u64::try_from(silence).unwrap_or(u64::MAX));
        true
    }

    /// How long a node of this rank waits for a leader before it stands.
    pub(crate) fn patience(&mut self, rank: u64) -> Micros {
        self.timing.election_timeout.plus(self.stagger(rank))
    }

    /// Only the rank's slot and the jitter: for when the leader is known to be gone.
    pub(crate) fn stagger(&mut self, rank: u64) -> Micros {
        self.slots(rank).plus(self.jitter())
    }

    /// The rank's slot alone.
    pub(crate) const fn slots(&self, rank: u64) -> Micros {
        Micros(self.timing.slot.0.saturating_mul(rank))
    }

    pub(crate) fn jitter(&mut self) -> Micros {
        Micros(self.random.up_to(self.timing.jitter.0))
    }

    /// After a lost round ranks have proved useless: draw one of `count`.
    pub(crate) const fn random_rank(&mut self, count: u64) -> u64 {
        self.random.up_to(count.saturating_sub(1))
    }
}
