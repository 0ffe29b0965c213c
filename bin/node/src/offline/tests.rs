//! What each command says of each kind of directory, in both forms, and its exit code.

use std::{fs, path::PathBuf, sync::Arc};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use wal::{Entry, EntryKind, HardState, Identity, Io, Log, Op, Options, RealIo, Vote};

use super::{Answer, answer};
use crate::args::{Cli, Command};

const FIRST: &str = "seg-00000000000000000001.wal";

struct Data {
    dir: TempDir,
}

impl Data {
    /// A log of ten entries in two terms, ended in order or not.
    fn used(closed: bool) -> Self {
        let data = Self { dir: tempfile::tempdir().unwrap() };
        let identity = Identity { cluster: 7, node: 3, store: 0xfeed };
        Log::create(&data.io(), identity, &small()).unwrap();
        let mut log = data.open();
        log.stage(1, Op::Bind { node: 3, store: 0xfeed });
        let vote = Vote { node: 3, store: 0xfeed };
        log.stage(2, Op::HardState(HardState { term: 2, voted_for: Some(vote) }));
        for index in 1..=10 {
            let kind = if index == 4 { EntryKind::Config } else { EntryKind::Command };
            let entry = Entry::new(index, 1 + index / 6, kind, vec![7; 1_000].into());
            log.stage(index + 2, Op::Append(vec![entry]));
            log.write().unwrap();
            log.sync().unwrap();
        }
        if closed {
            log.close().unwrap();
        }
        data
    }

    fn io(&self) -> Arc<dyn Io> {
        Arc::new(RealIo::new(self.dir.path()).unwrap())
    }

    fn open(&self) -> Log {
        Log::open(self.io(), small()).unwrap().0
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).unwrap();
        change(&mut bytes);
        fs::write(self.file(name), bytes).unwrap();
    }

    /// What a command says of this directory, without its path, and the exit code.
    fn ask(&self, command: &str) -> (String, u8) {
        let (text, code) = ask(&format!("{command} {}", self.dir.path().display()));
        (text.replace(self.dir.path().to_str().unwrap(), "DIR"), code)
    }

    fn json(&self, command: &str) -> (Value, u8) {
        let (text, code) = self.ask(&format!("{command} --json"));
        assert_eq!(text.matches('\n').count(), 1, "one object, one line: {text}");
        (serde_json::from_str(&text).unwrap(), code)
    }
}

fn small() -> Options {
    Options {
        segment_bytes: 1 << 20,
        small_segment_bytes: 1 << 20,
        spare_segments: 0,
        ..Options::default()
    }
}

fn ask(command: &str) -> (String, u8) {
    let words = format!("node wal {command}");
    let Some(Command::Wal(command)) = Cli::parse_from(words.split(' ')).command else {
        panic!("{words} is no such command");
    };
    match answer(&command) {
        Ok(Answer { text, outcome }) => (text, outcome.map_or_else(|e| e.exit_code(), |()| 0)),
        Err(error) => (error.to_string(), error.exit_code()),
    }
}

#[test]
fn a_whole_log_is_told_line_by_line() {
    let data = Data::used(true);
    let (text, code) = data.ask("inspect");
    assert_eq!(code, 0);
    let store = format!("{:032x}", 0xfeed);
    for line in [
        "DIR",
        "  state     whole, stopped in order",
        &format!("  owner     node 3, cluster {:032x}, disk {store}", 7),
        "  opened    once",
        "  entries   1 to 10, the last of term 2",
        &format!("  term      term 2, voted for node 3, disk {store}"),
        "  terms     1 from 1, 2 from 6",
        &format!("  disks     3 = {store}"),
        "  configs   4",
        "It opens. To check every byte: node wal verify DIR",
    ] {
        assert!(text.lines().any(|there| there == line), "no {line:?} in\n{text}");
    }
    let row = text.lines().find(|line| line.contains(FIRST)).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells[..2], [FIRST, "active"]);
    assert!(row.contains("1 - 10") && row.ends_with("1 MiB  -"), "{row}");
}

#[test]
fn the_json_has_every_key_that_the_help_names() {
    let data = Data::used(false);
    let (found, code) = data.json("inspect");
    assert_eq!(code, 0);
    assert_eq!((&found["verdict"], &found["end"]), (&json!("whole"), &json!("clean")));
    assert_eq!(found["contents"]["last_index"], 10);
    assert_eq!(found["contents"]["terms"][1], json!({"term": 2, "first_index": 6}));
    assert_eq!(found["contents"]["configs"], json!([4]));
    assert_eq!(found["identity"]["node"], 3);
    assert_eq!(found["voted"]["voted_for"]["store"], format!("{:032x}", 0xfeed));
    assert_eq!(found["segments"][0]["state"], "active");
    let (repaired, _) = data.json("repair --dry-run");
    let help = |command| {
        let words = ["node", "wal", command, "--help"];
        Cli::try_parse_from(words).unwrap_err().to_string()
    };
    let help = help("inspect") + &help("repair");
    let mut keys = Vec::new();
    keys_of(&found, &mut keys);
    keys_of(&repaired, &mut keys);
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(help.contains(&key), "the help does not speak of {key}");
    }
}

fn keys_of(value: &Value, keys: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            keys.push(key.clone());
            keys_of(value, keys);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        keys_of(value, keys);
    }
}

#[test]
fn damage_is_named_with_file_and_byte_and_with_what_to_do() {
    let data = Data::used(false);
    data.change(FIRST, |bytes| bytes[4096 + 512 + 300] ^= 1);
    let (text, code) = data.ask("inspect");
    assert_eq!(code, 4);
    for part in [
        "  state     DAMAGED\n",
        "\nfaulty places\n  seg-00000000000000000001.wal, byte 4608: ",
        "Keep a copy of DIR",
        "chatctl cluster replace 3",
        "node restore FILE",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let (found, code) = data.json("inspect");
    assert_eq!((code, &found["verdict"]), (4, &json!("damaged")));
    assert_eq!(
        (&found["faults"][0]["file"], &found["faults"][0]["byte"]),
        (&json!(FIRST), &json!(4608))
    );
}

/// The second batch of data holds the second entry alone.
#[test]
fn lost_entries_are_named_and_the_rest_is_counted() {
    let data = Data::used(false);
    let second = data.json("inspect").0["segments"][0]["used_bytes"].as_u64().unwrap();
    let second = usize::try_from(second).unwrap() - 9 * 1536;
    data.change(FIRST, |bytes| bytes[second + 300] ^= 1);
    let (found, code) = data.json("verify");
    assert_eq!((code, &found["verdict"]), (4, &json!("damaged")));
    assert_eq!(found["faults"][0]["byte"], second);
    let lost = json!({
        "first_index": 2, "last_index": 2, "lowest_term": 1, "highest_term": 1, "kind": "corrupt"
    });
    assert_eq!(found["lost"], json!([lost]));
    assert_eq!(found["contents"]["last_index"], 10);
    let (text, _) = data.ask("verify");
    assert!(text.contains("\nlost entries\n  2 (term 1, acknowledged)\n"), "{text}");
    assert!(text.contains("chatctl cluster replace 3"), "{text}");
    let before = fs::read(data.file(FIRST)).unwrap();
    assert_eq!(data.ask("repair").1, 4);
    assert!(fs::read(data.file(FIRST)).unwrap() == before, "evidence stays");
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_what_to_give_instead() {
    let data = Data::used(true);
    let log = data.open();
    let in_use = "DIR is in use by another process: stop that one first".to_owned();
    assert_eq!(data.ask("inspect"), (in_use, 2));
    drop(log);

    let empty = Data { dir: tempfile::tempdir().unwrap() };
    let (text, code) = empty.ask("inspect");
    assert!(code == 2 && text.starts_with("there is no log in DIR: give a node's data "), "{text}");
    assert_eq!(fs::read_dir(empty.dir.path()).unwrap().count(), 0, "it stays empty");
    assert_eq!(ask("inspect /nowhere"), ("there is no directory /nowhere".to_owned(), 2));
    let (text, code) = ask(&format!("inspect {}", data.file("MANIFEST").display()));
    assert!(code == 2 && text.contains("MANIFEST is no directory: give"), "{text}");
}

#[test]
fn a_log_of_a_later_version_is_left_to_that_version() {
    let data = Data::used(true);
    data.change(FIRST, |bytes| {
        bytes[8] = 9;
        let crc = crc32(&bytes[..124]).to_le_bytes();
        bytes[124..128].copy_from_slice(&crc);
    });
    let (text, code) = data.ask("inspect");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("has format 9") && text.contains("use a newer version"), "{text}");
}

/// As in zip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn verify_says_how_much_it_read_and_finds_what_inspect_finds() {
    let data = Data::used(true);
    let (text, code) = data.ask("verify");
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("DIR\n  state     whole, stopped in order\n"), "{text}");
    assert!(text.contains("KiB in 1 segment, "), "{text}");
    assert_eq!(data.json("verify").0["verdict"], "whole");
    data.change(FIRST, |bytes| bytes[4096 + 512 + 300] ^= 1);
    let (text, code) = data.ask("verify");
    assert!(code == 4 && text.contains("  state     DAMAGED\n"), "{text}");
    assert_eq!(data.json("verify").1, 4);
}

/// A log whose last batch was being written when the power went: one of its sectors is missing.
fn torn() -> Data {
    let data = Data::used(false);
    let used = data.json("inspect").0["segments"][0]["used_bytes"].as_u64().unwrap();
    let end = usize::try_from(used).unwrap();
    data.change(FIRST, |bytes| bytes[end - 1024..end - 512].fill(0));
    data
}

#[test]
fn a_torn_end_is_whole_and_repair_cuts_it() {
    let data = torn();
    let (found, code) = data.json("inspect");
    assert_eq!((code, &found["end"], &found["verdict"]), (0, &json!("torn"), &json!("whole")));
    let torn_bytes = found["torn_bytes"].as_u64().unwrap();
    assert_eq!(found["contents"]["last_index"], 9);
    let (text, _) = data.ask("inspect");
    assert!(text.contains("never acknowledged and are cut at the next start"), "{text}");

    let before = fs::read(data.file(FIRST)).unwrap();
    let (text, code) = data.ask("repair --dry-run");
    assert_eq!(code, 0);
    assert!(text.contains("KiB never acknowledged would be cut off (bytes "), "{text}");
    assert!(text.ends_with("\nThen it would be whole.\n"), "{text}");
    assert!(fs::read(data.file(FIRST)).unwrap() == before, "a dry run changes nothing");

    let (done, code) = data.json("repair");
    assert_eq!((code, &done["dry_run"], &done["end"]), (0, &json!(false), &json!("clean")));
    let [change] = &done["changes"].as_array().unwrap()[..] else { panic!("{done}") };
    assert_eq!((&change["file"], &change["action"]), (&json!(FIRST), &json!("cut")));
    let byte = |key: &str| change[key].as_u64().unwrap();
    assert_eq!(byte("last_byte") + 1 - byte("first_byte"), torn_bytes);
    let (text, code) = data.ask("repair");
    assert_eq!((&*text, code), ("DIR\n  whole: nothing had to be mended\n", 0));
}

/// F17: one bad slot is told and is no damage; repair mends that slot.
#[test]
fn a_bad_slot_is_told_and_mended() {
    for (name, size, sound) in [
        ("MANIFEST", 64 * 1024, "  MANIFEST  write 2 in both slots"),
        ("VOTE", 4096, "write 3 in both slots; term 2"),
    ] {
        let data = Data::used(true);
        let (text, _) = data.ask("inspect");
        assert!(text.contains(sound), "{text}");
        data.change(name, |bytes| bytes[size + 40] ^= 1);
        let (text, code) = data.ask("inspect");
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(" / unreadable: nothing is lost, the next start"), "{text}");
        let (text, code) = data.ask("repair");
        assert_eq!(code, 0, "{text}");
        assert!(
            text.ends_with(&format!("  {name}: a bad slot was written anew\n\nIt is whole now.\n")),
            "{text}"
        );
        let (text, code) = data.ask("repair");
        assert_eq!((&*text, code), ("DIR\n  whole: nothing had to be mended\n", 0));
    }
}

/// F17, F23: a lost file of a log that was stopped in order is told, and repair makes it anew.
#[test]
fn a_lost_manifest_or_vote_file_is_told_and_made_anew() {
    for name in ["MANIFEST", "VOTE"] {
        let data = Data::used(true);
        let whole = data.json("inspect").0;
        fs::remove_file(data.file(name)).unwrap();
        let (text, code) = data.ask("inspect");
        assert_eq!(code, 4, "{text}");
        for part in [
            "DAMAGED where nothing that counts lies: the node starts",
            &format!("\n  {name}, byte 0: the file is "),
            "Nothing is lost, and the node starts.",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let found = data.json("inspect").0;
        for key in ["identity", "contents", "segments"] {
            assert_eq!(found[key], whole[key], "{key} without {name}");
        }
        let (text, code) = data.ask("repair");
        assert!(text.contains(&format!("  {name}: was made anew\n")), "{text}");
        assert_eq!(code, 0, "{text}");
        assert_eq!(data.ask("inspect").1, 0);
    }
}

#[test]
fn what_may_have_been_acknowledged_is_left_as_it_is() {
    let data = Data::used(false);
    data.change(FIRST, |bytes| bytes[4096 + 512 + 300] ^= 1);
    let before = fs::read(data.file(FIRST)).unwrap();
    for command in ["repair --dry-run", "repair"] {
        let (text, code) = data.ask(command);
        assert_eq!(code, 4, "{text}");
        assert!(text.contains("\nfaulty places\n") && text.contains("Keep a copy"), "{text}");
        assert!(fs::read(data.file(FIRST)).unwrap() == before, "evidence stays");
    }
}

#[test]
fn every_command_leaves_what_is_none_of_its_business() {
    let data = Data::used(true);
    let log = data.open();
    for command in ["inspect", "verify", "repair", "repair --dry-run"] {
        assert_eq!(data.ask(command).1, 2, "{command} of a log in use");
    }
    drop(log);
    for command in ["verify", "repair"] {
        let empty = Data { dir: tempfile::tempdir().unwrap() };
        assert_eq!(empty.ask(command).1, 2, "{command} of an empty directory");
        assert_eq!(fs::read_dir(empty.dir.path()).unwrap().count(), 0);
        assert_eq!(ask(&format!("{command} /nowhere")).1, 2);
    }
}
