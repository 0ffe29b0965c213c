//! What a log lives through before the power goes: drawn from a seed, the same every time.

use wal::{Entry, EntryKind, Log, Op, Options};

use super::model::{Contents, Model, Random, open, small};
use crate::sim::disk::SimDisk;

/// Payloads of most entries are below this, so that few sectors are unsynced at any time.
const PAYLOAD_MAX: u64 = 1500;
/// Entries of zeros bring the end of a segment near, and take hardly a sector.
const ZEROS_BYTES: usize = 7 * 1024;

/// What may happen to the disk beside a loss of power.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Nothing: a sector is old or new.
    Crash,
    /// A sector that was being written may hold anything.
    Garbage,
    /// What was synced rots, lands elsewhere or was never written.
    Fault,
}

/// A history.
#[derive(Clone, Debug)]
pub struct History {
    seed: u64,
    kind: Kind,
    options: Options,
}

/// How far a history came.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) disk: SimDisk,
    pub(super) model: Model,
}

impl History {
    /// The history of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let kind = match random.below(8) {
            0 => Kind::Garbage,
            1 => Kind::Fault,
            _ => Kind::Crash,
        };
        let options = Options {
            spare_segments: random.place(3),
            batch_bytes_max: if random.below(2) == 0 { 4096 } else { 16 * 1024 },
            ..small()
        };
        Self { seed, kind, options }
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// What may happen in it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    /// How many I/O calls it makes.
    ///
    /// # Panics
    /// When the log breaks a law without any crash.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.live(None).disk.calls()
    }

    /// Live through it, until the power goes during the call `cut`. What the disk keeps is not settled.
    pub(super) fn live(&self, cut: Option<u64>) -> Scene {
        let disk = SimDisk::new(self.seed);
        let mut random = Random(!self.seed);
        let mut model = Model::new();
        for life in 0..=random.below(3) {
            if let Some(cut) = cut {
                disk.cut_power_after(cut.saturating_sub(disk.calls()));
            }
            if self.live_once(&disk, &mut model, &mut random).is_none() {
                break;
            }
            match random.below(3) {
                // A loss of power in between is drawn, and not enumerated.
                0 if life > 0 => disk.crash(),
                _ => disk.kill(),
            }
        }
        disk.set_garbage(self.kind == Kind::Garbage);
        Scene { disk, model }
    }

    /// One process. None when the power went.
    fn live_once(&self, disk: &SimDisk, model: &mut Model, random: &mut Random) -> Option<()> {
        let (mut log, recovery) = open(disk, &self.options).ok()?;
        model.recover(Contents::try_of(&log, &recovery).ok()?);
        if random.below(2) == 0 {
            let (last, term) = model.last();
            let zeros = (1..=random.below(8)).map(|i| {
                Entry::new(last + i, term, EntryKind::Command, vec![0; ZEROS_BYTES].into())
            });
            model.submit(&mut log, Op::Append(zeros.collect()));
        }
        for _ in 0..=random.below(5) {
            work(&mut log, model, random)?;
        }
        if random.below(2) == 0 {
            log.close().ok()?;
        }
        Some(())
    }
}

/// A few operations, and what a writer does with them.
fn work(log: &mut Log, model: &mut Model, random: &mut Random) -> Option<()> {
    for _ in 0..=random.below(3) {
        let op = model.draw(random, PAYLOAD_MAX);
        model.submit(log, op);
    }
    log.write().ok()?;
    if random.below(3) > 0 {
        model.acknowledge(log.sync().ok()?);
    }
    if random.below(3) == 0 {
        log.upkeep().ok()?;
    }
    Some(())
}
