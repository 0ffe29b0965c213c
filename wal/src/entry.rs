//! One entry of the log, and the checksum that travels with it.

use bytes::Bytes;

/// What an entry is for. The log itself treats a payload as bytes; it knows the kinds only to list
/// configuration entries after a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum EntryKind {
    /// A command for the fold.
    Command = 1,
    /// Nothing: a new leader's first entry of its term.
    NoOp = 2,
    /// A cluster configuration.
    Config = 3,
}

/// One entry: made once by a leader, the same on every disk and on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Position in the log, from 1.
    pub index: u64,
    /// Term of the leader that made it.
    pub term: u64,
    /// What the payload is.
    pub kind: EntryKind,
    /// The entry checksum: over kind, index, term and payload, and no position, so that it holds on
    /// disk, on the wire and in transfer. On disk it is what the payload is checked by.
    pub checksum: u32,
    /// The bytes.
    pub payload: Bytes,
}

impl EntryKind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Command),
            2 => Some(Self::NoOp),
            3 => Some(Self::Config),
            _ => None,
        }
    }
}

impl Entry {
    /// Make an entry and its checksum.
    #[must_use]
    pub fn new(index: u64, term: u64, kind: EntryKind, payload: Bytes) -> Self {
        let checksum = content_checksum(kind as u8, index, term, &payload);
        Self { index, term, kind, checksum, payload }
    }

    /// Does the checksum hold?
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let Self { index, term, kind, ref payload, .. } = *self;
        self.checksum == content_checksum(kind as u8, index, term, payload)
    }
}

/// Of an entry, or with 0 as its kind of what a frame of another type holds.
pub(crate) fn content_checksum(kind: u8, index: u64, term: u64, payload: &[u8]) -> u32 {
    let mut head = [0; 16];
    let (first, second) = head.split_at_mut(8);
    first.copy_from_slice(&index.to_le_bytes());
    second.copy_from_slice(&term.to_le_bytes());
    checksum_of(kind, &[&head, payload])
}

/// The same of bytes in which index, term and payload follow each other, as they do in a frame.
pub(crate) fn checksum_of(kind: u8, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
