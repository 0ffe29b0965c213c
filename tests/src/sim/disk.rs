//! A disk in memory that loses at a crash what was not synced, and fails, rots and lies when told to.
//!
//! What always holds: a synced sector survives; of an unsynced one a crash keeps any version since the
//! last sync; a created or removed name survives only after the directory was synced, whatever was
//! synced of the file; lengths behave like sectors; the same seed and the same calls give the same
//! disk. A handle of a dead process can do nothing any more.
//!
//! ```text
//! write_at -> unsynced versions per sector --sync--> durable sectors
//!                      \--crash--> one of: durable, any version (or garbage)
//! ```

mod inode;
mod io;
mod random;
mod volume;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wal::Io;

use self::{inode::Inode, io::SimIo, random::Random, volume::Volume};

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// The disk; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    disk: Arc<Mutex<Volume>>,
}

/// A kind of call.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Call {
    /// Bytes, a length, a map; forgetting the cache.
    Read,
    /// Bytes or a length.
    Write,
    /// Of a file or of the directory.
    Sync,
    /// Of a file.
    Create,
    /// Of a file; taking a lock.
    Open,
    /// Of a file.
    Remove,
    /// Of the directory.
    List,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Write, Self::Sync, Self::Create, Self::Open, Self::Remove, Self::List];
}

/// What happens to a call. One that makes no sense for its kind is an [`Fault::Eio`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It fails. A part of a write may get through. As on Linux, pages whose sync failed count as clean:
    /// reads show them, later syncs succeed, and they are never written.
    Eio,
    /// There is no room: `ENOSPC`, and nothing happens.
    Full,
    /// A write that the disk says it did, and did not.
    Lost,
    /// A write that lands so many sectors further on; its own place keeps what it held.
    Misdirected {
        /// How far.
        sectors: u64,
    },
    /// A read that shows what was there before the newest sync.
    Stale,
}

/// Something that a crash may leave in one of several states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsettled {
    /// What it is.
    pub what: Piece,
    /// How many states: that of the last sync, each since, and garbage where that may be.
    pub states: usize,
}

/// What a crash settles. Files are numbered in the order of their making.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Whether this name is there, and which file it names.
    Name(String),
    /// What is in a sector.
    Sector {
        /// Of which file.
        file: u64,
        /// Which of its sectors.
        number: u64,
    },
    /// How long a file is.
    Length {
        /// Which.
        file: u64,
    },
}

impl SimDisk {
    /// An empty disk. The seed decides what crashes keep.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Volume::new(seed))) }
    }

    /// The disk as the process now running sees it. After [`SimDisk::crash`] or [`SimDisk::kill`] ask for
    /// it again.
    #[must_use]
    pub fn io(&self) -> Arc<dyn Io> {
        let process = self.lock().process;
        Arc::new(SimIo { disk: self.clone(), process })
    }

    /// Power fails: each unsynced sector, length and name is kept or lost, each on its own. All handles
    /// and locks are gone; a failed call planned for later is forgotten.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// What a crash would leave open, in the order that [`SimDisk::crash_with`] expects.
    #[must_use]
    pub fn unsettled(&self) -> Vec<Unsettled> {
        self.lock().unsettled()
    }

    /// As [`SimDisk::crash`], with the state of each unsettled piece chosen: 0 is that of the last sync,
    /// then come those since, then garbage.
    ///
    /// # Panics
    /// When there are not as many choices as pieces.
    pub fn crash_with(&self, choices: &[usize]) {
        self.lock().crash_with(choices);
    }

    /// A value that differs where the disk differs, right after a crash.
    #[must_use]
    pub fn image(&self) -> u64 {
        self.lock().image()
    }

    /// The process dies and the machine does not: nothing is lost, nothing is synced, all handles and
    /// locks are gone.
    pub fn kill(&self) {
        self.lock().end_process();
    }

    /// May a crash leave garbage in an unsynced sector? Off at first.
    pub fn set_garbage(&self, garbage: bool) {
        self.lock().garbage = garbage;
    }

    /// How many bytes the files may take together; no bound at first. Writes beyond fail with `ENOSPC`.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.lock().room = bytes;
    }

    /// How many bytes there are left, if there is a bound.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        let disk = self.lock();
        disk.room.map(|room| room.saturating_sub(disk.taken_bytes(None)))
    }

    /// Others fill the disk: so many bytes are left.
    pub fn leave_room(&self, bytes: u64) {
        let mut disk = self.lock();
        disk.room = Some(disk.taken_bytes(None) + bytes);
    }

    /// The power goes during the `n`th call from now (0 is the next): that call and all later ones fail
    /// until [`SimDisk::crash`].
    pub fn cut_power_after(&self, n: u64) {
        let mut disk = self.lock();
        disk.power_cut = Some(disk.calls + n);
    }

    /// The `n`th call of this kind from now (0 is the next) suffers `fault`, once. One fault can wait for
    /// each kind.
    pub fn strike(&self, call: Call, n: u64, fault: Fault) {
        self.lock().planned.insert(call, (n, fault));
    }

    /// The `n`th write from now (0 is the next) fails with `EIO`, once; a part of it may get through.
    pub fn fail_write_after(&self, n: u64) {
        self.strike(Call::Write, n, Fault::Eio);
    }

    /// The `n`th sync from now (0 is the next) fails with `EIO`, once, and the written pages are gone.
    pub fn fail_sync_after(&self, n: u64) {
        self.strike(Call::Sync, n, Fault::Eio);
    }

    /// Forget what is planned to fail and has not yet.
    pub fn clear_faults(&self) {
        self.lock().clear_faults();
    }

    /// Is a planned fault still to come?
    #[must_use]
    pub fn has_planned(&self) -> bool {
        !self.lock().planned.is_empty()
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// A disk of its own with the same contents, seeded anew, with nothing planned to fail: to look at
    /// several futures. What is not written to is shared, so this costs little.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut disk = self.lock().clone();
        disk.random = Random(seed);
        disk.locks.clear();
        disk.clear_faults();
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// The names of all files, ascending.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().map(ToString::to_string).collect()
    }

    /// The length of the largest file in bytes.
    #[must_use]
    pub fn largest_file(&self) -> u64 {
        self.lock().files.values().map(|file| file.len()).max().unwrap_or(0)
    }

    /// The sectors of a file that hold something, ascending.
    #[must_use]
    pub fn used_sectors(&self, name: &str) -> Vec<u64> {
        self.lock().named(name).map_or_else(Vec::new, Inode::used_sectors)
    }

    /// Bit rot: flip the bits of `mask` in the durable byte at `offset`. This and the faults below do
    /// nothing to a name that is not there.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) {
        self.with(name, |file| file.corrupt(offset, mask));
    }

    /// The durable sector `number` reads as zeros.
    pub fn zero_sector(&self, name: &str, number: u64) {
        self.with(name, |file| file.keep(number, None));
    }

    /// A lost write, or a stale sector: the durable sector `number` is again what it was before the last
    /// sync that changed it.
    pub fn revert_sector(&self, name: &str, number: u64) {
        self.with(name, |file| file.revert(number));
    }

    /// The sector `number` can no more be read (`EIO`), until it is written.
    pub fn spoil_sector(&self, name: &str, number: u64) {
        self.with(name, |file| file.make_unreadable(number));
    }

    /// A write that landed twice: the durable sector `from` of one file appears at `to` of another.
    pub fn misdirect(&self, (name, from): (&str, u64), (other, to): (&str, u64)) {
        let sector = self.lock().named(name).and_then(|file| file.durable_sector(from));
        self.with(other, |file| file.keep(to, sector));
    }

    /// A misdirected write: as [`SimDisk::misdirect`], and its own place holds what it held before.
    pub fn misdirect_write(&self, source: (&str, u64), target: (&str, u64)) {
        self.misdirect(source, target);
        if source != target {
            self.revert_sector(source.0, source.1);
        }
    }

    /// A lost file: its durable name and all of it are gone.
    pub fn lose(&self, name: &str) {
        self.lock().lose(name);
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Inode)) {
        if let Some(file) = self.lock().named_mut(name) {
            change(file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Volume> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

/// What a failing disk says.
fn eio() -> std::io::Error {
    std::io::Error::from_raw_os_error(5)
}
