//! The disk keeps what it promised, and everything that can go wrong with it does.

use std::collections::BTreeSet;

use super::{Call, Fault, Piece, SECTOR_BYTES, SimDisk, Unsettled};

const SECTOR: u64 = SECTOR_BYTES as u64;

/// A disk with the synced file `f` of four sectors, full of ones.
fn with_file() -> SimDisk {
    let disk = SimDisk::new(7);
    let io = disk.io();
    let file = io.create("f").unwrap();
    file.write_at(&[1; 4 * SECTOR_BYTES], 0).unwrap();
    file.sync_data().unwrap();
    io.sync_dir().unwrap();
    disk
}

/// The first byte of each sector of `f`.
fn firsts(disk: &SimDisk) -> Vec<u8> {
    let file = disk.io().open("f").unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
}

fn write(disk: &SimDisk, fill: u8, sector: u64, count: usize) {
    let file = disk.io().open("f").unwrap();
    file.write_at(&vec![fill; count * SECTOR_BYTES], sector * SECTOR).unwrap();
}

fn sync(disk: &SimDisk) {
    disk.io().open("f").unwrap().sync_data().unwrap();
}

/// Every combination of states of what is unsettled.
fn combinations(unsettled: &[Unsettled]) -> Vec<Vec<usize>> {
    unsettled.iter().fold(vec![vec![]], |all, piece| {
        let longer = |choices: Vec<usize>| {
            (0..piece.states).map(move |state| choices.iter().copied().chain([state]).collect())
        };
        all.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn what_is_synced_survives_and_what_is_not_may_be_old_or_new() {
    let disk = with_file();
    write(&disk, 2, 0, 2);
    sync(&disk);
    write(&disk, 3, 1, 2);
    let unsettled = disk.unsettled();
    let sector = |number| Unsettled { what: Piece::Sector { file: 0, number }, states: 2 };
    assert_eq!(unsettled, [sector(1), sector(2)]);
    let mut found = BTreeSet::new();
    let mut images = BTreeSet::new();
    for choices in combinations(&unsettled) {
        let disk = disk.fork(0);
        disk.crash_with(&choices);
        assert_eq!(disk.unsettled(), []);
        found.insert(firsts(&disk));
        images.insert(disk.image());
    }
    assert_eq!(
        found,
        [[2, 2, 1, 1], [2, 2, 3, 1], [2, 3, 1, 1], [2, 3, 3, 1]].map(Vec::from).into()
    );
    assert_eq!(images.len(), 4, "each state has an image of its own");
    for seed in 0..40 {
        let disk = disk.fork(seed);
        disk.crash();
        assert!(found.contains(&firsts(&disk)), "a drawn crash is one of the chosen ones");
    }
}

#[test]
fn a_sector_written_twice_may_hold_any_of_its_versions() {
    let disk = with_file();
    write(&disk, 2, 0, 1);
    write(&disk, 3, 0, 1);
    let found = (0..3).map(|state| {
        let disk = disk.fork(0);
        disk.crash_with(&[state]);
        firsts(&disk)[0]
    });
    assert_eq!(found.collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn garbage_is_neither_old_nor_new() {
    let disk = with_file();
    disk.set_garbage(true);
    write(&disk, 2, 0, 1);
    assert_eq!(disk.unsettled()[0].states, 3);
    let mut seen = BTreeSet::new();
    for seed in 0..8 {
        let disk = disk.fork(seed);
        disk.crash_with(&[2]);
        let mut bytes = [0; SECTOR_BYTES];
        disk.io().open("f").unwrap().read_at(&mut bytes, 0).unwrap();
        assert!(bytes != [1; SECTOR_BYTES] && bytes != [2; SECTOR_BYTES]);
        seen.insert(bytes);
        assert_eq!(firsts(&disk)[1..], [1, 1, 1], "and only where something was written");
    }
    assert_eq!(seen.len(), 8, "the seed decides which garbage");
}

#[test]
fn a_name_and_a_length_are_lost_or_kept_each_on_its_own() {
    let disk = with_file();
    let io = disk.io();
    let new = io.create("g").unwrap();
    new.write_at(&[5; 2 * SECTOR_BYTES], 0).unwrap();
    new.sync_data().unwrap();
    io.remove("f").unwrap();
    let old = io.create("h").unwrap();
    old.set_len(SECTOR).unwrap();
    io.sync_dir().unwrap();
    old.set_len(3 * SECTOR).unwrap();
    let i = io.create("i").unwrap();
    i.write_at(&[6], 0).unwrap();
    i.sync_all().unwrap();
    let names = |disk: &SimDisk| disk.names().join("");
    assert_eq!(
        disk.unsettled(),
        [
            Unsettled { what: Piece::Name("i".to_owned()), states: 2 },
            Unsettled { what: Piece::Length { file: 2 }, states: 3 },
        ]
    );
    let mut found = BTreeSet::new();
    for choices in combinations(&disk.unsettled()) {
        let disk = disk.fork(0);
        disk.crash_with(&choices);
        found.insert((names(&disk), disk.io().open("h").unwrap().len().unwrap() / SECTOR));
    }
    let expected = ["gh", "ghi"].map(|names| [0, 1, 3].map(|len| (names.to_owned(), len)));
    assert_eq!(found, expected.into_iter().flatten().collect());
}

#[test]
fn a_file_cut_short_reads_as_zeros_beyond() {
    let disk = with_file();
    let file = disk.io().open("f").unwrap();
    file.set_len(SECTOR).unwrap();
    file.set_len(4 * SECTOR).unwrap();
    assert_eq!(firsts(&disk), [1, 0, 0, 0]);
    sync(&disk);
    disk.crash();
    assert_eq!(firsts(&disk), [1, 0, 0, 0]);
}

#[test]
fn a_planned_call_of_each_kind_fails_once() {
    for call in Call::ALL {
        for n in 0..3 {
            let disk = with_file();
            let io = disk.io();
            let file = io.open("f").unwrap();
            disk.strike(call, n, Fault::Eio);
            let mut failed = Vec::new();
            for round in 0..5 {
                let result = match call {
                    Call::Read => file.read_at(&mut [0], 0),
                    Call::Write => file.write_at(&[9], 0),
                    Call::Sync => file.sync_data(),
                    Call::Create => io.create(&format!("g{round}")).map(drop),
                    Call::Open => io.open("f").map(drop),
                    Call::Remove => {
                        io.create(&format!("r{round}")).unwrap();
                        io.remove(&format!("r{round}"))
                    }
                    Call::List => io.list().map(drop),
                };
                if let Err(error) = result {
                    assert_eq!(error.raw_os_error(), Some(5), "{call:?}");
                    failed.push(round);
                }
            }
            assert_eq!(failed, [n], "{call:?}");
            assert!(!disk.has_planned());
        }
    }
}

/// As Linux does: `EIO` once, then success, and what was to be written is gone.
#[test]
fn after_a_failed_sync_the_cache_shows_what_is_not_on_the_disk() {
    let disk = with_file();
    write(&disk, 2, 0, 1);
    disk.fail_sync_after(0);
    disk.io().open("f").unwrap().sync_data().unwrap_err();
    sync(&disk);
    assert_eq!(firsts(&disk)[0], 2, "the cache");
    disk.kill();
    assert_eq!(firsts(&disk)[0], 2, "a cache outlives a process");
    let dropped = disk.fork(0);
    dropped.io().open("f").unwrap().drop_cache(0..SECTOR).unwrap();
    assert_eq!(firsts(&dropped)[0], 1, "the disk");
    disk.crash();
    assert_eq!(firsts(&disk)[0], 1, "the disk");
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_nothing_else() {
    let disk = with_file();
    disk.set_room(Some(5 * SECTOR));
    let io = disk.io();
    let file = io.open("f").unwrap();
    let full = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    };
    full(file.write_at(&[2; 2 * SECTOR_BYTES], 4 * SECTOR));
    file.write_at(&[2; SECTOR_BYTES], 4 * SECTOR).unwrap();
    full(io.create("g").map(drop));
    file.write_at(&[3; 5 * SECTOR_BYTES], 0).unwrap();
    file.sync_data().unwrap();
    disk.strike(Call::Write, 0, Fault::Full);
    full(file.write_at(&[4], 0));
    disk.set_room(None);
    io.create("g").unwrap();
    assert_eq!(firsts(&disk), [3; 5], "what was refused left nothing");
}

#[test]
fn a_rotten_sector_differs_in_one_bit_or_is_zero() {
    let disk = with_file();
    disk.corrupt("f", SECTOR, 0x80);
    disk.zero_sector("f", 2);
    assert_eq!(firsts(&disk), [1, 0x81, 0, 1]);
    disk.corrupt("no such file", 0, 1);
}

#[test]
fn a_spoiled_sector_cannot_be_read_until_it_is_written() {
    let disk = with_file();
    disk.spoil_sector("f", 1);
    let file = disk.io().open("f").unwrap();
    let mut bytes = [0; SECTOR_BYTES];
    let read = |bytes: &mut [u8]| file.read_at(bytes, SECTOR);
    assert_eq!(read(&mut bytes).unwrap_err().raw_os_error(), Some(5));
    file.read_at(&mut bytes, 0).unwrap();
    file.map(0..2 * SECTOR).unwrap_err();
    file.map(0..SECTOR).unwrap();
    file.write_at(&[0; SECTOR_BYTES], SECTOR).unwrap();
    read(&mut bytes).unwrap();
    assert_eq!(firsts(&disk), [1, 0, 1, 1]);
}

/// Told after the fact, and while it happens.
#[test]
fn a_lost_write_leaves_what_was_there() {
    let disk = with_file();
    write(&disk, 2, 0, 2);
    sync(&disk);
    disk.revert_sector("f", 1);
    assert_eq!(firsts(&disk), [2, 1, 1, 1]);

    disk.strike(Call::Write, 0, Fault::Lost);
    write(&disk, 3, 2, 2);
    sync(&disk);
    assert_eq!(firsts(&disk), [2, 1, 3, 3], "the cache");
    disk.crash();
    assert_eq!(firsts(&disk), [2, 1, 1, 1], "the disk");
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_its_own_place_keeps_what_it_held() {
    let disk = with_file();
    write(&disk, 2, 0, 1);
    sync(&disk);
    disk.misdirect_write(("f", 0), ("f", 2));
    assert_eq!(firsts(&disk), [1, 1, 2, 1]);
    disk.misdirect(("f", 2), ("f", 3));
    assert_eq!(firsts(&disk), [1, 1, 2, 2], "written twice");

    disk.strike(Call::Write, 0, Fault::Misdirected { sectors: 3 });
    write(&disk, 4, 0, 1);
    sync(&disk);
    disk.crash();
    assert_eq!(firsts(&disk), [1, 1, 2, 4]);
}

#[test]
fn a_stale_read_shows_what_was_there_before_the_newest_sync() {
    let disk = with_file();
    write(&disk, 2, 1, 1);
    sync(&disk);
    disk.strike(Call::Read, 1, Fault::Stale);
    assert_eq!(firsts(&disk), [1, 1, 1, 1], "the length is read first");
    assert_eq!(firsts(&disk), [1, 2, 1, 1], "it is there all the same");
}

#[test]
fn a_fork_goes_its_own_way() {
    let disk = with_file();
    let fork = disk.fork(1);
    write(&fork, 2, 0, 4);
    sync(&fork);
    assert_eq!(firsts(&disk), [1; 4]);
    assert_eq!(firsts(&fork), [2; 4]);
    assert_eq!(with_file().image(), disk.image());
    assert_ne!(fork.image(), disk.image());
}

#[test]
fn the_power_is_off_after_the_call_that_it_went_in() {
    let disk = with_file();
    disk.cut_power_after(1);
    let io = disk.io();
    let file = io.open("f").unwrap();
    file.write_at(&[2; SECTOR_BYTES], 0).unwrap_err();
    file.write_at(&[2; SECTOR_BYTES], SECTOR).unwrap_err();
    file.sync_data().unwrap_err();
    assert_eq!(disk.unsettled().len(), 1, "the call that was cut short may have done its work");
    disk.crash_with(&[1]);
    file.write_at(&[3], 0).unwrap_err();
    assert_eq!(firsts(&disk), [2, 1, 1, 1], "and a dead process does nothing");
}
