//! `strace` as a disk that fails: the Nth call of a kind in each thread answers with an error and is
//! not made.

use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::mark::must_run;

/// The calls that change a file or make it durable.
const CALLS: &str = "pwrite64,pwritev2,fdatasync,fsync,write";

/// A traced process.
#[derive(Debug)]
pub struct Trace {
    fault: String,
    dir: TempDir,
}

/// A call that was made to fail.
#[derive(Debug)]
pub struct Strike {
    /// The thread's name.
    pub thread: String,
    /// The call.
    pub call: String,
    /// What was done afterwards to a file, or said: by any thread but the one that makes spares.
    pub after: Vec<String>,
}

/// May processes be traced here?
///
/// # Panics
/// When they may not and no test may be skipped.
#[must_use]
pub fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "trace=none", "true"]).stderr(Stdio::null());
    let can = strace.status().is_ok_and(|status| status.success());
    assert!(can || !must_run(), "strace cannot trace, and here it has to");
    can
}

impl Trace {
    /// With this fault: `fdatasync:error=EIO:when=3`.
    ///
    /// # Panics
    /// When there is no room for its output.
    #[must_use]
    pub fn new(fault: &str) -> Self {
        Self { fault: fault.to_owned(), dir: tempfile::tempdir().expect("a directory") }
    }

    /// Start `program` under it; the exit code is the program's.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut strace = self.strace();
        // Not for a process that runs already.
        strace.arg("--seccomp-bpf").arg("--").arg(program);
        strace
    }

    /// Trace a process that runs.
    ///
    /// # Panics
    /// When it cannot be traced.
    #[must_use]
    pub fn attach(&self, pid: u32) -> Child {
        let mut strace = self.strace();
        strace.args(["-p", &pid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        strace.spawn().expect("strace starts")
    }

    /// The calls that were made to fail, so far.
    #[must_use]
    pub fn struck(&self) -> Vec<Strike> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        let mut strikes: Vec<(&str, Strike)> = Vec::new();
        for line in text.lines() {
            // PID<comm> call(...) = ...
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim();
            if call.contains("(INJECTED)") {
                let name = thread.split(['<', '>']).nth(1).unwrap_or_default();
                let strike =
                    Strike { thread: name.to_owned(), call: call.to_owned(), after: Vec::new() };
                strikes.push((thread, strike));
            } else if !is_complaint(call) {
                let is_spare = thread.ends_with("<wal-prepare>");
                let not_after = |of: &str| is_spare && of != thread;
                for (_, strike) in strikes.iter_mut().filter(|(of, _)| !not_after(of)) {
                    strike.after.push(format!("{thread} {call}"));
                }
            }
        }
        strikes.into_iter().map(|(_, strike)| strike).collect()
    }

    fn strace(&self) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "--decode-pids=comm", "-s", "16"]);
        strace.args(["-e", &format!("trace={CALLS},pread64")]);
        strace.args(["-e", "signal=none"]);
        strace.args(["-e", &format!("inject={}", self.fault)]);
        strace.arg("-o").arg(self.file());
        strace
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("trace")
    }
}

impl Strike {
    /// Was it a read?
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.call.contains("pread64")
    }

    /// Did it strike the thread that makes spare segments? It may try the next.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        self.thread == "wal-prepare"
    }
}

/// What may be written after a failure: to standard error, and to wake a thread.
fn is_complaint(call: &str) -> bool {
    !CALLS.split(',').any(|name| call.starts_with(&format!("{name}(")))
        || call.starts_with("write(2,")
}
