//! Reading again what was written long ago.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::{TempDir, tempdir};

use super::{
    IDENTITY, append,
    bad_disk::{BadDisk, Spoiled},
    small,
};
use crate::{
    Damage, Error, Finding, Io, Log, Op, Options, RealIo, Scrub, ScrubStep, SegmentState,
    SegmentView, inspect,
};

/// An open log of several sealed segments.
struct Case {
    dir: TempDir,
    spoiled: Spoiled,
    log: Log,
    tickets: u64,
    sealed: Vec<SegmentView>,
}

impl Case {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let spoiled = Spoiled::default();
        let disk = BadDisk::new(RealIo::new(dir.path()).unwrap(), &spoiled);
        let io: Arc<dyn Io> = Arc::new(disk);
        Log::create(&io, IDENTITY, &small()).unwrap();
        let (log, _) = Log::open(Arc::clone(&io), small()).unwrap();
        let mut case = Self { dir, spoiled, log, tickets: 0, sealed: Vec::new() };
        case.append(15);
        let Self { dir, spoiled, log, tickets, .. } = case;
        drop(log);
        let mut sealed = inspect(&io).unwrap().segments;
        sealed.retain(|segment| segment.state == SegmentState::Sealed);
        assert!(sealed.len() >= 2);
        let (log, _) = Log::open(io, small()).unwrap();
        Self { dir, spoiled, log, tickets, sealed }
    }

    fn append(&mut self, batches: u64) {
        for _ in 0..batches {
            let first = self.log.reader().bounds().1 + 1;
            self.tickets += 1;
            self.log.stage(self.tickets, append(first..=first + 9, 1, 1000));
            self.log.write().unwrap();
            self.log.sync().unwrap();
        }
    }

    fn scrub(&self) -> Scrub {
        Scrub::new(&self.log.reader())
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.path().join(&self.sealed[number].name)
    }

    fn flip(&self, number: usize, offset: u64) {
        let mut bytes = fs::read(self.path(number)).unwrap();
        bytes[usize::try_from(offset).unwrap()] ^= 1;
        fs::write(self.path(number), bytes).unwrap();
    }
}

/// Steps of this size up to the end of a pass.
fn pass(scrub: &mut Scrub, budget_bytes: u64) -> Vec<ScrubStep> {
    let mut steps = Vec::new();
    for _ in 0..100_000 {
        let step = scrub.step(budget_bytes);
        let is_over = step.is_pass_over;
        steps.push(step);
        if is_over {
            return steps;
        }
    }
    panic!("a pass has no end");
}

fn findings(steps: &[ScrubStep]) -> Vec<Finding> {
    steps.iter().flat_map(|step| step.findings.clone()).collect()
}

#[test]
fn a_whole_log_is_read_step_by_step_and_nothing_is_found() {
    let mut case = Case::new();
    let mut scrub = case.scrub();
    let small_steps = pass(&mut scrub, 1);
    assert_eq!(findings(&small_steps), []);
    let used: u64 = case.sealed.iter().map(|segment| segment.used_bytes - 4096).sum();
    let read: u64 = small_steps.iter().map(|step| step.read_bytes).sum();
    assert!(read >= used, "{read} of {used} bytes were read");
    let most = small_steps.iter().map(|step| step.read_bytes).max().unwrap();
    assert!(most <= 128 * 1024, "a step of {most} bytes");
    assert!(small_steps.len() > case.sealed.len());
    assert_eq!(pass(&mut scrub, u64::MAX).len(), 1, "a step ends with the pass");

    // What is sealed since belongs to the next pass.
    case.append(10);
    let more: u64 = pass(&mut scrub, u64::MAX).iter().map(|step| step.read_bytes).sum();
    assert!(more > read);
    assert_eq!(findings(&pass(&mut scrub, 4096)), []);
}

#[test]
fn without_a_sealed_segment_there_is_nothing_to_do() {
    let dir = tempdir().unwrap();
    let (mut log, _) = super::fresh(dir.path(), &small());
    let mut scrub = Scrub::new(&log.reader());
    assert_eq!(scrub.step(1 << 20), ScrubStep::default());
    log.stage(1, append(1..=1, 1, 10));
    log.write().unwrap();
    log.sync().unwrap();
    assert_eq!(scrub.step(1 << 20), ScrubStep::default(), "the active one is its writer's");
}

/// F19: every byte of a batch is covered.
#[test]
fn each_flipped_bit_of_a_sealed_batch_is_found_with_what_it_may_have_lost() {
    let case = Case::new();
    let segment = &case.sealed[1];
    let (first, last, _) = segment.entries.unwrap();
    let second = 4096 + 512;
    let step = usize::try_from(segment.used_bytes - second).unwrap() / 97;
    for offset in (second..segment.used_bytes).step_by(step) {
        case.flip(1, offset);
        let found = findings(&pass(&mut case.scrub(), 64 * 1024));
        case.flip(1, offset);
        let [found] = &found[..] else { panic!("{found:?} after a flip at {offset}") };
        assert_eq!(found.path, case.path(1));
        assert!(found.offset <= offset && offset - found.offset < 16 * 1024, "{found}");
        // Only what cannot be read is lost: a flip in the filler costs nothing.
        if let Some(lost) = found.entries {
            assert!(first <= lost.0 && lost.0 <= lost.1 && lost.1 <= last, "{found}");
            assert!(lost.0 == lost.1 || found.damage == Damage::Header, "{found}");
        }
    }
    assert_eq!(findings(&pass(&mut case.scrub(), 64 * 1024)), []);
}

/// F16: what damage took is known to be faulty, and everything around it reads.
#[test]
fn what_the_scrub_found_lost_is_faulty_and_the_rest_reads() {
    let case = Case::new();
    let reader = case.log.reader();
    case.flip(0, 4096 + 512 + 300);
    let found = findings(&pass(&mut case.scrub(), 1 << 20));
    let (first, last) = found[0].entries.unwrap();
    let [range] = reader.faulty()[..] else { panic!("{:?}", reader.faulty()) };
    assert_eq!((range.first, range.last), (first, last));
    assert_eq!(reader.stats().faulty_entries, last - first + 1);
    for index in 1..=reader.bounds().1 {
        match reader.entry(index) {
            Ok(Some(entry)) => assert!(entry.index == index && !range.contains(index)),
            Err(Error::Faulty { .. }) => assert!(range.contains(index), "entry {index}"),
            other => panic!("entry {index}: {other:?}"),
        }
    }
}

#[test]
fn a_batch_header_is_missed_and_the_entries_between_its_neighbours_are_named() {
    let case = Case::new();
    let (first, ..) = case.sealed[1].entries.unwrap();
    case.flip(1, 4096 + 512 + 8);
    let found = findings(&pass(&mut case.scrub(), 1));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.offset, found.damage), (4608, Damage::Header));
    let (lost, upto) = found.entries.unwrap();
    assert_eq!(lost, first);
    assert!(upto > first && upto < first + 20, "{found}");
    assert_eq!(
        found.to_string(),
        format!(
            "{} at byte 4608: {} (entries {lost} to {upto})",
            case.path(1).display(),
            Damage::Header
        )
    );
}

#[test]
fn what_is_cut_off_at_a_segments_end_is_missed() {
    let case = Case::new();
    let segment = &case.sealed[0];
    let mut bytes = fs::read(case.path(0)).unwrap();
    bytes[8192..usize::try_from(segment.used_bytes).unwrap()].fill(0);
    fs::write(case.path(0), bytes).unwrap();
    let found = findings(&pass(&mut case.scrub(), 1 << 20));
    let last = found.last().unwrap();
    assert!(found.iter().all(|found| found.path == case.path(0)));
    let upto = segment.entries.unwrap().1;
    assert_eq!((last.damage, last.entries.unwrap().1), (Damage::Header, upto));
}

/// F6: an unreadable sector is an answer, and its neighbours are still checked.
#[test]
fn a_sector_that_the_disk_cannot_read_is_a_finding_and_not_the_end() {
    let case = Case::new();
    let name = case.sealed[0].name.clone();
    for (byte, is_header) in [(4096 + 512 + 10, true), (4096 + 512 + 1000, false)] {
        *case.spoiled.lock().unwrap() = Some((name.clone(), byte..byte + 1));
        let found = findings(&pass(&mut case.scrub(), 4096));
        let [found] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found.offset, found.damage), (4608, Damage::Unreadable), "{is_header}");
        assert!(found.entries.is_some());
    }
}

#[test]
fn a_finding_is_told_once() {
    let case = Case::new();
    case.flip(0, 5000);
    let mut scrub = case.scrub();
    assert_eq!(findings(&pass(&mut scrub, 1)).len(), 1);
    case.flip(1, 5000);
    let second = findings(&pass(&mut scrub, 1));
    assert_eq!(second.iter().map(|found| &*found.path).collect::<Vec<&Path>>(), [case.path(1)]);
    assert_eq!(findings(&pass(&mut scrub, 1)), []);
}

#[test]
fn a_footer_that_cannot_be_believed_is_found_once_and_loses_nothing() {
    let mut case = Case::new();
    case.log.upkeep().unwrap();
    assert_eq!(findings(&pass(&mut case.scrub(), 1 << 20)), []);
    let segment = &case.sealed[0];
    for offset in [segment.capacity - 10, segment.data_end + 3] {
        case.flip(0, offset);
        let found = findings(&pass(&mut case.scrub(), 1 << 20));
        case.flip(0, offset);
        let [found] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found.damage, found.entries), (Damage::Footer, None));
        assert_eq!((found.path.clone(), found.offset), (case.path(0), segment.data_end));
    }
}

/// However many entries a loss takes, they are marked by terms and not one by one, under the lock.
#[test]
fn a_large_loss_is_marked_as_a_few_ranges() {
    let dir = tempdir().unwrap();
    let options = Options {
        segment_bytes: 4 << 20,
        small_segment_bytes: 4 << 20,
        batch_bytes_max: 1 << 20,
        queue_bytes_max: 2 << 20,
        ..small()
    };
    let (mut log, _) = super::fresh(dir.path(), &options);
    for (ticket, first) in (1..).zip((1..=80_000).step_by(8_000)) {
        let term = 1 + first / 30_000;
        log.stage(ticket, append(first..=first + 7_999, term, 1));
        log.write().unwrap();
        log.sync().unwrap();
        log.upkeep().unwrap();
    }
    let reader = log.reader();
    let mut view = log.shared().lock();
    let first = Arc::clone(&view.used[0]);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(view.lose(&first, 1, u64::MAX), view.lose(&first, 1, u64::MAX));
    }
    let took = begun.elapsed();
    let (_, last) = view.lose(&first, 1, u64::MAX).unwrap();
    drop(view);
    assert!(last > 40_000, "{last} entries in a segment");
    let faulty: Vec<_> = reader.faulty().iter().map(|range| (range.first, range.last)).collect();
    assert_eq!(faulty, [(1, 32_000), (32_001, 64_000), (64_001, last)]);
    assert_eq!(reader.stats().faulty_entries, last);
    assert_eq!(reader.entry(last + 1).unwrap().unwrap().index, last + 1);
    assert!(took < Duration::from_secs(1), "200 losses of {last} entries took {took:?}");
}

/// What was replaced, or was lost before, is not lost again.
#[test]
fn damage_of_what_is_not_in_force_takes_nothing() {
    let mut case = Case::new();
    let last = case.log.reader().bounds().1;
    case.tickets += 1;
    case.log.stage(case.tickets, Op::TruncateAfter(5));
    case.log.write().unwrap();
    case.log.sync().unwrap();
    case.flip(1, 4096 + 512 + 300);
    let found = findings(&pass(&mut case.scrub(), 1 << 20));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.damage, found.entries), (Damage::Acknowledged, None), "of {last} entries");
    assert_eq!(case.log.reader().faulty(), []);
    case.append(1);
    assert_eq!(case.log.reader().read(1, u64::MAX, usize::MAX).unwrap().len(), 15);
}
