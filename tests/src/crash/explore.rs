//! Every crash state of a history, opened and judged.
//!
//! What is held: everything acknowledged is there, and after it a part of what was submitted, in order; term,
//! vote and bindings never go back; a second opening finds the same; nothing panics; no allocation is
//! larger than the largest file. Where sectors are old or new, nothing is ever called damaged. Where they
//! may be garbage, or what was synced is damaged, the log may say so instead, and changes nothing then.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use wal::{Entry, Error, TailVerdict};

use super::{
    allocations::Allocations,
    faults::{self, Struck},
    history::{History, Kind, Scene},
    mend::mend,
    model::{Contents, Model, Random, open},
    path::{Path, Step},
    remains::Remains,
};
use crate::sim::{
    disk::{SimDisk, Unsettled},
    panics::caught,
};

/// Up to so many combinations all are tried: those of twelve sectors, each old or new.
const COMBINATIONS_MAX: usize = 4096;
/// Beyond, so many are drawn.
const DRAWN: usize = 512;
/// The same for a crash during recovery.
const RECOVERY_COMBINATIONS_MAX: usize = 64;
const RECOVERY_DRAWN: usize = 16;
/// In one of so many states, recovery itself is cut short at every call.
const RECOVERY_SAMPLE: u64 = 200;
/// So often in a row.
const RECOVERIES_MAX: usize = 2;
/// What damages a disk is drawn so often for each of a few crash states of each call.
const FAULTS: u64 = 24;
/// What opening may allocate beside the contents of a file.
const SLACK_BYTES: u64 = 64 * 1024;

/// Explores one history.
#[derive(Debug)]
pub struct Explorer<'a> {
    history: &'a History,
    random: Random,
    seen: HashSet<(u64, u64)>,
    /// States opened, each different from the others.
    pub states: u64,
    /// States that were the same as one opened before.
    pub repeated: u64,
    /// How many states were found to be what.
    pub verdicts: BTreeMap<&'static str, u64>,
}

/// A broken law.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The seed of the history.
    pub seed: u64,
    /// How the disk came to be so.
    pub path: Path,
    /// What is wrong.
    pub what: String,
}

/// What a log may hold.
struct Law<'a> {
    model: &'a Model,
    kind: Kind,
    candidates: Vec<Contents>,
    /// What it may hold beside when the disk damages what was synced.
    untold: Vec<Contents>,
    /// Two places are damaged: of the entries all that is held is that none is made up. Term, vote and
    /// bindings lie in more places than that.
    is_double: bool,
}

/// What opening came to.
enum Found {
    Log {
        tail: TailVerdict,
        contents: Contents,
    },
    /// A log that says what it has lost.
    Faulty(TailVerdict, Remains),
    Refused(Error),
}

impl<'a> Explorer<'a> {
    /// Of this history.
    #[must_use]
    pub fn new(history: &'a History) -> Self {
        Self {
            history,
            random: Random(history.seed().rotate_left(32)),
            seen: HashSet::new(),
            states: 0,
            repeated: 0,
            verdicts: BTreeMap::new(),
        }
    }

    /// Let the power go at every call.
    ///
    /// # Errors
    /// The first violation.
    pub fn run(&mut self) -> Result<(), Violation> {
        let unlived = |what| violation(self.history, &Path::default(), what);
        let calls = caught(|| self.history.calls()).map_err(unlived)?;
        (0..=calls).try_for_each(|call| self.crash_at(call))
    }

    fn crash_at(&mut self, call: u64) -> Result<(), Violation> {
        let Scene { disk, model } = live(self.history, call)?;
        let mut law = Law::of(&model, self.history, None);
        let limits = match law.kind {
            Kind::Crash | Kind::Garbage => (COMBINATIONS_MAX, DRAWN),
            Kind::Fault => (2, 2),
        };
        for choices in choices(&disk.unsettled(), limits, &mut self.random) {
            let crashed = disk.fork(self.history.seed());
            crashed.crash_with(&choices);
            let path = Path(vec![Step::Crash { call, choices }]);
            if law.kind == Kind::Fault {
                for number in 0..FAULTS {
                    let draw = number << 32 | self.random.below(1 << 32);
                    let damaged = crashed.fork(draw);
                    law.damage(&faults::strike(&damaged, draw));
                    self.state(&damaged, &law, &path.then(Step::Fault(draw)))?;
                }
                for draw in faults::LOSSES {
                    let damaged = crashed.fork(draw);
                    law.damage(&faults::strike(&damaged, draw));
                    self.state(&damaged, &law, &path.then(Step::Fault(draw)))?;
                }
            } else {
                self.state(&crashed, &law, &path)?;
            }
        }
        Ok(())
    }

    /// Judge a disk as it is after a crash, unless that was done before.
    fn state(&mut self, disk: &SimDisk, law: &Law<'_>, path: &Path) -> Result<(), Violation> {
        if !self.seen.insert((disk.image(), law.model.version())) {
            self.repeated += 1;
            return Ok(());
        }
        self.states += 1;
        let (found, recovered) = judge(self.history, disk, law, path)?;
        *self.verdicts.entry(found.verdict()).or_insert(0) += 1;
        if found.mend(self.history, disk, law, path)? {
            *self.verdicts.entry("... and mended").or_insert(0) += 1;
        }
        let Some(contents) = found.contents() else { return Ok(()) };
        if path.0.len() <= RECOVERIES_MAX
            && law.kind != Kind::Fault
            && self.random.below(RECOVERY_SAMPLE) == 0
        {
            let law = Law::of(law.model, self.history, Some(contents.clone()));
            for call in 0..recovered.calls() - disk.calls() {
                self.crash_recovery(disk, &law, path, call)?;
            }
        }
        Ok(())
    }

    /// Let the power go during a call of the recovery. What it would have found is found the next time.
    fn crash_recovery(
        &mut self,
        disk: &SimDisk,
        law: &Law<'_>,
        path: &Path,
        call: u64,
    ) -> Result<(), Violation> {
        let cut = recover_until(self.history, disk, call, path)?;
        let limits = (RECOVERY_COMBINATIONS_MAX, RECOVERY_DRAWN);
        for choices in choices(&cut.unsettled(), limits, &mut self.random) {
            let crashed = cut.fork(self.history.seed());
            crashed.crash_with(&choices);
            self.state(&crashed, law, &path.then(Step::Crash { call, choices }))?;
        }
        Ok(())
    }
}

/// Follow a path and judge where it leads; tells what is there.
///
/// # Errors
/// The violation, if it is one.
///
/// # Panics
/// When the path does not belong to the history.
pub fn replay(history: &History, path: &Path) -> Result<String, Violation> {
    let mut followed = Path::default();
    let mut story = Vec::new();
    let mut at: Option<(SimDisk, Model)> = None;
    let (mut expected, mut struck) = (None, None);
    for step in &path.0 {
        let disk = match step {
            Step::Crash { call, choices } => {
                let (cut, model) = match at.take() {
                    None => {
                        let Scene { disk, model } = live(history, *call)?;
                        (disk, model)
                    }
                    Some((disk, model)) => {
                        let law = Law::of(&model, history, expected.take());
                        let (found, _) = judge(history, &disk, &law, &followed)?;
                        expected = found.contents().cloned();
                        (recover_until(history, &disk, *call, &followed)?, model)
                    }
                };
                for (piece, choice) in cut.unsettled().iter().zip(choices) {
                    story.push(format!("{:?}: state {choice} of {}", piece.what, piece.states));
                }
                cut.crash_with(choices);
                (cut.fork(history.seed()), model)
            }
            Step::Fault(draw) => {
                let (disk, model) = at.take().expect("a fault follows a crash");
                struck = Some(faults::strike(&disk, *draw));
                (disk, model)
            }
        };
        followed = followed.then(step.clone());
        at = Some(disk);
    }
    let (disk, model) = at.expect("a path has a step");
    let mut law = Law::of(&model, history, expected);
    if let Some(struck) = struck {
        law.damage(&struck);
        story.push(struck.what);
    }
    let judged = judge(history, &disk, &law, path);
    let mended = judged.and_then(|(found, _)| {
        let mended = found.mend(history, &disk, &law, path)?;
        Ok(if mended { format!("{found}\n... and mended") } else { found.to_string() })
    });
    match mended {
        Ok(found) => story.push(found),
        Err(Violation { seed, path, what }) => {
            let what = format!("{}\n{what}", story.join("\n"));
            return Err(Violation { seed, path, what });
        }
    }
    Ok(story.join("\n"))
}

impl<'a> Law<'a> {
    fn of(model: &'a Model, history: &History, expected: Option<Contents>) -> Self {
        let candidates = expected.map_or_else(|| model.candidates(), |contents| vec![contents]);
        let kind = history.kind();
        // Garbage where recovery was cutting off a torn end leaves less to tell by.
        let untold = if kind == Kind::Garbage { model.candidates() } else { Vec::new() };
        Self { model, kind, candidates, untold, is_double: false }
    }

    /// What was synced is damaged. What was acknowledged last may be lost without a trace then, unless no
    /// segment is damaged.
    fn damage(&mut self, struck: &Struck) {
        self.untold = if struck.places == 0 { Vec::new() } else { self.model.untold() };
        self.is_double = struck.places > 1;
    }

    /// Why this may not be found, if so.
    fn breach(&self, found: &Found) -> Option<String> {
        let may_report = self.kind != Kind::Crash;
        let (is_right, what): (bool, &dyn fmt::Display) = match found {
            Found::Log { contents, .. } if !may_report => {
                (self.candidates.contains(contents), contents)
            }
            Found::Log { contents, .. } => (self.allows(contents, |may| may == contents), contents),
            Found::Faulty(_, remains) if may_report => {
                let held = remains.as_contents();
                let is_right = match remains.has_doubt() {
                    true => self.allows_doubted(&held, remains),
                    false => self.allows(&held, |may| remains.are_of(may)),
                };
                (is_right, remains)
            }
            Found::Refused(Error::Damaged { .. }) if may_report => return None,
            Found::Refused(_) if self.kind == Kind::Fault => return None,
            Found::Faulty(..) | Found::Refused(_) => {
                return Some(format!("a crash is called damage: {found}"));
            }
        };
        let wrong = || {
            let right: Vec<_> = self.candidates.iter().map(ToString::to_string).collect();
            format!("{}: {what}\nand not one of\n{}", found.verdict(), right.join("\n"))
        };
        (!is_right).then(wrong)
    }

    /// Was each of these written at its index? Enough when two places are damaged at once.
    fn is_real<'b>(&self, entries: impl IntoIterator<Item = &'b Entry>) -> bool {
        let written = |entry: &Entry| {
            let place = usize::try_from(entry.index - 1).expect("a log in memory");
            let all = self.candidates.iter().chain(self.model.past());
            let mut all = all.filter_map(|may| may.entries.get(place));
            all.any(|other| other == entry)
        };
        self.is_double && entries.into_iter().all(written)
    }

    /// Where something may be damaged. Term, vote and bindings may be newer than the rest, as the vote file
    /// has them, or older, when what was newer was told to nobody and is lost with its batch.
    fn allows(&self, held: &Contents, is_it: impl Fn(&Contents) -> bool) -> bool {
        let all = || self.candidates.iter().chain(&self.untold);
        let (hard_state, bindings) = (held.hard_state, &held.bindings);
        let is_known = all().any(|may| may.hard_state == hard_state)
            && all().any(|may| may.bindings == *bindings);
        let whole = |may: &Contents| Contents {
            entries: may.entries.clone(),
            hard_state,
            bindings: bindings.clone(),
        };
        is_known && (self.is_real(&held.entries) || all().any(|may| is_it(&whole(may))))
    }

    /// The same when the end is in doubt: what is lost there may have replaced what is left.
    fn allows_doubted(&self, held: &Contents, remains: &Remains) -> bool {
        let all = self.candidates.iter().chain(&self.untold).chain(self.model.past());
        let mut all = all.map(|may| Contents { entries: may.entries.clone(), ..held.clone() });
        let is_known = self.candidates.iter().any(|may| may.bindings == held.bindings)
            && self.candidates.iter().any(|may| may.hard_state == held.hard_state);
        is_known && (self.is_real(&held.entries) || all.any(|may| remains.are_of(&may)))
    }
}

/// Open twice, and hold what comes to the law. Returns a disk on which it was opened once.
fn judge(
    history: &History,
    disk: &SimDisk,
    law: &Law<'_>,
    path: &Path,
) -> Result<(Found, SimDisk), Violation> {
    let broken = |what| violation(history, path, what);
    let first = disk.fork(history.seed());
    let (opened, largest_bytes) = Allocations::largest(|| caught(|| find(history, &first)));
    let found = opened.map_err(broken)?;
    if let Some(breach) = law.breach(&found) {
        return Err(broken(breach));
    }
    let bound = first.largest_file() + SLACK_BYTES;
    if largest_bytes as u64 > bound {
        return Err(broken(format!(
            "opening allocated {largest_bytes} bytes at once, above {bound}"
        )));
    }
    let again = first.fork(history.seed());
    again.crash();
    let image = again.image();
    let second = caught(|| find(history, &again)).map_err(broken)?;
    match (&found, &second) {
        (Found::Log { contents, .. }, Found::Log { contents: second, .. })
            if contents == second => {}
        (Found::Faulty(_, remains), Found::Faulty(_, second)) if remains == second => {}
        (Found::Refused(Error::Damaged { .. }), Found::Refused(_)) if image == disk.image() => {}
        (Found::Refused(Error::Io { .. }), Found::Refused(Error::Io { .. })) => {}
        // After an orderly stop a footer stood for the last segment. To the scan of the next opening a batch
        // is lost as a whole whose entries it found one by one, and what lies beyond the end is no more ruled
        // out.
        (
            Found::Log { tail: TailVerdict::Stopped, .. } | Found::Faulty(TailVerdict::Stopped, _),
            second @ (Found::Refused(_) | Found::Faulty(..)),
        ) if law.kind == Kind::Fault && law.breach(second).is_none() => {}
        (_, second) => {
            return Err(broken(format!("first {found}\nand then {second}")));
        }
    }
    Ok((found, first))
}

/// Open and read everything.
fn find(history: &History, disk: &SimDisk) -> Found {
    let opened = open(disk, history.options()).and_then(|(log, recovery)| {
        // Bodies that a footer spoke for are checked when they are read.
        let is_crash = history.kind() == Kind::Crash;
        assert!(!is_crash || recovery.rebuilt.is_empty(), "lost by a crash: {recovery:?}");
        let remains = Remains::read(&log, &recovery)?;
        if !remains.is_whole() {
            return Ok(Found::Faulty(recovery.tail, remains));
        }
        let contents = Contents::try_of(&log, &recovery)?;
        Ok(Found::Log { tail: recovery.tail, contents })
    });
    opened.unwrap_or_else(Found::Refused)
}

fn live(history: &History, call: u64) -> Result<Scene, Violation> {
    let path = Path(vec![Step::Crash { call, choices: Vec::new() }]);
    caught(|| history.live(Some(call))).map_err(|what| violation(history, &path, what))
}

/// A disk on which recovery was cut short during a call.
fn recover_until(
    history: &History,
    disk: &SimDisk,
    call: u64,
    path: &Path,
) -> Result<SimDisk, Violation> {
    let cut = disk.fork(history.seed());
    cut.cut_power_after(call);
    cut.set_garbage(history.kind() == Kind::Garbage);
    let opened = caught(|| drop(find(history, &cut)));
    opened.map_err(|what| {
        violation(history, &path.then(Step::Crash { call, choices: vec![] }), what)
    })?;
    Ok(cut)
}

/// All combinations of what a crash may leave, or when they are too many, some.
fn choices(
    unsettled: &[Unsettled],
    (all_max, drawn): (usize, usize),
    random: &mut Random,
) -> Vec<Vec<usize>> {
    let states = || unsettled.iter().map(|piece| piece.states);
    let product = states().try_fold(1_usize, usize::checked_mul);
    if product.is_some_and(|product| product <= all_max) {
        return states().fold(vec![vec![]], |all, states| {
            let longer = |choices: Vec<usize>| {
                (0..states).map(move |state| choices.iter().copied().chain([state]).collect())
            };
            all.into_iter().flat_map(longer).collect()
        });
    }
    let old = states().map(|_| 0).collect();
    let new = states().map(|states| states - 1).collect();
    let draws = (0..drawn).map(|_| {
        // Most crashes are all or nothing somewhere; a fair coin for each sector never is.
        let keep_percent = [10, 50, 90][random.place(3)];
        let state = |states: usize| match random.below(100) < keep_percent {
            true => random.place(states),
            false => 0,
        };
        states().map(state).collect()
    });
    let draws: Vec<_> = draws.collect();
    [old, new].into_iter().chain(draws).collect()
}

fn violation(history: &History, path: &Path, what: String) -> Violation {
    Violation { seed: history.seed(), path: path.clone(), what }
}

impl Found {
    /// Put back what was lost, if that is known. False when there is nothing to put back.
    fn mend(
        &self,
        history: &History,
        disk: &SimDisk,
        law: &Law<'_>,
        path: &Path,
    ) -> Result<bool, Violation> {
        let Self::Faulty(_, remains) = self else { return Ok(false) };
        // Of two places damaged at once the truth may be gone.
        if law.is_double {
            return Ok(false);
        }
        let held = remains.as_contents();
        let past = if remains.has_doubt() { law.model.past() } else { &[] };
        let all = law.candidates.iter().chain(&law.untold).chain(past);
        let mut all = all.map(|may| Contents { entries: may.entries.clone(), ..held.clone() });
        let may = all.find(|may| remains.are_of(may));
        let truth = may.expect("what was found was judged to be right");
        let disk = disk.fork(history.seed());
        let mended = caught(|| mend(history, &disk, &truth)).and_then(|mended| mended);
        mended.map_err(|what| violation(history, path, format!("{remains}\n{what}")))?;
        Ok(true)
    }

    const fn contents(&self) -> Option<&Contents> {
        match self {
            Self::Log { contents, .. } => Some(contents),
            Self::Faulty(..) | Self::Refused(_) => None,
        }
    }

    fn verdict(&self) -> &'static str {
        match self {
            Self::Log { tail: TailVerdict::Stopped, .. } => "stopped in order",
            Self::Log { tail: TailVerdict::CleanEnd, .. } => "clean end",
            Self::Log { tail: TailVerdict::Torn { .. }, .. } => "torn, and cut",
            Self::Log { tail: TailVerdict::Unknown, .. } => "end unknown",
            Self::Faulty(_, remains) => remains.verdict(),
            Self::Refused(Error::Damaged { .. }) => "refused: damaged",
            Self::Refused(_) => "refused: cannot be read",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { contents, .. } => write!(f, "{}: {contents}", self.verdict()),
            Self::Faulty(_, remains) => write!(f, "{}: {remains}", self.verdict()),
            Self::Refused(error) => write!(f, "{}: {error}", self.verdict()),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, path, what } = self;
        write!(f, "seed {seed}, state {path}: {what}\n  replay: cargo crash-states --seed {seed}")?;
        write!(f, " --state {path}")
    }
}
