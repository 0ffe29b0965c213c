//! One segment file: its header, how it is made ahead of use, how it is read.
//!
//! ```text
//! | header 4096 | batch | batch | ... | zeros | footer area |
//! ```
//!
//! What always holds: a segment has its full size, real zeros and its header, all synced, before the
//! manifest lists it (research F10, F23); it is written from front to back, once; its number is never
//! given to another file of the same epoch; a sealed one is never written again.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    ops::Range,
    path::PathBuf,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Identity,
    aligned::Aligned,
    batch::{SECTOR_BYTES, Seed},
    codec::{Cursor, len_u32, len_u64, to_usize},
    error::{Damage, Error},
    io::{CACHED_BYTES, File, Io},
    manifest::Listed,
    seal::{Area, Trailer},
    sparse::SparseIndex,
};

/// Size of the header block; batches begin here.
pub(crate) const DATA_OFFSET: u64 = 4096;
/// The first batch of a segment takes no more than this, nor does what follows it before it is durable.
pub(crate) const START_BYTES_MAX: usize = 32 * 1024;
const HEADER_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"HFWALSEG";
/// The format of the files; a higher one is refused.
pub const FORMAT_MAJOR: u16 = 1;
const FORMAT_MINOR: u16 = 0;
/// IEEE CRC-32.
const CHECKSUM_KIND: u32 = 1;
/// Zeros are written and synced in steps of this size, so that little is dirty at any time.
const ZERO_STEP_BYTES: u64 = 1024 * 1024;
const ZERO_SYNC_BYTES: u64 = 4 * ZERO_STEP_BYTES;

/// The footer area is a multiple of this many bytes.
const FOOTER_ALIGN: u64 = 4096;
/// Where its size is in the header.
const FOOTER_AT: usize = 92;
/// A segment has room for a segment start.
const DATA_END_MIN: u64 = DATA_OFFSET + START_BYTES_MAX as u64;

const _: () = assert!(HEADER_BYTES <= SECTOR_BYTES);

/// Size of the area for the seal footer in a segment of this capacity.
pub(crate) const fn footer_bytes(capacity: u64) -> u64 {
    (capacity / 128).next_multiple_of(FOOTER_ALIGN).saturating_add(FOOTER_ALIGN)
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    /// Size of the file in bytes.
    pub(crate) capacity: u64,
    /// Where batches end and the footer area begins.
    pub(crate) data_end: u64,
    pub(crate) seed: Seed,
    pub(crate) file: Box<dyn File>,
    pub(crate) path: PathBuf,
    /// The pieces, by their numbers, of which the cache may show what is not on the disk.
    doubted: Mutex<BTreeSet<u64>>,
    /// Set when nobody writes to it any more; the trailer of its footer, if it has one.
    sealed: OnceLock<Option<Trailer>>,
    index: OnceLock<SparseIndex>,
    is_distrusted: AtomicBool,
}

/// The file name of a segment.
pub(crate) fn name_of(id: u64) -> String {
    format!("seg-{id:020}.wal")
}

/// The number in a segment's file name.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("seg-")?.strip_suffix(".wal")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Make a segment: zeros, header, synced, with its directory entry. None when it was given up.
pub(crate) fn make(
    io: &dyn Io,
    identity: &Identity,
    listed: &Listed,
    cancel: &AtomicBool,
) -> Result<Option<Segment>, Error> {
    let name = name_of(listed.id);
    let path = io.path(&name);
    let file = io.create(&name).map_err(Error::io("create", &path))?;
    file.write_directly(true);
    let filled = fill(&*file, &encode_header(identity, listed), listed.capacity, cancel);
    if !filled.map_err(Error::io("prepare", &path))? {
        return Ok(None);
    }
    io.sync_dir().map_err(Error::io("sync the directory of", &path))?;
    let data_end = listed.capacity.saturating_sub(footer_bytes(listed.capacity));
    Ok(Some(Segment::new(identity, listed, data_end, (file, path))))
}

/// Open a segment that no manifest lists, by what its own header says; none when it has no good one.
pub(crate) fn open_unlisted(io: &dyn Io, id: u64) -> Result<Option<Segment>, Error> {
    let name = name_of(id);
    let path = io.path(&name);
    let file = io.open(&name).map_err(Error::io("open", &path))?;
    let size = file.len().map_err(Error::io("read", &path))?;
    if size < DATA_OFFSET {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    file.read_at(&mut header, 0).map_err(Error::io("read", &path))?;
    let Some((identity, listed)) = peek_header(&header) else { return Ok(None) };
    let Ok(data_end) = check_header(&header, &identity, &listed) else { return Ok(None) };
    if listed.id != id || size < listed.capacity {
        return Ok(None);
    }
    Ok(Some(Segment::new(&identity, &listed, data_end, (file, path))))
}

/// Whose the segment of this number is, by its own header; none when that is no good one.
pub(crate) fn told_by_header(io: &dyn Io, id: u64) -> Result<Option<(Identity, Listed)>, Error> {
    let name = name_of(id);
    let path = io.path(&name);
    let file = io.open(&name).map_err(Error::io("open", &path))?;
    if file.len().map_err(Error::io("read", &path))? < DATA_OFFSET {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    file.read_at(&mut header, 0).map_err(Error::io("read", &path))?;
    let Some((identity, listed)) = peek_header(&header) else { return Ok(None) };
    match check_header(&header, &identity, &listed) {
        Ok(_) => Ok(Some((identity, listed))),
        Err(HeaderFault::Damage(_)) => Ok(None),
        Err(HeaderFault::Version(found)) => {
            Err(Error::Version { path, found, supported: FORMAT_MAJOR })
        }
    }
}

/// Remove a segment that could not be made, so that it does not take up room. It was never listed: if
/// this fails too, the next open does it.
pub(crate) fn unmake(io: &dyn Io, id: u64) {
    drop(io.remove(&name_of(id)));
}

fn fill(
    file: &dyn File,
    header: &[u8],
    capacity: u64,
    cancel: &AtomicBool,
) -> std::io::Result<bool> {
    let zeros = Aligned::zeros(to_usize(ZERO_STEP_BYTES.min(capacity)));
    let mut offset = 0;
    let mut unsynced = 0;
    while offset < capacity {
        if cancel.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let step = capacity.saturating_sub(offset).min(ZERO_STEP_BYTES);
        file.write_at(zeros.as_slice().get(..to_usize(step)).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(step);
        unsynced = step.saturating_add(unsynced);
        if unsynced >= ZERO_SYNC_BYTES {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.write_at(header, 0)?;
    file.sync_all()?;
    Ok(true)
}

impl Segment {
    fn new(
        identity: &Identity,
        listed: &Listed,
        data_end: u64,
        (file, path): (Box<dyn File>, PathBuf),
    ) -> Self {
        Self {
            id: listed.id,
            capacity: listed.capacity,
            data_end,
            seed: seed_of(identity, listed),
            file,
            path,
            doubted: Mutex::default(),
            sealed: OnceLock::new(),
            index: OnceLock::new(),
            is_distrusted: AtomicBool::new(false),
        }
    }

    /// Open a listed segment and check that its header says what the manifest says.
    pub(crate) fn open(io: &dyn Io, identity: &Identity, listed: &Listed) -> Result<Self, Error> {
        let name = name_of(listed.id);
        let path = io.path(&name);
        let damaged = |offset, damage| Error::Damaged { path: path.clone(), offset, damage };
        let file = io.open(&name).map_err(|source| {
            if source.kind() == ErrorKind::NotFound {
                damaged(0, Damage::FileMissing)
            } else {
                Error::io("open", &path)(source)
            }
        })?;
        let size = file.len().map_err(Error::io("read", &path))?;
        if size < listed.capacity {
            return Err(damaged(size, Damage::FileShort));
        }
        let mut header = [0; HEADER_BYTES];
        file.read_at(&mut header, 0).map_err(Error::io("read", &path))?;
        match check_header(&header, identity, listed) {
            Ok(data_end) => Ok(Self::new(identity, listed, data_end, (file, path))),
            Err(HeaderFault::Damage(damage)) => Err(damaged(0, damage)),
            Err(HeaderFault::Version(found)) => {
                Err(Error::Version { path, found, supported: FORMAT_MAJOR })
            }
        }
    }

    /// Open a listed segment whose own header cannot be read: the manifest says the same.
    pub(crate) fn open_unread(
        io: &dyn Io,
        identity: &Identity,
        listed: &Listed,
    ) -> Result<Self, Error> {
        let name = name_of(listed.id);
        let path = io.path(&name);
        let file = io.open(&name).map_err(Error::io("open", &path))?;
        let data_end = listed.capacity.saturating_sub(footer_bytes(listed.capacity));
        Ok(Self::new(identity, listed, data_end, (file, path)))
    }

    /// Whatever has a segment's name, all that is behind the header taken for data.
    pub(crate) fn open_any(io: &dyn Io, id: u64) -> Result<Self, Error> {
        let name = name_of(id);
        let path = io.path(&name);
        let file = io.open(&name).map_err(Error::io("open", &path))?;
        let capacity = file.len().map_err(Error::io("read", &path))?;
        let identity = Identity { cluster: 0, node: 0, store: 0 };
        let listed = Listed { id, capacity, epoch: 0, first_seq: 0 };
        Ok(Self::new(&identity, &listed, capacity, (file, path)))
    }

    /// Nobody writes to it any more, now that its footer is durable, or none is to be made; from now on it
    /// is read through a map.
    pub(crate) fn seal(&self, trailer: Option<Trailer>) {
        // Set once: a sealed segment stays as it is.
        self.sealed.get_or_init(|| trailer);
        self.file.write_directly(false);
    }

    /// A dead process may have written to it: from now on it is synced, and what is first read of it comes
    /// from the disk and not from the cache (research F2, F3).
    pub(crate) fn doubt(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        self.doubted = Mutex::new((0..self.capacity.div_ceil(CACHED_BYTES)).collect());
        Ok(())
    }

    /// Have what is read of this range from now on come from the disk, where that is still due.
    pub(crate) fn ask_disk(&self, range: Range<u64>) -> Result<(), Error> {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = range.start / CACHED_BYTES..range.end.div_ceil(CACHED_BYTES);
        if doubted.range(pieces.clone()).next().is_some() {
            let start = pieces.start.saturating_mul(CACHED_BYTES);
            let dropped = self.file.drop_cache(start..pieces.end.saturating_mul(CACHED_BYTES));
            dropped.map_err(Error::io("drop the cache of", &self.path))?;
            doubted.retain(|piece| !pieces.contains(piece));
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, offset: u64, damage: Damage) -> Error {
        Error::Damaged { path: self.path.clone(), offset, damage }
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        self.ask_disk(offset..offset.saturating_add(len_u64(len)))?;
        let mut bytes = vec![0; len];
        self.file.read_at(&mut bytes, offset).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }

    /// The same, through a map once nobody writes to it any more.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let range = offset..offset.saturating_add(len_u64(len));
        if self.sealed.get().is_some() && !self.is_distrusted.load(Ordering::Relaxed) {
            self.ask_disk(range.clone())?;
            match self.file.map(range) {
                Ok(bytes) => return Ok(bytes),
                Err(_) => self.distrust(),
            }
        }
        self.read(offset, len).map(Bytes::from)
    }

    /// Something in it could not be read. What could be until now may go next: from now on nothing of it is
    /// read through a map, under which that would end the process.
    pub(crate) fn distrust(&self) {
        self.is_distrusted.store(true, Ordering::Relaxed);
    }

    /// The sparse index of its footer, checked when it is first asked for.
    pub(crate) fn index(&self) -> Result<&SparseIndex, Error> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = match self.sealed.get() {
            Some(Some(trailer)) => SparseIndex::load(trailer, self)?,
            Some(None) | None => SparseIndex::default(),
        };
        Ok(self.index.get_or_init(|| index))
    }

    /// Was it sealed with a footer?
    pub(crate) fn has_footer(&self) -> bool {
        self.sealed.get().is_some_and(Option::is_some)
    }

    /// Where its footer is.
    pub(crate) const fn area(&self) -> Area {
        Area { seed: self.seed, data_end: self.data_end, capacity: self.capacity }
    }
}

/// The segment's part of every checksum in it: differs for every segment ever made.
fn seed_of(identity: &Identity, listed: &Listed) -> Seed {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&identity.cluster.to_le_bytes());
    hasher.update(&identity.node.to_le_bytes());
    hasher.update(&identity.store.to_le_bytes());
    hasher.update(&listed.id.to_le_bytes());
    hasher.update(&listed.epoch.to_le_bytes());
    Seed(hasher.finalize())
}

fn encode_header(identity: &Identity, listed: &Listed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_MAJOR.to_le_bytes());
    bytes.extend_from_slice(&FORMAT_MINOR.to_le_bytes());
    bytes.extend_from_slice(&len_u32(HEADER_BYTES).to_le_bytes());
    bytes.extend_from_slice(&listed.id.to_le_bytes());
    bytes.extend_from_slice(&identity.store.to_le_bytes());
    bytes.extend_from_slice(&identity.node.to_le_bytes());
    bytes.extend_from_slice(&identity.cluster.to_le_bytes());
    bytes.extend_from_slice(&len_u32(SECTOR_BYTES).to_le_bytes());
    bytes.extend_from_slice(&CHECKSUM_KIND.to_le_bytes());
    bytes.extend_from_slice(&listed.capacity.to_le_bytes());
    // Flags: an unknown bit of the first four bytes means "refuse", of the others "ignore".
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&listed.epoch.to_le_bytes());
    let footer = u32::try_from(footer_bytes(listed.capacity)).expect("a segment is at most 1 GiB");
    bytes.extend_from_slice(&footer.to_le_bytes());
    bytes.resize(HEADER_BYTES.saturating_sub(4), 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Whose segment a header says it is, unchecked.
fn peek_header(bytes: &[u8]) -> Option<(Identity, Listed)> {
    let mut cursor = Cursor::new(bytes);
    cursor.bytes(16)?;
    let id = cursor.u64()?;
    let store = cursor.u128()?;
    let node = cursor.u64()?;
    let cluster = cursor.u128()?;
    cursor.bytes(8)?;
    let capacity = cursor.u64()?;
    cursor.bytes(8)?;
    let epoch = cursor.u32()?;
    Some((Identity { cluster, node, store }, Listed { id, capacity, epoch, first_seq: 0 }))
}

enum HeaderFault {
    Damage(Damage),
    Version(u16),
}

/// Is this the header of that segment? Returns where its data ends.
fn check_header(
    bytes: &[u8; HEADER_BYTES],
    identity: &Identity,
    listed: &Listed,
) -> Result<u64, HeaderFault> {
    let damage = || HeaderFault::Damage(Damage::Header);
    let (covered, crc) = bytes.split_last_chunk::<4>().ok_or_else(damage)?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) || !bytes.starts_with(&MAGIC) {
        return Err(damage());
    }
    let major = Cursor::new(covered.get(MAGIC.len()..).unwrap_or_default()).u16();
    match major {
        Some(FORMAT_MAJOR) => {}
        Some(found) => return Err(HeaderFault::Version(found)),
        None => return Err(damage()),
    }
    // Everything else is known; a later minor version may differ in its own field and in what follows
    // the flags.
    let expected = encode_header(identity, listed);
    let same = |range: Range<usize>| covered.get(range.clone()) == expected.get(range);
    if !same(72..80) || !same(16..72) || !same(88..92) {
        return Err(HeaderFault::Damage(Damage::Misplaced));
    }
    if !same(80..84) {
        return Err(HeaderFault::Version(FORMAT_MAJOR.saturating_add(1)));
    }
    let footer = Cursor::new(covered.get(FOOTER_AT..).unwrap_or_default()).u32();
    let data_end = footer.and_then(|footer| listed.capacity.checked_sub(u64::from(footer)));
    data_end
        .filter(|end| *end >= DATA_END_MIN && end.is_multiple_of(FOOTER_ALIGN))
        .ok_or(HeaderFault::Damage(Damage::Contents))
}
