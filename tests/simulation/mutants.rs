//! Proof that the simulator can fail: it finds each planted bug within the promised seeds.
//!
//! The bugs are compiled in by the feature `mutants` alone, so this builds a simulator of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Each bug must be found within this many seeds.
const SEEDS_MAX: &str = "500";

#[test]
fn each_planted_bug_is_found() {
    let sim = build();
    for mutant in ["AckBeforeFsync", "CommitOlderTermByCounting", "VoteNotDurable"] {
        let output = Command::new(&sim)
            .args(["--seeds", SEEDS_MAX, "--until-violation", "--mutant", mutant])
            .output()
            .unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        let found = report.lines().find(|line| line.contains(" broke a law: "));
        let found = found.unwrap_or_else(|| panic!("{mutant} was not found:\n{report}"));
        assert_eq!(output.status.code(), Some(1), "{mutant}: {report}");
        println!("{mutant}: {found}");
    }
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("mutants");
    let status = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--offline", "--locked", "--profile", "sim", "-p", "tests"])
        .args(["--no-default-features", "--features", "mutants", "--bin", "sim", "--target-dir"])
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success(), "the build with planted bugs failed");
    target.join("sim").join("sim")
}
