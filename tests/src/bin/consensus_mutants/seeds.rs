//! Build the simulator in the copy, and run seeds of it until one breaks a law.

use std::{
    io::Read,
    ops::Range,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use tests::mutation::Copy;

use super::plant::SWITCH;

/// Seeds that have not come to an end by then never will: a thousand take five minutes.
const RUN_MAX: Duration = Duration::from_secs(1_200);

/// The simulator with all mutants, none of them on.
pub(super) struct Simulator {
    pub(super) program: PathBuf,
}

/// How it went.
pub(super) enum Verdict {
    /// The first seed that broke a law, and which.
    Caught {
        seed: u64,
        law: String,
    },
    Survived,
    /// It was ended.
    Endless,
}

impl Simulator {
    pub(super) fn build(copy: &Copy) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked", "--profile", "sim"])
            .args(["-p", "tests", "--no-default-features", "--bin", "sim"])
            .current_dir(&copy.root)
            .env("CARGO_TARGET_DIR", &copy.target)
            .output()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if output.status.success() {
            Ok(Self { program: copy.target.join("sim").join("sim") })
        } else {
            Err(format!("does not build:\n{}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Run seeds from 0 on, with a mutant or none, until one breaks a law. One that does so without
    /// the mutant as well proves nothing about it.
    pub(super) fn run(&self, mutant: Option<&str>, seeds: u64) -> Result<Verdict, String> {
        let mut first = 0;
        loop {
            let verdict = self.run_some(mutant, first..seeds)?;
            let Verdict::Caught { seed, .. } = verdict else { return Ok(verdict) };
            let is_news = mutant.is_none()
                || !matches!(self.run_some(None, seed..seed + 1)?, Verdict::Caught { .. });
            if is_news {
                return Ok(verdict);
            }
            first = seed + 1;
        }
    }

    fn run_some(&self, mutant: Option<&str>, seeds: Range<u64>) -> Result<Verdict, String> {
        let count = seeds.end.saturating_sub(seeds.start);
        let mut child = Command::new(&self.program)
            .args(["--until-violation", "--from", &seeds.start.to_string()])
            .args(["--seeds", &count.to_string()])
            .env(SWITCH, mutant.unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        let mut output = child.stdout.take().ok_or("its output is a pipe")?;
        let (sender, report) = sync_channel(1);
        thread::spawn(move || {
            let mut text = String::new();
            let read = output.read_to_string(&mut text);
            // Nobody waits for it any more when it took too long.
            drop(sender.send(read.map(|_| text)));
        });
        let Ok(report) = report.recv_timeout(RUN_MAX) else {
            drop(child.kill());
            drop(child.wait());
            return Ok(Verdict::Endless);
        };
        let report = report.map_err(|error| format!("its report: {error}"))?;
        let status = child.wait().map_err(|error| format!("its end: {error}"))?;
        match (first_violation(&report), status.code()) {
            (Some((seed, law)), Some(1)) => Ok(Verdict::Caught { seed, law }),
            (None, Some(0)) => Ok(Verdict::Survived),
            _ => Err(format!("the simulator ended with {status}:\n{report}")),
        }
    }
}

fn first_violation(report: &str) -> Option<(u64, String)> {
    let mut broken = report.lines().filter_map(|line| {
        let (seed, law) = line.strip_prefix("seed ")?.split_once(" broke a law: ")?;
        Some((seed.parse().ok()?, law.to_owned()))
    });
    broken.next()
}
