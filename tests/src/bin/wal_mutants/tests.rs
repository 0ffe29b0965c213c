//! Build the crash tests in the copy, run them until the first fails.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use ::tests::mutation::Copy;

/// When no test has ended for this long, none ever will: the longest takes a minute.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// The test program.
pub(super) struct Tests {
    program: PathBuf,
    folder: PathBuf,
}

/// How it went.
pub(super) enum Verdict {
    /// The first test that failed.
    Caught(String),
    Survived,
    /// Nothing failed, and they were ended.
    Endless,
}

impl Tests {
    pub(super) fn build(copy: &Copy) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "test",
                "--offline",
                "--locked",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ])
            .args(["-p", "tests", "--no-default-features", "--test", "crash_recovery"])
            .current_dir(&copy.root)
            .env("CARGO_TARGET_DIR", &copy.target)
            .output()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!("does not build:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let key = "\"executable\":\"";
        let ours = messages.lines().filter(|line| line.contains("\"name\":\"crash_recovery\""));
        let program = ours.filter_map(|line| line.split(key).nth(1)).next_back();
        let program = program.and_then(|rest| rest.split('"').next()).ok_or("no test program")?;
        Ok(Self { program: program.into(), folder: copy.root.join("tests") })
    }

    /// Run the tests whose names have `first` in them, and then all.
    pub(super) fn hunt(&self, first: &str) -> Verdict {
        match self.run(first) {
            Verdict::Survived if !first.is_empty() => self.run(""),
            verdict @ (Verdict::Caught(_) | Verdict::Survived | Verdict::Endless) => verdict,
        }
    }

    /// Run the tests whose names have `filter` in them until one fails.
    pub(super) fn run(&self, filter: &str) -> Verdict {
        let mut tests = Command::new(&self.program)
            .args((!filter.is_empty()).then_some(filter))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program was just built");
        let verdict = first_failure(&mut tests);
        // Dead already, or not wanted any more.
        drop(tests.kill());
        drop(tests.wait());
        verdict
    }
}

fn first_failure(tests: &mut Child) -> Verdict {
    let output = tests.stdout.take().expect("its output is a pipe");
    let lines = read_lines(BufReader::new(output));
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => {
                let name =
                    line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
                if let Some(name) = name {
                    return Verdict::Caught(name.to_owned());
                }
            }
            Err(RecvTimeoutError::Timeout) => return Verdict::Endless,
            // The end of its output: all passed, or the whole program died.
            Err(RecvTimeoutError::Disconnected)
                if tests.wait().is_ok_and(|status| status.success()) =>
            {
                return Verdict::Survived;
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Verdict::Caught("the whole program".to_owned());
            }
        }
    }
}

fn read_lines(output: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(64);
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
