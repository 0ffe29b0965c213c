//! Opening by footers finds what opening by a scan finds.

use std::{fs, path::Path, sync::Arc};

use proptest::{collection::vec, prelude::*};
use tempfile::{TempDir, tempdir};

use super::{IDENTITY, entry, io, small};
use crate::{
    Entry, EntryKind, HardState, Log, Op, Overlay, Recovery, TailVerdict, Vote,
    recovery::{self, Footers, Ledger, Recovered},
};

/// One step of a history. Numbers are taken modulo what makes sense.
#[derive(Clone, Debug)]
enum Step {
    Append { count: u64, len: usize, config: bool },
    TruncateBy(u64),
    Term,
    Bind(u64),
    Write,
    Upkeep,
    Reopen { orderly: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..30u64, 0..3000usize, prop::bool::weighted(0.1))
            .prop_map(|(count, len, config)| Step::Append { count, len, config }),
        1 => (0..12u64).prop_map(Step::TruncateBy),
        1 => (0..300u64).prop_map(Step::TruncateBy),
        2 => Just(Step::Term),
        1 => (0..40u64).prop_map(Step::Bind),
        6 => Just(Step::Write),
        3 => Just(Step::Upkeep),
        1 => any::<bool>().prop_map(|orderly| Step::Reopen { orderly }),
    ]
}

struct History {
    log: Option<Log>,
    ticket: u64,
    last: (u64, u64),
    term: u64,
}

impl History {
    fn stage(&mut self, op: Op) {
        self.ticket += 1;
        self.log.as_mut().unwrap().stage(self.ticket, op);
    }

    fn run(&mut self, dir: &Path, step: &Step) {
        match *step {
            Step::Append { count, len, config } => {
                let kind = if config { EntryKind::Config } else { EntryKind::Command };
                let first = self.last.0 + 1;
                let entries = (first..first + count).map(|index| {
                    let payload = entry(index, self.term, len).payload;
                    Entry::new(index, self.term, kind, payload)
                });
                self.stage(Op::Append(entries.collect()));
                if count > 0 {
                    self.last = (self.last.0 + count, self.term);
                }
            }
            Step::TruncateBy(count) => {
                let index = self.last.0.saturating_sub(count);
                self.last.1 = self.log.as_ref().unwrap().reader().term_of(index).unwrap();
                self.last.0 = index;
                self.stage(Op::TruncateAfter(index));
            }
            Step::Term => {
                self.term += 1;
                let vote = Vote { node: self.term, store: u128::from(self.term) << 99 };
                let voted_for = self.term.is_multiple_of(2).then_some(vote);
                self.stage(Op::HardState(HardState { term: self.term, voted_for }));
            }
            Step::Bind(node) => self.stage(Op::Bind { node, store: u128::from(self.ticket) }),
            Step::Write => {
                let log = self.log.as_mut().unwrap();
                log.write().unwrap();
                log.sync().unwrap();
            }
            Step::Upkeep => self.log.as_mut().unwrap().upkeep().unwrap(),
            Step::Reopen { orderly } => {
                let mut log = self.log.take().unwrap();
                log.write().unwrap();
                log.sync().unwrap();
                if orderly {
                    log.close().unwrap();
                } else {
                    drop(log);
                }
                compare(dir);
                self.log = Some(Log::open(io(dir), small()).unwrap().0);
                self.ticket = 0;
            }
        }
    }
}

/// Opens both ways, changing nothing, and reads all of it in both. Returns what the footers gave.
fn compare(dir: &Path) -> Recovery {
    assert_eq!(state(dir, Footers::Used), state(dir, Footers::Ignored));
    let (recovery, entries) = contents(dir, Footers::Used);
    let (scanned, scanned_entries) = contents(dir, Footers::Ignored);
    assert!(entries == scanned_entries, "the same entries");
    let scanned = Recovery { scanned_bytes: recovery.scanned_bytes, ..scanned };
    assert_eq!(recovery, scanned);
    recovery
}

/// What a caller sees.
fn contents(dir: &Path, footers: Footers) -> (Recovery, Vec<Entry>) {
    let overlay = Arc::new(Overlay::over(io(dir)).unwrap());
    let (log, recovery) = Log::open_with(overlay, small(), footers).unwrap();
    let entries = log.reader().read(1, u64::MAX, usize::MAX).unwrap();
    for index in (1..=recovery.last.0).rev().step_by(7) {
        let alone = log.reader().entry(index).unwrap().unwrap();
        assert_eq!(alone, entries[usize::try_from(index).unwrap() - 1]);
    }
    (recovery, entries)
}

/// What the next batch rests on.
fn state(dir: &Path, footers: Footers) -> String {
    let overlay = Overlay::over(io(dir)).unwrap();
    let (_, _, ledger) = Ledger::open(&overlay).unwrap();
    let recovered = recovery::recover(&overlay, &ledger, footers).unwrap();
    let Recovered { replay, tail, active, first_seqs, .. } = recovered;
    let (seq, chain, epoch, counts) = (replay.seq, replay.chain, replay.epoch, replay.truncations);
    let end = active.map(|(segment, end)| (segment.id, end));
    let gathered = replay.gathered;
    format!("{seq} {chain} {epoch} {counts} {tail:?} {end:?} {first_seqs:?} {gathered:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn footers_stand_for_exactly_what_a_scan_finds(steps in vec(step(), 0..120)) {
        let dir = tempdir().unwrap();
        Log::create(&io(dir.path()), IDENTITY, &small()).unwrap();
        let log = Some(Log::open(io(dir.path()), small()).unwrap().0);
        let mut history = History { log, ticket: 0, last: (0, 0), term: 1 };
        for step in &steps {
            history.run(dir.path(), step);
        }
        for orderly in [true, false] {
            history.run(dir.path(), &Step::Reopen { orderly });
        }
    }
}

/// A log of several segments, stopped in order.
fn stopped() -> TempDir {
    let dir = tempdir().unwrap();
    Log::create(&io(dir.path()), IDENTITY, &small()).unwrap();
    let (mut log, _) = Log::open(io(dir.path()), small()).unwrap();
    for index in 1..=200 {
        log.stage(index, Op::Append(vec![entry(index, 1 + index / 90, 1000)]));
        log.write().unwrap();
    }
    log.close().unwrap();
    dir
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "wal")).collect();
    segments.sort_unstable();
    segments
}

#[test]
fn after_an_orderly_stop_nothing_is_scanned() {
    let dir = stopped();
    let recovery = compare(dir.path());
    assert_eq!(recovery.tail, TailVerdict::Stopped);
    assert_eq!(recovery.scanned_bytes, 0);
    assert!(segments(dir.path()).len() > 4);
}

/// F19: a rotten footer costs time, not data.
#[test]
fn a_rotten_footer_is_not_believed() {
    let dir = stopped();
    let whole = compare(dir.path());
    for (number, path) in segments(dir.path()).into_iter().enumerate() {
        let bytes = fs::read(&path).unwrap();
        // The sparse index, the summary, the trailer.
        for at in [56 * 1024 + 40, bytes.len() - 80, bytes.len() - 20] {
            let mut rotten = bytes.clone();
            rotten[at] ^= 4;
            fs::write(&path, &rotten).unwrap();
            let recovery = compare(dir.path());
            assert_eq!(recovery.last, whole.last, "segment {number}, byte {at}");
        }
        fs::write(&path, &bytes).unwrap();
    }
}

/// F19: what is read by a footer is checked like everything else, and what can be read is.
#[test]
fn around_rot_in_a_sealed_segment_everything_reads() {
    let dir = stopped();
    let path = segments(dir.path()).remove(1);
    let bytes = fs::read(&path).unwrap();
    let (log, recovery) = Log::open(io(dir.path()), small()).unwrap();
    let all = log.reader().read(1, 200, usize::MAX).unwrap();
    drop(log);
    let mut lost = 0;
    for at in (4096 + 512..40 * 1024).step_by(1021) {
        let mut rotten = bytes.clone();
        rotten[at] ^= 0x80;
        fs::write(&path, &rotten).unwrap();
        let overlay = Arc::new(Overlay::over(io(dir.path())).unwrap());
        let (log, _) = Log::open_with(overlay, small(), Footers::Used).unwrap();
        let mut bad = 0;
        for index in 1..=recovery.last.0 {
            match log.reader().entry(index) {
                Ok(found) => assert_eq!(found.unwrap(), all[usize::try_from(index).unwrap() - 1]),
                Err(_) => bad += 1,
            }
        }
        assert!(bad <= 1, "a flip at {at} takes {bad} entries away");
        lost += bad;
    }
    assert!(lost > 10, "{lost}");
}
