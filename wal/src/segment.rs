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
    io::ErrorKind,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Entry, Identity,
    batch::{FRAME_HEADER_BYTES, Fault, Frame, SECTOR_BYTES, Seed, frame_bytes},
    codec::{Cursor, len_u32, len_u64, to_usize},
    error::{Damage, Error},
    io::{File, Io},
    manifest::Listed,
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
/// Entries of the active segment are read at least this far ahead.
const READ_AHEAD_BYTES: usize = 16 * 1024;

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
    /// Where batches end and the footer area begins.
    pub(crate) data_end: u64,
    pub(crate) seed: Seed,
    pub(crate) file: Box<dyn File>,
    pub(crate) path: PathBuf,
    sealed: AtomicBool,
    map: OnceLock<Bytes>,
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
    let zeros = vec![0; to_usize(ZERO_STEP_BYTES.min(capacity))];
    let mut offset = 0;
    let mut unsynced = 0;
    while offset < capacity {
        if cancel.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let step = capacity.saturating_sub(offset).min(ZERO_STEP_BYTES);
        file.write_at(zeros.get(..to_usize(step)).unwrap_or(&zeros), offset)?;
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
            data_end,
            seed: seed_of(identity, listed),
            file,
            path,
            sealed: AtomicBool::new(false),
            map: OnceLock::new(),
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

    /// Nobody writes to it any more; from now on it is read through a map.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(crate) fn damaged(&self, offset: u64, damage: Damage) -> Error {
        Error::Damaged { path: self.path.clone(), offset, damage }
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len];
        self.file.read_at(&mut bytes, offset).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }

    /// Read the entries `first`, `first + 1`, ... whose frames are at `offsets`, until `budget` bytes are
    /// used up; the first of all is read whatever its size. False when the budget ended it.
    pub(crate) fn read_entries(
        &self,
        first: u64,
        offsets: &[u32],
        budget: &mut usize,
        entries: &mut Vec<Entry>,
    ) -> Result<bool, Error> {
        let mut window = Window { start: 0, bytes: Bytes::new() };
        for (index, &offset) in (first..).zip(offsets) {
            let offset = u64::from(offset);
            let entry = self.read_entry(index, offset, *budget, &mut window)?;
            let size = entry_bytes(&entry);
            if size > *budget && !entries.is_empty() {
                return Ok(false);
            }
            *budget = budget.saturating_sub(size);
            entries.push(entry);
        }
        Ok(true)
    }

    fn read_entry(
        &self,
        index: u64,
        offset: u64,
        budget: usize,
        window: &mut Window,
    ) -> Result<Entry, Error> {
        let damaged = || self.damaged(offset, Damage::Entry);
        if window.at(offset, FRAME_HEADER_BYTES).is_none() {
            *window = self.window(offset, budget.max(READ_AHEAD_BYTES))?;
        }
        let len = window.at(offset, 4).and_then(|bytes| Cursor::new(bytes).u32());
        let size = frame_bytes(to_usize(u64::from(len.ok_or_else(damaged)?)));
        if len_u64(size) > self.data_end.saturating_sub(offset) {
            return Err(damaged());
        }
        if window.at(offset, size).is_none() {
            *window = self.window(offset, size.max(budget))?;
        }
        let frame = window.at(offset, size).ok_or_else(damaged)?;
        let (frame, _) = Frame::decode(frame, self.seed, offset).map_err(|fault| match fault {
            Fault::Checksum => damaged(),
            Fault::Contents | Fault::Version => self.damaged(offset, Damage::Contents),
        })?;
        match frame.to_entry(&window.bytes) {
            Some(entry) if entry.index == index => Ok(entry),
            Some(_) | None => Err(self.damaged(offset, Damage::Misplaced)),
        }
    }

    /// A part of the file, `len` bytes from `offset` where it has them; all of it when it is sealed.
    fn window(&self, offset: u64, len: usize) -> Result<Window, Error> {
        if self.sealed.load(Ordering::Acquire) {
            let map = match self.map.get() {
                Some(map) => map.clone(),
                None => {
                    let map = self.file.map().map_err(Error::io("map", &self.path))?;
                    self.map.get_or_init(|| map).clone()
                }
            };
            return Ok(Window { start: 0, bytes: map });
        }
        let len = len_u64(len).min(self.data_end.saturating_sub(offset));
        Ok(Window { start: offset, bytes: self.read(offset, to_usize(len))?.into() })
    }
}

/// What an entry counts against a reader's budget.
pub(crate) const fn entry_bytes(entry: &Entry) -> usize {
    entry.payload.len().saturating_add(FRAME_HEADER_BYTES)
}

/// Bytes of a segment in memory.
#[derive(Debug)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn at(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = to_usize(offset.checked_sub(self.start)?);
        self.bytes.get(from..from.checked_add(len)?)
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
    let same = |range: std::ops::Range<usize>| covered.get(range.clone()) == expected.get(range);
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
