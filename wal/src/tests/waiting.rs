//! Appends that wait, on many threads.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use tempfile::tempdir;

use super::{IDENTITY, append, reopen, small, watched::Watched};
use crate::{Busy, EntryKind, Error, Io, Log, NotAppended, Options, Writer};

/// Long enough for any machine; a wake-up that is lost is never made up for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A log in this directory with one entry, so that its segment is begun.
fn begun(io: &Arc<Watched>, options: &Options) -> Log {
    let io: Arc<dyn Io> = Arc::<Watched>::clone(io);
    Log::create(&io, IDENTITY, options).unwrap();
    let (mut log, _) = Log::open(io, options.clone()).unwrap();
    log.stage(1, append(1..=1, 1, 16));
    log.write().unwrap();
    log.sync().unwrap();
    log
}

/// With room for everything in the first segment, and nothing prepared beside it.
fn one_segment() -> Options {
    let bytes = 1 << 20;
    Options { segment_bytes: bytes, small_segment_bytes: bytes, spare_segments: 0, ..small() }
}

fn payload(writer: u64, number: u64) -> Bytes {
    [writer.to_le_bytes(), number.to_le_bytes()].concat().into()
}

/// Run `work` for each number below `count` on a thread of its own; what they return, in any order.
fn on_threads<T: Send + 'static>(
    count: u64,
    work: impl Fn(u64) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let (send, results) = sync_channel::<T>(64);
    for number in 0..count {
        let (send, work) = (send.clone(), work.clone());
        thread::spawn(move || {
            let result = work(number);
            drop(work);
            send.send(result).unwrap();
        });
    }
    drop((send, work));
    (0..count).map(|_| results.recv_timeout(PATIENCE).expect("nobody waits for ever")).collect()
}

#[test]
fn an_append_returns_when_it_is_durable_and_after_one_flush() {
    let dir = tempdir().unwrap();
    let io = Watched::new(dir.path(), || Ok(true));
    let options = one_segment();
    let log = begun(&io, &options);
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let on_durable = move |durable: Result<u64, Error>| {
        tell.store(durable.unwrap(), Ordering::Relaxed);
    };
    let writer = Writer::spawn(log, Box::new(on_durable)).unwrap();
    let before = io.syncs();
    for number in 1..=50 {
        let payloads = [payload(0, number), payload(1, number)];
        let last = writer.append(1, EntryKind::Command, &payloads).unwrap();
        assert_eq!(last, 1 + 2 * number);
        assert_eq!(io.syncs() - before, number, "one flush each");
        assert_eq!(told.load(Ordering::Relaxed), 1 + number);
    }
    // Whoever is told later has the same rounds.
    writer.submit(52, append(102..=102, 1, 16)).unwrap();
    writer.append(1, EntryKind::NoOp, &[]).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 53);
    writer.stop().unwrap();
    let (_log, recovery) = reopen(dir.path(), &options);
    assert_eq!(recovery.last, (102, 1));
}

#[test]
fn everybody_who_waits_is_woken_and_finds_the_entry_again() {
    const WRITERS: u64 = 12;
    const APPENDS: u64 = 400;
    let dir = tempdir().unwrap();
    // Without the device a round is short, and everything that can meet does.
    let io = Watched::new(dir.path(), || Ok(false));
    let options = Options { segment_bytes: 1 << 18, small_segment_bytes: 1 << 18, ..small() };
    let writer = Arc::new(Writer::spawn(begun(&io, &options), Box::new(|_| ())).unwrap());
    let work = {
        let writer = Arc::clone(&writer);
        move |number| {
            let one = |n| {
                let payloads = [payload(number, n)];
                let index = writer.append(1, EntryKind::Command, &payloads).unwrap();
                (index, payloads)
            };
            (0..APPENDS).map(one).collect::<Vec<_>>()
        }
    };
    let mut appended = on_threads(WRITERS, work).concat();
    appended.sort_unstable_by_key(|(index, _)| *index);
    Arc::into_inner(writer).expect("all have ended").stop().unwrap();

    let (log, recovery) = reopen(dir.path(), &options);
    assert_eq!(recovery.last, (1 + WRITERS * APPENDS, 1));
    let entries = log.reader().read(2, recovery.last.0, usize::MAX).unwrap();
    let entries: Vec<_> = entries.into_iter().map(|entry| (entry.index, [entry.payload])).collect();
    assert_eq!(entries, appended);
}

#[test]
fn a_failed_flush_is_told_to_everybody_who_waits() {
    const GOOD_SYNCS: u64 = 40;
    let dir = tempdir().unwrap();
    let count = AtomicU64::new(0);
    let io = Watched::new(dir.path(), move || {
        let is_good = count.fetch_add(1, Ordering::Relaxed) < GOOD_SYNCS;
        if is_good { Ok(false) } else { Err(io::Error::from_raw_os_error(5)) }
    });
    let (tell, told) = sync_channel(8);
    let on_durable = move |durable: Result<u64, Error>| {
        if let Err(error) = durable {
            tell.send(error.to_string()).unwrap();
        }
    };
    let log = begun(&io, &one_segment());
    let writer = Arc::new(Writer::spawn(log, Box::new(on_durable)).unwrap());
    let work = {
        let writer = Arc::clone(&writer);
        move |number| loop {
            match writer.append(1, EntryKind::Command, &[payload(number, 0)]) {
                Ok(_) => {}
                Err(NotAppended::Failed(error)) => return error,
                Err(NotAppended::Busy) => panic!("the line is long enough"),
            }
        }
    };
    for error in on_threads(8, work) {
        let is_it = matches!(&error, Error::Io { source, .. } if source.raw_os_error() == Some(5));
        assert!(is_it, "{error}");
    }
    let after = writer.append(1, EntryKind::Command, &[payload(9, 0)]);
    assert!(matches!(after, Err(NotAppended::Failed(Error::Io { .. }))), "{after:?}");
    assert_eq!(writer.submit(99, append(99..=99, 1, 1)), Err(Busy(append(99..=99, 1, 1))));
    assert!(matches!(Arc::into_inner(writer).unwrap().stop(), Err(Error::Io { .. })));
    assert_eq!(told.iter().count(), 1, "the owner is told once");
    assert_eq!(io.syncs(), GOOD_SYNCS + 1, "nothing is tried again (F1)");
}

#[test]
fn an_append_that_finds_no_room_is_not_taken() {
    let dir = tempdir().unwrap();
    let (held, hold) = sync_channel(0);
    let (go, gone) = sync_channel::<()>(0);
    let gone = std::sync::Mutex::new(gone);
    let is_holding = Arc::new(AtomicU64::new(0));
    let holding = Arc::clone(&is_holding);
    let io = Watched::new(dir.path(), move || {
        if holding.load(Ordering::Relaxed) == 1 {
            held.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap_or(());
        }
        Ok(true)
    });
    let options = Options { queue_bytes_max: 4096, spare_segments: 0, ..small() };
    let writer = Arc::new(Writer::spawn(begun(&io, &options), Box::new(|_| ())).unwrap());
    is_holding.store(1, Ordering::Relaxed);
    // One who writes, and stands still; four who wait, with a frame of 1024 bytes each, to the bound.
    let (sender, results) = sync_channel(8);
    for number in 0..5 {
        let (writer, sender) = (Arc::clone(&writer), sender.clone());
        let bytes = if number == 0 { 16 } else { 992 };
        let payloads = [Bytes::from(vec![1; bytes])];
        thread::spawn(move || {
            let result = writer.append(1, EntryKind::Command, &payloads);
            drop(writer);
            sender.send(result).unwrap();
        });
        if number == 0 {
            hold.recv_timeout(PATIENCE).unwrap();
        }
    }
    while writer.queued_bytes() < 4096 {
        thread::yield_now();
    }
    let refused = writer.append(1, EntryKind::Command, &[Bytes::new()]);
    assert!(matches!(refused, Err(NotAppended::Busy)), "{refused:?}");
    is_holding.store(0, Ordering::Relaxed);
    drop(go);
    let mut indexes: Vec<u64> =
        (0..5).map(|_| results.recv_timeout(PATIENCE).unwrap().unwrap()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [2, 3, 4, 5, 6]);
    writer.append(1, EntryKind::Command, &[Bytes::new()]).unwrap();
    drop(sender);
    let writer = Arc::into_inner(writer).expect("all have ended");
    writer.stop().unwrap();
    let (_log, recovery) = reopen(dir.path(), &options);
    assert_eq!(recovery.last, (7, 1));
}
