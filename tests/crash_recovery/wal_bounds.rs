//! The log at its bounds.

use tests::sim::disk::SimDisk;
use wal::{BINDINGS_MAX, Entry, EntryKind, Error, Op, Options};

use crate::wal_model::{open, small};

/// A segment start repeats every binding, and must fit and come back.
#[test]
fn as_many_nodes_as_allowed_are_bound_across_segments() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk, &small()).unwrap();
    let bound = (1..=BINDINGS_MAX as u64).map(|node| (node, u128::from(node) << 70));
    for (node, store) in bound.clone() {
        log.stage(node, Op::Bind { node, store });
    }
    let mut ticket = BINDINGS_MAX as u64;
    for index in 1..=20 {
        ticket += 1;
        let payload = vec![1; 8 * 1024].into();
        log.stage(ticket, Op::Append(vec![Entry::new(index, 1, EntryKind::Command, payload)]));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), ticket);
    }
    drop(log);
    disk.crash();
    let segments = disk.names().iter().filter(|name| name.starts_with("seg-")).count();
    assert!(segments > 3, "{segments}");
    let (_log, recovery) = open(&disk, &small()).unwrap();
    assert_eq!(recovery.last, (20, 1));
    assert!(recovery.bindings.into_iter().eq(bound));
}

/// The manifest lists 2,044 segments; the log says so when it needs one more, and opens with that many.
#[test]
fn a_full_manifest_is_said_to_be_full() {
    let disk = SimDisk::new(2);
    let options = Options { entry_bytes_max: 18 * 1024, spare_segments: 0, ..small() };
    let (mut log, _) = open(&disk, &options).unwrap();
    let mut last = 0;
    let error = loop {
        // Zeros take no memory on this disk.
        let entry = Entry::new(last + 1, 1, EntryKind::Command, vec![0; 18 * 1024].into());
        log.stage(last + 1, Op::Append(vec![entry]));
        match log.write().and_then(|()| log.sync()) {
            Ok(ticket) => last = ticket,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::TooManySegments { limit: 2044, .. }), "{error}");
    assert_eq!(last, 2 * 2044);
    drop(log);
    disk.crash();
    let (log, recovery) = open(&disk, &options).unwrap();
    assert_eq!(recovery.last, (last, 1));
    assert_eq!(log.reader().entry(1).unwrap().map(|entry| entry.payload.len()), Some(18 * 1024));
}

/// F12: a manifest of many segments takes several sectors, which a crash may keep in part; then another
/// one while that is put right.
#[test]
fn a_torn_manifest_leaves_the_one_before() {
    let disk = SimDisk::new(3);
    let options = Options { entry_bytes_max: 18 * 1024, spare_segments: 0, ..small() };
    let (mut log, _) = open(&disk, &options).unwrap();
    for index in 1..=80 {
        let entry = Entry::new(index, 1, EntryKind::Command, vec![0; 18 * 1024].into());
        log.stage(index, Op::Append(vec![entry]));
        log.write().unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.crash();
    let cut = |disk: &SimDisk, n| {
        disk.cut_power_after(n);
        let opened = open(disk, &options).is_ok();
        disk.crash();
        opened
    };
    let before = disk.image();
    let mut whole = 0;
    for n in 0.. {
        let mut opened = false;
        for seed in 0..10 {
            let disk = disk.fork(n * 10 + seed);
            opened = cut(&disk, n);
            let agains = if disk.image() == before { 1 } else { 10 };
            for again in 0..agains {
                let disk = disk.fork(again);
                cut(&disk, n);
                let (_log, recovery) = open(&disk, &options).unwrap();
                assert_eq!((recovery.last, recovery.rebuilt), ((80, 1), vec![]));
                whole += 1;
            }
        }
        if opened {
            break;
        }
    }
    assert!(whole > 500, "{whole}");
}
