//! Random histories on a simulated disk, cut short at random calls and at every call.

use tests::sim::disk::SimDisk;
use wal::{Error, Log, Options};

use crate::wal_model::{Contents, Model, Random, open, small};

#[test]
fn acknowledged_survives_any_crash() {
    for seed in 0..300 {
        let disk = SimDisk::new(seed);
        let mut random = Random(seed);
        let options = Options {
            spare_segments: usize::try_from(random.below(3)).unwrap(),
            batch_bytes_max: [4096, 16 * 1024][usize::try_from(random.below(2)).unwrap()],
            ..small()
        };
        let mut model = Model::new();
        for _ in 0..8 {
            live_once(&disk, &options, &mut model, &mut random);
        }
    }
}

/// Open, work, and end in one way or another.
fn live_once(disk: &SimDisk, options: &Options, model: &mut Model, random: &mut Random) {
    // Opening may be cut short too, several times.
    let (mut log, recovery) = loop {
        if random.below(2) == 0 {
            disk.cut_power_after(random.below(60));
        }
        match open(disk, options) {
            Ok(opened) => break opened,
            Err(Error::Io { .. }) => disk.crash(),
            Err(error) => panic!("{error}"),
        }
    };
    disk.clear_faults();
    model.recover(Contents::of(&log, &recovery));
    disk.cut_power_after(random.below(400));
    let worked = work(&mut log, model, random);
    match random.below(6) {
        0 if worked => {
            if log.close().is_ok() {
                let before = disk.fork(0);
                let (log, recovery) = open(&before, options).unwrap();
                model.expect_all(&Contents::of(&log, &recovery));
            }
            disk.crash();
        }
        1 => {
            drop(log);
            disk.kill();
        }
        _ => {
            drop(log);
            disk.crash();
        }
    }
}

/// False when the power went.
fn work(log: &mut Log, model: &mut Model, random: &mut Random) -> bool {
    for _ in 0..random.below(60) {
        for _ in 0..random.below(6) {
            model.stage(log, random);
        }
        if log.write().is_err() {
            return false;
        }
        if random.below(3) > 0 {
            match log.sync() {
                Ok(ticket) => model.acknowledge(ticket),
                Err(_) => return false,
            }
        }
        if random.below(8) == 0 && log.upkeep().is_err() {
            return false;
        }
    }
    true
}

#[test]
fn every_call_of_a_history_may_be_the_last() {
    for seed in 0..4 {
        let calls = history(seed, None).1.calls();
        for n in 0..calls {
            let (mut model, disk) = history(seed, Some(n));
            disk.crash();
            let (log, recovery) = open(&disk, &small()).unwrap();
            model.recover(Contents::of(&log, &recovery));
        }
    }
}

#[test]
fn every_call_of_a_recovery_may_be_the_last() {
    let (calls, mut recoveries) = (history(9, None).1.calls(), 0);
    for n in (0..calls).step_by(7) {
        let (mut model, disk) = history(9, Some(n));
        disk.crash();
        // What the first recovery finds, every later one finds.
        let whole = disk.fork(n);
        let before = whole.calls();
        let (log, recovery) = open(&whole, &small()).unwrap();
        let found = Contents::of(&log, &recovery);
        model.recover(found.clone());
        drop(log);
        let recovery_calls = whole.calls() - before;
        for m in 0..recovery_calls {
            let disk = disk.fork(n * 1000 + m);
            disk.cut_power_after(m);
            drop(open(&disk, &small()));
            disk.crash();
            let (log, recovery) = open(&disk, &small()).unwrap();
            assert_eq!(Contents::of(&log, &recovery), found);
            recoveries += 1;
        }
    }
    assert!(recoveries > 300, "{recoveries}");
}

/// A fixed history, with the power cut during its `cut`th call.
fn history(seed: u64, cut: Option<u64>) -> (Model, SimDisk) {
    let disk = SimDisk::new(seed ^ cut.unwrap_or(0).rotate_left(32));
    let (mut model, mut random) = (Model::new(), Random(seed));
    if let Some(cut) = cut {
        disk.cut_power_after(cut);
    }
    for _ in 0..2 {
        let Ok((mut log, _)) = open(&disk, &small()) else { break };
        if !work(&mut log, &mut model, &mut random) || log.close().is_err() {
            break;
        }
    }
    (model, disk)
}
