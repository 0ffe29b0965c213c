//! Packets and their bytes: what travels on a stream between two nodes.
//!
//! ```text
//! frame = length u32 LE | 0x48 | format u8 | postcard of the packet in that format
//!         `-- counts all that follows
//! ```
//! Decoding is total: any bytes give a packet or an error, never a panic, and never more memory than
//! a small multiple of the frame. A frame holds exactly one packet, in its one canonical encoding,
//! and every entry in it is dense and intact. A format is frozen once released: what changes gets a
//! new one, and `codec/v1.rs` stays.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Buf, Bytes, BytesMut};
use election::VoterId;

use crate::{ADDRESS_BYTES_MAX, CONFIG_BYTES_MAX, Change, DecodeError, Message, STAMP_BYTES};

mod blob;
mod v1;

/// The most bytes that the entries of one append may have, each counted as its payload plus
/// [`ENTRY_OVERHEAD_BYTES`].
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// The most entries in one append.
pub const APPEND_ENTRIES_MAX: usize = 8192;

/// What an entry is counted beside its payload; no encoded entry has more.
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

/// The longest payload of an entry: one that fills an append by itself.
pub const PAYLOAD_BYTES_MAX: usize = APPEND_BYTES_MAX - ENTRY_OVERHEAD_BYTES;

/// The longest body of a command: a payload without the leader's stamp.
pub const BODY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - STAMP_BYTES;

/// The longest report of a driver.
pub const REPORT_BYTES_MAX: usize = 4 * 1024;

/// The longest genesis.
pub const GENESIS_BYTES_MAX: usize = 32 * 1024;

/// The longest frame behind its length.
pub const FRAME_BYTES_MAX: usize = APPEND_BYTES_MAX + 256;

/// The format written, and the newest read.
pub const FORMAT: u8 = 1;

const MAGIC: u8 = 0x48;
const LENGTH_BYTES: usize = 4;
const HEADER_BYTES: usize = 2;
/// Room for the fixed part of any packet.
const SMALL_BYTES: usize = 128;
const WHAT: &str = "frame";

/// What one node sends another.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// The first packet of a connection, in both directions.
    Hello(Hello),
    /// From core to core.
    Core(Message),
    /// From driver to driver: a small report on the sender, opaque here.
    Report(Bytes),
    /// From a node that is to join: what did the cluster start from?
    GenesisQuestion,
    /// The answer to it, opaque here.
    Genesis(Bytes),
}

/// Who speaks, and how. This packet keeps its encoding in every format to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The oldest protocol version that the sender speaks.
    pub version_min: u16,
    /// The newest protocol version that the sender speaks.
    pub version_max: u16,
    /// The sender's cluster.
    pub cluster: u128,
    /// The sender.
    pub from: VoterId,
    /// Which run of the sender's process: a later one has a greater number.
    pub epoch: u64,
}

/// A packet beyond its bounds: a bug of whoever made it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}: {found} is more than the {max} allowed in a frame")]
pub struct TooLarge {
    /// What is bounded.
    pub what: &'static str,
    /// How much there is.
    pub found: usize,
    /// How much may be.
    pub max: usize,
}

/// The whole frame of a packet, its length included.
///
/// # Errors
/// When the packet is beyond its bounds.
#[expect(clippy::missing_panics_doc, reason = "only a broken bound of this module could panic")]
pub fn encode(packet: &Packet) -> Result<Bytes, TooLarge> {
    let bytes = check_bounds(packet)?;
    let wire = v1::Packet::from(packet);
    let mut frame = Vec::with_capacity(bytes.saturating_add(SMALL_BYTES));
    frame.extend_from_slice(&[0, 0, 0, 0, MAGIC, FORMAT]);
    let mut frame =
        postcard::to_extend(&wire, frame).expect("plain structs always encode into memory");
    let found = frame.len().saturating_sub(LENGTH_BYTES);
    assert!(found <= FRAME_BYTES_MAX, "the bounds of the parts keep the whole in bounds");
    let length = u32::try_from(found).expect("a frame is far shorter than 4 GiB");
    let (prefix, _) = frame.split_first_chunk_mut().expect("the frame starts with its length");
    *prefix = length.to_le_bytes();
    Ok(frame.into())
}

/// Take the next whole frame, its length included, off the front of a stream; none while more bytes
/// are needed. A length out of bounds is refused before anything is stored for it.
///
/// # Errors
/// When no frame has such a length.
pub fn split(stream: &mut BytesMut) -> Result<Option<Bytes>, DecodeError> {
    let Some(prefix) = stream.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let total = body_bytes(*prefix)?.saturating_add(LENGTH_BYTES);
    if stream.len() < total {
        // Room for all of it at once, and for no more than the bound.
        stream.reserve(total.saturating_sub(stream.len()));
        return Ok(None);
    }
    Ok(Some(stream.split_to(total).freeze()))
}

/// Read a whole frame, its length included. Payloads share the memory of the frame.
///
/// # Errors
/// When it is anything but exactly one packet within its bounds, with intact entries.
pub fn decode(mut frame: Bytes) -> Result<Packet, DecodeError> {
    let short =
        DecodeError::Malformed { what: WHAT, source: postcard::Error::DeserializeUnexpectedEnd };
    let Some(prefix) = frame.first_chunk::<LENGTH_BYTES>() else { return Err(short) };
    let length = body_bytes(*prefix)?;
    frame.advance(LENGTH_BYTES);
    if frame.len() < length {
        return Err(short);
    }
    if frame.len() > length {
        let bytes = frame.len().saturating_sub(length);
        return Err(DecodeError::Trailing { what: WHAT, bytes });
    }
    let Some(&[magic, format]) = frame.first_chunk::<HEADER_BYTES>() else { return Err(short) };
    if magic != MAGIC {
        return Err(DecodeError::Invalid { what: "the first byte of a frame" });
    }
    match format {
        0 => Err(DecodeError::Invalid { what: "the format of a frame" }),
        FORMAT => v1::decode(&frame.split_off(HEADER_BYTES)),
        found => Err(DecodeError::Newer { what: WHAT, found, known: FORMAT }),
    }
}

/// The length of a frame behind its prefix, within its bounds.
fn body_bytes(prefix: [u8; LENGTH_BYTES]) -> Result<usize, DecodeError> {
    let found = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if found > FRAME_BYTES_MAX {
        return Err(DecodeError::TooLarge { what: "frame bytes", found, max: FRAME_BYTES_MAX });
    }
    if found <= HEADER_BYTES {
        return Err(DecodeError::Invalid { what: "the length of a frame" });
    }
    Ok(found)
}

/// The bounds of a packet, the same in both directions. Gives how many bytes its variable part takes at
/// most.
fn check_bounds(packet: &Packet) -> Result<usize, TooLarge> {
    let within = |what, found, max| {
        if found > max { Err(TooLarge { what, found, max }) } else { Ok(found) }
    };
    match packet {
        Packet::Report(bytes) => within("report bytes", bytes.len(), REPORT_BYTES_MAX),
        Packet::Genesis(bytes) => within("genesis bytes", bytes.len(), GENESIS_BYTES_MAX),
        Packet::Core(Message::Forward { body, .. }) => {
            within("body bytes", body.len(), BODY_BYTES_MAX)
        }
        Packet::Core(Message::Reconfigure { change: Change::Add(member), .. }) => {
            let peer = within("address bytes", member.peer.len(), ADDRESS_BYTES_MAX)?;
            let client = within("address bytes", member.client.len(), ADDRESS_BYTES_MAX)?;
            Ok(peer.saturating_add(client))
        }
        Packet::Core(Message::Recalled { config, .. }) => {
            within("config bytes", config.len(), CONFIG_BYTES_MAX)
        }
        Packet::Core(Message::Append { entries, .. } | Message::Mended { entries, .. }) => {
            within("entries", entries.len(), APPEND_ENTRIES_MAX)?;
            let bytes = entries.iter().fold(0_usize, |sum, entry| {
                sum.saturating_add(entry.payload.len()).saturating_add(ENTRY_OVERHEAD_BYTES)
            });
            within("append bytes", bytes, APPEND_BYTES_MAX)
        }
        Packet::Core(_) | Packet::Hello(_) | Packet::GenesisQuestion => Ok(0),
    }
}

impl From<TooLarge> for DecodeError {
    fn from(TooLarge { what, found, max }: TooLarge) -> Self {
        Self::TooLarge { what, found, max }
    }
}

#[cfg(test)]
mod tests;
