//! Opening a log of any bytes. An input changes one of a few real logs here and there, with checksums
//! put right where it says so, and the log is opened, read, written to and opened again.
//!
//! What always holds: opening gives a log or an error that names a file; it reads no more at once than
//! the file has; what it finds once it finds again, and what is then appended is there too.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use wal::{
    Entry, EntryKind, Error, File, FileLayer, HardState, Io, IoLayer, Log, Op, Options, Recovery,
    TailVerdict, Vote,
};

use super::{
    Target,
    format::{SECTOR, put_right},
};
use crate::{
    crash::{IDENTITY, small},
    sim::disk::SimDisk,
};

pub(super) const TARGET: Target = Target {
    name: "wal_files",
    run: |input| run(input),
    seeds,
    // A segment is read 1 MiB at a time at most; a slot file and the simulated disk take less.
    allocation_max: |_| 4 << 20,
    rounds: 2_500,
};

/// Changes in one input.
const CHANGES_MAX: usize = 16;
/// Entries that are read of a log that says it has more.
const READ_MAX: u64 = 400;
/// The largest batch that checksums are put right in.
const BATCH_BYTES_MAX: usize = 20 * SECTOR;

fn options() -> Options {
    Options { entry_bytes_max: 4 * 1024, ..small() }
}

fn run(input: &[u8]) -> bool {
    let mut input = Input(input);
    let logs = logs();
    let disk = logs[usize::from(input.byte()) % logs.len()].fork(1);
    for _ in 0..CHANGES_MAX {
        if input.0.is_empty() {
            break;
        }
        // A file that is gone or too short stays as it is.
        drop(change(&disk, &mut input));
    }
    judge(&disk)
}

/// The logs that inputs change, made by the real encoder.
fn logs() -> &'static [SimDisk] {
    static LOGS: OnceLock<Vec<SimDisk>> = OnceLock::new();
    LOGS.get_or_init(|| {
        let stopped = SimDisk::new(1);
        written(&stopped, 60).close().expect("nothing is planned to fail");
        let killed = SimDisk::new(2);
        drop(written(&killed, 9));
        let torn = SimDisk::new(3);
        let mut log = written(&torn, 30);
        log.stage(
            30 + 4,
            Op::Append(vec![Entry::new(30, 3, EntryKind::Command, vec![9; 3000].into())]),
        );
        log.write().expect("nothing is planned to fail");
        drop(log);
        for disk in [&stopped, &killed, &torn] {
            disk.crash();
        }
        vec![stopped, killed, torn, SimDisk::new(4)]
    })
}

/// A log with something of everything in it and `entries` entries, less one.
fn written(disk: &SimDisk, entries: u64) -> Log {
    let io = disk.io();
    Log::create(&io, IDENTITY, &options()).expect("nothing is planned to fail");
    let (mut log, _) = Log::open(io, options()).expect("nothing is planned to fail");
    let mut ticket = 0;
    let mut stage = |log: &mut Log, op| {
        ticket += 1;
        log.stage(ticket, op);
        log.write().and_then(|()| log.sync()).expect("nothing is planned to fail");
    };
    stage(&mut log, Op::Bind { node: 3, store: 33 });
    let vote = Vote { node: 3, store: 33 };
    stage(&mut log, Op::HardState(HardState { term: 2, voted_for: Some(vote) }));
    for index in 1..=entries {
        let kind = if index == 2 { EntryKind::Config } else { EntryKind::Command };
        let len = usize::try_from(index * 37 % 1500).expect("it is small");
        let fill = index.to_le_bytes()[0];
        let entry = Entry::new(index, 1 + index / 20, kind, vec![fill; len].into());
        stage(&mut log, Op::Append(vec![entry]));
    }
    stage(&mut log, Op::TruncateAfter(entries - 1));
    log
}

/// What is left of an input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next byte, and zeros after the last.
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn short(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// One change of one file.
fn change(disk: &SimDisk, input: &mut Input<'_>) -> io::Result<()> {
    let (what, names) = (input.byte(), disk.names());
    let Some(name) = names.get(usize::from(input.byte()) % names.len().max(1)) else {
        return Ok(());
    };
    let sector = sector_of(disk, name, input.short());
    let at = input.short() % SECTOR;
    let file = disk.io().open(name)?;
    let offset = sector * SECTOR as u64;
    match what % 9 {
        0 => {
            let len = usize::from(input.byte() % 64);
            file.write_at(input.bytes(len), offset + at as u64)?;
        }
        1 | 2 => {
            let len = [1, 2, 4, 8][usize::from(input.byte() % 4)];
            file.write_at(input.bytes(len), offset + (at as u64).next_multiple_of(4))?;
            right(&*file, name, offset)?;
        }
        3 => file.write_at(&[0; SECTOR], offset)?,
        4 => {
            let from = sector_of(disk, name, input.short());
            disk.misdirect((name, from), (name, sector));
        }
        5 => right(&*file, name, offset)?,
        6 => disk.lose(name),
        7 => file.set_len(offset + at as u64)?,
        _ => {
            let mut byte = [0];
            file.read_at(&mut byte, offset + at as u64)?;
            file.write_at(&[byte[0] ^ (1 << (input.byte() % 8))], offset + at as u64)?;
        }
    }
    file.sync_data()
}

/// Mostly one that holds something, sometimes one after.
fn sector_of(disk: &SimDisk, name: &str, choice: usize) -> u64 {
    let used = disk.used_sectors(name);
    let beyond = used.last().map_or(0, |last| last + 1);
    used.get(choice % (used.len() + 2)).copied().unwrap_or(beyond + choice as u64 % 4)
}

fn right(file: &dyn File, name: &str, offset: u64) -> io::Result<()> {
    let mut header = [0; 128];
    file.read_at(&mut header, 0)?;
    let left = usize::try_from(file.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(BATCH_BYTES_MAX)];
    file.read_at(&mut bytes, offset)?;
    put_right(name, &header, offset, &mut bytes);
    file.write_at(&bytes, offset)
}

/// Open it; if that goes, use it and open it again. Says whether it went.
fn judge(disk: &SimDisk) -> bool {
    let Some((log, found)) = open(disk) else { return false };
    let before = read(&log, &found);
    let mut log = log;
    let (last, term) = found.last;
    if last < u64::MAX - 1 {
        let entry = Entry::new(last + 1, term, EntryKind::Command, Bytes::from_static(b"new"));
        log.stage(1, Op::Append(vec![entry]));
        match log.write().and_then(|()| log.sync()) {
            Ok(ticket) => assert_eq!(ticket, 1),
            Err(error) => {
                assert!(!matches!(error, Error::Poisoned), "the first failure has a reason");
                return true;
            }
        }
    }
    drop(log);
    disk.kill();
    let (log, again) = match Log::open(Arc::new(Bounded(disk.io())), options()) {
        Ok(opened) => opened,
        // After an orderly stop the last segment was not read, and now it was.
        Err(Error::Damaged { .. } | Error::Version { .. })
            if found.tail == TailVerdict::Stopped =>
        {
            return true;
        }
        Err(error) => panic!("what opened once opens no more: {error:?}\n{found:?}"),
    };
    if again.is_whole() {
        assert_eq!((again.hard_state, &again.bindings), (found.hard_state, &found.bindings));
        assert_eq!(again.last.0, last.saturating_add(u64::from(last < u64::MAX - 1)));
    }
    let after = read(&log, &again);
    let is_missed = |index| again.faulty.iter().any(|r| (r.first..=r.last).contains(&index));
    for (index, before) in (1..).zip(&before) {
        // What was read once is read again, or missed.
        match after.get(usize::try_from(index - 1).unwrap_or(usize::MAX)) {
            Some(after) => {
                assert!(after.is_none() || before.is_none() || after == before, "{index}");
            }
            None => assert!(is_missed(index), "{index} is forgotten: {again:?}"),
        }
    }
    true
}

fn open(disk: &SimDisk) -> Option<(Log, Recovery)> {
    let io: Arc<dyn Io> = Arc::new(Bounded(disk.io()));
    match Log::exists(&io) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => return refused(&error),
    }
    match Log::open(io, options()) {
        Ok(opened) => Some(opened),
        Err(error) => refused(&error),
    }
}

/// It says which file, and not that it is the log's own fault.
fn refused<T>(error: &Error) -> Option<T> {
    let is_told = matches!(
        error,
        Error::Damaged { .. } | Error::Version { .. } | Error::Missing { .. } | Error::Io { .. }
    );
    assert!(is_told, "{error:?}");
    None
}

/// Each entry, or none where the log says that it cannot be read.
fn read(log: &Log, found: &Recovery) -> Vec<Option<Entry>> {
    let reader = log.reader();
    let count = found.last.0.min(READ_MAX);
    let entries = (1..=count).map(|index| match reader.entry(index) {
        Ok(Some(entry)) => {
            assert_eq!(entry.index, index);
            assert!(reader.term_of(index).is_some(), "entry {index}");
            Some(entry)
        }
        Ok(None) => panic!("entry {index} of {} is not there", found.last.0),
        Err(_) => None,
    });
    entries.collect()
}

/// Changes that reach each kind of check, to begin with.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for log in 0..4 {
        seeds.push(vec![log]);
        for file in 0..4 {
            for what in 0..9 {
                seeds.push(vec![log, what, file, 1, 0, 8, 0, 1, 1, 0, 0, 0]);
            }
        }
    }
    seeds
}

/// A directory in which nothing is read that is longer than its file.
#[derive(Debug)]
struct Bounded(Arc<dyn Io>);

impl IoLayer for Bounded {
    fn below(&self) -> &dyn Io {
        &*self.0
    }

    fn file(&self, _name: &str, below: Box<dyn File>) -> Box<dyn File> {
        Box::new(BoundedFile(below))
    }
}

#[derive(Debug)]
struct BoundedFile(Box<dyn File>);

impl FileLayer for BoundedFile {
    fn below(&self) -> &dyn File {
        &*self.0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let len = self.0.len()?;
        assert!(
            buffer.len() <= 64 * 1024 || buffer.len() as u64 <= len,
            "{} of {len}",
            buffer.len()
        );
        self.0.read_at(buffer, offset)
    }
}
