//! One file of the simulated disk: its sectors, synced and not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    io::ErrorKind,
    ops::Range,
    sync::Arc,
};

use super::{
    SECTOR_BYTES, eio,
    random::{Random, hash, mix, to_usize},
};

pub(super) const SECTOR: u64 = SECTOR_BYTES as u64;

const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];

/// What a sector holds, shared by everything that holds it. Zeros are `None` everywhere.
pub(super) type Sector = Arc<Block>;

#[derive(Debug)]
pub(super) struct Block {
    bytes: [u8; SECTOR_BYTES],
    hash: u64,
}

/// What a crash keeps of something that was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    /// What the last sync left.
    Old,
    /// This one of the versions since.
    Version(usize),
    /// Anything: what this seed gives.
    Garbage(u64),
}

/// One file. A sector that is not there is zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    durable: BTreeMap<u64, Sector>,
    /// What a durable sector held before it was last synced with something else, if not zeros.
    previous: BTreeMap<u64, Sector>,
    /// Each version of a sector since the last sync; the last is the one that reads see.
    unsynced: BTreeMap<u64, Vec<Option<Sector>>>,
    /// What reads see and no sync will write.
    unwritable: BTreeMap<u64, Option<Sector>>,
    /// Sectors that cannot be read until they are written.
    unreadable: BTreeSet<u64>,
    durable_len: u64,
    unsynced_lens: Vec<u64>,
    /// How far it was ever written: what it takes of the disk's room.
    pub(super) allocated: u64,
    /// Over all durable sectors.
    hash: u64,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.unsynced_lens.last().copied().unwrap_or(self.durable_len)
    }

    /// A sector as reads see it; none is zeros.
    fn live(&self, sector: u64) -> Option<&Sector> {
        if let Some(versions) = self.unsynced.get(&sector) {
            return versions.last().and_then(Option::as_ref);
        }
        if let Some(cached) = self.unwritable.get(&sector) {
            return cached.as_ref();
        }
        self.durable.get(&sector)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        if end > self.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let sectors = offset / SECTOR..end.div_ceil(SECTOR);
        if self.unreadable.range(sectors.clone()).next().is_some() {
            return Err(eio());
        }
        // Most of a log is zeros: visit what is there, and not every sector.
        buffer.fill(0);
        let durable = self.durable.range(sectors.clone()).map(|(&at, sector)| (at, Some(sector)));
        let cached = self.unwritable.range(sectors.clone()).map(|(&at, s)| (at, s.as_ref()));
        let unsynced = self.unsynced.range(sectors);
        let unsynced = unsynced.map(|(&at, v)| (at, v.last().and_then(Option::as_ref)));
        for (at, sector) in durable.chain(cached).chain(unsynced) {
            copy_sector(buffer, offset, at, sector);
        }
        Ok(())
    }

    /// Read what was there before the newest sync, where that differs.
    pub(super) fn read_stale(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read(buffer, offset)?;
        let end = offset + buffer.len() as u64;
        for (&at, sector) in self.previous.range(offset / SECTOR..end.div_ceil(SECTOR)) {
            copy_sector(buffer, offset, at, Some(sector));
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.grow(offset + bytes.len() as u64);
        if is_zero(bytes) && self.is_hole(offset, bytes.len()) {
            return;
        }
        for (sector, new) in self.overlaid(bytes, offset) {
            let is_same = same(self.live(sector), new.as_ref());
            let was_unwritable = self.unwritable.remove(&sector).is_some();
            let was_unreadable = self.unreadable.remove(&sector);
            if !is_same || was_unwritable || was_unreadable {
                self.unsynced.entry(sector).or_default().push(new);
            }
        }
    }

    /// The disk says it has written this, and has not: the cache alone shows it.
    pub(super) fn lose(&mut self, bytes: &[u8], offset: u64) {
        self.grow(offset + bytes.len() as u64);
        for (sector, new) in self.overlaid(bytes, offset) {
            self.unsynced.remove(&sector);
            self.unwritable.insert(sector, new);
        }
    }

    /// The file is written up to here.
    fn grow(&mut self, end: u64) {
        self.allocated = self.allocated.max(end);
        if end > self.len() {
            self.unsynced_lens.push(end);
        }
    }

    /// The sectors that `bytes` touch, as they will be.
    fn overlaid(&self, bytes: &[u8], offset: u64) -> Vec<(u64, Option<Sector>)> {
        let parts = split(offset, bytes.len());
        parts
            .map(|(sector, at, part)| {
                let mut new = self.live(sector).map_or(ZEROS, |old| old.bytes);
                new[at..at + part.len()].copy_from_slice(&bytes[part]);
                (sector, block(new))
            })
            .collect()
    }

    fn is_hole(&self, offset: u64, len: usize) -> bool {
        let sectors = offset / SECTOR..(offset + len as u64).div_ceil(SECTOR);
        self.durable.range(sectors.clone()).next().is_none()
            && self.unsynced.range(sectors.clone()).next().is_none()
            && self.unwritable.range(sectors.clone()).next().is_none()
            && self.unreadable.range(sectors).next().is_none()
    }

    pub(super) fn set_len(&mut self, len: u64) {
        for sector in len.div_ceil(SECTOR)..self.len().div_ceil(SECTOR) {
            if self.live(sector).is_some() {
                self.unsynced.entry(sector).or_default().push(None);
            }
        }
        self.unsynced_lens.push(len);
        self.allocated = self.allocated.min(len);
    }

    /// Has a sync anything to do?
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.unsynced_lens.is_empty()
    }

    pub(super) fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            let new = versions.last().cloned().flatten();
            let old = self.durable.get(&sector).cloned();
            if !same(old.as_ref(), new.as_ref()) {
                set(&mut self.previous, sector, old);
            }
            self.keep(sector, new);
        }
        self.durable_len = self.len();
        self.unsynced_lens.clear();
    }

    /// A sync failed: what was to be written counts as clean and is not on the disk.
    pub(super) fn fail_sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            self.unwritable.insert(sector, versions.last().cloned().flatten());
        }
    }

    /// What a crash may leave in more than one way: the sectors, each with its versions since the last
    /// sync, and the lengths.
    pub(super) fn unsettled(&self) -> (impl Iterator<Item = (u64, usize)>, usize) {
        let sectors = self.unsynced.iter().map(|(&sector, versions)| (sector, versions.len()));
        (sectors, self.unsynced_lens.len())
    }

    /// Power fails: `keep` is asked for each unsynced sector in order and then, when it is not settled,
    /// for the length; it is told how many versions there are.
    pub(super) fn crash(&mut self, keep: &mut impl FnMut(Unsynced, usize) -> Kept) {
        self.unwritable.clear();
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            match keep(Unsynced::Sector, versions.len()) {
                Kept::Old => {}
                Kept::Version(number) => self.keep(sector, versions[number].clone()),
                Kept::Garbage(seed) => self.keep(sector, block(Random(seed).sector())),
            }
        }
        let lens = std::mem::take(&mut self.unsynced_lens);
        if !lens.is_empty()
            && let Kept::Version(number) = keep(Unsynced::Length, lens.len())
        {
            self.durable_len = lens[number];
        }
        let end = self.durable_len.div_ceil(SECTOR);
        while let Some((&sector, _)) = self.durable.range(end..).next() {
            self.keep(sector, None);
        }
        self.allocated = self.allocated.min(self.durable_len);
    }

    /// A value that differs where what is durable differs.
    pub(super) fn image(&self) -> u64 {
        let spoiled = self.unreadable.iter().map(|&sector| mix(!sector));
        spoiled.fold(self.hash ^ mix(self.durable_len), |image, sector| image ^ sector)
    }

    /// Sectors that hold something durably.
    pub(super) fn used_sectors(&self) -> Vec<u64> {
        self.durable.keys().copied().collect()
    }

    /// Flip bits of a durable byte.
    pub(super) fn corrupt(&mut self, offset: u64, mask: u8) {
        let (sector, at) = (offset / SECTOR, to_usize(offset % SECTOR));
        let mut bytes = self.durable.get(&sector).map_or(ZEROS, |old| old.bytes);
        bytes[at] ^= mask;
        self.keep(sector, block(bytes));
    }

    pub(super) fn durable_sector(&self, sector: u64) -> Option<Sector> {
        self.durable.get(&sector).cloned()
    }

    /// Bring back what a durable sector held before it was last synced with something else.
    pub(super) fn revert(&mut self, sector: u64) {
        let previous = self.previous.get(&sector).cloned();
        self.keep(sector, previous);
    }

    pub(super) fn make_unreadable(&mut self, sector: u64) {
        self.unreadable.insert(sector);
    }

    /// Show what is on the disk and no more what only the cache held.
    pub(super) fn forget_unwritable(&mut self, range: Range<u64>) {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        self.unwritable.retain(|sector, _| !sectors.contains(sector));
    }

    /// Does the cache show something that is not on the disk?
    pub(super) fn is_honest(&self) -> bool {
        self.unwritable.is_empty()
    }

    pub(super) fn keep(&mut self, sector: u64, bytes: Option<Sector>) {
        let mixed = |block: Option<&Sector>| block.map_or(0, |block| mix(block.hash ^ mix(sector)));
        self.hash ^= mixed(self.durable.get(&sector)) ^ mixed(bytes.as_ref());
        set(&mut self.durable, sector, bytes);
    }
}

/// What a crash decides about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unsynced {
    Sector,
    Length,
}

fn block(bytes: [u8; SECTOR_BYTES]) -> Option<Sector> {
    (bytes != ZEROS).then(|| Arc::new(Block { bytes, hash: hash(&bytes) }))
}

fn same(one: Option<&Sector>, other: Option<&Sector>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.hash == other.hash && one.bytes == other.bytes,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn set(sectors: &mut BTreeMap<u64, Sector>, number: u64, sector: Option<Sector>) {
    match sector {
        Some(sector) => sectors.insert(number, sector),
        None => sectors.remove(&number),
    };
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(SECTOR_BYTES).all(|chunk| ZEROS.starts_with(chunk))
}

/// Copy the part of a sector that lies in `buffer`, which begins at `offset` of the file.
fn copy_sector(buffer: &mut [u8], offset: u64, number: u64, sector: Option<&Sector>) {
    let start = number * SECTOR;
    let from = to_usize(start.max(offset) - start);
    let to = to_usize((start + SECTOR).min(offset + buffer.len() as u64) - start);
    let at = to_usize(start.max(offset) - offset);
    let target = &mut buffer[at..at + (to - from)];
    match sector {
        Some(sector) => target.copy_from_slice(&sector.bytes[from..to]),
        None => target.fill(0),
    }
}

/// The parts of `offset..offset + len` by sector: its number, where in it, where in the buffer.
fn split(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = offset + done as u64;
        let at = to_usize(position % SECTOR);
        let part = (SECTOR_BYTES - at).min(len - done);
        let range = done..done + part;
        done += part;
        (part > 0).then_some((position / SECTOR, at, range))
    })
}
