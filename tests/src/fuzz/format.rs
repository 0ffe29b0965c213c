//! The checksums of a log's files, as `wal/FORMAT.md` describes them and not as the log's code does:
//! so that changed bytes get past them, to what lies behind.
//!
//! What always holds: nothing here trusts the bytes; what is no batch, slot or header stays as it is.

use crc32fast::Hasher;

/// What a disk writes whole.
pub(super) const SECTOR: usize = 512;
const BATCH_HEADER: usize = 80;
const FRAME_HEADER: usize = 32;

/// Put right every checksum in the part of a file that begins at `offset`, a multiple of a sector.
/// `header` is the first 128 bytes of the segment, if it is one.
pub fn put_right(name: &str, header: &[u8], offset: u64, bytes: &mut [u8]) {
    match name {
        "MANIFEST" => slot(bytes, offset / (64 * 1024)),
        "VOTE" => slot(bytes, offset / 4096),
        _ if offset == 0 => segment_header(bytes),
        _ => {
            if let Some(seed) = seed(header) {
                batch(bytes, seed, offset);
            }
        }
    }
}

fn segment_header(bytes: &mut [u8]) {
    let Some(covered) = bytes.get(..124) else { return };
    let crc = crc32fast::hash(covered);
    put(bytes, 124, crc);
}

/// Of cluster, node, store, number and epoch.
fn seed(header: &[u8]) -> Option<u32> {
    let mut hasher = Hasher::new();
    for part in [48..64, 40..48, 24..40, 16..24, 88..92] {
        hasher.update(header.get(part)?);
    }
    Some(hasher.finalize())
}

fn slot(bytes: &mut [u8], number: u64) {
    let Some(len) = number_at(bytes, 12) else { return };
    let (Some(before), Some(after)) = (bytes.get(..16), bytes.get(20..len)) else { return };
    let mut hasher = Hasher::new_with_initial(u32::from(number != 0));
    hasher.update(before);
    hasher.update(after);
    put(bytes, 16, hasher.finalize());
}

/// Frames, then the body, then the header.
fn batch(bytes: &mut [u8], seed: u32, offset: u64) {
    if !bytes.starts_with(b"WBAT") {
        return;
    }
    let Some(body_len) = number_at(bytes, 44) else { return };
    let Some(end) = BATCH_HEADER.checked_add(body_len) else { return };
    let mut at = BATCH_HEADER;
    while at < end.min(bytes.len()) {
        let Some(len) = number_at(bytes, at) else { break };
        let Some(payload_end) = len.checked_add(at + FRAME_HEADER) else { break };
        let Some(content) = bytes.get(at + 16..payload_end) else { break };
        let mut checksum = Hasher::new();
        checksum.update(&bytes[at + 9..at + 10]);
        checksum.update(content);
        put(bytes, at + 12, checksum.finalize());
        let covered = [&bytes[at..at + 4], &bytes[at + 8..at + 16]].concat();
        let crc = crc(seed, offset + at as u64, &covered);
        put(bytes, at + 4, crc);
        at = payload_end.next_multiple_of(8);
    }
    let sectors_end = end.next_multiple_of(SECTOR);
    if let Some(body) = bytes.get(BATCH_HEADER..sectors_end) {
        let crc = crc(seed, offset + BATCH_HEADER as u64, body);
        put(bytes, 56, crc);
    }
    if let Some(covered) = bytes.get(..76) {
        let crc = crc(seed, offset, covered);
        put(bytes, 76, crc);
    }
}

fn crc(seed: u32, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn number_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(target) = bytes.get_mut(at..at + 4) {
        target.copy_from_slice(&crc.to_le_bytes());
    }
}
