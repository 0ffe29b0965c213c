//! Writing past the page cache: the same log, whichever way it is written. Where `/tmp` is in memory all
//! of this goes through the page cache, and has to hold as well.

use std::{fs, path::Path, sync::Arc};

use tempfile::tempdir;

use super::{IDENTITY, append, entries, small};
use crate::{File, Io, Log, Options, RealIo, aligned::Aligned};

fn open(dir: &Path, buffered: bool, options: &Options) -> Log {
    let io = RealIo::new(dir).unwrap();
    let io: Arc<dyn Io> = Arc::new(if buffered { io.buffered() } else { io });
    if !Log::exists(&io).unwrap() {
        Log::create(&io, IDENTITY, options).unwrap();
    }
    Log::open(io, options.clone()).unwrap().0
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let io = RealIo::read_only(dir).unwrap();
    let names = io.list().unwrap();
    names.into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

#[test]
fn both_ways_of_writing_leave_the_same_bytes() {
    let dirs = [tempdir().unwrap(), tempdir().unwrap()];
    for (dir, buffered) in dirs.iter().zip([false, true]) {
        for life in 0..3 {
            let mut log = open(dir.path(), buffered, &small());
            assert!(!(buffered && log.writes_directly()));
            for i in 0..60 {
                let first = life * 180 + i * 3 + 1;
                log.stage(i + 1, append(first..=first + 2, 1, 500));
                log.write().unwrap();
                log.sync().unwrap();
            }
            log.upkeep().unwrap();
            log.close().unwrap();
        }
    }
    let [direct, buffered] = dirs.map(|dir| files(dir.path()));
    assert!(direct.len() > 6, "several segments");
    assert!(direct == buffered);
}

#[test]
fn what_goes_past_the_page_cache_is_read_at_once() {
    let dir = tempdir().unwrap();
    // Nothing is kept in memory: every read asks the file.
    let options = Options { tail_cache_bytes: 0, ..small() };
    let mut log = open(dir.path(), false, &options);
    let reader = log.reader();
    for index in 1..=200 {
        log.stage(index, append(index..=index, 1, 700));
        log.write().unwrap();
        let first = index.saturating_sub(9).max(1);
        assert_eq!(
            reader.read(first, index, usize::MAX).unwrap(),
            entries(first..=index, 1, 700),
            "written, and the rest of its page was read before"
        );
    }
    assert_eq!(log.sync().unwrap(), 200);
}

#[test]
fn only_whole_aligned_sectors_go_past_the_page_cache() {
    let dir = tempdir().unwrap();
    let io = RealIo::new(dir.path()).unwrap();
    let file: Box<dyn File> = io.create("file").unwrap();
    let is_direct = file.write_directly(true);
    let sectors = Aligned::zeros(8192);
    file.write_at(sectors.as_slice(), 0).unwrap();
    file.write_at(b"here", 510).unwrap();
    file.write_at(&sectors.as_slice()[1..513], 4096).unwrap();
    file.write_at(b"there", 5000).unwrap();
    file.write_at(&sectors.as_slice()[..512], 4608).unwrap();
    assert!(!file.write_directly(false));
    file.write_at(b"everywhere", 1).unwrap();
    file.sync_all().unwrap();
    let mut expected = vec![0; 8192];
    expected[510..514].copy_from_slice(b"here");
    expected[1..11].copy_from_slice(b"everywhere");
    assert!(fs::read(dir.path().join("file")).unwrap() == expected);
    assert_eq!(file.write_directly(true), is_direct);

    let buffered = RealIo::new(dir.path()).unwrap().buffered();
    assert!(!buffered.open("file").unwrap().write_directly(true));
}
