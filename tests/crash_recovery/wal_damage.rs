//! Bit rot, lost and misdirected writes, lost files: found, or without effect on what was
//! acknowledged; never a panic, never an entry that was not written.

use tests::sim::disk::{SECTOR_BYTES, SimDisk};
use wal::{Damage, Error, Log};

use crate::wal_model::{Contents, Model, Random, open, small};

/// A log with something of everything in it, and what it holds.
fn damageable(closed: bool) -> (SimDisk, Contents) {
    let disk = SimDisk::new(1);
    let (mut model, mut random) = (Model::new(), Random(6));
    let (mut log, _) = open(&disk, &small()).unwrap();
    for _ in 0..12 {
        for _ in 0..3 {
            model.stage(&mut log, &mut random);
        }
        log.write().unwrap();
        model.acknowledge(log.sync().unwrap());
    }
    if closed {
        log.close().unwrap();
    } else {
        drop(log);
    }
    disk.crash();
    let fork = disk.fork(2);
    let (log, recovery) = open(&fork, &small()).unwrap();
    let contents = Contents::of(&log, &recovery);
    model.expect_all(&contents);
    assert!(contents.entries.len() > 10);
    (disk, contents)
}

/// Can every entry be read? Whether it is what was written is another question.
fn is_readable(log: &Log, last: u64) -> bool {
    let read = log.reader().read(1, u64::MAX, usize::MAX);
    read.is_ok_and(|entries| entries.len() as u64 == last)
}

/// Open a damaged log and read it: all or nothing.
#[track_caller]
fn check(disk: &SimDisk, contents: &Contents, what: &str) -> bool {
    match open(disk, &small()) {
        // What a footer stands for is read only when it is asked for.
        Ok((log, recovery)) if !is_readable(&log, recovery.last.0) => true,
        Ok((log, recovery)) => {
            assert!(Contents::of(&log, &recovery) == *contents, "{what} changed the contents");
            false
        }
        Err(Error::Damaged { .. } | Error::Version { .. }) => true,
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    for closed in [false, true] {
        let (disk, contents) = damageable(closed);
        let mut found = 0;
        for name in disk.names() {
            for sector in disk.used_sectors(&name) {
                for at in 0..SECTOR_BYTES as u64 {
                    let offset = sector * SECTOR_BYTES as u64 + at;
                    let disk = disk.fork(offset);
                    disk.corrupt(&name, offset, 1 << (offset % 8));
                    let what = format!("a flip at {offset} of {name} ({closed})");
                    found += u64::from(check(&disk, &contents, &what));
                }
            }
        }
        assert!(found > 5000, "only {found} flips were found");
    }
}

#[test]
fn a_lost_sector_of_an_acknowledged_batch_is_found() {
    let (disk, contents) = damageable(true);
    for name in disk.names() {
        for sector in disk.used_sectors(&name) {
            let disk = disk.fork(sector);
            disk.zero_sector(&name, sector);
            check(&disk, &contents, &format!("sector {sector} of {name} lost"));
        }
    }
}

#[test]
fn a_misdirected_write_is_found_or_harmless() {
    let (disk, contents) = damageable(false);
    let segment = "seg-00000000000000000001.wal";
    let sectors = disk.used_sectors(segment);
    let last = sectors.iter().max().copied().unwrap();
    for &from in &sectors {
        for to in 8..last + 4 {
            let disk = disk.fork(from);
            disk.misdirect((segment, from), (segment, to));
            check(&disk, &contents, &format!("sector {from} written to {to}"));
        }
    }
}

#[test]
fn a_lost_file_is_named() {
    let (disk, _) = damageable(true);
    for name in disk.names() {
        let disk = disk.fork(3);
        disk.lose(&name);
        assert!(Log::exists(&disk.io()).unwrap(), "{name}");
        let error = Log::open(disk.io(), small()).unwrap_err();
        let (Error::Missing { path } | Error::Damaged { path, damage: Damage::FileMissing, .. }) =
            &error
        else {
            panic!("{name}: {error}");
        };
        assert!(path.ends_with(&name), "{error}");
    }
}

#[test]
fn the_error_says_where_and_what_to_do() {
    let (disk, _) = damageable(false);
    disk.corrupt("seg-00000000000000000001.wal", 4096 + 100, 1);
    let error = open(&disk, &small()).unwrap_err().to_string();
    for part in ["seg-00000000000000000001.wal", "byte 4096", "nothing was changed", "replace N"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_log_of_another_is_told_by_its_identity() {
    let (disk, _) = damageable(true);
    let (_log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.identity, crate::wal_model::IDENTITY);
}
