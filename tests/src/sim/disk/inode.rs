//! One file of the simulated disk: its sectors, synced and not.

use std::{collections::BTreeMap, io, io::ErrorKind, ops::Range, sync::Arc};

use super::SECTOR_BYTES;

pub(super) const SECTOR: u64 = SECTOR_BYTES as u64;

pub(super) type Sector = Arc<[u8; SECTOR_BYTES]>;

/// One file. A sector that is not there is zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    durable: BTreeMap<u64, Sector>,
    /// Each version of a sector since the last sync; the last is the one that reads see.
    unsynced: BTreeMap<u64, Vec<Option<Sector>>>,
    /// What reads see and no sync will write, since one failed.
    unwritable: BTreeMap<u64, Option<Sector>>,
    durable_len: u64,
    unsynced_lens: Vec<u64>,
    /// How far it was ever written: what it takes of the disk's room.
    pub(super) allocated: u64,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.unsynced_lens.last().copied().unwrap_or(self.durable_len)
    }

    /// A sector as reads see it; none is zeros.
    pub(super) fn live(&self, sector: u64) -> Option<&Sector> {
        if let Some(versions) = self.unsynced.get(&sector) {
            return versions.last().and_then(Option::as_ref);
        }
        if let Some(cached) = self.unwritable.get(&sector) {
            return cached.as_ref();
        }
        self.durable.get(&sector)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for (sector, at, part) in split(offset, buffer.len()) {
            let target = &mut buffer[part.clone()];
            match self.live(sector) {
                Some(bytes) => target.copy_from_slice(&bytes[at..at + part.len()]),
                None => target.fill(0),
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        self.allocated = self.allocated.max(end);
        if end > self.len() {
            self.unsynced_lens.push(end);
        }
        if bytes.iter().all(|&byte| byte == 0)
            && self.is_hole(offset / SECTOR, end.div_ceil(SECTOR))
        {
            return;
        }
        for (sector, at, part) in split(offset, bytes.len()) {
            let old = self.live(sector);
            let mut new = old.map_or([0; SECTOR_BYTES], |old| **old);
            new[at..at + part.len()].copy_from_slice(&bytes[part]);
            let is_same = old.map_or(new == [0; SECTOR_BYTES], |old| **old == new);
            let was_unwritable = self.unwritable.remove(&sector).is_some();
            if !is_same || was_unwritable {
                let new = (new != [0; SECTOR_BYTES]).then(|| Arc::new(new));
                self.unsynced.entry(sector).or_default().push(new);
            }
        }
    }

    fn is_hole(&self, from: u64, to: u64) -> bool {
        self.durable.range(from..to).next().is_none()
            && self.unsynced.range(from..to).next().is_none()
            && self.unwritable.range(from..to).next().is_none()
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

    pub(super) fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            self.keep(sector, versions.last().cloned().flatten());
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

    pub(super) fn crash(&mut self, random: &mut Random, keep_percent: usize, garbage: bool) {
        self.unwritable.clear();
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            let old = self.durable.get(&sector).cloned();
            let kept = if garbage && random.below(4) == 0 {
                Some(Arc::new(random.sector()))
            } else {
                random.pick(keep_percent, old, &versions)
            };
            self.keep(sector, kept);
        }
        let lens = std::mem::take(&mut self.unsynced_lens);
        self.durable_len = random.pick(keep_percent, self.durable_len, &lens);
        let end = self.durable_len.div_ceil(SECTOR);
        self.durable.retain(|&sector, _| sector < end);
    }

    /// Sectors that hold something durably.
    pub(super) fn used_sectors(&self) -> Vec<u64> {
        self.durable.keys().copied().collect()
    }

    /// Flip bits of a durable byte.
    pub(super) fn corrupt(&mut self, offset: u64, mask: u8) {
        let (sector, at) = (offset / SECTOR, to_usize(offset % SECTOR));
        let mut bytes = self.durable.get(&sector).map_or([0; SECTOR_BYTES], |bytes| **bytes);
        bytes[at] ^= mask;
        self.durable.insert(sector, Arc::new(bytes));
    }

    pub(super) fn durable_sector(&self, sector: u64) -> Option<Sector> {
        self.durable.get(&sector).cloned()
    }

    /// Show what is on the disk and no more what only the cache held.
    pub(super) fn forget_unwritable(&mut self) {
        self.unwritable.clear();
    }

    pub(super) fn keep(&mut self, sector: u64, bytes: Option<Sector>) {
        match bytes {
            Some(bytes) => self.durable.insert(sector, bytes),
            None => self.durable.remove(&sector),
        };
    }
}

/// `SplitMix64`: small, and the same everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        to_usize(self.next() % bound as u64)
    }

    /// `old`, or with this probability one of the versions after it, mostly the last.
    pub(super) fn pick<T: Clone>(&mut self, keep_percent: usize, old: T, versions: &[T]) -> T {
        if versions.is_empty() || self.below(100) >= keep_percent {
            return old;
        }
        let last = versions.len() - 1;
        let kept = if self.below(4) == 0 { self.below(versions.len()) } else { last };
        versions[kept].clone()
    }

    fn sector(&mut self) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
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

pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("offsets in memory fit the address space")
}
