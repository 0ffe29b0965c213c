//! What the log asks of its disk, and in which order: not what a crash shows of it, but every call.

mod recorder;
mod rules;

use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, HardState, Log, Op, Options, Vote};

use self::{recorder::Recorder, rules::Protocol};
use crate::{
    wal_model::{Contents, IDENTITY, Model, Random, small},
    wal_repair::damageable,
};

/// Make the log, if need be, and open it, with every call judged.
fn open(recorder: &Recorder, options: &Options) -> Result<(Log, Contents), Error> {
    let io = recorder.io();
    if !Log::exists(&io)? {
        Log::create(&io, IDENTITY, options)?;
    }
    let (log, recovery) = Log::open(io, options.clone())?;
    recorder.protocol().opened();
    let contents = Contents::try_of(&log, &recovery)?;
    Ok((log, contents))
}

fn entry(index: u64, len: usize) -> Op {
    Op::Append(vec![Entry::new(
        index,
        1,
        EntryKind::Command,
        vec![index.to_le_bytes()[0]; len].into(),
    )])
}

/// F1 F3 F4 F5 F7 F8 F10 F13 F16 F22 F23, trap 7: random histories of several processes, each killed or cut short
/// anywhere, keep to the order of calls that the rules ask for.
#[test]
fn every_call_keeps_to_the_rules_whenever_a_process_dies() {
    let (mut maps, mut rotations, mut cuts) = (0, 0, 0);
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let mut random = Random(seed);
        let options = Options { spare_segments: usize::try_from(seed % 3).unwrap(), ..small() };
        let mut model = Model::new();
        let mut protocol = Protocol::default();
        for _ in 0..6 {
            let recorder = Recorder::new(disk.io(), protocol);
            if random.below(3) == 0 {
                disk.cut_power_after(random.below(500));
            }
            // Where it is cut short the process alone may have ended.
            drop(live(&recorder, &options, &mut model, &mut random));
            let dead = recorder.protocol();
            (maps, rotations, cuts) =
                (maps + dead.maps, rotations + dead.rotations, cuts + dead.cuts);
            if random.below(2) == 0 {
                disk.crash();
                // What was in doubt is on the disk now or is gone.
                protocol = Protocol::default();
            } else {
                disk.kill();
                protocol = Protocol::after(&dead);
            }
        }
    }
    assert!(maps > 50 && rotations > 200 && cuts > 1, "{maps} {rotations} {cuts}");
}

/// One process: until it ends or the power does.
fn live(
    recorder: &Recorder,
    options: &Options,
    model: &mut Model,
    random: &mut Random,
) -> Result<(), Error> {
    let (mut log, found) = open(recorder, options)?;
    model.recover(found);
    for _ in 0..random.below(50) {
        for _ in 0..random.below(6) {
            model.stage(&mut log, random);
        }
        log.write()?;
        if random.below(3) > 0 {
            model.acknowledge(log.sync()?);
            recorder.protocol().acknowledged();
            log.reader().read(1, u64::MAX, 20_000)?;
        }
        if random.below(8) == 0 {
            log.upkeep()?;
        }
    }
    if random.below(4) == 0 {
        log.close()?;
        recorder.protocol().acknowledged();
    }
    Ok(())
}

/// F7, F17: a process dies while it makes a lost file anew. The next one finds the file, and syncs its name
/// before anything rests on it.
#[test]
fn a_file_that_a_dead_process_made_anew_keeps_its_name() {
    let (disk, _) = damageable(true);
    for name in ["MANIFEST", "VOTE"] {
        let lost = disk.fork(1);
        lost.lose(name);
        let whole = lost.fork(1);
        drop(open(&Recorder::new(whole.io(), Protocol::default()), &small()).unwrap());
        for call in 0..whole.calls() - lost.calls() {
            let disk = lost.fork(call);
            let recorder = Recorder::new(disk.io(), Protocol::default());
            disk.cut_power_after(call);
            drop(Log::open(recorder.io(), small()));
            disk.kill();
            let next = Recorder::new(disk.io(), Protocol::after(&recorder.protocol()));
            drop(Log::open(next.io(), small()).unwrap());
            next.protocol().opened();
        }
    }
}

/// F11: one `pwrite` and one `fdatasync`, and never `fsync`, for a batch that needs no new segment.
#[test]
fn an_append_costs_one_write_and_one_flush() {
    let disk = SimDisk::new(1);
    let recorder = Recorder::new(disk.io(), Protocol::default());
    let (mut log, _) = open(&recorder, &small()).unwrap();
    log.upkeep().unwrap();
    // The first append of a fresh log starts its first segment.
    log.stage(1, entry(1, 100));
    log.write().unwrap();
    log.sync().unwrap();
    for index in 2..20 {
        recorder.protocol().begin_counting();
        let calls = disk.calls();
        log.stage(index, entry(index, 100));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), index);
        assert_eq!(disk.calls() - calls, 2, "no other call");
        let protocol = recorder.protocol();
        assert_eq!((protocol.batches, protocol.syncs), (1, 1));
        protocol.acknowledged();
    }
}

/// F17: a vote lies in two files, in one of them twice, and all three are synced before it is called
/// durable.
#[test]
fn a_vote_costs_one_flush_in_each_of_its_three_places() {
    let disk = SimDisk::new(2);
    let recorder = Recorder::new(disk.io(), Protocol::default());
    let (mut log, _) = open(&recorder, &small()).unwrap();
    log.stage(1, entry(1, 100));
    log.write().unwrap();
    log.sync().unwrap();
    recorder.protocol().begin_counting();
    let vote = HardState { term: 2, voted_for: Some(Vote { node: 2, store: 22 }) };
    log.stage(2, Op::HardState(vote));
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), 2);
    let protocol = recorder.protocol();
    assert_eq!((protocol.batches, protocol.syncs), (1, 3));
    protocol.acknowledged();
}

/// F2: after a failed sync the next process syncs and drops from the cache what it may have spoilt,
/// before it reads a byte of it; of a large segment, piece by piece.
#[test]
fn a_process_after_a_failed_sync_asks_the_disk_and_not_the_cache() {
    let bytes = 8 << 20;
    let large = Options { segment_bytes: bytes, small_segment_bytes: bytes, ..small() };
    let large = Options { entry_bytes_max: 1 << 20, ..large };
    for n in 0..8 {
        asks_the_disk(n, &small(), 3000);
        asks_the_disk(n, &large, 900_000);
    }
}

/// `payload_bytes` an entry, and sync `n` fails.
fn asks_the_disk(n: u64, options: &Options, payload_bytes: usize) {
    let disk = SimDisk::new(n);
    let recorder = Recorder::new(disk.io(), Protocol::default());
    let (mut log, _) = open(&recorder, options).unwrap();
    disk.fail_sync_after(n);
    let mut durable = 0;
    let failed = (1..100).any(|index| {
        log.stage(index, entry(index, payload_bytes));
        let synced = log.write().and_then(|()| log.sync());
        durable = *synced.as_ref().unwrap_or(&durable);
        synced.is_err()
    });
    assert!(failed);
    drop(log);
    disk.kill();
    let next = Recorder::new(disk.io(), Protocol::after(&recorder.protocol()));
    let (_log, contents) = open(&next, options).unwrap();
    assert_eq!(contents.entries.len() as u64, durable, "sync {n}");
}

/// F6: recovery reads with `pread` alone, so that a bad sector is an error and not the end of the
/// process; sealed segments are mapped by readers only.
#[test]
fn recovery_maps_nothing() {
    let disk = SimDisk::new(3);
    let recorder = Recorder::new(disk.io(), Protocol::default());
    let (mut log, _) = open(&recorder, &small()).unwrap();
    for index in 1..60 {
        log.stage(index, entry(index, 4000));
        log.write().unwrap();
        log.sync().unwrap();
    }
    log.upkeep().unwrap();
    drop(log);
    disk.crash();
    let recorder = Recorder::new(disk.io(), Protocol::default());
    let (log, recovery) = Log::open(recorder.io(), small()).unwrap();
    assert_eq!(recovery.last, (59, 1));
    assert_eq!(recorder.protocol().maps, 0);
    recorder.protocol().opened();
    log.reader().read(1, 59, usize::MAX).unwrap();
    assert!(recorder.protocol().maps > 2);
}

/// F20: opening a torn log writes zeros into sectors that are there already and nothing else, whatever
/// it finds; it takes no room.
#[test]
fn recovery_needs_no_room() {
    let mut cuts = 0;
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let recorder = Recorder::new(disk.io(), Protocol::default());
        let (mut log, _) = open(&recorder, &small()).unwrap();
        for index in 1..10 {
            log.stage(index, entry(index, 3000));
            log.write().unwrap();
            if index < 8 {
                log.sync().unwrap();
            }
        }
        drop(log);
        disk.crash();
        disk.set_room(Some(0));
        let recorder = Recorder::new(disk.io(), Protocol::default());
        let (_log, contents) = open(&recorder, &small()).unwrap();
        assert!(contents.entries.len() >= 7);
        cuts += recorder.protocol().cuts;
    }
    assert!(cuts > 10, "{cuts}");
}
