//! `kill -9` at any moment: a child appends to a log and says what was acknowledged, its parent kills
//! it and reads what is left.
//!
//! ```text
//!   child   opening -> opened -> durable 1 -> durable 4 -> closing -> closed -> opening ...
//!                                            ^ killed anywhere
//!   parent  opens the log twice: everything acknowledged, then a part of what was submitted
//! ```
//!
//! What always holds: everything that a child writes is drawn from its seed and from what it found, so
//! the parent knows every byte; only the moment of the kill is left to chance.

mod appender;
mod campaign;
mod contents;
mod script;
mod watch;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

pub use self::{
    appender::Appender,
    campaign::{Campaign, Totals},
    contents::{Contents, Found, chain, find},
    script::{IDENTITY, Plan, Session, Start},
    watch::{Phase, Watch},
};
use crate::sim::rng::Rng;

/// A child that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a child that wait to be read.
const LINES_MAX: usize = 1024;

/// One directory and the rounds in it.
#[derive(Debug)]
pub struct History {
    program: PathBuf,
    dir: PathBuf,
    seed: u64,
    may_be_full: bool,
    contents: Contents,
}

/// What a round came to.
#[derive(Clone, Debug)]
pub struct Round {
    /// How the child ended.
    pub end: End,
    /// What it was doing.
    pub phase: Phase,
    /// Operations that it said were acknowledged.
    pub acknowledged: u64,
    /// Records found beyond these.
    pub beyond: u64,
    /// What recovery said of the end.
    pub tail: String,
}

/// How a child ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// Killed.
    Killed,
    /// It had nothing more to do.
    Finished,
    /// By itself, with this complaint.
    Failed(String),
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Wait for this first.
    after: After,
    delay: Duration,
    /// Stop it that long before, and let it go on for a moment.
    stopped: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum After {
    Start,
    Acknowledgement,
}

impl History {
    /// The history of this seed, in a directory that is made for it. `program` is the child: it is
    /// called as `program append DIR --seed S --round R`.
    #[must_use]
    pub fn new(program: &Path, dir: PathBuf, seed: u64) -> Self {
        let contents = Contents::default();
        Self { program: program.to_owned(), dir, seed, may_be_full: false, contents }
    }

    /// A child may also end because the disk is full.
    #[must_use]
    pub fn on_a_disk_that_may_be_full(self, may_be_full: bool) -> Self {
        Self { may_be_full, ..self }
    }

    /// Start, kill, check.
    ///
    /// # Errors
    /// When a promise is broken: which, and where.
    pub fn round(&mut self, round: u64) -> Result<Round, String> {
        let mut rng = Rng::new(self.seed.wrapping_mul(0x9e37_79b9) ^ round);
        let moment = Moment::draw(&mut rng);
        let plan = Plan::draw(self.seed, round);
        let named = |problem: String| {
            let (seed, dir) = (self.seed, self.dir.display());
            format!("seed {seed}, round {round}, {moment:?}, in {dir}: {problem}")
        };
        let mut watch = Watch::new(&plan, (self.seed, round), self.contents.clone());
        let mut child = Appending::start(&self.program, &self.dir, (self.seed, round));
        let end = child.live_and_die(moment, &mut watch).map_err(named)?;
        if let End::Failed(complaint) = &end {
            let is_full = complaint.contains("(os error 28)");
            if !(self.may_be_full && is_full) {
                return Err(named(format!("it ended with: {complaint}")));
            }
        }
        let found = find(&self.dir, &plan.options, false).map_err(named)?;
        let acknowledged = watch.acknowledged();
        let phase = watch.phase();
        let beyond = watch.judge(&found).map_err(named)?;
        let again = find(&self.dir, &plan.options, rng.chance(250)).map_err(named)?;
        if again.contents != found.contents {
            return Err(named("opened twice, it is not the same".to_owned()));
        }
        self.contents = found.contents;
        Ok(Round { end, phase, acknowledged, beyond, tail: found.tail })
    }
}

impl Moment {
    fn draw(rng: &mut Rng) -> Self {
        let (after, delay_us) = if rng.chance(250) {
            (After::Start, rng.within(500, 12_000))
        } else {
            (After::Acknowledgement, rng.within(1_000, 50_000))
        };
        let stopped = rng.chance(100).then(|| Duration::from_micros(rng.within(100, 5_000)));
        Self { after, delay: Duration::from_micros(delay_us), stopped }
    }
}

/// A running child.
struct Appending {
    child: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Appending {
    fn start(program: &Path, dir: &Path, (seed, round): (u64, u64)) -> Self {
        let mut command = Command::new(program);
        command.arg("append").arg(dir);
        command.args(["--seed", &seed.to_string(), "--round", &round.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the child starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (tell, lines) = sync_channel(LINES_MAX);
        let reader = thread::spawn(move || {
            let mut line = String::new();
            // A line without its end was never said.
            while out.read_line(&mut line).is_ok_and(|len| len > 0) && line.ends_with('\n') {
                if tell.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// Listens until the moment, kills, and listens to what was said before.
    fn live_and_die(&mut self, moment: Moment, watch: &mut Watch) -> Result<End, String> {
        let mut alive = true;
        if moment.after == After::Acknowledgement {
            let deadline = Instant::now() + PATIENCE;
            while alive && watch.acknowledged() == 0 {
                alive = self.listen_once(deadline, watch)?.ok_or("it says nothing")?;
            }
        }
        alive = alive && self.listen(moment.delay, watch)?;
        if let Some(pause) = moment.stopped.filter(|_| alive) {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, Signal::STOP).expect("it was not waited for");
            alive = self.listen(pause, watch)?;
            kill_process(pid, Signal::CONT).expect("it was not waited for");
            alive = alive && self.listen(pause, watch)?;
        }
        if alive {
            self.child.kill().expect("it was not waited for");
        }
        let (status, complaint) = self.end();
        while let Ok(line) = self.lines.recv() {
            watch.hear(&line)?;
        }
        match status.code() {
            None => Ok(End::Killed),
            Some(0) => Ok(End::Finished),
            Some(1) => Ok(End::Failed(complaint)),
            Some(code) => Err(format!("it ended with {code}: {complaint}")),
        }
    }

    fn listen(&self, time: Duration, watch: &mut Watch) -> Result<bool, String> {
        let deadline = Instant::now() + time;
        loop {
            match self.listen_once(deadline, watch)? {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => return Ok(true),
            }
        }
    }

    /// False when it has ended, none when nothing was said until the deadline.
    fn listen_once(&self, deadline: Instant, watch: &mut Watch) -> Result<Option<bool>, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => watch.hear(&line).map(|()| Some(true)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(false)),
        }
    }

    fn end(&mut self) -> (ExitStatus, String) {
        let mut complaint = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut complaint).expect("a pipe can be read");
        (self.child.wait().expect("a child can be waited for"), complaint)
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        // It has ended unless something went wrong.
        drop(self.child.kill());
        drop(self.child.wait());
        let (_, nothing) = sync_channel(0);
        self.lines = nothing;
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
