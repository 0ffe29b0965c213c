//! The rules of the house that no compiler checks: arrows, headers, sizes, names.
//!
//! Everything is read as text from the working tree, so a broken rule fails here with the file that
//! breaks it.

#![expect(clippy::unwrap_used, reason = "a tidy test fails loudly on an unreadable tree")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

mod traps;

/// Lines in a source file; above it a file is two rooms.
const FILE_LINES_MAX: usize = 600;

/// The rooms, and what each may depend on outside tests (design: crates and arrows).
const ARROWS: [(&str, &[&str]); 4] = [
    ("election", &[]),
    ("chat", &["postcard", "serde"]),
    ("wal", &["bytes", "crc32fast", "memmap2", "rustix", "thiserror"]),
    (
        "replication",
        &[
            "bytes",
            "election",
            "postcard",
            "quinn",
            "ring",
            "rustls",
            "rustls-pki-types",
            "serde",
            "thiserror",
            "tokio",
            "tracing",
            "wal",
            "x509-parser",
        ],
    ),
];

/// Dependencies of `replication` that only its transport may name.
const TRANSPORT_ONLY: [&str; 7] =
    ["quinn", "ring", "rustls", "rustls_pki_types", "tokio", "tracing", "x509_parser"];

/// Words that would break the determinism of a core.
const NOT_IN_CORES: [&str; 7] =
    ["std::time", "Instant::now", "SystemTime", "HashMap", "HashSet", "std::thread", "getrandom"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every Rust source below `folder`, as (path from the root, text).
fn sources(folder: &str) -> Vec<(String, String)> {
    files(folder, &["rs"])
}

/// Every file below `folder` of one of these kinds, with its text.
fn files(folder: &str, kinds: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !["target", "fixtures", "node_modules"].iter().any(|name| path.ends_with(name)) {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted))
            {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(String, String)> {
    ["wal", "election", "replication", "chat", "bin", "benches", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The page and the scripts that test it.
fn scripts() -> Vec<(String, String)> {
    let found = files("bin/node/assets", &["js"]).into_iter();
    found.chain(files("tests/browser", &["mjs"])).collect()
}

/// The tables of a manifest: header line to its lines.
fn tables(manifest: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    let mut header = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            line.clone_into(&mut header);
        } else if !line.is_empty() {
            tables.entry(header.clone()).or_default().push(line.to_owned());
        }
    }
    tables
}

fn dependencies(manifest: &str) -> Vec<String> {
    tables(manifest)
        .into_iter()
        .filter(|(header, _)| {
            header.starts_with("[dependencies") || header.ends_with(".dependencies]")
        })
        .flat_map(|(_, lines)| lines)
        .map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn arrows_point_only_where_the_design_says() {
    for (room, allowed) in ARROWS {
        for dependency in dependencies(&format!("{room}/Cargo.toml")) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{room}/Cargo.toml: `{dependency}` is no arrow of the design"
            );
        }
    }
}

#[test]
fn nothing_depends_on_tests_or_benches() {
    let rooms = ["wal", "election", "replication", "chat", "bin/node", "bin/chatctl"];
    for room in rooms {
        for dependency in dependencies(&format!("{room}/Cargo.toml")) {
            assert!(dependency != "tests" && dependency != "benches", "{room}: {dependency}");
            assert!(dependency != "node" || room == "tests", "{room} depends on node");
        }
    }
}

#[test]
fn the_transport_alone_names_quic_and_tokio() {
    for (path, text) in sources("replication/src") {
        if path.starts_with("replication/src/quic") {
            continue;
        }
        for name in TRANSPORT_ONLY {
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                assert!(
                    !names(code, name),
                    "{path}:{}: `{name}` belongs to the transport",
                    number + 1
                );
            }
        }
    }
}

/// Does the line use the crate `name`? `String::` is no use of `ring`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = code.split_at(at).0.chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[test]
fn cores_read_no_clock_and_no_hash_order() {
    let cores = ["election/src", "chat/src", "replication/src", "wal/src"];
    for (path, text) in cores.into_iter().flat_map(sources) {
        let shell = path.starts_with("replication/src/quic")
            || path.starts_with("wal/src/writer")
            || path.starts_with("wal/src/preparer")
            || path.starts_with("wal/src/io")
            || path.contains("/tests");
        if shell {
            continue;
        }
        for word in NOT_IN_CORES {
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                assert!(!code.contains(word), "{path}:{}: `{word}` in a core", number + 1);
            }
        }
    }
}

#[test]
fn pure_crates_are_no_std() {
    for room in ["election", "chat"] {
        let text = fs::read_to_string(root().join(room).join("src/lib.rs")).unwrap();
        assert!(text.contains("#![no_std]"), "{room} is no_std");
    }
}

#[test]
fn every_source_says_what_it_is_for() {
    let sources = all_sources().into_iter().map(|source| (source, "//! "));
    for ((path, text), header) in sources.chain(scripts().into_iter().map(|script| (script, "// ")))
    {
        assert!(text.starts_with(header), "{path}: the first line is its header");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}: ends in one newline");
        for (number, line) in text.lines().enumerate() {
            assert!(line.trim_end() == line, "{path}:{}: trailing space", number + 1);
        }
    }
}

#[test]
fn sources_stay_small() {
    for (path, text) in all_sources().into_iter().chain(scripts()) {
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{path}: {lines} lines, at most {FILE_LINES_MAX}");
    }
}

#[test]
fn names_say_what_is_in_a_room() {
    for (path, _) in all_sources() {
        let name = path.rsplit('/').next().unwrap();
        for banned in ["mod.rs", "utils.rs", "util.rs", "common.rs", "misc.rs", "helpers.rs"] {
            assert!(name != banned, "{path}: name it for what it does");
        }
    }
}

#[test]
fn no_test_is_skipped_and_nothing_is_left_open() {
    // Spelled in two parts, so that this file does not find itself.
    let banned = [
        concat!("#[ign", "ore"),
        concat!("#[should_", "panic"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("#![al", "low("),
        concat!("#[al", "low("),
    ];
    for (path, text) in all_sources().into_iter().chain(scripts()) {
        for word in banned {
            for (number, line) in text.lines().enumerate() {
                assert!(!line.contains(word), "{path}:{}: `{word}`", number + 1);
            }
        }
    }
}

#[test]
fn unsafe_stands_in_two_places() {
    let word = concat!("unsafe", "_code");
    let sources = all_sources().into_iter().filter(|(_, text)| text.contains(word));
    let places: BTreeSet<String> = sources.map(|(path, _)| path).collect();
    // Where wal maps a sealed segment, and where the tests watch what is allocated.
    let expected = ["tests/src/crash/allocations.rs", "wal/src/io.rs"].map(str::to_owned);
    assert_eq!(places, expected.into());
}

#[test]
fn the_readme_fits_and_names_its_tests() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "README.md: at most 150 lines");
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let command = "cargo test --workspace";
    assert!(readme.contains(command), "the README names the test command");
    assert!(ci.contains(command), ".ci/run runs exactly the README's test command");
}
