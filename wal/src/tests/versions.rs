//! What a later version wrote is refused with its version and its file, or ignored where `FORMAT.md` says
//! that it may be.

use std::{fs, path::Path};

use tempfile::{TempDir, tempdir};

use super::{IDENTITY, fresh, io, small};
use crate::{Error, Log, Op, Recovery, batch::Seed, entry::checksum_of};

/// Where the batch of interest begins: after the header and the segment start.
const BATCH_AT: usize = 4096 + 512;
const SEGMENT: &str = "seg-00000000000000000001.wal";

/// A log with one record: a binding.
fn made() -> TempDir {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    log.stage(1, Op::Bind { node: 7, store: 77 });
    log.write().unwrap();
    log.sync().unwrap();
    dir
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn reopened(dir: &Path) -> Result<Recovery, Error> {
    Log::open(io(dir), small()).map(|(_, recovery)| recovery)
}

/// The error names the file, the version found and the one that is read.
#[track_caller]
fn assert_refused(dir: &Path, name: &str, what: &str) {
    let error = reopened(dir).expect_err(what);
    assert!(matches!(error, Error::Version { found: 2, supported: 1, .. }), "{what}: {error}");
    let text = error.to_string();
    assert!(text.contains(name) && text.contains("use a newer version"), "{what}: {text}");
    // It is not taken for damage, and nothing is changed: a newer version opens it.
    assert!(matches!(reopened(dir), Err(Error::Version { .. })), "{what}: twice");
}

fn put_crc(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn edit_segment_header(dir: &Path, change: impl FnOnce(&mut [u8])) {
    edit(&dir.join(SEGMENT), |bytes| {
        change(bytes);
        let crc = crc32fast::hash(&bytes[..124]);
        put_crc(bytes, 124, crc);
    });
}

fn edit_slots(path: &Path, slot_bytes: usize, change: impl Fn(&mut [u8])) {
    edit(path, |bytes| {
        for (number, slot) in (0..).zip(bytes.chunks_mut(slot_bytes)) {
            if slot.starts_with(b"HFWAL") {
                change(slot);
                let len = u32::from_le_bytes(slot[12..16].try_into().unwrap());
                let len = usize::try_from(len).unwrap();
                let mut hasher = crc32fast::Hasher::new_with_initial(number);
                hasher.update(&slot[..16]);
                hasher.update(&slot[20..len]);
                put_crc(slot, 16, hasher.finalize());
            }
        }
    });
}

/// Changes the batch and its frame, and makes all three checksums hold.
fn edit_batch(dir: &Path, change: impl FnOnce(&mut [u8])) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&IDENTITY.cluster.to_le_bytes());
    hasher.update(&IDENTITY.node.to_le_bytes());
    hasher.update(&IDENTITY.store.to_le_bytes());
    hasher.update(&1_u64.to_le_bytes());
    hasher.update(&0_u32.to_le_bytes());
    let seed = Seed(hasher.finalize());
    edit(&dir.join(SEGMENT), |bytes| {
        let batch = &mut bytes[BATCH_AT..BATCH_AT + 512];
        assert!(batch.starts_with(b"WBAT"));
        change(batch);
        let content = checksum_of(batch[89], &[&batch[96..80 + 32 + 24]]);
        put_crc(batch, 92, content);
        let frame = seed.crc(BATCH_AT as u64 + 80, &[&batch[80..84], &batch[88..96]]);
        put_crc(batch, 84, frame);
        let body = seed.crc(BATCH_AT as u64 + 80, &[&batch[80..]]);
        put_crc(batch, 56, body);
        let header = seed.crc(BATCH_AT as u64, &[&batch[..76]]);
        put_crc(batch, 76, header);
    });
}

#[test]
fn a_newer_major_version_of_any_file_is_refused() {
    let dir = made();
    edit_segment_header(dir.path(), |header| header[8] = 2);
    assert_refused(dir.path(), SEGMENT, "a segment");
    for (name, slot_bytes) in [("MANIFEST", 64 * 1024), ("VOTE", 4096)] {
        let dir = made();
        edit_slots(&dir.path().join(name), slot_bytes, |slot| slot[8] = 2);
        assert_refused(dir.path(), name, name);
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let dir = made();
    edit_segment_header(dir.path(), |header| header[80] = 1);
    assert_refused(dir.path(), SEGMENT, "a flag of a segment");
    // In a batch: its kind, the length of its header, its flags; the type of a frame.
    for (at, value) in [(4, 9), (5, 11), (6, 2), (7, 0x80), (88, 11), (88, 127)] {
        let dir = made();
        edit_batch(dir.path(), |batch| batch[at] = value);
        assert_refused(dir.path(), SEGMENT, &format!("byte {at} is {value}"));
    }
}

#[test]
fn what_need_not_be_understood_is_ignored() {
    let dir = made();
    let whole = reopened(dir.path()).unwrap();
    let dir = made();
    edit_segment_header(dir.path(), |header| {
        // The minor version, a flag, the part that is zero today.
        (header[10], header[84], header[100]) = (9, 0xff, 1);
    });
    for (name, slot_bytes) in [("MANIFEST", 64 * 1024), ("VOTE", 4096)] {
        edit_slots(&dir.path().join(name), slot_bytes, |slot| slot[10] = 9);
    }
    assert_eq!(reopened(dir.path()).unwrap(), whole);
    for kind in [128, 255] {
        let dir = made();
        edit_batch(dir.path(), |batch| {
            // It binds nothing now, so the number of bindings is one less.
            (batch[88], batch[74]) = (kind, 0);
        });
        edit_slots(&dir.path().join("VOTE"), 4096, |slot| slot[120] = 0);
        let recovery = reopened(dir.path()).unwrap();
        assert!(recovery.bindings.is_empty(), "a frame of type {kind} is skipped");
    }
}

/// The edits themselves change nothing.
#[test]
fn what_is_written_again_as_it_was_opens() {
    let dir = made();
    let whole = reopened(dir.path()).unwrap();
    let dir = made();
    edit_segment_header(dir.path(), |_| {});
    edit_batch(dir.path(), |_| {});
    edit_slots(&dir.path().join("VOTE"), 4096, |_| {});
    assert_eq!(reopened(dir.path()).unwrap(), whole);
}
