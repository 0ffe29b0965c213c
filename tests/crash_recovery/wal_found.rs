//! What crash states once found, each as a story of its own.

use tests::sim::disk::{SECTOR_BYTES, SimDisk};
use wal::{Entry, EntryKind, Error, Log, Op, Options};

use crate::wal_model::{open, small};

const FIRST_SEGMENT: &str = "seg-00000000000000000001.wal";
/// Where the footer of a small segment begins.
const FOOTER_SECTOR: u64 = 56 * 1024 / SECTOR_BYTES as u64;

fn plain(index: u64, fill: u8, len: usize) -> Entry {
    Entry::new(index, 1, EntryKind::Command, vec![fill; len].into())
}

fn append(log: &mut Log, ticket: u64, (first, last): (u64, u64), fill: u8, len: usize) {
    let entries = (first..=last).map(|index| plain(index, fill, len));
    log.stage(ticket, Op::Append(entries.collect()));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), ticket);
}

/// F16, F23: a slot of the manifest is lost. Did the other one hold the state before, the epoch before would
/// seem to be the last one, and that ended in order: what was acknowledged after it would be missed.
#[test]
fn a_lost_manifest_slot_does_not_hide_what_followed_an_orderly_stop() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, &small()).unwrap();
    append(&mut log, 1, (1, 3), 1, 100);
    log.close().unwrap();
    disk.kill();
    let (mut log, _) = open(&disk, &small()).unwrap();
    append(&mut log, 1, (4, 5), 2, 100);
    drop(log);
    disk.crash();
    for sector in disk.used_sectors("MANIFEST") {
        let disk = disk.fork(sector);
        disk.zero_sector("MANIFEST", sector);
        let (_, recovery) = open(&disk, &small()).unwrap();
        assert_eq!(recovery.last, (5, 1), "without sector {sector}");
    }
}

/// F16, F19: a sealed segment whose index has rotted, and with it the batch that replaced some entries.
/// The old ones are whole and must not be read in place of the new.
#[test]
fn a_rebuilt_index_finds_no_entry_that_was_replaced() {
    let disk = SimDisk::new(2);
    let (mut log, _) = open(&disk, &small()).unwrap();
    append(&mut log, 1, (1, 6), 1, 100);
    let replacing = disk.used_sectors(FIRST_SEGMENT).last().unwrap() + 1;
    log.stage(2, Op::TruncateAfter(1));
    append(&mut log, 3, (2, 4), 2, 100);
    for index in 5..20 {
        append(&mut log, index - 1, (index, index), 3, 6000);
    }
    log.upkeep().unwrap();
    drop(log);
    disk.crash();
    disk.corrupt(FIRST_SEGMENT, FOOTER_SECTOR * SECTOR_BYTES as u64, 1);
    disk.zero_sector(FIRST_SEGMENT, replacing);
    let (log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.last, (19, 1));
    for index in 1..=4 {
        match log.reader().entry(index) {
            Ok(entry) => {
                let fill = if index == 1 { 1 } else { 2 };
                assert_eq!(entry.unwrap().payload[0], fill, "entry {index}");
            }
            Err(Error::Faulty { .. }) => {}
            Err(error) => panic!("entry {index}: {error}"),
        }
    }
}

/// F16: a lost batch had truncated and replaced, and what follows it is torn. Nothing that is left says
/// where the log was cut, so what stood there before must not be taken for the log.
#[test]
fn a_lost_truncation_before_a_torn_batch_is_not_forgotten() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk, &small()).unwrap();
    append(&mut log, 1, (1, 2), 1, 100);
    let replacing = disk.used_sectors(FIRST_SEGMENT).last().unwrap() + 1;
    log.stage(2, Op::TruncateAfter(0));
    append(&mut log, 3, (1, 2), 2, 100);
    let entry = Entry::new(3, 1, EntryKind::Command, vec![3; 1500].into());
    log.stage(4, Op::Append(vec![entry]));
    log.write().unwrap();
    drop(log);
    // Of the last batch the header reached the disk, and no other sector.
    let choices: Vec<_> =
        (0..disk.unsettled().len()).map(|piece| usize::from(piece == 0)).collect();
    disk.crash_with(&choices);
    disk.zero_sector(FIRST_SEGMENT, replacing);
    match open(&disk, &small()) {
        Err(Error::Damaged { .. }) => {}
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
}

/// F16, F20: the manifest is lost in both slots or in one, and the header of a segment. What may hold batches
/// is not taken for what a crash left of a file being made.
#[test]
fn a_segment_without_a_header_is_no_leftover_while_a_batch_is_in_it() {
    let disk = SimDisk::new(4);
    let options = Options { spare_segments: 0, ..small() };
    let (mut log, _) = open(&disk, &options).unwrap();
    for index in 1..=10 {
        append(&mut log, index, (index, index), 1, 7000);
    }
    drop(log);
    disk.crash();
    let second = "seg-00000000000000000002.wal";
    assert!(disk.names().iter().any(|name| name == second));
    disk.corrupt(second, 30, 1);
    for slots in [&[0][..], &[64 * 1024], &[0, 64 * 1024]] {
        let disk = disk.fork(0);
        slots.iter().for_each(|slot| disk.corrupt("MANIFEST", slot + 40, 1));
        match open(&disk, &options) {
            Ok((_, recovery)) => assert_eq!(recovery.last, (10, 1), "{slots:?}"),
            Err(Error::Damaged { .. }) => assert_eq!(slots.len(), 2),
            Err(error) => panic!("{slots:?}: {error}"),
        }
        assert!(disk.names().iter().any(|name| name == second), "{slots:?}");
    }
}

/// F16, F20: a crash leaves the last of several batches that nobody was told of, and the start before them
/// rots: how many there were is not known. Nothing in the segment counts, and nothing ever does again.
#[test]
fn a_start_lost_before_unacknowledged_batches_is_set_aside_for_good() {
    let disk = SimDisk::new(5);
    let (mut log, _) = open(&disk, &small()).unwrap();
    log.stage(1, Op::Append((1..=8).map(|index| plain(index, 1, 3000)).collect()));
    log.write().unwrap();
    log.stage(2, Op::Append((9..=9).map(|index| plain(index, 1, 100)).collect()));
    log.write().unwrap();
    drop(log);
    let unsettled = disk.unsettled();
    let last = unsettled.len() - 1;
    disk.crash_with(&(0..=last).map(|piece| usize::from(piece == last)).collect::<Vec<_>>());
    disk.corrupt(FIRST_SEGMENT, 4096 + 30, 1);
    let (mut log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!((recovery.last, recovery.faulty.len()), ((0, 0), 1), "{recovery:?}");
    log.stage(1, Op::Settle);
    log.write().unwrap();
    log.sync().unwrap();
    for index in 1..=9 {
        append(&mut log, index + 1, (index, index), 2, 50);
        let disk = disk.fork(index);
        disk.crash();
        let (log, recovery) = open(&disk, &small()).unwrap();
        assert_eq!((recovery.last, recovery.faulty), ((index, 1), vec![]));
        let entries = log.reader().read(1, index, usize::MAX).unwrap();
        assert!(entries.iter().all(|entry| entry.payload[0] == 2));
    }
}
