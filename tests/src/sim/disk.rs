//! A disk in memory that loses at a crash what was not synced.
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

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use wal::{File, Io, Lock};

use self::inode::{Inode, Random, to_usize};

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// The disk; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    disk: Arc<Mutex<Disk>>,
}

impl SimDisk {
    /// An empty disk. The seed decides what crashes keep.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(seed))) }
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

    /// The power goes during the `n`th call from now (0 is the next): that call and all later ones fail
    /// until [`SimDisk::crash`].
    pub fn cut_power_after(&self, n: u64) {
        let mut disk = self.lock();
        disk.power_cut = Some(disk.calls + n);
    }

    /// The `n`th write from now (0 is the next) fails with `EIO`, once; a part of it may get through.
    pub fn fail_write_after(&self, n: u64) {
        self.lock().failing_write = Some(n);
    }

    /// The `n`th sync from now (0 is the next) fails with `EIO`, once. As on Linux the written pages then
    /// count as clean: reads show them, later syncs succeed, and they are never written.
    pub fn fail_sync_after(&self, n: u64) {
        self.lock().failing_sync = Some(n);
    }

    /// Forget what is planned to fail and has not yet.
    pub fn clear_faults(&self) {
        self.lock().clear_faults();
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// A disk of its own with the same contents, seeded anew, with nothing planned to fail: to look at
    /// several futures.
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
        self.lock().names.keys().cloned().collect()
    }

    /// The sectors of a file that hold something, ascending.
    #[must_use]
    pub fn used_sectors(&self, name: &str) -> Vec<u64> {
        let disk = self.lock();
        let file = disk.names.get(name).and_then(|inode| disk.files.get(inode));
        file.map_or_else(Vec::new, Inode::used_sectors)
    }

    /// Bit rot: flip the bits of `mask` in the durable byte at `offset`. Does nothing to a name that is
    /// not there.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) {
        let mut disk = self.lock();
        let Some(&inode) = disk.names.get(name) else { return };
        if let Some(file) = disk.files.get_mut(&inode) {
            file.corrupt(offset, mask);
        }
    }

    /// A lost write: the durable sector `number` reads as zeros.
    pub fn zero_sector(&self, name: &str, number: u64) {
        let mut disk = self.lock();
        let Some(&inode) = disk.names.get(name) else { return };
        if let Some(file) = disk.files.get_mut(&inode) {
            file.keep(number, None);
        }
    }

    /// A misdirected write: the durable sector `from` of one file appears at `to` of another.
    pub fn misdirect(&self, (name, from): (&str, u64), (other, to): (&str, u64)) {
        let mut disk = self.lock();
        let sector = disk.names.get(name).and_then(|inode| disk.files.get(inode));
        let sector = sector.and_then(|file| file.durable_sector(from));
        let Some(&inode) = disk.names.get(other) else { return };
        if let Some(file) = disk.files.get_mut(&inode) {
            file.keep(to, sector);
        }
    }

    /// A lost file: its durable name and all of it are gone.
    pub fn lose(&self, name: &str) {
        let mut disk = self.lock();
        disk.names.remove(name);
        disk.durable_names.remove(name);
        disk.unsynced_names.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Disk {
    random: Random,
    /// Which process may use it; counts ends.
    process: u64,
    files: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Names as a process sees them, and as a crash would find them at worst.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Each state of a name since the last sync of the directory.
    unsynced_names: BTreeMap<String, Vec<Option<u64>>>,
    locks: BTreeSet<String>,
    calls: u64,
    garbage: bool,
    room: Option<u64>,
    power_cut: Option<u64>,
    failing_write: Option<u64>,
    failing_sync: Option<u64>,
}

/// What kind of call is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    Read,
    Write,
    Sync,
    Name,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Succeeds,
    /// It fails, and some of it may have happened.
    Fails,
}

impl Disk {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            process: 0,
            files: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: BTreeMap::new(),
            locks: BTreeSet::new(),
            calls: 0,
            garbage: false,
            room: None,
            power_cut: None,
            failing_write: None,
            failing_sync: None,
        }
    }

    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        self.clear_faults();
    }

    fn clear_faults(&mut self) {
        self.power_cut = None;
        self.failing_write = None;
        self.failing_sync = None;
    }

    fn crash(&mut self) {
        self.end_process();
        // Most crashes are all or nothing somewhere; a fair coin for each sector never is.
        let keep_percent = [0, 10, 50, 90, 100][self.random.below(5)];
        for (name, states) in std::mem::take(&mut self.unsynced_names) {
            let durable = self.durable_names.remove(&name);
            let kept = self.random.pick(keep_percent, durable, &states);
            if let Some(inode) = kept {
                self.durable_names.insert(name, inode);
            }
        }
        self.names = self.durable_names.clone();
        let reachable: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|inode, _| reachable.contains(inode));
        for file in self.files.values_mut() {
            file.crash(&mut self.random, keep_percent, self.garbage);
        }
    }

    /// Every call comes through here.
    fn enter(&mut self, process: u64, call: Call) -> io::Result<Fate> {
        if process != self.process {
            return Err(io::Error::other("this process is dead"));
        }
        let number = self.calls;
        self.calls += 1;
        if let Some(cut) = self.power_cut
            && number >= cut
        {
            // The call that is cut short may have done a part; later ones do nothing.
            return if number == cut { Ok(Fate::Fails) } else { Err(power_is_off()) };
        }
        let planned = match call {
            Call::Write => &mut self.failing_write,
            Call::Sync => &mut self.failing_sync,
            Call::Read | Call::Name => return Ok(Fate::Succeeds),
        };
        match planned {
            Some(0) => {
                *planned = None;
                Ok(Fate::Fails)
            }
            Some(left) => {
                *left -= 1;
                Ok(Fate::Succeeds)
            }
            None => Ok(Fate::Succeeds),
        }
    }

    fn set_name(&mut self, name: &str, inode: Option<u64>) {
        self.unsynced_names.entry(name.to_owned()).or_default().push(inode);
        match inode {
            Some(inode) => self.names.insert(name.to_owned(), inode),
            None => self.names.remove(name),
        };
    }

    /// Would `file` with this many bytes fit?
    fn has_room(&self, inode: u64, allocated: u64) -> bool {
        let Some(room) = self.room else { return true };
        let others = self.names.values().filter(|&&other| other != inode);
        let taken: u64 =
            others.filter_map(|other| self.files.get(other)).map(|f| f.allocated).sum();
        taken + allocated <= room
    }

    fn file(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.files.get_mut(&inode).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

/// What a write or sync that fails says.
fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[derive(Debug)]
struct SimIo {
    disk: SimDisk,
    process: u64,
}

impl SimIo {
    fn enter(&self, call: Call) -> io::Result<(MutexGuard<'_, Disk>, Fate)> {
        let mut disk = self.disk.lock();
        let fate = disk.enter(self.process, call)?;
        Ok((disk, fate))
    }

    fn file(&self, inode: u64) -> Box<dyn File> {
        Box::new(SimFile { io: Self { disk: self.disk.clone(), process: self.process }, inode })
    }
}

/// A call that changes names: cut short, it may have happened or not, which the crash decides.
fn settle(fate: Fate) -> io::Result<()> {
    if fate == Fate::Succeeds { Ok(()) } else { Err(eio()) }
}

impl Io for SimIo {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (mut disk, fate) = self.enter(Call::Name)?;
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.files.insert(inode, Inode::default());
        disk.set_name(name, Some(inode));
        settle(fate)?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (disk, fate) = self.enter(Call::Name)?;
        settle(fate)?;
        let inode = *disk.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (disk, fate) = self.enter(Call::Read)?;
        settle(fate)?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut disk, fate) = self.enter(Call::Name)?;
        if !disk.names.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        disk.set_name(name, None);
        settle(fate)
    }

    fn sync_dir(&self) -> io::Result<()> {
        let (mut disk, fate) = self.enter(Call::Sync)?;
        settle(fate)?;
        disk.durable_names = disk.names.clone();
        disk.unsynced_names.clear();
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let (mut disk, fate) = self.enter(Call::Name)?;
        settle(fate)?;
        if !disk.locks.insert(name.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let (disk, process) = (self.disk.clone(), self.process);
        Ok(Box::new(SimLock { disk, process, name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    process: u64,
    name: String,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.process == self.process {
            disk.locks.remove(&self.name);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    io: SimIo,
    inode: u64,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Sync)?;
        let power_is_on = disk.power_cut.is_none_or(|cut| disk.calls <= cut);
        let file = disk.file(self.inode)?;
        match fate {
            Fate::Succeeds => file.sync(),
            Fate::Fails if power_is_on => file.fail_sync(),
            Fate::Fails => {}
        }
        settle(fate)
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Read)?;
        settle(fate)?;
        disk.file(self.inode)?.read(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Write)?;
        let end = offset + bytes.len() as u64;
        let allocated = disk.file(self.inode)?.allocated;
        if end > allocated && !disk.has_room(self.inode, end) {
            return Err(ErrorKind::StorageFull.into());
        }
        disk.file(self.inode)?.write(bytes, offset);
        settle(fate)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len(&self) -> io::Result<u64> {
        let (mut disk, fate) = self.io.enter(Call::Read)?;
        settle(fate)?;
        Ok(disk.file(self.inode)?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Write)?;
        disk.file(self.inode)?.set_len(len);
        settle(fate)
    }

    fn drop_cache(&self) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Read)?;
        settle(fate)?;
        disk.file(self.inode)?.forget_unwritable();
        Ok(())
    }

    fn map(&self) -> io::Result<Bytes> {
        let (mut disk, fate) = self.io.enter(Call::Read)?;
        settle(fate)?;
        let file = disk.file(self.inode)?;
        let mut bytes = vec![0; to_usize(file.len())];
        file.read(&mut bytes, 0)?;
        Ok(bytes.into())
    }
}
