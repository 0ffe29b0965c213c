//! What goes wrong in a seed: the mix of faults is itself drawn.
//!
//! A fixed rate of every fault finds next to nothing: the rare histories need fast restarts under
//! one seed, long partitions under another, and a quiet network under a third
//! (swarm testing; Groce et al., ISSTA 2012). A seed draws its timing once and a new mix every few
//! virtual seconds.

use std::collections::BTreeSet;

use super::rng::Rng;

/// The state of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// A message takes half of this to all of it, on each lane: control, log, bulk.
    pub(crate) latency_us: [u64; 3],
    /// How many in a thousand take ten times as long.
    pub(crate) spike_per_mille: u64,
    pub(crate) drop_per_mille: u64,
    /// On the log lane alone: elections go on, and what they should replicate gets through rarely.
    pub(crate) log_drop_per_mille: u64,
    pub(crate) duplicate_per_mille: u64,
    /// How many in a thousand may overtake on their lane.
    pub(crate) reorder_per_mille: u64,
    /// A partitioned connection breaks after this time, and each side notices a break within it.
    pub(crate) idle_us: u64,
    /// The longest pause between dials.
    pub(crate) redial_us: u64,
}

/// How often each kind of fault comes, as weights, and how long each lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) weather: Weather,
    /// The mean time between faults.
    pub(crate) interval_us: u64,
    pub(crate) weights: Weights,
    /// Every new leader crashes within this time; 0 lets it be.
    pub(crate) reign_us: u64,
    /// How many crashes in a thousand leave garbage where a write was under way.
    pub(crate) garbage_per_mille: u64,
    /// The longest time for which a crashed node stays down.
    pub(crate) restart_us: u64,
    /// So many of a thousand leaders are cut off with the first entry of their term, and so many with a
    /// configuration that they have just appended.
    pub(crate) alone_per_mille: [u64; 2],
    /// The longest time for which a partition lasts.
    pub(crate) partition_us: u64,
    /// The longest time for which a node gets no inputs.
    pub(crate) pause_us: u64,
    /// A sync takes up to this, ...
    pub(crate) sync_us: u64,
    /// ... and on a slow disk so much more.
    pub(crate) slow_sync_us: u64,
    /// A committed entry waits up to this before it is folded.
    pub(crate) apply_us: u64,
    /// From one look of a node's driver around to the next.
    pub(crate) tick_us: u64,
    /// What nodes measure of the network and their disks, in percent of what is so.
    pub(crate) pace_percent: u64,
    /// So many starts of a thousand are with a newer build, ...
    pub(crate) upgrade_per_mille: u64,
    /// ... and so many with an older one.
    pub(crate) downgrade_per_mille: u64,
}

/// The relative frequency of each kind of fault, in the order of [`Fault::ALL`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights([u64; Fault::ALL.len()]);

impl Weather {
    /// A quiet local network.
    pub(crate) const CALM: Self = Self {
        latency_us: [500; 3],
        spike_per_mille: 0,
        drop_per_mille: 0,
        log_drop_per_mille: 0,
        duplicate_per_mille: 0,
        reorder_per_mille: 0,
        idle_us: 100_000,
        redial_us: 20_000,
    };

    fn draw(rng: &mut Rng) -> Self {
        let latency_us = *rng.pick(&[200, 1_000, 1_000, 5_000, 20_000, 100_000]);
        // Lanes share no order: sometimes one is far behind another.
        let lag = |rng: &mut Rng| latency_us * *rng.pick(&[1, 1, 1, 10]);
        Self {
            latency_us: [lag(rng), lag(rng), lag(rng)],
            spike_per_mille: *rng.pick(&[0, 0, 10, 100]),
            drop_per_mille: *rng.pick(&[0, 0, 20, 100, 300]),
            log_drop_per_mille: *rng.pick(&[0, 0, 0, 500, 900]),
            duplicate_per_mille: *rng.pick(&[0, 0, 20, 100]),
            reorder_per_mille: *rng.pick(&[0, 0, 100, 500]),
            idle_us: *rng.pick(&[10_000, 100_000, 1_000_000]),
            redial_us: *rng.pick(&[2_000, 20_000, 200_000]),
        }
    }
}

impl Mix {
    /// Nothing goes wrong.
    pub(crate) const CALM: Self = Self {
        weather: Weather::CALM,
        interval_us: u64::MAX,
        weights: Weights::NONE,
        reign_us: 0,
        garbage_per_mille: 0,
        restart_us: 1_000,
        alone_per_mille: [0, 0],
        partition_us: 1_000,
        pause_us: 1_000,
        sync_us: 1_000,
        slow_sync_us: 10_000,
        apply_us: 100,
        tick_us: 50_000,
        pace_percent: 100,
        upgrade_per_mille: 0,
        downgrade_per_mille: 0,
    };

    /// Draw one, without those faults.
    pub(crate) fn draw(rng: &mut Rng, without: &BTreeSet<Fault>) -> Self {
        let mut mix = Self::draw_any(rng);
        for (fault, weight) in Fault::ALL.into_iter().zip(&mut mix.weights.0) {
            if without.contains(&fault) {
                *weight = 0;
            }
        }
        if without.contains(&Fault::ShortReign) {
            mix.reign_us = 0;
        }
        if without.contains(&Fault::Garbage) {
            mix.garbage_per_mille = 0;
        }
        if without.contains(&Fault::Weather) {
            mix.weather = Weather::CALM;
        }
        mix
    }

    fn draw_any(rng: &mut Rng) -> Self {
        Self {
            weather: Weather::draw(rng),
            interval_us: rng.magnitude(30_000, 2_000_000),
            weights: Weights::draw(rng),
            reign_us: *rng.pick(&[0, 0, 0, 20_000, 100_000, 500_000]),
            garbage_per_mille: *rng.pick(&[0, 0, 200, 1_000]),
            restart_us: rng.magnitude(2_000, 2_000_000),
            alone_per_mille: [*rng.pick(&[0, 0, 0, 300]), *rng.pick(&[0, 0, 500])],
            partition_us: *rng.pick(&[200_000, 1_000_000, 5_000_000]),
            pause_us: rng.magnitude(10_000, 2_000_000),
            sync_us: *rng.pick(&[200, 2_000, 20_000, 50_000]),
            slow_sync_us: rng.magnitude(10_000, 4_000_000),
            apply_us: *rng.pick(&[10, 1_000, 50_000]),
            tick_us: *rng.pick(&[20_000, 100_000, 1_000_000]),
            pace_percent: *rng.pick(&[0, 80, 120, 1_000]),
            upgrade_per_mille: *rng.pick(&[0, 50, 500]),
            downgrade_per_mille: *rng.pick(&[0, 0, 50, 200]),
        }
    }
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// A process or its machine dies.
    CrashOne,
    /// Two in the same instant.
    CrashTwo,
    /// The leader dies.
    CrashLeader,
    /// Any number in the same instant.
    CrashSeveral,
    /// All of them in the same instant.
    CrashAll,
    /// One direction of one link carries nothing.
    PartitionOneWay,
    /// A node is cut off, in both directions or in one.
    PartitionNode,
    /// A half is cut off, in both directions or in one.
    PartitionHalves,
    /// Two groups that do not hear each other, and one node that hears both.
    PartitionBridge,
    /// A connection breaks.
    BreakConnection,
    /// What is in flight on a lane is lost.
    ResetLane,
    /// A node gets no inputs for a while.
    Pause,
    /// Syncs of a disk take long, up to a stall.
    SlowDisk,
    /// A call to a disk fails, or all from there on.
    FailDisk,
    /// A disk has little room, or none.
    FullDisk,
    /// A wall clock is set.
    JumpClock,
    /// A node is asked to stop.
    Leave,
    /// An operator asks for another leader.
    Transfer,
    /// An operator asks that a node leads no more.
    Drain,
    /// An operator adds, removes or replaces a member.
    Members,
    /// A disk is lost, and its node comes back with an empty one.
    Wipe,
    /// Sectors of a log are rotten, lost, stale or somewhere else: under a running node, or one that
    /// crashes.
    Rot,
    /// What a crash leaves of the sectors that were being written is garbage. Comes with a mix, not as a
    /// strike.
    Garbage,
    /// Every new leader dies soon. Comes with a mix, not as a strike.
    ShortReign,
    /// A bad network: loss, doubling, overtaking, delay. Comes with a mix, not as a strike.
    Weather,
}

impl Weights {
    const NONE: Self = Self([0; Fault::ALL.len()]);

    /// Each kind is absent half of the time, so that the others come in long unbroken runs.
    fn draw(rng: &mut Rng) -> Self {
        Self(Fault::ALL.map(|fault| {
            let weight = *rng.pick(&[0, 0, 1, 4]);
            if fault.comes_with_a_mix() {
                0
            } else if fault == Fault::CrashOne {
                weight + 1
            } else {
                weight
            }
        }))
    }

    /// Draw a fault; none when all are left out.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<Fault> {
        let all: u64 = self.0.iter().sum();
        let mut left = if all > 0 { rng.below(all) } else { return None };
        for (fault, weight) in Fault::ALL.into_iter().zip(self.0) {
            if left < weight {
                return Some(fault);
            }
            left -= weight;
        }
        unreachable!("the draw lies below the sum of the weights")
    }
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::CrashOne,
        Self::CrashTwo,
        Self::CrashLeader,
        Self::CrashSeveral,
        Self::CrashAll,
        Self::PartitionOneWay,
        Self::PartitionNode,
        Self::PartitionHalves,
        Self::PartitionBridge,
        Self::BreakConnection,
        Self::ResetLane,
        Self::Pause,
        Self::SlowDisk,
        Self::FailDisk,
        Self::FullDisk,
        Self::JumpClock,
        Self::Leave,
        Self::Transfer,
        Self::Drain,
        Self::Members,
        Self::Wipe,
        Self::Rot,
        Self::Garbage,
        Self::ShortReign,
        Self::Weather,
    ];

    /// Is it a matter of the mix, and no strike?
    const fn comes_with_a_mix(self) -> bool {
        matches!(self, Self::Garbage | Self::ShortReign | Self::Weather)
    }

    /// What it is called in reports and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrashOne => "crash-one",
            Self::CrashTwo => "crash-two",
            Self::CrashLeader => "crash-leader",
            Self::CrashSeveral => "crash-several",
            Self::CrashAll => "crash-all",
            Self::PartitionOneWay => "partition-one-way",
            Self::PartitionNode => "partition-node",
            Self::PartitionHalves => "partition-halves",
            Self::PartitionBridge => "partition-bridge",
            Self::BreakConnection => "break-connection",
            Self::ResetLane => "reset-lane",
            Self::Pause => "pause",
            Self::SlowDisk => "slow-disk",
            Self::FailDisk => "fail-disk",
            Self::FullDisk => "full-disk",
            Self::JumpClock => "jump-clock",
            Self::Leave => "leave",
            Self::Transfer => "transfer",
            Self::Drain => "drain",
            Self::Members => "members",
            Self::Wipe => "wipe",
            Self::Rot => "rot",
            Self::Garbage => "garbage",
            Self::ShortReign => "short-reign",
            Self::Weather => "weather",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}
