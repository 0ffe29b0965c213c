//! A disk that fails a call: real processes under `strace`, which has the Nth call of a kind answer
//! with an error instead of being made.
//!
//! Skipped only where nothing may be traced; a run leaves a mark that the gate looks for.

use std::path::Path;

use tests::{
    kill9::{Contents, Plan, Watch, find},
    mark::Mark,
    trace::{Strike, Trace, can_trace},
};

use crate::program;

/// Which call of each thread fails: in opening, in the first appends, later.
const PLACES: [u64; 9] = [1, 2, 3, 4, 6, 9, 14, 22, 35];

/// What runs with a fault came to.
#[derive(Debug, Default)]
struct Faulty {
    /// The fault struck.
    struck: u64,
    /// The process ended because of it.
    ended: u64,
}

/// F1, F2, F6: after a failed write or sync nothing is tried again and nothing is acknowledged, the
/// process ends and names the file; a restart finds everything acknowledged. Without room for a spare
/// the log goes on.
#[test]
fn a_failed_call_ends_the_process_and_a_restart_loses_nothing() {
    if !can_trace() {
        eprintln!("SKIPPED: strace is missing, or nothing may be traced here");
        return;
    }
    for (call, error) in [
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("pread64", "EIO"),
    ] {
        // The loader reads the program's libraries with it.
        let before = if call == "pread64" { 16 } else { 0 };
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log { dir: &dir.path().join("log"), contents: Contents::default() };
        let mut faulty = Faulty::default();
        for (round, place) in (0..).zip(PLACES) {
            let place = before + place;
            log.run(round, &format!("{call}:error={error}:when={place}"), &mut faulty);
        }
        assert!(faulty.struck > 4 && faulty.ended > 2, "{call} {error}: {faulty:?}");
    }
    Mark::new(env!("CARGO_TARGET_TMPDIR"), "disk-faults").leave();
}

/// A log on disk, and what it is known to hold.
struct Log<'a> {
    dir: &'a Path,
    contents: Contents,
}

impl Log<'_> {
    /// Append with this fault, and check what came of it.
    fn run(&mut self, round: u64, fault: &str, faulty: &mut Faulty) {
        const SEED: u64 = 7;
        let plan = Plan::draw(SEED, round);
        let trace = Trace::new(fault);
        let output = trace
            .command(program())
            .arg("append")
            .arg(self.dir)
            .args(["--seed", &SEED.to_string(), "--round", &round.to_string(), "--sessions", "3"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let mut watch = Watch::new(&plan, (SEED, round), std::mem::take(&mut self.contents));
        for line in said.lines() {
            watch.hear(line).unwrap();
        }
        let struck = trace.struck();
        faulty.struck += u64::from(!struck.is_empty());
        // A footer that cannot be read is done without.
        let is_borne = |strike: &Strike| strike.is_spare() || strike.is_read();
        let told = fault.contains("ENOSPC") || struck.iter().all(is_borne);
        match output.status.code() {
            Some(0) => assert!(told, "{fault}: it went on: {struck:?}"),
            Some(1) => {
                faulty.ended += 1;
                let dir = self.dir.display().to_string();
                assert!(complaint.contains(&dir), "{fault}: {complaint}");
                let advice = ["make room on its disk", "its disk fails: check it"];
                assert!(advice.iter().any(|one| complaint.contains(one)), "{fault}: {complaint}");
            }
            code => panic!("{fault}: ended with {code:?}: {complaint}"),
        }
        for strike in struck.iter().filter(|strike| !is_borne(strike)) {
            // That it has no more to submit is said on another thread.
            let touched = strike.after.iter().find(|call| !call.contains("\"closing"));
            assert_eq!(touched, None, "{fault}: after it failed");
        }
        let found = find(self.dir, &plan.options, false).unwrap();
        watch.judge(&found).unwrap();
        let again = find(self.dir, &plan.options, false).unwrap();
        assert_eq!(again.contents, found.contents, "{fault}");
        self.contents = found.contents;
    }
}
