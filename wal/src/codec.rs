//! Fixed-width little-endian numbers, read with every bound checked.
//!
//! What always holds: no input, however long or short, makes a read panic or allocate.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Copy `bytes` to `at`, which lies inside.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "offsets are constants"
)]
pub(crate) fn put(target: &mut [u8], at: usize, bytes: &[u8]) {
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A length that came out of memory, as a number on disk.
///
/// # Panics
/// When it exceeds 32 bits: every length written is bounded far below.
pub(crate) fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("lengths on disk are bounded below 4 GiB")
}

/// A length in memory as a length in a file.
pub(crate) const fn len_u64(len: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS, "a length in memory fits a file offset") };
    len as u64
}

/// A length or offset in a file as one in memory.
///
/// # Panics
/// On a machine that cannot address a segment.
pub(crate) fn to_usize(len: u64) -> usize {
    usize::try_from(len).expect("a segment fits the address space")
}
