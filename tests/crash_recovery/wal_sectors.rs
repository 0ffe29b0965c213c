//! What single sectors may do to a log: some of a batch's are written and some are not, some come from
//! elsewhere, some change after they were read.

use std::{ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use tests::sim::disk::{SECTOR_BYTES, SimDisk};
use wal::{Entry, EntryKind, Error, Identity, Log, Op, Recovery, TailVerdict};

use crate::wal_model::{IDENTITY, open, small};

const SEGMENT: &str = "seg-00000000000000000001.wal";
const LENGTHS: RangeInclusive<u64> = 1..=6;

/// An entry of this many bytes, none of them zero.
fn entry(index: u64, len: usize) -> Entry {
    let fill = index.to_le_bytes()[0] | 1;
    Entry::new(index, 1, EntryKind::Command, Bytes::from(vec![fill; len]))
}

/// Durable entries of these lengths from index 1 on, one batch each; returns the sectors of each batch.
fn written(disk: &SimDisk, identity: Identity, lengths: &[usize]) -> (Log, Vec<Vec<u64>>) {
    let io = disk.io();
    Log::create(&io, identity, &small()).unwrap();
    let (mut log, _) = Log::open(Arc::clone(&io), small()).unwrap();
    let mut used = disk.used_sectors(SEGMENT);
    let mut batches = Vec::new();
    for (index, &len) in (1..).zip(lengths) {
        log.stage(index, Op::Append(vec![entry(index, len)]));
        log.write().unwrap();
        log.sync().unwrap();
        let now = disk.used_sectors(SEGMENT);
        let mut new: Vec<u64> =
            now.iter().copied().filter(|sector| !used.contains(sector)).collect();
        if index == 1 {
            // The segment's start came before it.
            new.remove(0);
        }
        batches.push(new);
        used = now;
    }
    (log, batches)
}

fn last_of(disk: &SimDisk) -> Result<(u64, Recovery), Error> {
    let (log, recovery) = open(disk, &small())?;
    let entries = log.reader().read(1, u64::MAX, usize::MAX)?;
    for (index, found) in (1..).zip(&entries) {
        assert_eq!(*found, entry(index, found.payload.len()));
    }
    Ok((entries.len() as u64, recovery))
}

/// F12 F15: of a batch that was being written any subset of sectors may be there. All of them: it is
/// kept. Not all: it is gone, and the log opens, since a crash is no damage.
#[test]
fn a_batch_is_there_with_all_its_sectors_or_not_at_all() {
    for sectors in LENGTHS {
        let disk = SimDisk::new(sectors);
        let len = usize::try_from(sectors).unwrap() * SECTOR_BYTES - 200;
        let (log, batches) = written(&disk, IDENTITY, &[700, 700, len]);
        drop(log);
        disk.kill();
        let batch = &batches[2];
        assert_eq!(batch.len() as u64, sectors);
        let all = (1 << sectors) - 1;
        for kept in 0..=all {
            let disk = disk.fork(kept);
            for (n, &sector) in batch.iter().enumerate() {
                if kept >> n & 1 == 0 {
                    disk.zero_sector(SEGMENT, sector);
                }
            }
            let (last, recovery) = last_of(&disk).unwrap();
            let (wanted, is_torn) = if kept == all { (3, false) } else { (2, kept != 0) };
            assert_eq!(last, wanted, "{kept:b} of {sectors}");
            assert_eq!(matches!(recovery.tail, TailVerdict::Torn { .. }), is_torn, "{kept:b}");
        }
    }
}

/// F9: a batch of which nothing but zeros reached the disk leaves a clean end.
#[test]
fn a_tail_of_zeros_is_a_clean_end() {
    let disk = SimDisk::new(9);
    let (log, batches) = written(&disk, IDENTITY, &[700, 3000]);
    drop(log);
    disk.kill();
    batches[1].iter().for_each(|&sector| disk.zero_sector(SEGMENT, sector));
    let (last, recovery) = last_of(&disk).unwrap();
    assert_eq!((last, recovery.tail), (1, TailVerdict::CleanEnd));
}

/// F14: an old batch that appears a second time, behind the end, is no batch there: its checksum knows
/// its place. It is debris, and what was acknowledged stays.
#[test]
fn an_old_batch_behind_the_end_is_no_batch() {
    let disk = SimDisk::new(14);
    let (log, batches) = written(&disk, IDENTITY, &[300, 300, 300]);
    drop(log);
    disk.kill();
    let behind = batches[2].last().unwrap() + 3;
    for from in [batches[0][0], batches[1][0], batches[2][0]] {
        let disk = disk.fork(from);
        disk.misdirect((SEGMENT, from), (SEGMENT, behind));
        let (last, recovery) = last_of(&disk).unwrap();
        assert_eq!(last, 3, "sector {from}");
        assert!(matches!(recovery.tail, TailVerdict::Torn { .. }), "{:?}", recovery.tail);
    }
}

/// F14 F22: a batch of another log is none of this one's, though all before it is the same and it lies
/// where the next one belongs.
#[test]
fn a_batch_of_another_log_is_no_batch() {
    let other = Identity { store: IDENTITY.store + 1, ..IDENTITY };
    let (mine, theirs) = (SimDisk::new(1), SimDisk::new(2));
    drop(written(&mine, IDENTITY, &[300, 300]).0);
    let (log, batches) = written(&theirs, other, &[300, 300, 300]);
    drop(log);
    mine.kill();
    copy_sector(&theirs, batches[2][0], &mine);
    if let Ok((last, _)) = last_of(&mine) {
        assert_eq!(last, 2);
    }
}

/// F16 F23: batches of which nothing is left, at the end of the log, are missed: the manifest, written
/// since, knows that they were durable.
#[test]
fn an_end_that_is_lost_without_a_trace_is_missed() {
    let disk = SimDisk::new(23);
    let (mut log, batches) = written(&disk, IDENTITY, &[700, 700, 700]);
    // A spare is taken up.
    log.upkeep().unwrap();
    drop(log);
    disk.kill();
    batches[2].iter().for_each(|&sector| disk.zero_sector(SEGMENT, sector));
    match open(&disk, &small()) {
        Ok((_, recovery)) => assert!(!recovery.is_whole(), "{recovery:?}"),
        Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
    }
}

/// F16: that an earlier run was stopped in order says nothing of the end of a later one: its last batch is
/// missed when it rots.
#[test]
fn a_stop_in_order_speaks_for_its_own_run_alone() {
    let disk = SimDisk::new(24);
    let (log, _) = written(&disk, IDENTITY, &[700, 700]);
    log.close().unwrap();
    disk.crash();
    let before = disk.used_sectors(SEGMENT);
    let (mut log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.tail, TailVerdict::Stopped);
    log.stage(1, Op::Append(vec![entry(3, 300)]));
    log.write().unwrap();
    log.sync().unwrap();
    drop(log);
    disk.kill();
    let new = disk.used_sectors(SEGMENT).into_iter().find(|sector| !before.contains(sector));
    disk.corrupt(SEGMENT, new.unwrap() * SECTOR_BYTES as u64 + 9, 1);
    match open(&disk, &small()) {
        Ok((_, recovery)) => assert!(!recovery.is_whole(), "{recovery:?}"),
        Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
    }
}

/// A batch of a history that did not happen, of the same log, at the right place and with the right
/// number, follows another batch than the one before it: it is told by the chain.
#[test]
fn a_batch_of_another_history_is_no_batch() {
    let (mine, lost) = (SimDisk::new(1), SimDisk::new(2));
    drop(written(&mine, IDENTITY, &[300, 301]).0);
    let (log, batches) = written(&lost, IDENTITY, &[300, 302, 303]);
    drop(log);
    mine.kill();
    copy_sector(&lost, batches[2][0], &mine);
    if let Ok((last, _)) = last_of(&mine) {
        assert_eq!(last, 2);
    }
}

fn copy_sector(from: &SimDisk, number: u64, to: &SimDisk) {
    let (mut bytes, at) = ([0; SECTOR_BYTES], number * SECTOR_BYTES as u64);
    from.io().open(SEGMENT).unwrap().read_at(&mut bytes, at).unwrap();
    let segment = to.io().open(SEGMENT).unwrap();
    segment.write_at(&bytes, at).unwrap();
    segment.sync_data().unwrap();
}

/// F19: what changes on the disk after the log was opened is found by whoever reads it, in the segment
/// being written and in a sealed one, and by nobody else: the entries around it are read as before.
#[test]
fn a_byte_that_rots_under_an_open_log_is_never_read() {
    for (count, index) in [(10, 1), (10, 4), (10, 7), (30, 1), (30, 4), (30, 7)] {
        let disk = SimDisk::new(index);
        let (log, batches) = written(&disk, IDENTITY, &vec![3000; count]);
        let rotten = batches[usize::try_from(index - 1).unwrap()][2];
        disk.corrupt(SEGMENT, rotten * SECTOR_BYTES as u64 + 9, 1);
        let reader = log.reader();
        let read = reader.entry(index);
        assert_eq!(read.ok(), None, "entry {index} of {count}");
        for other in (1..=count as u64).filter(|&other| other != index) {
            assert_eq!(reader.entry(other).unwrap(), Some(entry(other, 3000)), "{index}: {other}");
        }
    }
}

/// F16 F20: an acknowledged batch is not cut, whatever became of it and however often the log is
/// opened, though it may look like one that a crash tore: every byte that is left stays where it is.
#[test]
fn a_batch_that_was_acknowledged_is_not_cut() {
    let disk = SimDisk::new(16);
    let (log, batches) = written(&disk, IDENTITY, &[300, 3000, 300, 300]);
    drop(log);
    disk.kill();
    for lost in batches[1].iter().chain(&batches[2]) {
        let disk = disk.fork(*lost);
        disk.zero_sector(SEGMENT, *lost);
        let left = disk.used_sectors(SEGMENT);
        for _ in 0..3 {
            match open(&disk, &small()) {
                Ok((_, recovery)) => assert!(!recovery.is_whole(), "sector {lost}"),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
            }
            disk.crash();
            let now = disk.used_sectors(SEGMENT);
            assert!(left.iter().all(|sector| now.contains(sector)), "sector {lost} lost");
        }
    }
}
