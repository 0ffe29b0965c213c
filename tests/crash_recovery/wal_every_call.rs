//! Every call of a history fails in its turn, once: the first write, the second, ... until the history
//! goes through; and so for each kind of call, with an error and with a full disk.

use tests::{
    crash::{Contents, Model, Random, open, small},
    sim::disk::{Call, Fault, SimDisk},
};
use wal::{Entry, EntryKind, Error, Log, Op, Options};

fn options() -> Options {
    Options { spare_segments: 2, ..small() }
}

/// Two processes that rotate, keep spares, write footers and stop in order. How the first that did not
/// come to its end came to it.
fn live(disk: &SimDisk, model: &mut Model, seed: u64) -> Result<(), Error> {
    let mut random = Random(seed);
    for life in 0..2 {
        // A spare that a crash left half-made: opening removes it.
        drop(disk.io().create("seg-00000000000000000099.wal"));
        let (mut log, recovery) = open(disk, &options())?;
        model.recover(Contents::try_of(&log, &recovery)?);
        for _ in 0..9 {
            model.stage(&mut log, &mut random);
            let (last, term) = model.last();
            let entry = Entry::new(last + 1, term, EntryKind::Command, vec![0; 7000].into());
            model.submit(&mut log, Op::Append(vec![entry]));
            log.write()?;
            model.acknowledge(log.sync()?);
            log.upkeep()?;
        }
        if life == 0 || random.below(2) == 0 {
            log.close()?;
        }
    }
    Ok(())
}

/// After the failure the machine goes on, or dies too: either way nothing acknowledged is missing, and
/// the log works on.
fn check(disk: &SimDisk, model: &Model, what: &str) {
    for dies in [false, true] {
        let (disk, mut model) = (disk.fork(7), model.clone());
        if dies {
            disk.crash();
        } else {
            disk.kill();
        }
        let (mut log, recovery) =
            open(&disk, &options()).unwrap_or_else(|error| panic!("{what}, {dies}: {error}"));
        model.recover(Contents::of(&log, &recovery));
        work_on(&mut log, &mut model);
    }
}

fn work_on(log: &mut Log, model: &mut Model) {
    let (last, term) = model.last();
    let entry = Entry::new(last + 1, term, EntryKind::Command, vec![1; 100].into());
    model.submit(log, Op::Append(vec![entry]));
    log.write().unwrap();
    assert!(log.sync().unwrap() > 0);
}

/// F1, F2, F20: of each kind of call each in its turn fails with `EIO`.
#[test]
fn every_call_of_every_kind_may_fail_once() {
    for call in Call::ALL {
        let mut failed = 0;
        for n in 0.. {
            let (disk, mut model) = (SimDisk::new(n), Model::new());
            disk.strike(call, n, Fault::Eio);
            let lived = live(&disk, &mut model, 3);
            if disk.has_planned() {
                lived.unwrap();
                break;
            }
            failed += 1;
            check(&disk, &model, &format!("{call:?} {n}"));
        }
        assert!(failed > 0, "{call:?}");
    }
}

/// F21: the same with `ENOSPC`, where a disk can be full. Only what needs room may fail for it.
#[test]
fn every_write_and_every_new_file_may_find_the_disk_full() {
    for call in [Call::Write, Call::Create] {
        for n in 0.. {
            let (disk, mut model) = (SimDisk::new(n), Model::new());
            disk.strike(call, n, Fault::Full);
            let lived = live(&disk, &mut model, 4);
            if disk.has_planned() {
                lived.unwrap();
                break;
            }
            check(&disk, &model, &format!("{call:?} {n}"));
        }
    }
}

/// F21: on a disk of every size the log goes on as far as its room goes, then refuses; opening needs no
/// room; with room it goes on.
#[test]
fn a_full_disk_of_any_size_loses_nothing() {
    let whole = SimDisk::new(0);
    live(&whole, &mut Model::new(), 5).unwrap();
    let (mut refused, mut served) = (0, 0);
    for kib in (136..1000).step_by(12) {
        let (disk, mut model) = (SimDisk::new(kib), Model::new());
        disk.set_room(Some(kib * 1024));
        match live(&disk, &mut model, 5) {
            Ok(()) => served += 1,
            Err(error) => {
                refused += 1;
                assert!(matches!(error, Error::Io { .. }), "{kib} KiB: {error}");
            }
        }
        disk.crash();
        if Log::exists(&disk.io()).unwrap() {
            // Still full.
            let (log, recovery) = Log::open(disk.io(), options()).unwrap();
            model.recover(Contents::of(&log, &recovery));
        }
        disk.crash();
        disk.set_room(None);
        let (mut log, recovery) = open(&disk, &options()).unwrap();
        model.recover(Contents::of(&log, &recovery));
        work_on(&mut log, &mut model);
    }
    assert!(refused > 10 && served > 5, "{refused}, {served}");
}
