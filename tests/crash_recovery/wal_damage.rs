//! Bit rot, lost and misdirected writes, lost files: without effect, or said to be there, with all
//! around it to be read and all of it to be put back; never a panic, never an entry that was not written.

use tests::sim::disk::SECTOR_BYTES;
use wal::{Damage, Error, Log};

use crate::{
    wal_model::{open, small},
    wal_repair::{Outcome, appended, damageable},
};

/// F14, F15, F16, F19, traps 11 and 17: of whatever bit.
#[test]
fn a_flipped_bit_is_harmless_or_said_and_mended() {
    for closed in [false, true] {
        let (disk, truth) = damageable(closed);
        let (mut mended, mut refused) = (0, 0);
        for name in disk.names() {
            for sector in disk.used_sectors(&name) {
                // Every byte of a batch header, and some of all others.
                for at in (0..80).chain((80..SECTOR_BYTES as u64).step_by(5)) {
                    let offset = sector * SECTOR_BYTES as u64 + at;
                    let disk = disk.fork(offset);
                    disk.corrupt(&name, offset, 1 << (offset % 8));
                    let what = format!("a flip at {offset} of {name} ({closed})");
                    match truth.judge(&disk, &what) {
                        Outcome::Harmless => {}
                        Outcome::Refused => refused += 1,
                        Outcome::Mended => mended += 1,
                    }
                }
            }
        }
        println!("{closed}: {mended} mended, {refused} refused");
        assert!(mended > 800, "only {mended} flips were mended");
        assert!(refused < 2 * mended, "{refused} flips were refused");
    }
}

/// F12, F16, trap 12: a sector that never reached the disk, of a batch that was acknowledged.
#[test]
fn a_lost_sector_is_harmless_or_said_and_mended() {
    let (disk, truth) = damageable(true);
    for name in disk.names() {
        for sector in disk.used_sectors(&name) {
            let disk = disk.fork(sector);
            disk.zero_sector(&name, sector);
            truth.judge(&disk, &format!("sector {sector} of {name} lost"));
        }
    }
}

/// F14: a sector in a wrong place.
#[test]
fn a_misdirected_write_is_harmless_or_said_and_mended() {
    let (disk, truth) = damageable(false);
    let segment = "seg-00000000000000000001.wal";
    let sectors = disk.used_sectors(segment);
    let last = sectors.iter().max().copied().unwrap();
    for &from in &sectors {
        for to in 8..last + 4 {
            let disk = disk.fork(from);
            disk.misdirect((segment, from), (segment, to));
            truth.judge(&disk, &format!("sector {from} written to {to}"));
        }
    }
}

/// F23, trap 15: a lost file is named, and never taken for the end.
#[test]
fn a_lost_file_is_named() {
    let (disk, truth) = damageable(true);
    for name in disk.names() {
        let disk = disk.fork(3);
        disk.lose(&name);
        assert!(Log::exists(&disk.io()).unwrap(), "{name}");
        match Log::open(disk.io(), small()) {
            Ok((_, recovery)) => {
                let mut all = recovery.found.iter().chain(&recovery.rebuilt);
                let found = all.any(|found| found.path.ends_with(&name));
                assert!(found, "{name}: {recovery:?}");
                disk.kill();
                truth.judge(&disk, &name);
            }
            Err(
                error @ (Error::Missing { .. }
                | Error::Damaged {
                    damage: Damage::FileMissing | Damage::LostBinding, ..
                }),
            ) => {
                let text = error.to_string();
                assert!(text.contains(&name) || text.contains("VOTE"), "{name}: {error}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// Who can do nothing about it is told as before: which file, which byte, what to do.
#[test]
fn the_error_says_where_and_what_to_do() {
    let (disk, _) = appended();
    disk.corrupt("seg-00000000000000000001.wal", 4096 + 512 + 1000, 1);
    let (_log, recovery) = open(&disk, &small()).unwrap();
    let error = recovery.check_whole().unwrap_err().to_string();
    for part in ["seg-00000000000000000001.wal", "byte 4608", "nothing was changed", "replace N"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_log_of_another_is_told_by_its_identity() {
    let (disk, _) = damageable(true);
    let (_log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.identity, crate::wal_model::IDENTITY);
}
