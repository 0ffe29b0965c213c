//! Failed writes and syncs, a full disk, garbage after a crash.

use std::collections::BTreeSet;

use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, Log, Op};

use crate::{
    wal_model::{Contents, Model, Random, open, small},
    wal_repair::damageable,
};

fn entry(index: u64, len: usize) -> Op {
    let payload = vec![index.to_le_bytes()[0] | 1; len];
    Op::Append(vec![Entry::new(index, 1, EntryKind::Command, payload.into())])
}

/// Research traps 6 and 8.
#[test]
fn nothing_is_tried_again_after_a_failed_write_or_sync() {
    for fail in [SimDisk::fail_write_after, SimDisk::fail_sync_after] {
        let disk = SimDisk::new(4);
        let (mut log, _) = open(&disk, &small()).unwrap();
        log.stage(1, entry(1, 100));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), 1);
        fail(&disk, 0);
        log.stage(2, entry(2, 100));
        let failed = log.write().and_then(|()| log.sync());
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
        let calls = disk.calls();
        assert!(matches!(log.write(), Err(Error::Poisoned)));
        assert!(matches!(log.sync(), Err(Error::Poisoned)));
        assert!(matches!(log.upkeep(), Err(Error::Poisoned)));
        assert!(matches!(log.reader().read(1, 1, 9), Err(Error::Poisoned)));
        assert!(matches!(log.close(), Err(Error::Poisoned)));
        assert_eq!(disk.calls(), calls, "the disk was not touched again");
    }
}

/// After a failed sync the cache shows what is not on the disk, and the next sync succeeds. A process
/// that starts then must not take the cache's word (research F2).
#[test]
fn the_cache_is_not_believed_after_a_failed_sync() {
    let disk = SimDisk::new(5);
    let (mut log, _) = open(&disk, &small()).unwrap();
    log.stage(1, entry(1, 100));
    log.write().unwrap();
    log.sync().unwrap();
    log.stage(2, entry(2, 100));
    log.write().unwrap();
    disk.fail_sync_after(0);
    log.sync().unwrap_err();
    drop(log);
    disk.kill();
    let (log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.last, (1, 1));
    drop(log);
    disk.crash();
    let (_log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.last, (1, 1), "what was found once stays");
}

/// A killed process leaves writes that no one synced. Whoever finds them must sync them before anything
/// rests on them (research F3).
#[test]
fn what_was_found_after_a_kill_survives_a_crash() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk, &small()).unwrap();
        log.stage(1, entry(1, 100));
        log.write().unwrap();
        drop(log);
        disk.kill();
        let (log, recovery) = open(&disk, &small()).unwrap();
        assert_eq!(recovery.last, (1, 1));
        drop(log);
        disk.crash();
        let (_log, recovery) = open(&disk, &small()).unwrap();
        assert_eq!(recovery.last, (1, 1));
    }
}

/// The names too: a process killed while it made the log may have synced none of them.
#[test]
fn a_log_whose_making_was_killed_survives_a_crash() {
    let whole = SimDisk::new(0);
    drop(open(&whole, &small()).unwrap());
    for n in 0..whole.calls() {
        for seed in 0..8 {
            let disk = SimDisk::new(seed);
            disk.cut_power_after(n);
            drop(open(&disk, &small()));
            disk.kill();
            let (mut log, _) = open(&disk, &small()).unwrap();
            log.stage(1, entry(1, 100));
            log.write().unwrap();
            assert_eq!(log.sync().unwrap(), 1);
            drop(log);
            disk.crash();
            let (_log, recovery) = open(&disk, &small()).unwrap();
            assert_eq!(recovery.last, (1, 1), "killed at call {n}, seed {seed}");
        }
    }
}

/// F7: files that were copied there, from a backup, and whose names nobody synced.
#[test]
fn a_log_that_was_copied_survives_a_crash() {
    let (original, _) = damageable(true);
    let copied = SimDisk::new(1);
    let (from, to) = (original.io(), copied.io());
    for name in original.names() {
        let (file, copy) = (from.open(&name).unwrap(), to.create(&name).unwrap());
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        copy.write_at(&bytes, 0).unwrap();
        copy.sync_all().unwrap();
    }
    copied.kill();
    let (mut log, found) = open(&copied, &small()).unwrap();
    let next = found.last.0 + 1;
    let added = Entry::new(next, found.last.1, EntryKind::Command, vec![1; 100].into());
    log.stage(1, Op::Append(vec![added]));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 1);
    drop(log);
    for seed in 0..16 {
        let disk = copied.fork(seed);
        disk.crash();
        let (_log, recovery) = open(&disk, &small()).unwrap();
        assert!(recovery.is_whole() && recovery.rebuilt.is_empty(), "{recovery:?}");
        assert_eq!(recovery.last.0, next);
    }
}

#[test]
fn a_truncation_and_what_replaces_it_take_effect_together() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let (mut log, _) = open(&disk, &small()).unwrap();
        for index in 1..=5 {
            log.stage(index, entry(index, 900));
        }
        log.write().unwrap();
        log.sync().unwrap();
        log.stage(6, Op::TruncateAfter(2));
        let replacement = [3, 4, 5, 6]
            .map(|index| Entry::new(index, 2, EntryKind::Command, vec![7; 1500].into()));
        log.stage(7, Op::Append(replacement.to_vec()));
        log.write().unwrap();
        drop(log);
        disk.crash();
        let (_log, recovery) = open(&disk, &small()).unwrap();
        found.insert(recovery.last);
    }
    assert_eq!(found, [(5, 1), (6, 2)].into(), "neither or both, and each of the two is met");
}

/// F21: without room for a spare segment nothing fails, without room for any the log stops, opens again
/// on the full disk, and goes on as soon as there is room.
#[test]
fn without_room_for_a_spare_the_log_goes_on_while_it_can() {
    let disk = SimDisk::new(6);
    let (mut log, _) = open(&disk, &small()).unwrap();
    // Manifest, vote file, one segment, and not enough for another.
    disk.set_room(Some((128 + 8 + 64 + 32) * 1024));
    log.upkeep().unwrap();
    let mut durable = 0;
    let error = loop {
        log.stage(durable + 1, entry(durable + 1, 1000));
        match log.write().and_then(|()| log.sync()) {
            Ok(ticket) => durable = ticket,
            Err(error) => break error,
        }
    };
    assert!(durable > 30, "{durable}");
    assert!(error.to_string().contains("cannot prepare"), "{error}");
    drop(log);
    disk.crash();
    // The disk is still full: opening needs no room.
    let (log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.last.0, durable);
    drop(log);
    disk.crash();
    disk.set_room(None);
    let (mut log, _) = open(&disk, &small()).unwrap();
    log.stage(1, entry(durable + 1, 1000));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 1);
}

/// A sector that was being written may hold anything on a bad disk. Then recovery may stop, but it must
/// not lose or make up anything.
#[test]
fn garbage_is_never_taken_for_data() {
    let mut stopped = 0;
    for seed in 0..150 {
        let disk = SimDisk::new(seed);
        disk.set_garbage(true);
        let (mut model, mut random) = (Model::new(), Random(seed));
        let Ok((mut log, _)) = open(&disk, &small()) else { continue };
        for _ in 0..20 {
            model.stage(&mut log, &mut random);
            log.write().unwrap();
            if random.below(2) == 0 {
                model.acknowledge(log.sync().unwrap());
            }
        }
        drop(log);
        disk.crash();
        match open(&disk, &small()) {
            Ok((log, recovery)) if recovery.is_whole() => {
                model.recover(Contents::of(&log, &recovery));
            }
            Ok(_) | Err(Error::Damaged { .. }) => stopped += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(stopped < 150, "some recover");
}

#[test]
fn a_lock_dies_with_its_process() {
    let disk = SimDisk::new(8);
    let (_log, _) = open(&disk, &small()).unwrap();
    assert!(matches!(Log::open(disk.io(), small()), Err(Error::Locked { .. })));
    disk.kill();
    open(&disk, &small()).unwrap();
}
