//! One seed, one history: two processes print the same trace hashes.

use std::process::Command;

#[test]
fn a_seed_has_the_same_trace_in_two_processes() {
    let first = run("1");
    // Seeds that share a process must not touch each other either.
    let second = run("2");
    assert!(first.contains("trace hash"), "{first}");
    assert_eq!(first, second);
}

fn run(jobs: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--seeds", "6", "--from", "900000", "--jobs", jobs])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
