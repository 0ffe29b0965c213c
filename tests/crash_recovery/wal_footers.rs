//! Seal footers and crashes: a footer saves reading, and never says anything else than the batches.

use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, HardState, Log, Op, Options, Recovery};

use crate::wal_model::{Contents, Model, Random, open, small};

/// The last one of a small segment.
const TRAILER_SECTOR: u64 = 64 * 1024 / 512 - 1;
/// Where its footer area begins.
const FOOTER_OFFSET: u64 = 56 * 1024;
const FIRST_SEGMENT: &str = "seg-00000000000000000001.wal";

/// What a scan of every batch finds, without any footer; none when there is no log yet.
fn scan(disk: &SimDisk) -> Option<Recovery> {
    let disk = disk.fork(0);
    if !Log::exists(&disk.io()).unwrap() {
        return None;
    }
    for name in disk.names().iter().filter(|name| name.starts_with("seg-")) {
        if disk.used_sectors(name).contains(&TRAILER_SECTOR) {
            disk.zero_sector(name, TRAILER_SECTOR);
        }
    }
    Some(Log::open(disk.io(), small()).unwrap().1)
}

/// Opens a log and compares what its footers say with what a scan finds; true when they saved any reading.
fn open_both_ways(disk: &SimDisk, options: &Options) -> (Log, Recovery, bool) {
    let scanned = scan(disk);
    let (log, recovery) = open(disk, options).unwrap();
    let Some(scanned) = scanned else { return (log, recovery, false) };
    let saved = scanned.scanned_bytes > recovery.scanned_bytes;
    let scanned = Recovery { scanned_bytes: recovery.scanned_bytes, ..scanned };
    assert_eq!(recovery, scanned);
    (log, recovery, saved)
}

/// F20: random histories, each life ended by a stop, a kill or a crash anywhere, footers half-written or
/// not written among them.
#[test]
fn footers_say_what_a_scan_finds_after_every_end() {
    let (mut saved, mut stops) = (0, 0);
    for seed in 0..150 {
        let disk = SimDisk::new(seed);
        let (mut model, mut random) = (Model::new(), Random(seed));
        for _ in 0..6 {
            let (mut log, recovery, saves) = open_both_ways(&disk, &small());
            saved += u32::from(saves);
            model.recover(Contents::of(&log, &recovery));
            if random.below(2) == 0 {
                disk.cut_power_after(random.below(200));
            }
            let lived = live(&mut log, &mut model, &mut random);
            match random.below(4) {
                0 => stops += u32::from(lived && log.close().is_ok()),
                1 => {
                    drop(log);
                    disk.kill();
                }
                _ => drop(log),
            }
            disk.crash();
        }
    }
    assert!(saved > 300 && stops > 50, "{saved} {stops}");
}

fn live(log: &mut Log, model: &mut Model, random: &mut Random) -> bool {
    let mut step = || {
        for _ in 0..random.below(40) {
            for _ in 0..random.below(12) {
                model.stage(log, random);
            }
            log.write()?;
            model.acknowledge(log.sync()?);
            if random.below(4) == 0 {
                log.upkeep()?;
            }
        }
        Ok::<_, Error>(())
    };
    step().is_ok()
}

fn entry(index: u64, len: usize) -> Op {
    let payload = vec![index.to_le_bytes()[0] | 1; len];
    Op::Append(vec![Entry::new(index, 1, EntryKind::Command, payload.into())])
}

/// A stop is cut short, and of its last words only the footer reaches the disk. Whatever is written in
/// their place, with the same sequence numbers, counts; the footer does not.
#[test]
fn the_footer_of_a_stop_that_did_not_end_is_not_believed() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk, &small()).unwrap();
        // All but 6 KiB of a segment of 56 KiB.
        for index in 1..=6 {
            log.stage(index, entry(index, 7900));
            log.write().unwrap();
        }
        log.sync().unwrap();
        // The last batch, the sparse index, the summary: the power goes before they are synced.
        disk.cut_power_after(3);
        log.close().unwrap_err();
        disk.crash();
        disk.clear_faults();
        let (mut log, recovery, _) = open_both_ways(&disk, &small());
        assert_eq!(recovery.last, (6, 1));
        // The next one fits, the last one does not.
        for (ticket, len) in [(1, 2000), (2, 8000)] {
            log.stage(ticket, entry(6 + ticket, len));
            log.write().unwrap();
            assert_eq!(log.sync().unwrap(), ticket);
        }
        drop(log);
        disk.crash();
        let (log, recovery, _) = open_both_ways(&disk, &small());
        assert_eq!(recovery.last, (8, 1));
        assert_eq!(Contents::of(&log, &recovery).entries.len(), 8);
    }
}

/// F1: a footer is written like everything else. When that fails the log stops, and has lost nothing.
#[test]
fn a_failed_footer_stops_the_log() {
    for fail in [SimDisk::fail_write_after, SimDisk::fail_sync_after] {
        let disk = SimDisk::new(1);
        let options = Options { spare_segments: 0, ..small() };
        let (mut log, _) = open(&disk, &options).unwrap();
        for index in 1..=20 {
            log.stage(index, entry(index, 8000));
            log.write().unwrap();
            log.sync().unwrap();
        }
        fail(&disk, 0);
        log.upkeep().unwrap_err();
        assert!(matches!(log.upkeep(), Err(Error::Poisoned)));
        assert!(matches!(log.write(), Err(Error::Poisoned)));
        drop(log);
        disk.crash();
        disk.clear_faults();
        let (_log, recovery, _) = open_both_ways(&disk, &options);
        assert_eq!(recovery.last, (20, 1));
    }
}

/// A full disk does not matter: a footer goes where zeros are already.
#[test]
fn a_footer_needs_no_room() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, &small()).unwrap();
    for index in 1..=20 {
        log.stage(index, entry(index, 8000));
        log.write().unwrap();
        log.sync().unwrap();
    }
    disk.set_room(Some(0));
    log.upkeep().unwrap();
    log.close().unwrap();
    disk.crash();
    let (_log, recovery, saved) = open_both_ways(&disk, &small());
    assert_eq!((recovery.last, recovery.scanned_bytes, saved), ((20, 1), 0, true));
}

/// F16, F19: the index of a sealed segment is lost and with it some sector of a batch, of histories that
/// append, truncate and append again, also within one batch. What reads is what was in force.
#[test]
fn an_index_rebuilt_around_damage_finds_nothing_that_was_replaced() {
    let (mut lost, mut read) = (0, 0);
    for seed in 0..6 {
        let disk = SimDisk::new(seed);
        let mut random = Random(seed);
        let (mut log, _) = open(&disk, &small()).unwrap();
        let (mut ticket, mut last) = (0, 0);
        let mut stage = |log: &mut Log, op| {
            ticket += 1;
            log.stage(ticket, op);
        };
        let entry = |index, fill: u64, len| {
            let payload = vec![fill.to_le_bytes()[0]; len].into();
            Entry::new(index, 1, EntryKind::Command, payload)
        };
        for batch in 0..40 {
            for part in 0..=random.below(3) {
                if random.below(3) == 0 {
                    last -= random.below(4).min(last);
                    stage(&mut log, Op::TruncateAfter(last));
                }
                let count = random.below(3);
                let len = 40 + random.place(120);
                let entries = (last + 1..=last + count).map(|at| entry(at, batch * 4 + part, len));
                stage(&mut log, Op::Append(entries.collect()));
                last += count;
            }
            log.write().unwrap();
            log.sync().unwrap();
        }
        for _ in 0..10 {
            last += 1;
            stage(&mut log, Op::Append(vec![entry(last, 0, 7000)]));
            log.write().unwrap();
            log.sync().unwrap();
        }
        log.upkeep().unwrap();
        let truth = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
        drop(log);
        disk.crash();
        disk.corrupt(FIRST_SEGMENT, FOOTER_OFFSET, 1);
        for sector in disk.used_sectors(FIRST_SEGMENT) {
            if !(9..60).contains(&sector) {
                continue;
            }
            for byte in [20, 100, 180, 260, 340, 420, 500] {
                let disk = disk.fork(byte);
                disk.corrupt(FIRST_SEGMENT, sector * 512 + byte, 1);
                let (log, recovery) = open(&disk, &small()).unwrap();
                assert_eq!(recovery.last.0, last);
                for expected in &truth {
                    match log.reader().entry(expected.index) {
                        Ok(found) => {
                            let index = expected.index;
                            assert_eq!(found.as_ref(), Some(expected), "{seed}: {index}, {sector}");
                            read += 1;
                        }
                        Err(_) => lost += 1,
                    }
                }
            }
        }
    }
    assert!(lost > 1000 && read > 10 * lost, "{lost} lost, {read} read");
}

/// F16, F19: an entry that was replaced lies, its frame good, in a batch whose header is damaged, so that no
/// opening sees it. It is not found either where a segment without a footer is indexed by strides.
#[test]
fn what_damage_hid_is_not_found_where_it_was_replaced() {
    let disk = SimDisk::new(7);
    let write = |log: &mut Log, ticket, op| {
        log.stage(ticket, op);
        log.write().unwrap();
        log.sync().unwrap();
    };
    let (mut log, _) = open(&disk, &small()).unwrap();
    write(&mut log, 1, Op::HardState(HardState { term: 1, voted_for: None }));
    for index in 1..=4 {
        write(&mut log, index + 1, entry(index, 100));
    }
    log.stage(6, Op::TruncateAfter(3));
    write(&mut log, 7, entry(4, 120));
    // The segment is full, and nobody has written its footer yet.
    for index in 5..=14 {
        write(&mut log, index + 3, entry(index, 7000));
    }
    let truth = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
    drop(log);
    disk.crash();
    let (mut lost, mut read) = (0, 0);
    for sector in 9..20 {
        for byte in 0..80 {
            let disk = disk.fork(byte);
            disk.corrupt(FIRST_SEGMENT, sector * 512 + byte, 1);
            let Ok((mut log, _)) = open(&disk, &small()) else { continue };
            log.upkeep().unwrap();
            for expected in &truth {
                match log.reader().entry(expected.index) {
                    Ok(found) => {
                        assert_eq!(found.as_ref(), Some(expected), "byte {byte} of {sector}");
                        read += 1;
                    }
                    Err(_) => lost += 1,
                }
            }
        }
    }
    assert!(lost > 0 && read > lost, "{lost} lost, {read} read");
}
