//! What becomes of a log whose `MANIFEST` or `VOTE` is damaged, in one of its two slots or in both.

use tests::sim::disk::SimDisk;
use wal::{SlotState, inspect};

use crate::{
    wal_model::{open, small},
    wal_repair::damageable,
};

/// The files, and how many sectors a slot has.
const FILES: [(&str, u64); 2] = [("MANIFEST", 128), ("VOTE", 8)];

/// What it is called, and how it is done to a sector.
type Damage = (&'static str, fn(&SimDisk, &str, u64));
const DAMAGES: [Damage; 4] = [
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
            for (damage, strike) in DAMAGES {
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
