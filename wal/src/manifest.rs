//! The `MANIFEST` file: whose log it is, how often it was opened, and which segments belong to it.
//!
//! What always holds: a segment is listed, durably, before its first use, so that a lost file is never
//! taken for the end of the log (research F23); the epoch is raised before the first append of a run.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    Identity,
    codec::{Cursor, len_u32},
    error::{Damage, Error},
    io::Io,
    slots::{Kind, Slots, body_bytes_max},
    vote::{decode_identity, encode_identity},
};

pub(crate) const MANIFEST: Kind =
    Kind { name: "MANIFEST", magic: *b"HFWALMAN", slot_bytes: 64 * 1024 };

/// Identity 40, epoch 4, flags 4, durable sequence 8, next segment 8, count 4, zero 4.
const FIXED_BYTES: usize = 72;
const LISTED_BYTES: usize = 32;
/// How many segments a log can have.
pub(crate) const SEGMENTS_MAX: usize =
    body_bytes_max(MANIFEST).saturating_sub(FIXED_BYTES) / LISTED_BYTES;

/// Instead of a first batch: what is in the segment was never part of the log, or has been listed as
/// lost. It is kept and not looked at.
pub(crate) const SET_ASIDE: u64 = u64::MAX;

/// A segment in the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    /// Size of the file in bytes.
    pub(crate) capacity: u64,
    /// The epoch in which it was made.
    pub(crate) epoch: u32,
    /// Its first batch; 0 as long as it is not known to be in use.
    pub(crate) first_seq: u64,
}

const _: () = assert!(SEGMENTS_MAX == 2044, "as FORMAT.md says");

/// What the file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) identity: Identity,
    /// How often the log has been opened.
    pub(crate) epoch: u32,
    /// It was made from the segments, which do not tell whether another one is lost, and the log does not
    /// tell of that doubt yet.
    pub(crate) is_rebuilt: bool,
    /// The newest batch known to be durable when this was written.
    pub(crate) durable_seq: u64,
    /// The number for the next segment.
    pub(crate) next_segment: u64,
    pub(crate) segments: Vec<Listed>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    slots: Slots,
}

impl ManifestFile {
    pub(crate) fn create(io: &dyn Io, manifest: &Manifest) -> Result<(), Error> {
        Slots::create(io, MANIFEST, &encode(manifest))
    }

    /// With what it says, or what is wrong with it.
    pub(crate) fn open(io: &dyn Io) -> Result<(Self, Result<Manifest, Damage>), Error> {
        let (slots, body) = Slots::open(io, MANIFEST)?;
        let said = body.and_then(|body| decode(&body).ok_or(Damage::Contents));
        Ok((Self { slots }, said))
    }

    pub(crate) fn store(&mut self, io: &dyn Io, manifest: &Manifest) -> Result<(), Error> {
        self.slots.store(io, &encode(manifest))
    }
}

fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_identity(&manifest.identity, &mut bytes);
    bytes.extend_from_slice(&manifest.epoch.to_le_bytes());
    bytes.extend_from_slice(&u32::from(manifest.is_rebuilt).to_le_bytes());
    bytes.extend_from_slice(&manifest.durable_seq.to_le_bytes());
    bytes.extend_from_slice(&manifest.next_segment.to_le_bytes());
    bytes.extend_from_slice(&len_u32(manifest.segments.len()).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for segment in &manifest.segments {
        bytes.extend_from_slice(&segment.id.to_le_bytes());
        bytes.extend_from_slice(&segment.capacity.to_le_bytes());
        bytes.extend_from_slice(&segment.epoch.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&segment.first_seq.to_le_bytes());
    }
    bytes
}

pub(crate) fn decode(body: &[u8]) -> Option<Manifest> {
    let mut cursor = Cursor::new(body);
    let identity = decode_identity(&mut cursor)?;
    let epoch = cursor.u32()?;
    let is_rebuilt = cursor.u32()? & 1 != 0;
    let durable_seq = cursor.u64()?;
    let next_segment = cursor.u64()?;
    let count = cursor.u32()?;
    cursor.u32()?;
    let mut segments = Vec::new();
    for _ in 0..count {
        let id = cursor.u64()?;
        let capacity = cursor.u64()?;
        let epoch = cursor.u32()?;
        cursor.u32()?;
        let first_seq = cursor.u64()?;
        segments.push(Listed { id, capacity, epoch, first_seq });
    }
    Some(Manifest { identity, epoch, is_rebuilt, durable_seq, next_segment, segments })
}
