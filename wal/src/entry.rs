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
    /// disk, on the wire and in transfer.
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
        let checksum = checksum(index, term, kind, &payload);
        Self { index, term, kind, checksum, payload }
    }

    /// Does the checksum hold?
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.checksum == checksum(self.index, self.term, self.kind, &self.payload)
    }
}

fn checksum(index: u64, term: u64, kind: EntryKind, payload: &[u8]) -> u32 {
    // In one piece: a checksum over few bytes costs by the call.
    let mut head = [0; 17];
    let (first, rest) = head.split_at_mut(1);
    let (second, third) = rest.split_at_mut(8);
    first.copy_from_slice(&[kind as u8]);
    second.copy_from_slice(&index.to_le_bytes());
    third.copy_from_slice(&term.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(payload);
    hasher.finalize()
}
