//! What a damaged log still tells, and what it is once its faulty entries were put back.

use std::collections::BTreeSet;

use tests::sim::disk::SimDisk;
use wal::{Entry, EntryKind, Error, FaultyKind, Log, Op, Recovery, RepairError};

use crate::wal_model::{Contents, Model, Random, open, small};

/// What a log held before it was damaged.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) contents: Contents,
    /// Every entry that it ever held, by index, term and checksum.
    history: BTreeSet<(u64, u64, u32)>,
}

/// What opening a damaged log came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It holds what it held.
    Harmless,
    /// It does not open.
    Refused,
    /// It said what was lost, and holds it again.
    Mended,
}

/// A log with something of everything in it, and what it holds.
pub(crate) fn damageable(closed: bool) -> (SimDisk, Truth) {
    let disk = SimDisk::new(1);
    let (mut model, mut random) = (Model::new(), Random(6));
    let (mut log, _) = open(&disk, &small()).unwrap();
    let mut history = BTreeSet::new();
    for _ in 0..12 {
        for _ in 0..3 {
            model.stage(&mut log, &mut random);
        }
        log.write().unwrap();
        model.acknowledge(log.sync().unwrap());
        let entries = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
        history.extend(entries.iter().map(|entry| (entry.index, entry.term, entry.checksum)));
    }
    if closed {
        log.close().unwrap();
    } else {
        drop(log);
    }
    disk.crash();
    let fork = disk.fork(2);
    let (log, recovery) = open(&fork, &small()).unwrap();
    let contents = Contents::of(&log, &recovery);
    model.expect_all(&contents);
    assert!(contents.entries.len() > 10);
    (disk, Truth { contents, history })
}

impl Truth {
    /// Open a damaged log: it holds what it held, or does not open, or says what it lost, reads around that
    /// and takes it back.
    #[track_caller]
    pub(crate) fn judge(&self, disk: &SimDisk, what: &str) -> Outcome {
        let mut outcome = Outcome::Harmless;
        // What a footer stands for is not read by an opening that believes it, but by the next.
        for _ in 0..2 {
            let (mut log, recovery) = match open(disk, &small()) {
                Ok(opened) => opened,
                Err(Error::Damaged { .. } | Error::Version { .. }) => return Outcome::Refused,
                Err(error) => panic!("{what}: {error}"),
            };
            self.expect_around(&log, &recovery, what);
            if !log.reader().faulty().is_empty() {
                self.mend(&mut log, what);
                outcome = Outcome::Mended;
            } else if recovery.is_whole() {
                let found = Contents::of(&log, &recovery);
                assert!(found == self.contents, "{what} changed the contents: {recovery:?}");
            }
            drop(log);
            disk.crash();
        }
        self.expect_whole(disk, what);
        outcome
    }

    /// It opens and is what it was.
    #[track_caller]
    pub(crate) fn expect_whole(&self, disk: &SimDisk, what: &str) {
        let (log, recovery) =
            open(disk, &small()).unwrap_or_else(|error| panic!("{what}, then: {error}"));
        assert!(recovery.is_whole(), "{what}: {recovery:?}");
        let found = Contents::of(&log, &recovery);
        assert!(found == self.contents, "{what}: {found:?} is not {:?}", self.contents);
    }

    /// All that reads is what was written, all that does not is said to be faulty, and neither vote nor
    /// bindings went back.
    #[track_caller]
    pub(crate) fn expect_around(&self, log: &Log, recovery: &Recovery, what: &str) {
        assert_eq!(recovery.hard_state, self.contents.hard_state, "{what}");
        assert_eq!(recovery.bindings, self.contents.bindings, "{what}");
        let reader = log.reader();
        for index in 1..=recovery.last.0 {
            match reader.entry(index) {
                Ok(Some(entry)) => assert!(self.held(&entry), "{what}: {entry:?}"),
                Err(Error::Faulty { index: at, .. }) => assert_eq!(at, index, "{what}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        let faulty = reader.faulty();
        let ends = faulty.last().is_some_and(|range| range.kind == FaultyKind::EndUnknown);
        for index in 1..=recovery.last.0 {
            let is_faulty = |index| {
                let inside = |range: &&wal::FaultyRange| range.kind != FaultyKind::EndUnknown;
                faulty.iter().filter(inside).any(|range| range.contains(index))
            };
            assert_eq!(reader.entry(index).is_err(), is_faulty(index), "{what}: entry {index}");
            let truth = self.contents.entries.get(usize::try_from(index - 1).unwrap());
            if let Some(truth) = truth.filter(|_| !ends) {
                let found = reader.entry(index).ok().flatten();
                assert!(found.is_none_or(|found| found == *truth), "{what}: entry {index}");
                let term = reader.term_of(index);
                assert!(term.is_none_or(|term| term == truth.term), "{what}: entry {index}");
            }
        }
        if !ends {
            let last = self.contents.entries.last().map_or((0, 0), |last| (last.index, last.term));
            assert_eq!(recovery.last, last, "{what}: {recovery:?}");
        }
    }

    fn held(&self, entry: &Entry) -> bool {
        entry.is_intact() && self.history.contains(&(entry.index, entry.term, entry.checksum))
    }

    /// Put back what is faulty, as a leader would.
    pub(crate) fn mend(&self, log: &mut Log, what: &str) {
        let ops = self.ops_to_mend(log, what);
        for (ticket, op) in (1..).zip(ops) {
            log.stage(ticket, op);
        }
        log.write().unwrap();
        log.sync().unwrap();
        let reader = log.reader();
        assert_eq!(reader.faulty(), [], "{what}");
        let found = reader.read(1, u64::MAX, usize::MAX).unwrap();
        assert!(found == self.contents.entries, "{what}: {found:?}");
    }

    pub(crate) fn ops_to_mend(&self, log: &Log, what: &str) -> Vec<Op> {
        let (reader, mut ops) = (log.reader(), Vec::new());
        let entries = &self.contents.entries;
        let mut last = reader.bounds().1;
        // A lost end may have held a truncation.
        let differs = |index: &u64| {
            let truth = entries.get(usize::try_from(index - 1).unwrap());
            let found = reader.entry(*index).ok().flatten();
            truth.is_none() || found.is_some_and(|found| Some(&found) != truth)
        };
        if let Some(index) = (1..=last).find(differs) {
            last = index - 1;
            ops.push(Op::TruncateAfter(last));
        }
        for range in reader.faulty() {
            if range.kind == FaultyKind::EndUnknown {
                ops.push(Op::Settle);
                continue;
            }
            for index in range.first..=range.last.min(last) {
                let entry = entries[usize::try_from(index - 1).unwrap()].clone();
                assert_eq!(log.can_repair(&entry), Ok(()), "{what}: {entry:?} in {range:?}");
                ops.push(Op::Repair(entry));
            }
        }
        let missing = &entries[usize::try_from(last).unwrap()..];
        ops.push(Op::Append(missing.to_vec()));
        ops
    }
}

/// The first segment.
const SEGMENT: &str = "seg-00000000000000000001.wal";

/// The last one of [`appended`].
const LAST: &str = "seg-00000000000000000003.wal";

/// Where its last batch begins: that of the term and vote, with three entries.
fn last_batch(disk: &SimDisk) -> u64 {
    let last = disk.used_sectors(LAST).into_iter().filter(|sector| *sector < 100).max().unwrap();
    (last - 5) * 512
}

/// Three segments of appends, under some terms.
pub(crate) fn appended() -> (SimDisk, Truth) {
    let disk = SimDisk::new(4);
    let (mut log, _) = open(&disk, &small()).unwrap();
    let (mut ticket, mut contents) = (0, Contents::default());
    let mut stage = |log: &mut Log, op: Op| {
        ticket += 1;
        contents.apply(&op);
        log.stage(ticket, op);
    };
    stage(&mut log, Op::Bind { node: 7, store: 70 });
    for batch in 0..36 {
        let term = batch / 5 + 1;
        let vote = wal::Vote { node: batch, store: 1 };
        stage(
            &mut log,
            Op::HardState(wal::HardState {
                term,
                voted_for: Some(vote).filter(|_| batch % 5 == 4),
            }),
        );
        let entries = (batch * 3 + 1..=batch * 3 + 3).map(|index| {
            let kind = if index % 10 == 0 { EntryKind::Config } else { EntryKind::Command };
            Entry::new(index, term, kind, vec![index.to_le_bytes()[0]; 850].into())
        });
        stage(&mut log, Op::Append(entries.collect()));
        log.write().unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.crash();
    let entries = contents.entries.iter();
    let history = entries.map(|entry| (entry.index, entry.term, entry.checksum)).collect();
    (disk, Truth { contents, history })
}

/// One damage of each kind.
pub(crate) fn damages() -> Vec<(&'static str, SimDisk, Truth)> {
    let mut damages = Vec::new();
    for (what, damage) in [
        ("a body", (|disk: &SimDisk| disk.corrupt(SEGMENT, 4096 + 512 + 300, 1)) as fn(&SimDisk)),
        ("a header", |disk| disk.corrupt(SEGMENT, 4096 + 512 + 30, 1)),
        ("the last body", |disk| disk.corrupt(LAST, last_batch(disk) + 1000, 1)),
        ("the last header", |disk| disk.corrupt(LAST, last_batch(disk) + 30, 1)),
        ("a segment", |disk| disk.lose(SEGMENT)),
        ("the last segment", |disk| disk.lose(LAST)),
    ] {
        let (disk, truth) = appended();
        damage(&disk);
        damages.push((what, disk, truth));
    }
    damages
}

/// F20: what a first opening finds, a second one finds too, although the log went on in between.
#[test]
fn the_doubt_outlives_whatever_is_written_after_it() {
    for (what, disk, truth) in damages() {
        let Ok((mut log, recovery)) = open(&disk, &small()) else {
            panic!("{what} is refused");
        };
        assert!(!recovery.is_whole(), "{what}");
        let again = disk.fork(1);
        again.kill();
        let (_log, second) = open(&again, &small()).unwrap();
        assert_eq!(
            (second.faulty, second.last),
            (recovery.faulty.clone(), recovery.last),
            "{what}"
        );
        let (index, term) = recovery.last;
        let state = wal::HardState { term: recovery.hard_state.term + 1, voted_for: None };
        log.stage(1, Op::HardState(state));
        let entry = Entry::new(index + 1, term + 1, EntryKind::Command, vec![7; 100].into());
        log.stage(2, Op::Append(vec![entry]));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), 2);
        drop(log);
        disk.crash();
        let (log, third) = open(&disk, &small()).unwrap();
        assert_eq!(third.faulty, recovery.faulty, "{what}");
        assert_eq!((third.last, third.hard_state), ((index + 1, term + 1), state), "{what}");
        log.close().unwrap();
        let (mut log, fourth) = open(&disk, &small()).unwrap();
        assert_eq!(fourth.faulty, recovery.faulty, "{what}");
        log.stage(1, Op::TruncateAfter(index));
        log.write().unwrap();
        log.sync().unwrap();
        let found = Recovery { hard_state: recovery.hard_state, last: recovery.last, ..fourth };
        truth.expect_around(&log, &found, what);
    }
}

/// F16, F20: a crash at any call of the opening and the repair leaves a log that says the same, or that has
/// taken back what was put in; and it can be mended then.
#[test]
fn a_crash_at_every_call_of_a_repair_loses_nothing() {
    let mut crashes = 0;
    for (what, disk, truth) in damages() {
        for n in 0.. {
            let disk = disk.fork(n);
            disk.cut_power_after(n);
            let mut finished = false;
            if let Ok((mut log, _)) = open(&disk, &small()) {
                let ops = truth.ops_to_mend(&log, what);
                for (ticket, op) in (1..).zip(ops) {
                    log.stage(ticket, op);
                }
                finished = log.write().and_then(|()| log.sync()).is_ok();
            }
            disk.crash();
            let what = format!("{what}, cut at call {n}");
            assert_ne!(truth.judge(&disk, &what), Outcome::Refused, "{what}");
            crashes += 1;
            if finished {
                break;
            }
        }
    }
    assert!(crashes > 100, "{crashes}");
}

/// F16: only what was lost can be put back, and being refused harms nothing.
#[test]
fn only_what_was_lost_can_be_put_back() {
    let (_, disk, truth) = damages().swap_remove(0);
    let (mut log, recovery) = open(&disk, &small()).unwrap();
    let range = recovery.faulty[0];
    let entry = truth.contents.entries[usize::try_from(range.first - 1).unwrap()].clone();
    let (index, term) = (entry.index, range.term_max + 1);
    let other = Entry::new(index, term, entry.kind, entry.payload.clone());
    let (min, max) = (range.term_min, range.term_max);
    assert_eq!(log.can_repair(&other), Err(RepairError::OtherTerm { index, term, min, max }));
    let mut broken = entry.clone();
    broken.checksum ^= 1;
    assert_eq!(log.can_repair(&broken), Err(RepairError::Damaged { index }));
    let good = truth.contents.entries.iter().find(|entry| !range.contains(entry.index)).unwrap();
    assert_eq!(log.can_repair(good), Err(RepairError::NotFaulty { index: good.index }));
    truth.mend(&mut log, "refused before");
}

/// F16: a faulty range above a truncation is gone, and what is appended there reads.
#[test]
fn a_truncation_takes_faulty_entries_with_it() {
    for (what, disk, _) in damages().into_iter().take(2) {
        let (mut log, recovery) = open(&disk, &small()).unwrap();
        let range = recovery.faulty[0];
        log.stage(1, Op::TruncateAfter(range.first - 1));
        let term = recovery.last.1 + 1;
        let entry = Entry::new(range.first, term, EntryKind::Command, vec![9; 50].into());
        log.stage(2, Op::Append(vec![entry.clone()]));
        log.write().unwrap();
        assert_eq!(log.sync().unwrap(), 2);
        assert_eq!(log.reader().faulty(), [], "{what}");
        drop(log);
        disk.crash();
        let (log, recovery) = open(&disk, &small()).unwrap();
        assert!(recovery.is_whole(), "{what}: {recovery:?}");
        assert_eq!(log.reader().entry(range.first).unwrap(), Some(entry), "{what}");
    }
}

/// F19: a bad checksum met by a read marks the entry, which can then be put back, for good.
#[test]
fn a_read_that_meets_damage_marks_it_for_repair() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk, &small()).unwrap();
    let entries: Vec<_> = (1..=30)
        .map(|index| {
            Entry::new(index, 1, EntryKind::Command, vec![index.to_le_bytes()[0]; 4000].into())
        })
        .collect();
    for entry in &entries {
        log.stage(entry.index, Op::Append(vec![entry.clone()]));
        log.write().unwrap();
        log.sync().unwrap();
    }
    disk.corrupt("seg-00000000000000000001.wal", 4096 + 512 + 300, 1);
    let reader = log.reader();
    assert_eq!(reader.faulty(), []);
    let error = reader.entry(1).unwrap_err();
    assert!(matches!(error, Error::Faulty { index: 1, .. }), "{error}");
    let range = reader.faulty()[0];
    assert_eq!((range.first, range.last, range.term()), (1, 1, Some(1)));
    assert_eq!(reader.read(2, 30, usize::MAX).unwrap(), entries[1..]);
    assert_eq!(reader.term_of(1), Some(1));
    log.stage(31, Op::Repair(entries[0].clone()));
    assert_eq!(reader.entry(1).unwrap().as_ref(), Some(&entries[0]), "from memory");
    log.write().unwrap();
    log.sync().unwrap();
    assert_eq!(reader.read(1, 30, usize::MAX).unwrap(), entries);
    drop(log);
    disk.crash();
    let (log, recovery) = open(&disk, &small()).unwrap();
    assert!(recovery.is_whole(), "{recovery:?}");
    assert_eq!(log.reader().read(1, 30, usize::MAX).unwrap(), entries);
}

/// F16, F20: a log that is damaged, mended - the power may go meanwhile - and written to, again and again,
/// with all the damage of before still on the disk.
#[test]
fn damage_after_damage_is_said_and_mended() {
    let (mut mended, mut refused) = (0, 0);
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let (mut model, mut random) = (Model::new(), Random(seed));
        let mut truth = Truth { contents: Contents::default(), history: BTreeSet::new() };
        for life in 0..8 {
            let (mut log, recovery) = open(&disk, &small()).unwrap();
            model.recover(Contents::of(&log, &recovery));
            // Of what the last sync wrote a lost sector cannot be told from a torn write.
            let mut old = Vec::new();
            for round in 0..4 {
                if round == 3 {
                    old = all_sectors(&disk);
                }
                for _ in 0..=random.below(3) {
                    model.stage(&mut log, &mut random);
                }
                // Something that is written, whatever was drawn.
                let (last, term) = model.last();
                let payload = vec![1; 100 + random.place(2000)].into();
                let entry = Entry::new(last + 1, term, EntryKind::Command, payload);
                model.submit(&mut log, Op::Append(vec![entry]));
                log.write().unwrap();
                model.acknowledge(log.sync().unwrap());
                if random.below(3) == 0 {
                    log.upkeep().unwrap();
                }
                let entries = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
                let entries = entries.iter().map(|e| (e.index, e.term, e.checksum));
                truth.history.extend(entries);
            }
            if random.below(3) == 0 {
                log.close().unwrap();
            } else {
                drop(log);
            }
            disk.crash();
            let fork = disk.fork(life);
            let (log, recovery) = open(&fork, &small()).unwrap();
            truth.contents = Contents::of(&log, &recovery);
            drop(log);
            let (name, sector) = &old[random.place(old.len())];
            let at = sector * 512 + random.below(512);
            if random.below(4) == 0 {
                disk.zero_sector(name, *sector);
            } else {
                disk.corrupt(name, at, 1 << random.below(8));
            }
            let what = format!("seed {seed}, life {life}: byte {at} of {name}");
            if random.below(2) == 0 {
                // The power goes while it is mended.
                disk.cut_power_after(random.below(40));
                if let Ok((mut log, _)) = open(&disk, &small()) {
                    for (ticket, op) in (1..).zip(truth.ops_to_mend(&log, &what)) {
                        log.stage(ticket, op);
                    }
                    drop(log.write().and_then(|()| log.sync()));
                }
                disk.crash();
            }
            match truth.judge(&disk, &what) {
                Outcome::Harmless => {}
                Outcome::Mended => mended += 1,
                Outcome::Refused => {
                    refused += 1;
                    break;
                }
            }
        }
    }
    assert!(mended > 10 * refused && mended > 300, "{mended} mended, {refused} refused");
}

/// Every sector that holds something.
fn all_sectors(disk: &SimDisk) -> Vec<(String, u64)> {
    let sectors = |name: String| {
        disk.used_sectors(&name).into_iter().map(move |sector| (name.clone(), sector))
    };
    disk.names().into_iter().flat_map(sectors).collect()
}
