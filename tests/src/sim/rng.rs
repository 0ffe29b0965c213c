//! The one source of chance in a simulation: xoshiro256++, seeded through `SplitMix64`.
//!
//! Everything that a seed decides is drawn from here, in the order of events, so that a seed is a
//! whole history. It is written out rather than taken from a crate: a new version of a crate must
//! never change what a kept seed means.

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut mixer)) }
    }

    /// A generator of its own for a part of the world, so that one part's draws do not shift
    /// another's.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let c2 = c ^ a;
        let d2 = d ^ b;
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// The next 128 bits.
    pub(crate) fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// A number below `bound`, which is not zero. The bias of the remainder is below 2^-32 for the
    /// small bounds used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing lies below zero");
        self.next_u64() % bound
    }

    /// A number in `low..=high`.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range: {low}..={high}");
        low + self.below(high - low + 1)
    }

    /// A number in `low..=high` whose order of magnitude is drawn first: small ones are as likely
    /// as large ones.
    pub(crate) fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        assert!(0 < low && low <= high, "no magnitudes in {low}..={high}");
        let doublings = (high / low).ilog2();
        let floor = low << self.below(u64::from(doublings) + 1);
        self.within(floor, floor.saturating_mul(2).min(high).max(floor))
    }

    /// True this many times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `choices`, which is not empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.slot(choices.len())]
    }

    /// A position below `len`, which is not zero.
    pub(crate) fn slot(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).expect("a length fits 64 bits");
        usize::try_from(self.below(bound)).expect("below a length")
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_first_numbers_of_a_seed_never_change() {
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0x5317_5d61_490b_23df);
        assert_eq!(rng.next_u64(), 0x61da_6f3d_c380_d507);
        assert_eq!(rng.next_u64(), 0x5c0f_df91_ec9a_7bfc);
    }

    #[test]
    fn draws_keep_their_bounds() {
        let mut rng = Rng::new(7);
        for _ in 0..10_000 {
            assert!(rng.below(3) < 3);
            assert!((5..=9).contains(&rng.within(5, 9)));
            assert!((2..=2_000).contains(&rng.magnitude(2, 2_000)));
        }
    }
}
