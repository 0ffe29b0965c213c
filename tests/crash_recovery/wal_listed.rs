//! What a segment start lists of damage, and what is known of it when that start is lost as well.

use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, FAULTY_RANGES_MAX, FaultyKind, FaultyRange, Log, Op};

use crate::{
    wal_model::{open, small},
    wal_repair::damages,
};

fn last_segment(disk: &SimDisk) -> String {
    disk.names().into_iter().filter(|name| name.starts_with("seg-")).max().unwrap()
}

fn append(log: &mut Log, ticket: u64, index: u64, term: u64, len: usize) {
    let fill = index.to_le_bytes();
    let payload: Vec<u8> = fill.into_iter().cycle().take(len).collect();
    let entry = Entry::new(index, term, EntryKind::Command, payload.into());
    log.stage(ticket, Op::Append(vec![entry]));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), ticket);
}

/// Without what a suspect range may be called once something follows it.
fn bounds(faulty: &[FaultyRange]) -> Vec<(u64, u64, u64, u64)> {
    faulty.iter().map(|r| (r.first, r.last, r.term_min, r.term_max)).collect()
}

/// F16, F20: the start that lists what is faulty rots: within the log all of it is found again where it
/// is, and every later header tells that the end is in doubt.
#[test]
fn what_is_faulty_is_not_forgotten_with_the_start_that_lists_it() {
    for (what, disk, truth) in damages() {
        let (mut log, recovery) = open(&disk, &small()).unwrap();
        let (index, term) = recovery.last;
        append(&mut log, 1, index + 1, term, 100);
        append(&mut log, 2, index + 2, term, 100);
        drop(log);
        disk.crash();
        let segment = last_segment(&disk);
        for offset in [4096 + 30, 4096 + 200] {
            let disk = disk.fork(offset);
            disk.corrupt(&segment, offset, 1);
            for opening in 0..3 {
                let what = format!("{what}, byte {offset} of the start, opening {opening}");
                let (mut log, found) = open(&disk, &small()).unwrap();
                assert_eq!(bounds(&found.faulty), bounds(&recovery.faulty), "{what}");
                assert_eq!(found.last, (index + 2 + opening, term), "{what}");
                let around = wal::Recovery { last: recovery.last, ..found };
                truth.expect_around(&log, &around, &what);
                append(&mut log, 1, index + 3 + opening, term, 100);
                drop(log);
                disk.crash();
            }
        }
    }
}

/// F16: that the doubt is over is known as well when the batch that said so is lost.
#[test]
fn a_doubt_that_was_settled_does_not_come_back() {
    let (_, disk, _) = damages().into_iter().find(|(what, ..)| *what == "the last header").unwrap();
    let (mut log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.faulty.last().map(|range| range.kind), Some(FaultyKind::EndUnknown));
    let (index, term) = recovery.last;
    append(&mut log, 1, index + 1, term, 100);
    let before = disk.used_sectors(&last_segment(&disk));
    log.stage(2, Op::Settle);
    log.write().unwrap();
    log.sync().unwrap();
    append(&mut log, 3, index + 2, term, 100);
    drop(log);
    disk.crash();
    let segment = last_segment(&disk);
    let after = disk.used_sectors(&segment);
    let settled = after.into_iter().find(|sector| !before.contains(sector)).unwrap();
    for offset in [settled * 512 + 30, settled * 512 + 90] {
        let disk = disk.fork(offset);
        disk.corrupt(&segment, offset, 1);
        let (_log, found) = open(&disk, &small()).unwrap();
        assert_eq!((found.faulty, found.last), (vec![], (index + 2, term)), "byte {offset}");
    }
}

/// F16: 256 ranges can be listed. Of one more that is found while a repair is in line it is told when that
/// is written.
#[test]
fn what_is_found_at_the_bound_waits_for_room_in_the_list() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, &small()).unwrap();
    // The first one takes a fresh segment when it is repaired.
    append(&mut log, 1, 1, 1, 6000);
    let large = log.reader().entry(1).unwrap().unwrap();
    let last = FAULTY_RANGES_MAX as u64 * 2 + 1;
    for index in 2..=last + 20 {
        append(&mut log, index, index, 1, if index > last { 7000 } else { 56 });
    }
    log.upkeep().unwrap();
    drop(log);
    disk.crash();
    for name in disk.names().into_iter().filter(|name| name.starts_with("seg-")) {
        for sector in disk.used_sectors(&name) {
            let mut bytes = [0; 512];
            disk.io().open(&name).unwrap().read_at(&mut bytes, sector * 512).unwrap();
            let index = u64::from_le_bytes(bytes[112..120].try_into().unwrap());
            if bytes.starts_with(b"WBAT") && index % 2 == 1 && index <= last {
                disk.corrupt(&name, sector * 512 + 130, 1);
            }
        }
    }
    let (mut log, recovery) = open(&disk, &small()).unwrap();
    assert!(recovery.is_whole(), "the footers stand for all: {recovery:?}");
    let reader = log.reader();
    for index in (1..last).step_by(2) {
        assert!(matches!(reader.entry(index), Err(Error::Faulty { .. })), "entry {index}");
    }
    assert_eq!(reader.faulty().len(), FAULTY_RANGES_MAX);
    assert!(matches!(reader.entry(last), Err(Error::Damaged { .. })), "no more can be listed");
    // Up to where the repair has no room.
    let (mut ticket, mut index) = (0, recovery.last.0);
    let segments = reader.stats().segments;
    let mut left = None;
    while left != Some(0) {
        (ticket, index) = (ticket + 1, index + 1);
        append(&mut log, ticket, index, 1, 7000);
        let begun = (reader.stats().segments > segments).then_some(4);
        left = left.map_or(begun, |left: u64| Some(left - 1));
    }
    let segments = reader.stats().segments;
    log.stage(ticket + 1, Op::Repair(large.clone()));
    assert!(matches!(reader.entry(last), Err(Error::Faulty { .. })), "now it can");
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), ticket + 1);
    assert_eq!(reader.stats().segments, segments + 1, "with a start that lists all");
    append(&mut log, ticket + 2, index + 1, 1, 7000);
    drop(log);
    disk.crash();
    let (log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.faulty.len(), FAULTY_RANGES_MAX - 1);
    assert_eq!(log.reader().entry(1).unwrap(), Some(large));
    assert!(matches!(log.reader().entry(last), Err(Error::Faulty { .. })));
    assert_eq!(log.reader().faulty().len(), FAULTY_RANGES_MAX);
}
