//! `kill -9` of a process that appends: 200 rounds here, any number by `cargo kill9`.

use std::{
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use tests::{
    kill9::{Campaign, End, History},
    mark::Mark,
    small_disk::SmallDisk,
};

use crate::program;

/// F3, F15, F16, F20: everything acknowledged is there, in order, byte for byte, and then a part of
/// what was submitted; nothing is ever called damaged; opening twice gives the same.
#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = Campaign {
        program: program().to_owned(),
        dir: dir.path().to_owned(),
        seeds: 0..8,
        rounds: 25,
        may_be_full: false,
        jobs: 4,
    };
    let totals = campaign.run(|_| {});
    assert!(totals.violations.is_empty(), "{:#?}", totals.violations);
    assert_eq!(totals.rounds, 200);
    assert!(totals.acknowledged > 1_000, "{totals:#?}");
    for phase in ["Opening", "Appending"] {
        assert!(totals.counters.contains_key(&format!("killed while {phase}")), "{totals:#?}");
    }
}

/// F16, F20, F21: the same on a disk that fills up and empties meanwhile: what ends a process is the
/// kill or the full disk, and a restart needs no room.
#[test]
fn a_kill_on_a_disk_that_fills_up_loses_nothing_acknowledged() {
    let Some(disk) = SmallDisk::mount(32 << 20) else {
        eprintln!("SKIPPED: nothing may be mounted here");
        return;
    };
    let (stop, stopped) = sync_channel::<()>(0);
    let disk = &disk;
    let totals = thread::scope(|scope| {
        scope.spawn(move || {
            // Full for a while, and not for a moment, until all rounds are done.
            for free_bytes in [0, 300 << 10, 1 << 20].into_iter().cycle() {
                disk.fill_up_to(free_bytes);
                let moment = stopped.recv_timeout(Duration::from_millis(30));
                disk.empty();
                if moment != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        let campaign = Campaign {
            program: program().to_owned(),
            dir: disk.path(),
            seeds: 100..104,
            rounds: 12,
            may_be_full: true,
            jobs: 2,
        };
        let totals = campaign.run(|_| {});
        drop(stop);
        totals
    });
    assert!(totals.violations.is_empty(), "{:#?}", totals.violations);
    assert_eq!(totals.rounds, 48);

    let mut history =
        History::new(program(), disk.path().join("last"), 200).on_a_disk_that_may_be_full(true);
    history.round(0).unwrap();
    disk.fill_up_to(0);
    let mut ends = (1..100).map(|round| history.round(round).unwrap().end);
    assert!(ends.any(|end| matches!(end, End::Failed(_))), "a full disk ends it at last");
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "kill-on-full").leave();
}
