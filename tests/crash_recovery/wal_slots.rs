//! What becomes of a log whose `MANIFEST` or `VOTE` is damaged, in one of its two slots or in both.

use tests::sim::disk::SimDisk;
use wal::{
    Damage, Entry, EntryKind, Error, FaultyKind, HardState, Identity, Log, Op, Recovery, SlotState,
    TailVerdict, inspect,
};

use crate::{
    wal_model::{IDENTITY, open, small},
    wal_repair::{Outcome, damageable},
};

/// The files, and how many sectors a slot has.
const FILES: [(&str, u64); 2] = [("MANIFEST", 128), ("VOTE", 8)];

/// What it is called, and how it is done to a sector.
type Strike = (&'static str, fn(&SimDisk, &str, u64));
const STRIKES: [Strike; 4] = [
    ("zeroed", |disk, name, sector| disk.zero_sector(name, sector)),
    ("rotten", |disk, name, sector| disk.corrupt(name, sector * 512 + 40, 1)),
    ("gone back", |disk, name, sector| disk.revert_sector(name, sector)),
    ("unreadable", |disk, name, sector| disk.spoil_sector(name, sector)),
];

/// Both slots of each file hold one state.
fn expect_doubled(disk: &SimDisk, what: &str) {
    let found = inspect(&disk.io()).unwrap();
    for file in [found.manifest, found.vote] {
        let [SlotState::Readable { seq: first }, SlotState::Readable { seq: second }] = file.slots
        else {
            panic!("{what}: {file:?}");
        };
        assert_eq!(first, second, "{what}");
    }
}

/// F14, F17: one slot of either file is damaged, whichever and however: nothing is missed, and the next
/// opening has put it right.
#[test]
fn a_bad_slot_costs_nothing() {
    for closed in [false, true] {
        let (disk, truth) = damageable(closed);
        expect_doubled(&disk, "a log in use");
        for (name, size) in FILES {
            for (damage, strike) in STRIKES {
                for slot in 0..2 {
                    let disk = disk.fork(slot);
                    strike(&disk, name, slot * size);
                    let what = format!("slot {slot} of {name} {damage} ({closed})");
                    truth.expect_whole(&disk, &what);
                    disk.crash();
                    expect_doubled(&disk, &what);
                }
            }
        }
    }
}

/// F17: a file that ends before its second slot, or within it, is as one with a bad slot, and both hold the
/// state after the next opening.
#[test]
fn a_slot_that_was_cut_off_costs_nothing() {
    let (disk, truth) = damageable(true);
    for (name, size) in FILES {
        for left in [0, 100] {
            let disk = disk.fork(1);
            let file = disk.io().open(name).unwrap();
            file.set_len(size * 512 + left).unwrap();
            file.sync_data().unwrap();
            truth.expect_whole(&disk, name);
            disk.crash();
            expect_doubled(&disk, name);
        }
    }
}

/// F17, F20: wherever a crash interrupts the storing of both files at an opening, and whichever of their
/// slots rots after it, the next opening finds what was there.
#[test]
fn a_crash_while_both_slots_are_written_leaves_one_that_is_good() {
    let (disk, truth) = damageable(false);
    let whole = disk.fork(1);
    drop(open(&whole, &small()).unwrap());
    for call in 0..whole.calls() - disk.calls() {
        for seed in 0..4 {
            let disk = disk.fork(seed);
            disk.cut_power_after(call);
            drop(open(&disk, &small()));
            disk.crash();
            truth.expect_whole(&disk.fork(seed), &format!("a crash at {call}"));
        }
    }
}

/// F12, F17: a slot is bad, and the power goes while it is written anew, which leaves garbage. The good one is
/// written only after that.
#[test]
fn a_crash_while_a_bad_slot_is_mended_leaves_the_good_one() {
    let (disk, truth) = damageable(true);
    let whole = disk.fork(1);
    drop(open(&whole, &small()).unwrap());
    let calls = whole.calls() - disk.calls();
    for (name, size) in FILES {
        for slot in 0..2 {
            let bad = disk.fork(1);
            bad.corrupt(name, slot * size * 512 + 40, 1);
            for call in 0..calls {
                let disk = bad.fork(call);
                disk.set_garbage(true);
                disk.cut_power_after(call);
                drop(open(&disk, &small()));
                disk.crash();
                let what = format!("slot {slot} of {name}, a crash at {call}");
                let (log, recovery) = open(&disk, &small()).unwrap();
                assert_eq!(recovery.rebuilt, [], "{what}");
                assert!(recovery.is_whole(), "{what}: {recovery:?}");
                truth.expect_around(&log, &recovery, &what);
            }
        }
    }
}

/// A file is gone, or nothing in it can be read.
type Loss = (&'static str, fn(&SimDisk, &str));
const LOSSES: [Loss; 3] = [
    ("is gone", SimDisk::lose),
    ("is zeros", |disk, name| {
        for sector in disk.used_sectors(name) {
            disk.zero_sector(name, sector);
        }
    }),
    ("cannot be read", |disk, name| {
        for sector in disk.used_sectors(name) {
            disk.spoil_sector(name, sector);
        }
    }),
];

/// It says that this file was made anew.
#[track_caller]
fn expect_rebuilt(recovery: &Recovery, name: &str, what: &str) {
    let [rebuilt] = &recovery.rebuilt[..] else { panic!("{what}: {recovery:?}") };
    assert!(rebuilt.path.ends_with(name), "{what}: {rebuilt:?}");
    assert!(matches!(rebuilt.damage, Damage::FileMissing | Damage::BothSlots), "{what}");
}

#[track_caller]
fn expect_refused(disk: &SimDisk, name: &str, what: &str) {
    let image = disk.image();
    match open(disk, &small()) {
        Err(error @ Error::Damaged { .. }) => {
            assert!(error.to_string().contains(name), "{what}: {error}");
        }
        other => panic!("{what}: {:?}", other.map(|(_, recovery)| recovery)),
    }
    disk.crash();
    assert_eq!(disk.image(), image, "{what}: nothing is changed");
}

/// F17, F23: the manifest is lost in both slots, or the vote file is, and the log was stopped in order: the
/// other file says that nothing came after that, so all of it is there, and both files are again.
#[test]
fn of_a_stopped_log_either_file_is_made_anew() {
    let (disk, truth) = damageable(true);
    for (name, _) in FILES {
        for (loss, lose) in LOSSES {
            let disk = disk.fork(1);
            lose(&disk, name);
            let what = format!("{name} {loss}");
            let (log, recovery) = open(&disk, &small()).unwrap();
            expect_rebuilt(&recovery, name, &what);
            assert_eq!(recovery.tail, TailVerdict::Stopped, "{what}");
            assert!(recovery.is_whole() && recovery.found.is_empty(), "{what}: {recovery:?}");
            truth.expect_around(&log, &recovery, &what);
            drop(log);
            disk.crash();
            expect_doubled(&disk, &what);
            let (_, recovery) = open(&disk, &small()).unwrap();
            assert_eq!(recovery.rebuilt, [], "{what}");
            disk.kill();
            truth.expect_whole(&disk, &what);
        }
    }
}

/// F16, F23: without the manifest nobody knows whether a segment followed, unless the log was stopped in order.
/// All that is there is kept, the end is in doubt until it is settled, and no opening forgets that.
#[test]
fn without_a_manifest_the_end_of_a_killed_log_is_in_doubt() {
    let (disk, truth) = damageable(false);
    for (loss, lose) in LOSSES {
        let disk = disk.fork(1);
        lose(&disk, "MANIFEST");
        for opening in 0..3 {
            let (log, recovery) = open(&disk, &small()).unwrap();
            let what = format!("MANIFEST {loss}, opening {opening}");
            if opening == 0 {
                expect_rebuilt(&recovery, "MANIFEST", &what);
            }
            assert_eq!(recovery.tail, TailVerdict::Unknown, "{what}");
            assert_eq!(recovery.found[0].damage, Damage::Unlisting, "{what}");
            let [range] = recovery.faulty[..] else { panic!("{what}: {recovery:?}") };
            assert_eq!(range.kind, FaultyKind::EndUnknown, "{what}");
            let entries = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
            assert!(entries == truth.contents.entries, "{what}");
            drop(log);
            disk.crash();
        }
        assert_eq!(truth.judge(&disk, loss), Outcome::Mended);
    }
}

/// F23: a segment that is lost with the manifest was written last, or before: what was in it is missed, or the
/// end is in doubt.
#[test]
fn a_segment_lost_with_the_manifest_is_missed() {
    let (disk, truth) = damageable(false);
    for name in disk.names().iter().filter(|name| name.starts_with("seg-")) {
        let disk = disk.fork(1);
        disk.lose("MANIFEST");
        disk.lose(name);
        match open(&disk, &small()) {
            Ok((log, recovery)) => {
                assert_eq!(recovery.tail, TailVerdict::Unknown, "{name}");
                assert!(!recovery.is_whole(), "{name}");
                let held = |entry: &Entry| truth.contents.entries.contains(entry);
                let read =
                    (1..=recovery.last.0).filter_map(|index| log.reader().entry(index).ok()?);
                assert!(read.into_iter().all(|entry| held(&entry)), "{name}");
            }
            Err(Error::Damaged { .. }) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// F17: a vote cannot be had from anywhere else, so without the vote file the log must have all of it for sure.
#[test]
fn a_vote_is_taken_from_the_log_when_its_end_is_beyond_doubt_and_never_else() {
    let (disk, truth) = damageable(false);
    for (loss, lose) in LOSSES {
        let whole = disk.fork(1);
        lose(&whole, "VOTE");
        let (log, recovery) = open(&whole, &small()).unwrap();
        expect_rebuilt(&recovery, "VOTE", loss);
        assert_eq!(recovery.tail, TailVerdict::CleanEnd);
        truth.expect_around(&log, &recovery, loss);
        drop(log);
        whole.crash();
        truth.expect_whole(&whole, loss);

        // Of the last batch a sector in the middle never reached the disk, or its header rots.
        for (damage, strike, sector) in [("torn", STRIKES[0].1, 2), ("suspect", STRIKES[1].1, 0)] {
            let (disk, first) = voted();
            strike(&disk, SEGMENT, first + sector);
            lose(&disk, "VOTE");
            expect_refused(&disk, "VOTE", &format!("VOTE {loss}, the end {damage}"));
        }
        let both = disk.fork(3);
        lose(&both, "VOTE");
        lose(&both, "MANIFEST");
        if Log::exists(&both.io()).unwrap() {
            match Log::open(both.io(), small()) {
                Err(Error::Damaged { .. }) => {}
                other => panic!("{loss}: {:?}", other.map(|(_, recovery)| recovery)),
            }
        }
    }
}

/// F22: whose log it is, all of it must say alike.
#[test]
fn without_a_manifest_a_segment_of_another_log_is_refused() {
    let (disk, _) = damageable(true);
    let other = SimDisk::new(8);
    let identity = Identity { store: IDENTITY.store + 1, ..IDENTITY };
    Log::create(&other.io(), identity, &small()).unwrap();
    let name = "seg-00000000000000000001.wal";
    for foreign in [name, "seg-00000000000000000042.wal"] {
        let disk = disk.fork(1);
        disk.lose(foreign);
        let mut bytes = vec![0; 64 * 1024];
        other.io().open(name).unwrap().read_at(&mut bytes, 0).unwrap();
        let file = disk.io().create(foreign).unwrap();
        file.write_at(&bytes, 0).unwrap();
        file.sync_all().unwrap();
        disk.io().sync_dir().unwrap();
        disk.lose("MANIFEST");
        disk.crash();
        expect_refused(&disk, foreign, foreign);
    }
}

/// A log that was opened and never written to is one; without the file that says so it is still none that a
/// crash left half-made.
#[test]
fn an_empty_log_that_was_opened_is_not_made_anew() {
    let disk = SimDisk::new(5);
    drop(open(&disk, &small()).unwrap());
    disk.crash();
    for (name, _) in FILES {
        let disk = disk.fork(1);
        disk.lose(name);
        assert!(Log::exists(&disk.io()).unwrap(), "without {name}");
        let (_, recovery) = open(&disk, &small()).unwrap();
        assert_eq!((recovery.identity, recovery.last), (IDENTITY, (0, 0)));
        expect_rebuilt(&recovery, name, name);
        assert_eq!(recovery.is_whole(), name == "VOTE", "{recovery:?}");
    }
}

/// F17, F20: the power goes at every call of an opening that makes a file anew, and again at the next one: what
/// was found at first is found in the end, and nothing is forgotten.
#[test]
fn a_crash_while_a_file_is_made_anew_changes_nothing() {
    for closed in [false, true] {
        let (disk, truth) = damageable(closed);
        for (name, _) in FILES {
            for (loss, lose) in LOSSES {
                let lost = disk.fork(1);
                lose(&lost, name);
                // What cannot be read may be readable again after a crash, as it was.
                let may_return = loss == "cannot be read";
                let is_whole = closed || name == "VOTE";
                let whole = lost.fork(1);
                drop(open(&whole, &small()).unwrap());
                for call in 0..whole.calls() - lost.calls() {
                    for seed in 0..3 {
                        let disk = lost.fork(call * 8 + seed);
                        for _ in 0..2 {
                            disk.cut_power_after(call);
                            drop(open(&disk, &small()));
                            disk.crash();
                        }
                        let what = format!("{name} {loss} ({closed}), a crash at {call}");
                        let (log, recovery) = open(&disk, &small()).unwrap();
                        truth.expect_around(&log, &recovery, &what);
                        let is_right = recovery.is_whole() == is_whole || may_return;
                        assert!(is_right, "{what}: {recovery:?}");
                        let entries = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
                        assert!(entries == truth.contents.entries, "{what}");
                    }
                }
            }
        }
    }
}

const SEGMENT: &str = "seg-00000000000000000001.wal";
const NEWEST: HardState = HardState { term: 7, voted_for: None };

/// A log whose last batch has a term and takes some sectors, and the first of these.
fn voted() -> (SimDisk, u64) {
    let disk = SimDisk::new(6);
    let (mut log, _) = open(&disk, &small()).unwrap();
    let entry = |index| Entry::new(index, 1, EntryKind::Command, vec![1; 3000].into());
    for index in 1..=2 {
        if index == 2 {
            log.stage(2, Op::HardState(NEWEST));
        }
        log.stage(index + index / 2, Op::Append(vec![entry(index)]));
        log.write().unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.crash();
    let last = disk.used_sectors(SEGMENT).into_iter().max().unwrap();
    (disk, last - 6)
}

/// F17: the newest term is in the log and in its own file, and outlives either.
#[test]
fn the_newest_term_outlives_each_file() {
    for (name, _) in FILES {
        let (disk, _) = voted();
        disk.lose(name);
        let (_, recovery) = open(&disk, &small()).unwrap();
        assert_eq!((recovery.hard_state, recovery.last), (NEWEST, (2, 1)), "without {name}");
    }
}
