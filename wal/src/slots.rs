//! A small file of two slots that hold the same: whatever happens to a write or to one of them, the state
//! stays readable.
//!
//! What always holds: a state counts once both slots hold it, durably; the one with the older state is
//! written and synced before the other; a slot's checksum is seeded with its number, so that one written
//! to the wrong place fails.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use crate::{
    batch::is_zero,
    codec::{Cursor, len_u32, len_u64, to_usize},
    error::{Damage, Error},
    io::{File, Io},
};

/// Magic 8, major 2, minor 2, total length 4, checksum 4, zero 4, sequence 8.
const HEADER_BYTES: usize = 32;
const CRC_AT: usize = 16;
const FORMAT_MAJOR: u16 = 1;
const FORMAT_MINOR: u16 = 0;

/// What tells one slot file from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) magic: [u8; 8],
    pub(crate) slot_bytes: usize,
}

/// An open slot file.
#[derive(Debug)]
pub(crate) struct Slots {
    kind: Kind,
    /// None when it is not there.
    file: Option<Box<dyn File>>,
    path: PathBuf,
    /// Which slot holds the newest state, and is written last.
    newest: u32,
    /// Its sequence number.
    seq: u64,
}

impl Slots {
    /// Make the file, with `body` as its first state.
    pub(crate) fn create(io: &dyn Io, kind: Kind, body: &[u8]) -> Result<(), Error> {
        Self::absent(io, kind).store(io, body)
    }

    /// Open the file; returns it with the newest body, or what is wrong when neither slot holds one.
    pub(crate) fn open(io: &dyn Io, kind: Kind) -> Result<(Self, Result<Vec<u8>, Damage>), Error> {
        let mut slots = Self::absent(io, kind);
        let Some(file) = open(io, kind)? else { return Ok((slots, Err(Damage::FileMissing))) };
        let path = &slots.path;
        // What a dead process wrote may not be on disk, and after a failed sync the cache shows what
        // never will be (research F2, F3).
        file.sync_data().map_err(Error::io("sync", path))?;
        file.drop_cache(0..u64::MAX).map_err(Error::io("drop the cache of", path))?;
        let mut body = Err(Damage::BothSlots);
        for number in 0..2 {
            match read(&*file, kind, number, path)? {
                Slot::State(seq, state) if body.is_err() || seq > slots.seq => {
                    (slots.newest, slots.seq, body) = (number, seq, Ok(state));
                }
                Slot::State(..) | Slot::Empty | Slot::Bad => {}
                Slot::Version(found) => {
                    let path = path.clone();
                    return Err(Error::Version { path, found, supported: FORMAT_MAJOR });
                }
            }
        }
        // One without a state is made anew: a process that died may have left it too short.
        slots.file = body.is_ok().then_some(file);
        Ok((slots, body))
    }

    fn absent(io: &dyn Io, kind: Kind) -> Self {
        Self { kind, file: None, path: io.path(kind.name), newest: 0, seq: 0 }
    }

    /// Replace the state, durably in both slots.
    pub(crate) fn store(&mut self, io: &dyn Io, body: &[u8]) -> Result<(), Error> {
        let Self { kind, path, newest, .. } = self;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(make(io, *kind, path)?),
        };
        let seq = self.seq.saturating_add(1);
        // Until the older one is synced, the other holds the state before.
        for slot in [*newest ^ 1, *newest] {
            file.write_at(&encode(*kind, slot, seq, body), offset_of(*kind, slot))
                .map_err(Error::io("write", path))?;
            file.sync_data().map_err(Error::io("sync", path))?;
        }
        self.seq = seq;
        Ok(())
    }
}

/// Make the file, with nothing in it, in place of one without a state.
fn make(io: &dyn Io, kind: Kind, path: &Path) -> Result<Box<dyn File>, Error> {
    match io.remove(kind.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.map_err(Error::io("remove", path))?,
    }
    let file = io.create(kind.name).map_err(Error::io("create", path))?;
    // Real zeros, so that no later write has to allocate (research F10).
    file.write_at(&vec![0; kind.slot_bytes.saturating_mul(2)], 0)
        .map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("sync", path))?;
    io.sync_dir().map_err(Error::io("sync the directory of", path))?;
    Ok(file)
}

/// What a slot holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    /// Nothing was ever written to it.
    Empty,
    /// A state, with its sequence number.
    State(u64, Vec<u8>),
    /// Bytes that are none, or that cannot be read.
    Bad,
    /// Of a later version.
    Version(u16),
}

/// Both slots, for whoever looks at them without using them. None when the file is not there.
pub(crate) fn look(io: &dyn Io, kind: Kind) -> Result<Option<[Slot; 2]>, Error> {
    let Some(file) = open(io, kind)? else { return Ok(None) };
    let path = io.path(kind.name);
    Ok(Some([read(&*file, kind, 0, &path)?, read(&*file, kind, 1, &path)?]))
}

fn open(io: &dyn Io, kind: Kind) -> Result<Option<Box<dyn File>>, Error> {
    match io.open(kind.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(Error::io("open", &io.path(kind.name))),
    }
}

/// A slot that lacks the end of its state, or that the disk cannot read, is bad.
fn read(file: &dyn File, kind: Kind, slot: u32, path: &Path) -> Result<Slot, Error> {
    let offset = offset_of(kind, slot);
    let there = file.len().map_err(Error::io("read", path))?.saturating_sub(offset);
    if there == 0 {
        return Ok(Slot::Bad);
    }
    let mut bytes = vec![0; kind.slot_bytes.min(to_usize(there))];
    match file.read_at(&mut bytes, offset) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => return Ok(Slot::Bad),
        read => read.map_err(Error::io("read", path))?,
    }
    Ok(match decode(kind, slot, &bytes) {
        Ok(Some((seq, body))) => Slot::State(seq, body.to_vec()),
        Ok(None) if bytes.len() == kind.slot_bytes && is_zero(&bytes) => Slot::Empty,
        Ok(None) => Slot::Bad,
        Err(version) => Slot::Version(version),
    })
}

/// The largest body that fits a slot.
pub(crate) const fn body_bytes_max(kind: Kind) -> usize {
    kind.slot_bytes.saturating_sub(HEADER_BYTES)
}

fn offset_of(kind: Kind, slot: u32) -> u64 {
    len_u64(kind.slot_bytes).saturating_mul(u64::from(slot))
}

fn crc(slot: u32, before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(slot);
    hasher.update(before);
    hasher.update(after);
    hasher.finalize()
}

fn encode(kind: Kind, slot: u32, seq: u64, body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= body_bytes_max(kind), "{} holds {} bytes", kind.name, body.len());
    let len = body.len().saturating_add(HEADER_BYTES);
    let mut before = Vec::with_capacity(len);
    before.extend_from_slice(&kind.magic);
    before.extend_from_slice(&FORMAT_MAJOR.to_le_bytes());
    before.extend_from_slice(&FORMAT_MINOR.to_le_bytes());
    before.extend_from_slice(&len_u32(len).to_le_bytes());
    let mut after = vec![0; 4];
    after.extend_from_slice(&seq.to_le_bytes());
    after.extend_from_slice(body);
    let crc = crc(slot, &before, &after);
    before.extend_from_slice(&crc.to_le_bytes());
    before.extend_from_slice(&after);
    before
}

/// The state in a slot: `None` when it cannot be read, the version when it is of a later one.
fn decode(kind: Kind, slot: u32, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, u16> {
    let Some((major, seq, body)) = decode_any(kind, slot, bytes) else { return Ok(None) };
    if major == FORMAT_MAJOR { Ok(Some((seq, body))) } else { Err(major) }
}

fn decode_any(kind: Kind, slot: u32, bytes: &[u8]) -> Option<(u16, u64, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array()? != kind.magic {
        return None;
    }
    let major = cursor.u16()?;
    cursor.u16()?;
    let len = to_usize(u64::from(cursor.u32()?));
    let expected = cursor.u32()?;
    let before = bytes.get(..CRC_AT)?;
    let after = bytes.get(CRC_AT.saturating_add(4)..len)?;
    if crc(slot, before, after) != expected {
        return None;
    }
    cursor.u32()?;
    let seq = cursor.u64()?;
    Some((major, seq, bytes.get(HEADER_BYTES..len)?))
}
