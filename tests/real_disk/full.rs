//! A disk that fills up under a log: a small ext4 of its own, filled to the last block.
//!
//! Skipped only where nothing may be mounted; a run leaves a mark that the gate looks for.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use tests::{kill9::IDENTITY, mark::Mark, small_disk::SmallDisk};
use wal::{Entry, EntryKind, Error, Io, Log, Op, Options, RealIo, Writer};

const DISK_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES: u64 = 1 << 20;
const PAYLOAD_BYTES: usize = 8_000;
/// Whatever does not happen in this time does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        small_segment_bytes: 128 << 10,
        spare_segments: 2,
        entry_bytes_max: 8 << 10,
        tail_cache_bytes: 0,
        ..Options::default()
    }
}

fn entry(index: u64) -> Entry {
    let payload: Vec<u8> =
        index.to_le_bytes().iter().copied().cycle().take(PAYLOAD_BYTES).collect();
    Entry::new(index, 1, EntryKind::Command, payload.into())
}

fn io(dir: &Path) -> Arc<dyn Io> {
    Arc::new(RealIo::new(dir).unwrap())
}

/// Make the log if there is none, open it, and check every entry in it. Returns the last index too.
fn open(dir: &Path) -> (Log, u64) {
    let io = io(dir);
    if !Log::exists(&io).unwrap() {
        Log::create(&io, IDENTITY, &options()).unwrap();
    }
    let (log, recovery) = Log::open(io, options()).unwrap();
    let (last, _) = recovery.last;
    let entries = log.reader().read(1, last, usize::MAX).unwrap();
    assert!(entries.iter().cloned().eq((1..=last).map(entry)), "{last} entries as written");
    (log, last)
}

/// Append and sync one by one, each index its own ticket, with upkeep between them, until it fails; the last index that was
/// acknowledged.
fn append_until_it_fails(log: &mut Log, last: u64, mut check: impl FnMut()) -> (u64, Error) {
    for index in last + 1.. {
        log.stage(index, Op::Append(vec![entry(index)]));
        match log.write().and_then(|()| log.sync()) {
            Ok(durable) => assert_eq!(durable, index),
            Err(error) => return (index - 1, error),
        }
        log.upkeep().unwrap();
        check();
    }
    unreachable!("a disk is finite")
}

/// The segment files, ascending.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    found.sort();
    found
}

/// F10, F20, F21: what was made ahead can be written on a disk without a free block; then the log says
/// which file it cannot make. Nothing that was acknowledged is lost, opening and closing need no room,
/// and with room it goes on.
#[test]
fn the_spares_can_be_written_on_a_full_disk_and_then_the_log_stops_in_words() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let dir = disk.path().join("log");
    let (mut log, _) = open(&dir);
    log.stage(1, Op::Append(vec![entry(1)]));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 1);
    log.upkeep().unwrap();
    let made = segments(&dir);
    assert_eq!(made.len(), 3, "the first, and two spares");
    disk.fill_up_to(0);
    assert!(fs::write(disk.path().join("more"), [1; 1 << 16]).is_err(), "it is full");
    fs::remove_file(disk.path().join("more")).unwrap();

    let (last, error) = append_until_it_fails(&mut log, 1, || {
        assert_eq!(segments(&dir), made, "a spare that could not be made is gone");
    });
    assert!(last * PAYLOAD_BYTES as u64 > 2 * SEGMENT_BYTES * 9 / 10, "{last}: both were used");
    let Error::Io { path, source, .. } = &error else { panic!("{error:?}") };
    assert!(path.starts_with(&dir), "{error}");
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
    drop(log);

    let (log, found) = open(&dir);
    assert_eq!(found, last);
    log.close().unwrap();
    let (log, found) = open(&dir);
    assert_eq!(found, last);
    assert_eq!(segments(&dir), made);
    drop(log);

    disk.empty();
    let (mut log, _) = open(&dir);
    for index in last + 1..=2 * last {
        log.stage(index, Op::Append(vec![entry(index)]));
        log.write().unwrap();
        log.upkeep().unwrap();
    }
    assert_eq!(log.sync().unwrap(), 2 * last);
    drop(log);
    assert_eq!(open(&dir).1, 2 * last);
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "full-log").leave();
}

/// F21: with too little room for a spare the log goes on in small segments, and the attempts leave
/// nothing behind that takes up what is left.
#[test]
fn attempts_to_make_a_spare_take_no_room_away() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let dir = disk.path().join("log");
    let (mut log, _) = open(&dir);
    disk.fill_up_to(SEGMENT_BYTES - (100 << 10));
    let before = segments(&dir).len();
    let (last, error) = append_until_it_fails(&mut log, 0, || {});
    assert!(error.to_string().contains("seg-"), "{error}");
    let more = (segments(&dir).len() - before) as u64;
    assert!((6..=7).contains(&more), "{more} small segments in 924 KiB");
    assert!(disk.free_bytes() < 256 << 10, "{} bytes are left", disk.free_bytes());
    drop(log);
    assert_eq!(open(&dir).1, last);
}

/// F21: the writer notices by itself that there is room again.
#[test]
fn the_writer_goes_on_by_itself_when_there_is_room_again() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let dir = disk.path().join("log");
    let (log, _) = open(&dir);
    let (tell, told) = sync_channel(1 << 12);
    let writer = Writer::spawn(log, Box::new(move |result| tell.send(result).unwrap())).unwrap();
    let mut appended = 0;
    let mut append_bytes = |bytes: u64| {
        for _ in 0..bytes.div_ceil(PAYLOAD_BYTES as u64) {
            appended += 1;
            writer.submit(appended, Op::Append(vec![entry(appended)])).unwrap();
            durable(&told, appended);
        }
        appended
    };
    append_bytes(SEGMENT_BYTES / 2);
    until("two spares are ready", || segments(&dir).len() >= 4);
    disk.fill_up_to(0);
    append_bytes(SEGMENT_BYTES);
    disk.empty();
    let last = append_bytes(8 * SEGMENT_BYTES);
    writer.stop().unwrap();
    assert_eq!(open(&dir).1, last);
}

/// A log that cannot be made says why, leaves little, and is made when there is room.
#[test]
fn a_log_that_finds_no_room_is_made_later() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let dir = disk.path().join("log");
    let io = io(&dir);
    disk.fill_up_to(64 << 10);
    let error = Log::create(&io, IDENTITY, &options()).unwrap_err();
    let Error::Io { path, source, .. } = &error else { panic!("{error:?}") };
    assert!(path.starts_with(&dir), "{error}");
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
    assert!(!Log::exists(&io).unwrap());
    disk.empty();
    assert_eq!(open(&dir).1, 0);
}

fn durable(told: &Receiver<Result<u64, Error>>, ticket: u64) {
    while told.recv_timeout(PATIENCE).unwrap().unwrap() < ticket {}
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}
