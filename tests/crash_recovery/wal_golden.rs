//! Format v1 as it is written down, byte by byte: today's code writes these very bytes, and reads them.
//!
//! `tests/golden/README.md` says how the files are made and read. When a difference is meant, write them
//! again: `GOLDEN=write cargo test -p tests --no-default-features --test crash_recovery golden`.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc};

use tests::{fuzz::put_right, sim::disk::SimDisk};
use wal::{Entry, EntryKind, Error, HardState, Identity, Log, Op, Options, TailVerdict, Vote};

const IDENTITY: Identity = Identity { cluster: 0xc0ffee, node: 3, store: 0x5709e };
const FIRST: &str = "seg-00000000000000000001.wal";
const SECOND: &str = "seg-00000000000000000002.wal";
/// Entries that rot, and a byte in the frame of each.
const ROTTEN: [(u64, u64); 2] = [(5, 0x18d4), (6, 0x1914)];
/// Bytes in a line of a golden file.
const ROW: usize = 32;
const HOW_TO_READ: &str = "left is the golden file, right what is written today; a line is a place in \
    the file and 32 bytes, which wal/FORMAT.md explains. If the format is to change, write the files \
    again with GOLDEN=write, and give the format a new version if it is frozen";

fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        small_segment_bytes: 64 * 1024,
        spare_segments: 1,
        entry_bytes_max: 12 * 1024,
        batch_bytes_max: 16 * 1024,
        tail_cache_bytes: 4 * 1024,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<(Log, wal::Recovery), Error> {
    Log::open(disk.io(), options())
}

fn entry(index: u64, term: u64) -> Entry {
    let kind = match index {
        1 => EntryKind::NoOp,
        2 => EntryKind::Config,
        _ => EntryKind::Command,
    };
    // Entries of zeros fill a segment and no golden file.
    let payload = match index {
        1 => Vec::new(),
        7..=11 => vec![0; 11_000],
        _ => format!("entry {index} of term {term}").into_bytes(),
    };
    Entry::new(index, term, kind, payload.into())
}

fn commit(log: &mut Log, ticket: &mut u64, ops: impl IntoIterator<Item = Op>) {
    for op in ops {
        *ticket += 1;
        log.stage(*ticket, op);
    }
    log.write().unwrap();
    assert_eq!(log.sync().unwrap(), *ticket);
}

/// A log with every kind of batch and every frame that a healthy one has: two segments, the first with
/// its footer, the second with the batch and the footer of an orderly stop, and a spare.
fn stopped() -> SimDisk {
    let disk = SimDisk::new(1);
    let io = disk.io();
    Log::create(&io, IDENTITY, &options()).unwrap();
    let (mut log, _) = Log::open(Arc::clone(&io), options()).unwrap();
    let mut ticket = 0;
    let vote = |term, node| HardState { term, voted_for: node };
    let voted = Some(Vote { node: 3, store: 0x5709e });
    commit(&mut log, &mut ticket, [Op::Bind { node: 3, store: 0x5709e }]);
    commit(&mut log, &mut ticket, [Op::HardState(vote(1, voted))]);
    commit(&mut log, &mut ticket, [Op::Append((1..=5).map(|index| entry(index, 1)).collect())]);
    let replaced = (4..=6).map(|index| entry(index, 2)).collect();
    let conflict = [Op::HardState(vote(2, None)), Op::TruncateAfter(3), Op::Append(replaced)];
    commit(&mut log, &mut ticket, conflict);
    for index in 7..=11 {
        commit(&mut log, &mut ticket, [Op::Append(vec![entry(index, 2)])]);
    }
    log.upkeep().unwrap();
    commit(&mut log, &mut ticket, [Op::Append(vec![entry(12, 3)])]);
    log.close().unwrap();
    disk.crash();
    disk
}

/// The same, opened again and cut short in the middle of a write: the last batch has lost a sector.
fn torn() -> SimDisk {
    let disk = stopped();
    let (mut log, _) = open(&disk).unwrap();
    let mut ticket = 0;
    commit(&mut log, &mut ticket, [Op::Append(vec![entry(13, 3)])]);
    let before = disk.used_sectors(SECOND);
    let long = Entry::new(14, 3, EntryKind::Command, vec![0xee; 1000].into());
    log.stage(2, Op::Append(vec![long]));
    log.write().unwrap();
    drop(log);
    disk.kill();
    let file = disk.io().open(SECOND).unwrap();
    file.sync_data().unwrap();
    let after = disk.used_sectors(SECOND);
    let mut new = after.iter().filter(|sector| !before.contains(sector));
    disk.zero_sector(SECOND, *new.nth(1).unwrap());
    disk
}

/// The same, with two bits flipped: each in an entry that was acknowledged.
fn rotten() -> SimDisk {
    let disk = torn();
    for (_, at) in ROTTEN {
        disk.corrupt(FIRST, at, 1);
    }
    disk
}

/// The same, opened, read, one of the two entries repaired, and the end called certain; then a new segment,
/// which begins with what is still to be repaired.
fn repaired() -> SimDisk {
    let disk = rotten();
    let (mut log, _) = open(&disk).unwrap();
    for (index, _) in ROTTEN {
        log.reader().entry(index).unwrap_err();
    }
    let mut ticket = 0;
    commit(&mut log, &mut ticket, [Op::Repair(entry(5, 2)), Op::Settle]);
    for index in 14..=18 {
        let zeros = Entry::new(index, 3, EntryKind::Command, vec![0; 11_000].into());
        commit(&mut log, &mut ticket, [Op::Append(vec![zeros])]);
    }
    drop(log);
    disk.kill();
    disk
}

type Made = (&'static str, fn() -> SimDisk);
const LOGS: [Made; 4] =
    [("stopped", stopped), ("torn", torn), ("rotten", rotten), ("repaired", repaired)];

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("v1-{name}.txt"))
}

/// Every file: its name, its length, and each row that is not zero. Rows alike share a line.
fn dump(disk: &SimDisk) -> String {
    let mut text = String::new();
    for name in disk.names() {
        let file = disk.io().open(&name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        writeln!(text, "file {name} {}", bytes.len()).unwrap();
        let rows: Vec<&[u8]> = bytes.chunks(ROW).collect();
        let mut at = 0;
        while at < rows.len() {
            let alike = rows[at..].iter().take_while(|row| *row == &rows[at]).count();
            if rows[at].iter().any(|&byte| byte != 0) {
                write!(text, "{:08x} x{alike:<3}", at * ROW).unwrap();
                for word in rows[at].chunks(8) {
                    let hex: String = word.iter().map(|byte| format!("{byte:02x}")).collect();
                    write!(text, " {hex}").unwrap();
                }
                text.push('\n');
            }
            at += alike;
        }
    }
    text
}

/// The files of a golden file on a disk.
fn load(text: &str) -> SimDisk {
    let disk = SimDisk::new(9);
    let io = disk.io();
    let mut file = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if first == "file" {
            let made = io.create(words.next().unwrap()).unwrap();
            made.set_len(words.next().unwrap().parse().unwrap()).unwrap();
            file = Some(made);
            continue;
        }
        let at = u64::from_str_radix(first, 16).unwrap();
        let alike: u64 = words.next().unwrap().strip_prefix('x').unwrap().parse().unwrap();
        let hex: String = words.collect();
        let digits: Vec<char> = hex.chars().collect();
        let row: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect();
        for n in 0..alike {
            file.as_ref().unwrap().write_at(&row, at + n * ROW as u64).unwrap();
        }
    }
    for name in disk.names() {
        io.open(&name).unwrap().sync_data().unwrap();
    }
    io.sync_dir().unwrap();
    disk.crash();
    disk
}

fn golden(name: &str) -> SimDisk {
    load(&fs::read_to_string(path_of(name)).unwrap())
}

/// Golden bytes of format v1: the encoder writes what it wrote when they were made.
#[test]
fn todays_code_writes_the_golden_bytes() {
    for (name, make) in LOGS {
        let today = dump(&make());
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            fs::write(path_of(name), &today).unwrap();
        }
        let golden = fs::read_to_string(path_of(name)).unwrap();
        for (number, (golden, today)) in (1..).zip(golden.lines().zip(today.lines())) {
            assert_eq!(golden, today, "v1-{name}.txt, line {number}: {HOW_TO_READ}");
        }
        assert_eq!(golden.len(), today.len(), "v1-{name}.txt ends elsewhere: {HOW_TO_READ}");
        assert_eq!(dump(&load(&golden)), golden, "v1-{name}.txt comes back as it is");
    }
}

/// Golden bytes of format v1: they hold what was put into them, whoever reads them and whenever.
#[test]
fn the_golden_bytes_hold_what_was_written() {
    for (name, last) in [("stopped", 12), ("torn", 13)] {
        let (log, recovery) = open(&golden(name)).unwrap();
        assert!(recovery.is_whole());
        assert_eq!(recovery.identity, IDENTITY);
        assert_eq!(recovery.hard_state, HardState { term: 2, voted_for: None });
        assert_eq!(recovery.bindings.into_iter().collect::<Vec<_>>(), vec![(3, 0x5709e)]);
        assert_eq!(recovery.term_runs, vec![(1, 1), (4, 2), (12, 3)]);
        assert_eq!(recovery.configs, vec![entry(2, 1)]);
        assert_eq!(recovery.last, (last, 3));
        let term = |index| if index < 4 { 1 } else { 2 + u64::from(index > 11) };
        let wanted: Vec<Entry> = (1..=last).map(|index| entry(index, term(index))).collect();
        assert_eq!(log.reader().read(1, u64::MAX, usize::MAX).unwrap(), wanted);
        let is_torn = matches!(recovery.tail, TailVerdict::Torn { .. });
        assert_eq!(is_torn, name == "torn", "{:?}", recovery.tail);
    }
}

/// Golden bytes with damage: what was acknowledged and cannot be read is missed, and nothing else; what was
/// repaired is there again.
#[test]
fn the_golden_damage_is_found() {
    for (name, lost) in [("rotten", &[5, 6][..]), ("repaired", &[6])] {
        let (log, recovery) = open(&golden(name)).unwrap();
        let known: Vec<u64> = recovery.faulty.iter().map(|range| range.first).collect();
        assert_eq!(known, if name == "repaired" { vec![6] } else { vec![] }, "{name}");
        let term = |index| if index < 4 { 1 } else { 2 + u64::from(index > 11) };
        for index in 1..=13 {
            let read = log.reader().entry(index);
            let wanted = (!lost.contains(&index)).then(|| entry(index, term(index)));
            assert_eq!(read.ok().flatten(), wanted, "{name}: {index}");
        }
    }
}

/// A log of a later version, made by hand from golden bytes, is refused and says so: in each file that has
/// a version.
#[test]
fn golden_bytes_of_a_later_version_are_refused() {
    for (name, at, len) in [("MANIFEST", 0, 65_536), ("MANIFEST", 65_536, 65_536), (FIRST, 0, 128)]
    {
        let disk = golden("torn");
        let file = disk.io().open(name).unwrap();
        let (mut header, mut bytes) = ([0; 128], vec![0; len]);
        file.read_at(&mut header, 0).unwrap();
        file.read_at(&mut bytes, at).unwrap();
        bytes[8..10].copy_from_slice(&2_u16.to_le_bytes());
        put_right(name, &header, at, &mut bytes);
        file.write_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, Error::Version { found: 2, supported: 1, .. }), "{name}: {error}");
        assert!(error.to_string().contains("use a newer version"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}
