//! A disk that cannot read some of what it holds, and files that somebody cut short: what lies there is
//! lost, and nothing else.

use std::{fs, io::ErrorKind, path::Path, sync::Arc};

use tempfile::tempdir;

use super::{
    IDENTITY, append,
    bad_disk::{BadDisk, Spoiled},
    entries, entry, fresh, small,
};
use crate::{
    Damage, Error, FaultyKind, Io, Log, Op, Options, RealIo, SegmentState, SegmentView, inspect,
    segment::DATA_OFFSET, verify,
};

fn options() -> Options {
    Options { tail_cache_bytes: 0, ..small() }
}

/// 300 entries of 700 bytes in several segments, all but the last of them sealed.
fn filled(log: &mut Log) {
    for i in 0..60 {
        log.stage(i + 1, append(i * 5 + 1..=i * 5 + 5, 1, 700));
        log.write().unwrap();
        log.sync().unwrap();
        log.upkeep().unwrap();
    }
}

fn sealed(dir: &Path) -> Vec<SegmentView> {
    let io: Arc<dyn Io> = Arc::new(RealIo::read_only(dir).unwrap());
    let mut segments = inspect(&io).unwrap().segments;
    segments.retain(|segment| segment.state == SegmentState::Sealed);
    assert!(segments.len() > 2);
    segments
}

/// The indexes that read, each as it was written; the others are faulty.
fn readable(log: &Log) -> Vec<u64> {
    let reader = log.reader();
    let reads = |index: &u64| match reader.entry(*index) {
        Ok(Some(found)) => {
            assert_eq!(found, entry(*index, 1, 700));
            true
        }
        Err(Error::Faulty { index: faulty, range }) => {
            assert!(faulty == *index && range.kind == FaultyKind::Corrupt);
            false
        }
        other => panic!("entry {index}: {other:?}"),
    };
    (1..=300).filter(reads).collect()
}

/// F6, F16: every sector of a full segment in turn cannot be read: what lies in it is lost, is repaired, and
/// all around it reads, in one read and one by one.
#[test]
fn a_sector_that_cannot_be_read_costs_what_lies_in_it() {
    let dir = tempdir().unwrap();
    let spoiled = Spoiled::default();
    let disk = BadDisk::new(RealIo::new(dir.path()).unwrap(), &spoiled);
    let io: Arc<dyn Io> = Arc::new(disk);
    Log::create(&io, IDENTITY, &options()).unwrap();
    let (mut log, _) = Log::open(Arc::clone(&io), options()).unwrap();
    filled(&mut log);
    drop(log);
    let segment = &sealed(dir.path())[1];
    let (first, last, _) = segment.entries.unwrap();
    let sectors = DATA_OFFSET + 512..segment.used_bytes;
    for start in sectors.step_by(512 * 5) {
        let (mut log, recovery) = Log::open(Arc::clone(&io), options()).unwrap();
        assert!(recovery.is_whole());
        *spoiled.lock().unwrap() = Some((segment.name.clone(), start..start + 512));
        let before = log.reader().read(first, last, usize::MAX);
        let there = readable(&log);
        let lost: Vec<u64> = (1..=300).filter(|index| !there.contains(index)).collect();
        assert!((1..=2).contains(&lost.len()), "sector {start}: {lost:?}");
        assert!(lost.iter().all(|index| (first..=last).contains(index)));
        match before {
            Ok(before) => assert_eq!(before, entries(first..=lost[0] - 1, 1, 700)),
            Err(error) => assert!(matches!(error, Error::Faulty { index, .. } if index == first)),
        }
        for (ticket, &index) in (1..).zip(&lost) {
            log.stage(ticket, Op::Repair(entry(index, 1, 700)));
        }
        log.write().unwrap();
        assert_eq!(readable(&log).len(), 300, "repaired");
        drop(log);
        *spoiled.lock().unwrap() = None;
        // The repairs were not synced, and need not be there.
    }
}

/// F6: the tools tell where the disk cannot read, also when the log does not open for it, and look at the rest.
#[test]
fn a_log_that_cannot_be_read_is_told_place_by_place() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &options());
    filled(&mut log);
    drop(log);
    let spoiled = Spoiled::default();
    let disk = RealIo::read_only(dir.path()).unwrap();
    let io: Arc<dyn Io> = Arc::new(BadDisk::new(disk, &spoiled));
    let whole = verify(&io).unwrap();
    assert!(whole.contents.is_ok() && whole.places.is_empty());
    let used = |state| whole.segments.iter().rfind(move |one| one.state == state).unwrap();
    let (full, active) = (used(SegmentState::Sealed), used(SegmentState::Active));
    for (segment, at) in [
        (full, DATA_OFFSET + 512),
        (full, full.used_bytes - 512),
        (active, DATA_OFFSET + 512),
        (active, active.used_bytes + 512 * 9),
    ] {
        *spoiled.lock().unwrap() = Some((segment.name.clone(), at..at + 512));
        let found = verify(&io).unwrap();
        let Err(Error::Io { path, .. }) = &found.contents else { panic!("{:?}", found.contents) };
        assert!(path.ends_with(&segment.name));
        let [place] = &found.places[..] else { panic!("{:?} at {at}", found.places) };
        assert_eq!((&place.path, place.damage), (path, Damage::Unreadable));
        assert!(place.offset <= at && at - place.offset < 16 * 1024, "{place:?} at {at}");
        assert_eq!(found.segments.len(), whole.segments.len());
        inspect(&io).unwrap();
    }
    *spoiled.lock().unwrap() = Some((full.name.clone(), 0..4096));
    let found = inspect(&io).unwrap();
    found.contents.unwrap_err();
    assert_eq!(found.places[0].offset, 0);
}

/// F5, F6: somebody cuts a full segment short under a running process: no signal, but entries that are lost.
#[test]
fn a_full_segment_that_is_cut_short_is_an_error_and_not_the_end() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &options());
    filled(&mut log);
    let io: Arc<dyn Io> = Arc::new(RealIo::read_only(dir.path()).unwrap());
    let name = io.list().unwrap().into_iter().filter(|name| name.ends_with(".wal")).nth(1).unwrap();
    let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
    for (len, least) in [(40_960, 1), (16_384, 30), (0, 50)] {
        file.set_len(len).unwrap();
        let lost = 300 - readable(&log).len();
        assert!((least..=80).contains(&lost), "{lost} lost of a file of {len} bytes");
    }
    let first = log.reader().faulty()[0].first;
    assert_eq!(log.reader().read(1, 300, usize::MAX).unwrap().len() as u64, first - 1);
}

/// F6: the same below a map: what was not touched yet is asked for first.
#[test]
fn what_a_map_can_no_longer_read_is_an_error_before_it_is_touched() {
    let dir = tempdir().unwrap();
    let io = RealIo::new(dir.path()).unwrap();
    let file = io.create("file").unwrap();
    file.write_at(&[7; 256 << 10], 0).unwrap();
    assert!(file.map(0..100).unwrap() == [7; 100][..]);
    assert_eq!(file.map(0..(256 << 10) + 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let other = fs::File::options().write(true).open(dir.path().join("file")).unwrap();
    other.set_len(128 << 10).unwrap();
    file.map((192 << 10)..(192 << 10) + 1).unwrap_err();
    file.map(0..256 << 10).unwrap_err();
    assert!(file.map(0..128 << 10).unwrap() == [7; 128 << 10][..]);
}
