//! Looking at a log and what opening it would do, without changing a byte.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path, sync::Arc};

use tempfile::{TempDir, tempdir};

use super::{IDENTITY, append, fresh, io, small};
use crate::{
    Damage, Error, FooterState, Found, HardState, Inspection, Io, Log, OVERLAY_BYTES_MAX, Op,
    Overlay, RealIo, Recovery, SegmentState, SegmentView, SlotState, TailVerdict, inspect, verify,
};

/// Two sealed segments and more, one written last, and a spare; ended in order or not.
fn used(closed: bool) -> TempDir {
    let dir = tempdir().unwrap();
    let (mut log, _) = fresh(dir.path(), &small());
    log.stage(1, Op::HardState(HardState { term: 2, voted_for: None }));
    for i in 0..20 {
        log.stage(i + 2, append(i * 10 + 1..=i * 10 + 10, 2 + i / 10, 1000));
        log.write().unwrap();
        log.sync().unwrap();
    }
    log.upkeep().unwrap();
    if closed {
        log.close().unwrap();
    }
    dir
}

fn look(dir: &Path) -> Result<Inspection, Error> {
    let io: Arc<dyn Io> = Arc::new(RealIo::read_only(dir).unwrap());
    inspect(&io)
}

fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn everything_is_told_and_nothing_is_changed() {
    let dir = used(true);
    let before = bytes_of(dir.path());
    let found = look(dir.path()).unwrap();
    assert!(bytes_of(dir.path()) == before, "looking changed something");
    assert_eq!(found.identity, Some(IDENTITY));
    assert_eq!(found.epoch, Some(1));
    assert_eq!(found.voted, Some(HardState { term: 2, voted_for: None }));
    assert!(found.manifest.exists && found.vote.exists);
    let seqs = found.manifest.slots.map(|slot| match slot {
        SlotState::Readable { seq } => seq,
        SlotState::Empty | SlotState::Unreadable | SlotState::Newer => panic!("{slot:?}"),
    });
    assert_eq!(seqs[0], seqs[1]);
    let contents = found.contents.unwrap();
    assert_eq!((contents.last, contents.tail), ((200, 3), TailVerdict::Stopped));
    assert_eq!(contents.term_runs, vec![(1, 2), (101, 3)]);

    let (used, spares) = found.segments.split_at(found.segments.len() - 1);
    let (active, sealed) = used.split_last().unwrap();
    assert_eq!((active.state, spares[0].state), (SegmentState::Active, SegmentState::Spare));
    assert!(sealed.len() >= 2);
    assert!(sealed.iter().all(|segment| segment.state == SegmentState::Sealed));
    assert!(found.segments.iter().all(|segment| segment.is_listed));
    let (mut next_batch, mut next_entry) = (1, 1);
    for segment in used {
        let (first, last) = segment.batches.unwrap();
        assert_eq!((first, last - first + 1), (next_batch, segment.batch_count));
        next_batch = last + 1;
        let (first, last, term) = segment.entries.unwrap();
        assert_eq!(first, next_entry);
        assert_eq!(term, if last <= 100 { 2 } else { 3 });
        next_entry = last + 1;
        assert!(segment.used_bytes > 4096 && segment.used_bytes <= segment.data_end);
    }
    assert_eq!(next_entry, 201);
}

#[test]
fn a_log_in_use_is_left_alone() {
    let dir = used(true);
    let (log, _) = Log::open(io(dir.path()), small()).unwrap();
    assert!(matches!(look(dir.path()), Err(Error::Locked { .. })));
    drop(log);
    look(dir.path()).unwrap();
}

#[test]
fn a_footer_is_told_by_what_it_is_worth_and_verified_against_the_batches() {
    let dir = used(true);
    let footers = |found: &Inspection| -> Vec<_> {
        let sealed = |segment: &&SegmentView| segment.state == SegmentState::Sealed;
        found.segments.iter().filter(sealed).map(|segment| segment.footer.unwrap()).collect()
    };
    let whole = look(dir.path()).unwrap();
    let count = footers(&whole).len();
    assert_eq!(footers(&whole), vec![FooterState::Good; count]);
    let verified = verify(&(Arc::new(RealIo::read_only(dir.path()).unwrap()) as Arc<dyn Io>));
    let verified = verified.unwrap();
    assert_eq!(verified.segments, whole.segments, "footers say what the batches say");
    let (quick, full) = (whole.contents.unwrap(), verified.contents.unwrap());
    assert!(quick.scanned_bytes < full.scanned_bytes);
    assert_eq!(Recovery { scanned_bytes: quick.scanned_bytes, ..full }, quick);

    let [first, second, ..] = &whole.segments[..] else { panic!("too few") };
    let area = usize::try_from(first.capacity - first.data_end).unwrap();
    flip(&dir.path().join(&first.name), usize::try_from(first.capacity).unwrap() - 10);
    let mut bytes = fs::read(dir.path().join(&second.name)).unwrap();
    let end = bytes.len();
    bytes[end - area..].fill(0);
    fs::write(dir.path().join(&second.name), bytes).unwrap();
    let found = look(dir.path()).unwrap();
    assert_eq!(footers(&found)[..2], [FooterState::Bad, FooterState::None]);
    assert_eq!(found.contents.unwrap().last, (200, 3), "nothing is lost with it");
    let told = |segment: &SegmentView| SegmentView { footer: None, ..segment.clone() };
    let [before, now] = [&whole.segments, &found.segments].map(|all| all.iter().map(told));
    assert!(before.eq(now), "headers tell the same");
}

#[test]
fn what_is_no_log_is_said_to_be_none_and_stays_as_it_is() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("genesis.toml"), "mine").unwrap();
    assert!(matches!(look(dir.path()), Err(Error::Missing { .. })));
    assert_eq!(bytes_of(dir.path()).len(), 1);
    let nowhere = RealIo::read_only(dir.path().join("nowhere"));
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!dir.path().join("nowhere").exists());
    let file = RealIo::read_only(dir.path().join("genesis.toml"));
    assert_eq!(file.unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn damage_is_told_with_its_place_beside_everything_else() {
    let dir = used(false);
    let whole = look(dir.path()).unwrap();
    assert_eq!(whole.contents.unwrap().tail, TailVerdict::CleanEnd);
    let second = &whole.segments[1];
    // In the body of the second batch of the second segment.
    flip(&dir.path().join(&second.name), 4096 + 512 + 200);
    assert!(look(dir.path()).unwrap().contents.is_ok(), "opening does not read all of it");
    let found = verify(&(Arc::new(RealIo::read_only(dir.path()).unwrap()) as Arc<dyn Io>)).unwrap();
    assert_eq!(found.segments, whole.segments, "headers are as they were");
    let contents = found.contents.unwrap();
    assert!(!contents.is_whole());
    match contents.check_whole() {
        Err(Error::Damaged { path, offset, damage }) => {
            assert_eq!((path.file_name().unwrap().to_str(), offset), (Some(&*second.name), 4608));
            assert_eq!(damage, Damage::Acknowledged);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_unlisted_and_unreadable_files_are_told_apart() {
    let dir = used(true);
    let whole = look(dir.path()).unwrap();
    let [first, second, .., active, spare] = &whole.segments[..] else { panic!("too few") };
    fs::remove_file(dir.path().join(&first.name)).unwrap();
    flip(&dir.path().join(&second.name), 20);
    fs::copy(dir.path().join(&spare.name), dir.path().join("seg-00000000000000000099.wal"))
        .unwrap();
    fs::write(dir.path().join("seg-00000000000000000100.wal"), "short").unwrap();
    flip(&dir.path().join("MANIFEST"), 70);
    fs::remove_file(dir.path().join("VOTE")).unwrap();
    let found = look(dir.path()).unwrap();
    let contents = found.contents.unwrap();
    assert!(!contents.is_whole());
    let [Found { path, damage: Damage::FileMissing, .. }] = &contents.rebuilt[..] else {
        panic!("{contents:?}");
    };
    assert!(path.ends_with("VOTE"));
    assert!(!found.vote.exists);
    assert_eq!(found.manifest.slots[0], SlotState::Unreadable);
    let state = |id: u64| {
        let segment = found.segments.iter().find(|segment| segment.id == id).unwrap();
        (segment.state, segment.is_listed)
    };
    assert_eq!(state(first.id), (SegmentState::Missing, true));
    assert_eq!(state(second.id), (SegmentState::Unreadable, true));
    assert_eq!(state(active.id), (SegmentState::Active, true));
    assert_eq!(state(99), (SegmentState::Unreadable, false), "another's header");
    assert_eq!(state(100), (SegmentState::Unreadable, false));
}

#[test]
fn what_is_written_above_is_read_above_and_not_below() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("kept"), [1; 10_000]).unwrap();
    fs::write(dir.path().join("gone"), [2; 10]).unwrap();
    let base: Arc<dyn Io> = Arc::new(RealIo::read_only(dir.path()).unwrap());
    let overlay = Overlay::over(base).unwrap();
    let kept = overlay.open("kept").unwrap();
    kept.write_at(&[9; 5_000], 4_000).unwrap();
    kept.write_at(&[0; 4_096], 4_096).unwrap();
    kept.write_at(&[7], 12_000).unwrap();
    let mut expected = vec![1; 10_000];
    expected[4_000..9_000].fill(9);
    expected[4_096..8_192].fill(0);
    expected.resize(12_000, 0);
    expected.push(7);
    let again = overlay.open("kept").unwrap();
    assert_eq!((again.len().unwrap(), &again.map(0..12_001).unwrap()[..]), (12_001, &expected[..]));
    let mut part = [0; 6];
    again.read_at(&mut part, 3_997).unwrap();
    assert_eq!(part, [1, 1, 1, 9, 9, 9]);
    assert_eq!(again.read_at(&mut part, 11_996).unwrap_err().kind(), ErrorKind::UnexpectedEof);

    overlay.remove("gone").unwrap();
    overlay.create("new").unwrap().write_at(&[3; 3], 0).unwrap();
    assert_eq!(overlay.open("gone").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(overlay.remove("gone").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(overlay.create("new").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(overlay.list().unwrap(), ["kept", "new"]);
    overlay.create("gone").unwrap();
    assert!(overlay.open("gone").unwrap().is_empty().unwrap(), "another file of that name");
    let below = bytes_of(dir.path());
    assert_eq!(below.keys().collect::<Vec<_>>(), ["gone", "kept"]);
    assert!(below["kept"] == [1; 10_000]);
}

#[test]
fn an_overlay_keeps_no_more_than_its_bound() {
    let dir = tempdir().unwrap();
    let overlay = Overlay::over(Arc::new(RealIo::read_only(dir.path()).unwrap())).unwrap();
    let file = overlay.create("large").unwrap();
    let step = vec![1; 1 << 20];
    let steps = OVERLAY_BYTES_MAX / step.len();
    for i in 0..steps as u64 {
        file.write_at(&vec![0; 1 << 20], (i + 1) << 20).unwrap();
        file.write_at(&step, i << 20).unwrap();
    }
    let beyond = file.write_at(&[1], OVERLAY_BYTES_MAX as u64);
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(&step, 0).unwrap();
}
