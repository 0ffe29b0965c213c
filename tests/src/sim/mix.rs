//! What goes wrong in a seed: the mix of faults is itself drawn.
//!
//! A fixed rate of every fault finds next to nothing: the rare histories need fast restarts under
//! one seed, long partitions under another, and a quiet network under a third
//! (swarm testing; Groce et al., ISSTA 2012). A seed draws its timing once and a new mix every few
//! virtual seconds.

use super::rng::Rng;

/// The state of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// A message takes half of this to all of it.
    pub(crate) latency_us: u64,
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
    /// The longest time for which a crashed node stays down.
    pub(crate) restart_us: u64,
    /// The longest time for which a partition lasts.
    pub(crate) partition_us: u64,
    /// The longest time for which a node gets no inputs.
    pub(crate) pause_us: u64,
    /// A sync takes up to this.
    pub(crate) sync_us: u64,
    /// A committed entry waits up to this before it is folded.
    pub(crate) apply_us: u64,
}

/// The relative frequency of each kind of fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub(crate) crash_one: u64,
    pub(crate) crash_leader: u64,
    pub(crate) crash_several: u64,
    pub(crate) crash_all: u64,
    pub(crate) partition_one_way: u64,
    pub(crate) partition_node: u64,
    pub(crate) partition_halves: u64,
    pub(crate) break_connection: u64,
    pub(crate) reset_lane: u64,
    pub(crate) pause: u64,
    pub(crate) slow_disk: u64,
    pub(crate) fail_disk: u64,
    pub(crate) full_disk: u64,
    pub(crate) leave: u64,
}

impl Weather {
    /// A quiet local network.
    pub(crate) const CALM: Self = Self {
        latency_us: 500,
        spike_per_mille: 0,
        drop_per_mille: 0,
        log_drop_per_mille: 0,
        duplicate_per_mille: 0,
        reorder_per_mille: 0,
        idle_us: 100_000,
        redial_us: 20_000,
    };

    fn draw(rng: &mut Rng) -> Self {
        Self {
            latency_us: *rng.pick(&[200, 1_000, 1_000, 5_000, 20_000, 100_000]),
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
        restart_us: 1_000,
        partition_us: 1_000,
        pause_us: 1_000,
        sync_us: 1_000,
        apply_us: 100,
    };

    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            weather: Weather::draw(rng),
            interval_us: rng.magnitude(30_000, 2_000_000),
            weights: Weights::draw(rng),
            reign_us: *rng.pick(&[0, 0, 0, 20_000, 100_000, 500_000]),
            restart_us: rng.magnitude(2_000, 2_000_000),
            partition_us: *rng.pick(&[200_000, 1_000_000, 5_000_000]),
            pause_us: rng.magnitude(10_000, 2_000_000),
            sync_us: *rng.pick(&[200, 2_000, 20_000, 50_000]),
            apply_us: *rng.pick(&[10, 1_000, 50_000]),
        }
    }
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    CrashOne,
    CrashLeader,
    CrashSeveral,
    CrashAll,
    PartitionOneWay,
    PartitionNode,
    PartitionHalves,
    BreakConnection,
    ResetLane,
    Pause,
    SlowDisk,
    FailDisk,
    FullDisk,
    Leave,
}

impl Weights {
    const NONE: Self = Self {
        crash_one: 0,
        crash_leader: 0,
        crash_several: 0,
        crash_all: 0,
        partition_one_way: 0,
        partition_node: 0,
        partition_halves: 0,
        break_connection: 0,
        reset_lane: 0,
        pause: 0,
        slow_disk: 0,
        fail_disk: 0,
        full_disk: 0,
        leave: 0,
    };

    /// Each kind is absent half of the time, so that the others come in long unbroken runs.
    fn draw(rng: &mut Rng) -> Self {
        let mut weight = || *rng.pick(&[0, 0, 1, 4]);
        Self {
            crash_one: weight() + 1,
            crash_leader: weight() * 2,
            crash_several: weight(),
            crash_all: weight(),
            partition_one_way: weight(),
            partition_node: weight(),
            partition_halves: weight(),
            break_connection: weight(),
            reset_lane: weight(),
            pause: weight(),
            slow_disk: weight(),
            fail_disk: weight(),
            full_disk: weight(),
            leave: weight(),
        }
    }

    /// Draw a fault.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Fault {
        let table = [
            (Fault::CrashOne, self.crash_one),
            (Fault::CrashLeader, self.crash_leader),
            (Fault::CrashSeveral, self.crash_several),
            (Fault::CrashAll, self.crash_all),
            (Fault::PartitionOneWay, self.partition_one_way),
            (Fault::PartitionNode, self.partition_node),
            (Fault::PartitionHalves, self.partition_halves),
            (Fault::BreakConnection, self.break_connection),
            (Fault::ResetLane, self.reset_lane),
            (Fault::Pause, self.pause),
            (Fault::SlowDisk, self.slow_disk),
            (Fault::FailDisk, self.fail_disk),
            (Fault::FullDisk, self.full_disk),
            (Fault::Leave, self.leave),
        ];
        let mut left = rng.below(table.iter().map(|(_, weight)| weight).sum());
        for (fault, weight) in table {
            if left < weight {
                return fault;
            }
            left -= weight;
        }
        unreachable!("the draw lies below the sum of the weights")
    }
}
