//! A small file of two slots, written in turn: whatever happens to a write, the state before it stays
//! readable.
//!
//! What always holds: a write goes to the slot that is not the newest; it is synced before it counts;
//! a slot's checksum is seeded with its number, so that one written to the wrong place fails.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{io::ErrorKind, path::PathBuf};

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
    file: Box<dyn File>,
    path: PathBuf,
    /// Which slot holds the newest state.
    newest: u32,
    /// Its sequence number.
    seq: u64,
}

impl Slots {
    /// Make the file, with `body` as its first state. The directory entry is the caller's to sync.
    pub(crate) fn create(io: &dyn Io, kind: Kind, body: &[u8]) -> Result<(), Error> {
        let path = io.path(kind.name);
        let failed = |action| Error::io(action, &path);
        let file = io.create(kind.name).map_err(failed("create"))?;
        // Real zeros, so that no later write has to allocate (research F10).
        file.write_at(&vec![0; kind.slot_bytes.saturating_mul(2)], 0).map_err(failed("write"))?;
        file.write_at(&encode(kind, 0, 1, body), 0).map_err(failed("write"))?;
        file.sync_all().map_err(failed("sync"))
    }

    /// Open the file; returns it with the newest body.
    pub(crate) fn open(io: &dyn Io, kind: Kind) -> Result<(Self, Vec<u8>), Error> {
        let path = io.path(kind.name);
        let file = io.open(kind.name).map_err(|source| {
            if source.kind() == ErrorKind::NotFound {
                Error::Missing { path: path.clone() }
            } else {
                Error::io("open", &path)(source)
            }
        })?;
        // What a dead process wrote may not be on disk, and after a failed sync the cache shows what
        // never will be (research F2, F3).
        file.sync_data().map_err(Error::io("sync", &path))?;
        file.drop_cache(0..u64::MAX).map_err(Error::io("drop the cache of", &path))?;
        let size = file.len().map_err(Error::io("read", &path))?;
        if size < len_u64(kind.slot_bytes).saturating_mul(2) {
            return Err(Error::Damaged { path, offset: size, damage: Damage::FileShort });
        }
        let mut newest: Option<(u32, u64, Vec<u8>)> = None;
        for slot in 0..2 {
            let mut bytes = vec![0; kind.slot_bytes];
            file.read_at(&mut bytes, offset_of(kind, slot)).map_err(Error::io("read", &path))?;
            match decode(kind, slot, &bytes) {
                Ok(Some((seq, body))) if newest.as_ref().is_none_or(|found| found.1 < seq) => {
                    newest = Some((slot, seq, body.to_vec()));
                }
                Ok(_) => {}
                Err(found) => {
                    return Err(Error::Version { path, found, supported: FORMAT_MAJOR });
                }
            }
        }
        let Some((newest, seq, body)) = newest else {
            return Err(Error::Damaged { path, offset: 0, damage: Damage::BothSlots });
        };
        Ok((Self { kind, file, path, newest, seq }, body))
    }

    /// Replace the state, durably.
    pub(crate) fn store(&mut self, body: &[u8]) -> Result<(), Error> {
        let slot = self.newest ^ 1;
        let seq = self.seq.saturating_add(1);
        self.file
            .write_at(&encode(self.kind, slot, seq, body), offset_of(self.kind, slot))
            .map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        (self.newest, self.seq) = (slot, seq);
        Ok(())
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// What a slot holds, for whoever looks at it without using it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    /// Nothing was ever written to it.
    Empty,
    /// A state, with its sequence number.
    State(u64, Vec<u8>),
    /// Bytes that are none.
    Bad,
    /// Of a later version.
    Version(u16),
}

/// Both slots, as they are. None when the file is not there; slots beyond its end are bad.
pub(crate) fn look(io: &dyn Io, kind: Kind) -> Result<Option<[Slot; 2]>, Error> {
    let path = io.path(kind.name);
    let file = match io.open(kind.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("open", &path))?,
    };
    let mut slots = [Slot::Bad, Slot::Bad];
    for (number, slot) in (0..).zip(&mut slots) {
        let mut bytes = vec![0; kind.slot_bytes];
        match file.read_at(&mut bytes, offset_of(kind, number)) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
            read => read.map_err(Error::io("read", &path))?,
        }
        *slot = match decode(kind, number, &bytes) {
            Ok(Some((seq, body))) => Slot::State(seq, body.to_vec()),
            Ok(None) if is_zero(&bytes) => Slot::Empty,
            Ok(None) => Slot::Bad,
            Err(version) => Slot::Version(version),
        };
    }
    Ok(Some(slots))
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
