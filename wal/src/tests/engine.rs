//! Open, write, read, close.

use tempfile::tempdir;

use super::{IDENTITY, append, entries, entry, fresh, io, reopen, small};
use crate::{Entry, EntryKind, Error, FaultyRange, HardState, Log, Op, Options, TailVerdict, Vote};

#[test]
fn a_fresh_log_is_empty() {
    let dir = tempdir().unwrap();
    assert!(!Log::exists(&io(dir.path())).unwrap());
    let (log, recovery) = fresh(dir.path(), &Options::default());
    assert!(Log::exists(&io(dir.path())).unwrap());
    assert_eq!(recovery.identity, IDENTITY);
    assert_eq!(recovery.hard_state, HardState::default());
    assert_eq!(recovery.last, (0, 0));
    assert_eq!(recovery.tail, TailVerdict::CleanEnd);
    assert_eq!(recovery.epoch, 1);
    assert_eq!(log.reader().bounds(), (1, 0));
    assert_eq!(log.reader().read(1, 9, 1 << 20).unwrap(), vec![]);
    assert_eq!(log.reader().term_of(0), Some(0));
    assert_eq!(log.reader().term_of(1), None);
}

#[test]
fn everything_comes_back() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    let config = Entry::new(4, 2, EntryKind::Config, "config".into());
    let vote = HardState { term: 3, voted_for: Some(Vote { node: 5, store: 55 }) };
    log.stage(1, append(1..=3, 1, 100));
    log.stage(2, Op::Append(vec![config.clone()]));
    log.stage(3, Op::HardState(vote));
    log.stage(4, Op::Bind { node: 5, store: 55 });
    log.stage(5, Op::Bind { node: 5, store: 66 });
    log.stage(6, Op::Append(vec![]));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 6);
    log.close().unwrap();

    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.tail, TailVerdict::Stopped);
    assert_eq!(recovery.last, (4, 2));
    assert_eq!(recovery.term_runs, vec![(1, 1), (4, 2)]);
    assert_eq!(recovery.configs, vec![config.clone()]);
    assert_eq!(recovery.hard_state, vote);
    assert_eq!(recovery.bindings.into_iter().collect::<Vec<_>>(), vec![(5, 55)]);
    let mut expected = entries(1..=3, 1, 100);
    expected.push(config);
    assert_eq!(log.reader().read(1, 4, 1 << 20).unwrap(), expected);
}

#[test]
fn rotation_keeps_every_entry_readable() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    let reader = log.reader();
    for i in 0..100 {
        log.stage(i + 1, append(i * 10 + 1..=i * 10 + 10, 1 + i / 30, 300));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), i + 1);
        if i % 3 == 0 {
            log.upkeep().unwrap();
        }
    }
    let expected: Vec<Entry> =
        (0..100).flat_map(|i| entries(i * 10 + 1..=i * 10 + 10, 1 + i / 30, 300)).collect();
    assert_eq!(reader.read(1, 1000, usize::MAX).unwrap(), expected);
    drop(log);
    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.last, (1000, 4));
    assert_eq!(log.reader().read(1, 2000, usize::MAX).unwrap(), expected);
    for index in [1, 2, 499, 500, 999, 1000] {
        assert_eq!(
            log.reader().entry(index).unwrap().unwrap(),
            expected[usize::try_from(index).unwrap() - 1]
        );
    }
}

#[test]
fn a_read_is_bounded_but_never_empty_handed() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    log.stage(1, append(1..=100, 1, 68));
    log.write().unwrap();
    for (bytes_max, expected) in [(0, 1), (1, 1), (100, 1), (199, 1), (200, 2), (1000, 10)] {
        for first in [1, 50, 90] {
            assert_eq!(log.reader().read(first, 100, bytes_max).unwrap().len(), expected);
        }
    }
    assert_eq!(log.reader().read(101, 200, 1000).unwrap(), vec![]);
    assert_eq!(log.reader().read(0, 200, 1000).unwrap(), vec![]);
    assert_eq!(log.reader().read(5, 4, 1000).unwrap(), vec![]);
}

#[test]
fn readers_see_what_is_staged_and_never_what_is_truncated() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    let reader = log.reader();
    log.stage(1, append(1..=40, 1, 500));
    assert_eq!(reader.read(1, 40, usize::MAX).unwrap(), entries(1..=40, 1, 500));
    log.write().unwrap();
    log.stage(2, Op::TruncateAfter(5));
    assert_eq!(reader.bounds(), (1, 5));
    assert_eq!(reader.read(1, 40, usize::MAX).unwrap(), entries(1..=5, 1, 500));
    log.stage(3, append(6..=8, 2, 500));
    let mut expected = entries(1..=5, 1, 500);
    expected.extend(entries(6..=8, 2, 500));
    assert_eq!(reader.read(1, 40, usize::MAX).unwrap(), expected);
    log.stage(4, Op::TruncateAfter(6));
    log.stage(5, append(7..=30, 3, 500));
    expected.truncate(6);
    expected.extend(entries(7..=30, 3, 500));
    log.write().unwrap();
    log.stage(6, append(31..=60, 3, 500));
    expected.extend(entries(31..=60, 3, 500));
    assert_eq!(reader.read(1, 60, usize::MAX).unwrap(), expected);
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 6);
    assert_eq!(reader.read(1, 60, usize::MAX).unwrap(), expected);
    drop(log);
    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.term_runs, vec![(1, 1), (6, 2), (7, 3)]);
    assert_eq!(log.reader().read(1, 60, usize::MAX).unwrap(), expected);
}

#[test]
fn the_largest_entry_fits_a_small_segment() {
    let dir = tempdir().unwrap();
    let overhead = 4096 + 32 * 1024 + 2 * 512 + 64 + 8192;
    let options = Options { entry_bytes_max: 64 * 1024 - overhead, ..small() };
    let (mut log, _) = fresh(dir.path(), &options);
    for ticket in 1..=4 {
        log.stage(ticket, append(ticket..=ticket, 1, options.entry_bytes_max));
        log.write().unwrap();
    }
    assert_eq!(log.sync().unwrap(), 4);
    let larger = Options { entry_bytes_max: options.entry_bytes_max + 1, ..options };
    let error = Log::open(io(dir.path()), larger).unwrap_err();
    assert!(matches!(error, Error::Options { name: "entry_bytes_max", .. }), "{error}");
    let expected = entries(1..=4, 1, options.entry_bytes_max);
    assert_eq!(log.reader().read(1, 4, usize::MAX).unwrap(), expected);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempdir().unwrap();
    let (log, _) = fresh(dir.path(), &small());
    let error = Log::open(io(dir.path()), small()).unwrap_err();
    assert!(matches!(&error, Error::Locked { path } if path.ends_with("LOCK")), "{error}");
    drop(log);
    reopen(dir.path(), &small());
}

#[test]
fn a_log_is_made_once_and_only_found_where_it_is() {
    let dir = tempdir().unwrap();
    let error = Log::open(io(dir.path()), small()).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    drop(fresh(dir.path(), &small()));
    let error = Log::create(&io(dir.path()), IDENTITY, &small()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
}

#[test]
fn an_unclean_end_is_told_from_a_clean_one() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    log.stage(9, Op::Append(vec![entry(1, 1, 10)]));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 9);
    drop(log);
    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.tail, TailVerdict::CleanEnd);
    log.close().unwrap();
    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.tail, TailVerdict::Stopped);
    drop(log);
    let (_log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.tail, TailVerdict::CleanEnd, "the last run did not stop in order");
    assert_eq!(recovery.epoch, 4);
}

/// Its number is free as long as no manifest lists it: the next process may be given the same.
#[test]
fn a_log_is_locked_until_its_last_spare_is_made() {
    let dir = tempdir().unwrap();
    let options = Options { spare_segments: 2, ..small() };
    let (mut log, _) = fresh(dir.path(), &options);
    let job = log.next_job().unwrap();
    drop(log);
    let refused = Log::open(io(dir.path()), options.clone());
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    drop(job.run());
    reopen(dir.path(), &options);
}

/// A reader that is slow holds up no writer, and what it set out to read stays where it was.
#[test]
fn what_is_being_read_from_the_segment_in_use_can_be_appended_to() {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &Options { tail_cache_bytes: 0, ..small() });
    log.stage(1, append(1..=3, 1, 100));
    log.write().unwrap();
    let plan = log.shared().lock().plan(1, 3, usize::MAX).unwrap();
    log.stage(2, append(4..=5, 1, 100));
    log.write().unwrap();
    log.stage(3, Op::TruncateAfter(2));
    log.stage(4, append(3..=3, 2, 100));
    log.write().unwrap();
    let [piece] = plan.on_disk.as_slice() else { panic!("one piece: {plan:?}") };
    let (mut budget, mut found) = (usize::MAX, Vec::new());
    assert!(piece.read(&mut budget, &mut found).unwrap());
    assert_eq!(found, entries(1..=3, 1, 100));
    let view = log.shared().lock();
    assert!(view.positions.is_in(2, piece), "it is there still");
    assert!(!view.positions.is_in(3, piece), "it is not in force any more");
}

/// Trap 37: a doubt that somebody else tells of is remembered like one that an opening found, beyond
/// what is appended later, until it is settled.
#[test]
fn a_doubt_that_was_told_is_remembered_until_it_is_settled() {
    let (dir, options) = (tempdir().unwrap(), small());
    let (mut log, _) = fresh(dir.path(), &options);
    for (ticket, op) in (1..).zip([append(1..=3, 2, 10), Op::Doubt, append(4..=5, 3, 10)]) {
        log.stage(ticket, op);
    }
    log.write().unwrap();
    log.sync().unwrap();
    let doubts = |faulty: Vec<FaultyRange>| {
        let doubts = faulty.iter().map(|range| (range.first, range.last, range.term_min));
        doubts.collect::<Vec<_>>()
    };
    assert_eq!(doubts(log.reader().faulty()), [(4, u64::MAX, 2)]);
    log.close().unwrap();
    let (mut log, recovery) = reopen(dir.path(), &options);
    assert_eq!((doubts(recovery.faulty), recovery.last), (vec![(4, u64::MAX, 2)], (5, 3)));
    log.stage(1, Op::Settle);
    log.close().unwrap();
    let (_, recovery) = reopen(dir.path(), &options);
    assert!(recovery.is_whole());
}

/// Who repairs may know less of the log than it does: what it can read is written no second time.
#[test]
fn a_repair_of_what_can_be_read_writes_nothing() {
    let (dir, options) = (tempdir().unwrap(), small());
    let (mut log, _) = fresh(dir.path(), &options);
    log.stage(1, append(1..=3, 2, 10));
    log.stage(2, Op::Repair(entry(2, 2, 10)));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 2);
    log.close().unwrap();
    let (log, recovery) = reopen(dir.path(), &options);
    assert_eq!(log.reader().read(1, 3, 1 << 20).unwrap(), entries(1..=3, 2, 10));
    assert!(recovery.is_whole());
}
