//! A medium that goes bad below everything that is cached of it: an ext4 of its own in a file, which is
//! changed behind its back.
//!
//! Skipped only where nothing may be mounted; a run leaves a mark that the gate looks for.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use tests::{kill9::IDENTITY, mark::Mark, small_disk::SmallDisk};
use wal::{Entry, EntryKind, Error, Io, Log, Op, Options, RealIo, Scrub};

const DISK_BYTES: u64 = 32 << 20;
const ENTRIES: u64 = 400;
const PAYLOAD_BYTES: usize = 8_000;

fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        small_segment_bytes: 1 << 20,
        entry_bytes_max: 8 << 10,
        tail_cache_bytes: 0,
        ..Options::default()
    }
}

/// An entry whose every 32 bytes are on the disk once.
fn entry(index: u64) -> Entry {
    let numbers = (0_u64..).flat_map(|n| [index, n, !index, !n]);
    let payload: Vec<u8> = numbers.flat_map(u64::to_le_bytes).take(PAYLOAD_BYTES).collect();
    Entry::new(index, 1, EntryKind::Command, payload.into())
}

/// A log of several sealed segments.
fn log(dir: &Path) -> Log {
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir).unwrap());
    Log::create(&io, IDENTITY, &options()).unwrap();
    let (mut log, _) = Log::open(io, options()).unwrap();
    for index in 1..=ENTRIES {
        log.stage(index, Op::Append(vec![entry(index)]));
        log.write().unwrap();
        log.sync().unwrap();
        log.upkeep().unwrap();
    }
    log
}

/// Where on the medium the middle of an entry's payload is.
fn place_of(image: &Path, index: u64) -> u64 {
    let payload = entry(index).payload;
    let wanted = &payload[PAYLOAD_BYTES / 2..][..32];
    let bytes = fs::read(image).unwrap();
    let mut found = bytes.windows(wanted.len()).step_by(8).enumerate();
    let (at, _) = found.find(|(_, window)| window == &wanted).unwrap();
    assert_eq!(found.find(|(_, window)| window == &wanted), None, "it is there once");
    at as u64 * 8
}

/// F19: a segment that is mapped and cached reads as it was; the scrub reads what is there.
#[test]
fn the_scrub_finds_what_has_rotted_below_the_cache_of_a_mapped_segment() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let log = log(&disk.path().join("log"));
    let reader = log.reader();
    let entries = reader.read(1, ENTRIES, usize::MAX).unwrap();
    assert!(entries.iter().cloned().eq((1..=ENTRIES).map(entry)));

    let index = ENTRIES / 3;
    let place = place_of(&disk.image(), index);
    let medium = File::options().read(true).write(true).open(disk.image()).unwrap();
    let mut byte = [0];
    medium.read_exact_at(&mut byte, place).unwrap();
    medium.write_all_at(&[byte[0] ^ 4], place).unwrap();
    assert_eq!(reader.entry(index).unwrap(), Some(entry(index)), "the cache still has it");

    let mut scrub = Scrub::new(&reader);
    let mut found = Vec::new();
    loop {
        let step = scrub.step(1 << 20);
        assert!(!step.is_cached, "ext4 lets everyone past its cache");
        found.extend(step.findings);
        if step.is_pass_over {
            break;
        }
    }
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found.entries, Some((index, index)), "{found}");
    assert!(matches!(reader.entry(index), Err(Error::Faulty { .. })));
    assert_eq!(reader.entry(index + 1).unwrap(), Some(entry(index + 1)));
    drop(entries);
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "rot").leave();
}
