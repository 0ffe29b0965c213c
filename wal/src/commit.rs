//! Group commit: who writes, and who is told.
//!
//! ```text
//! append, submit -> line -> [ everything in line -> one pwrite -> one fdatasync ] -> told
//!                            ^ fills while the one before is being synced
//! ```
//!
//! What always holds: one thread at a time has the *turn*, and only it touches the log. An appender
//! that finds nobody at work takes the turn itself and hands nothing to another thread; what came into
//! line meanwhile is the writer thread's. Nobody who waits is forgotten: an operation belongs to the
//! round that begins next after it came into line, and the end of that round wakes all who wait for it;
//! a failure wakes everybody.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    thread,
};

use rustix::{io::Errno, thread::futex};

use crate::{
    Error, Log, OnDurable,
    log::upkeep::{Done, Job},
    view::{Shared, View},
};

/// What the writer thread is told beside the operations, and whether someone has the turn.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) end: Option<End>,
    pub(crate) done: Option<Done>,
    pub(crate) at_work: bool,
    /// How many wait for a round, even and odd ones.
    pub(crate) waiting: [u32; 2],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Write what is in line, close the log.
    Stop,
    /// Leave everything as it is.
    Abandon,
}

/// The log, and everybody who has to do with it.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) shared: Arc<Shared>,
    /// There until the writer thread ends.
    engine: Mutex<Option<Engine>>,
    gate: Gate,
}

/// What only the one who has the turn touches.
struct Engine {
    /// There until it is closed.
    log: Option<Log>,
    on_durable: OnDurable,
    told: u64,
    jobs: SyncSender<Job>,
}

impl Commit {
    pub(crate) fn new(log: Log, on_durable: OnDurable, jobs: SyncSender<Job>) -> Self {
        let shared = Arc::clone(log.shared());
        let mut engine = Engine { log: Some(log), on_durable, told: 0, jobs };
        engine.ask_for_upkeep();
        Self { shared, engine: Mutex::new(Some(engine)), gate: Gate::default() }
    }

    /// Until `ticket`, which came into line under this lock, is durable. If nobody is at work, this
    /// thread is.
    pub(crate) fn complete(
        &self,
        mut view: MutexGuard<'_, View>,
        ticket: u64,
    ) -> Result<(), Error> {
        let round = view.round() + 1;
        let done = if view.signals.at_work {
            *view.signals.waiting_for(round) += 1;
            drop(view);
            self.gate.wait(round, ticket)
        } else {
            view.signals.at_work = true;
            drop(view);
            let done = self.turn(|engine| self.round(engine, None));
            if self.finish(false) {
                self.shared.changed.notify_one();
            }
            done
        };
        if done { Ok(()) } else { Err(self.shared.lock().failure()) }
    }

    /// The writer thread: whatever nobody else does, until the end.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let mut has_turn = false;
        loop {
            let (end, done) = self.wait_for_work(has_turn)?;
            let done = match end {
                Some(End::Abandon) => return Ok(()),
                Some(End::Stop) => return self.close(),
                None => self.turn(|engine| self.round(engine, done)),
            };
            has_turn = self.finish(done);
        }
    }

    /// The writer thread has ended: let go of the log.
    pub(crate) fn end(&self) {
        drop(self.engine().take());
    }

    /// Until there is something to do and nobody else at it: the turn is taken.
    fn wait_for_work(&self, mut has_turn: bool) -> Result<(Option<End>, Option<Done>), Error> {
        let mut view = self.shared.lock();
        while !view.poisoned && !(view.is_work() && (has_turn || !view.signals.at_work)) {
            view.signals.at_work &= !has_turn;
            has_turn = false;
            view = self.shared.wait(view);
        }
        if view.poisoned {
            return Err(Error::Poisoned);
        }
        view.signals.at_work = true;
        Ok((view.signals.end, view.signals.done.take()))
    }

    fn close(&self) -> Result<(), Error> {
        let closed = self.turn(|engine| engine.log.take().map_or(Ok(()), Log::close));
        if closed { Ok(()) } else { Err(Error::Poisoned) }
    }

    /// Everything in line becomes durable.
    fn round(&self, engine: &mut Engine, done: Option<Done>) -> Result<(), Error> {
        let log = engine.log.as_mut().expect("it is open until the end");
        log.write()?;
        let durable = log.sync()?;
        if durable > engine.told {
            engine.told = durable;
            self.gate.durable.store(durable, Ordering::Release);
            (engine.on_durable)(Ok(durable));
        }
        if let Some(done) = done {
            log.adopt(done)?;
        }
        engine.ask_for_upkeep();
        Ok(())
    }

    /// Do `work` on the log. Did it succeed? If not, or if it panics, everybody has been told.
    fn turn(&self, work: impl FnOnce(&mut Engine) -> Result<(), Error>) -> bool {
        let mut engine = self.engine();
        let engine = engine.as_mut().expect("nobody works after the end");
        let mut turn = Turn { commit: self, engine };
        let result = work(turn.engine);
        let done = result.is_ok();
        if let Err(error) = result {
            turn.fail(error);
        }
        done
    }

    fn engine(&self) -> MutexGuard<'_, Option<Engine>> {
        // After a panic the log is poisoned, and only let go of.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round is over: wake those who waited for it, and let go of the turn, unless it is to be kept for
    /// what came into line meanwhile. Is there any?
    fn finish(&self, keep: bool) -> bool {
        let mut view = self.shared.lock();
        let round = view.round();
        let waiting = std::mem::take(view.signals.waiting_for(round));
        let is_more = view.is_work();
        view.signals.at_work = is_more && keep;
        drop(view);
        if waiting > 0 {
            self.gate.open(round);
        }
        is_more
    }
}

impl Engine {
    fn ask_for_upkeep(&mut self) {
        if let Some(job) = self.log.as_mut().and_then(Log::next_job) {
            // One is being made at a time, so there is room; the other side ends after this one.
            drop(self.jobs.send(job));
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Signals {
    fn waiting_for(&mut self, round: u32) -> &mut u32 {
        let [even, odd] = &mut self.waiting;
        if round.is_multiple_of(2) { even } else { odd }
    }
}

/// The log in the hands of the one thread that has the turn. Also when that thread panics everybody is
/// told: they wait for nothing else.
struct Turn<'a> {
    commit: &'a Commit,
    engine: &'a mut Engine,
}

impl Turn<'_> {
    fn fail(&mut self, error: Error) {
        self.commit.shared.lock().fail(&error);
        self.commit.gate.fail();
        self.commit.shared.changed.notify_one();
        (self.engine.on_durable)(Err(error));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.fail(Error::Poisoned);
        }
    }
}

/// Where appenders wait. Two rounds are waited for at a time, the one at work and the one that comes
/// into line, so that the end of one wakes nobody of the other.
#[derive(Debug, Default)]
struct Gate {
    /// The newest durable ticket.
    durable: AtomicU64,
    failed: AtomicBool,
    /// Each changes when a round with its parity ends.
    ends: [AtomicU32; 2],
}

impl Gate {
    const fn end_of(&self, round: u32) -> &AtomicU32 {
        let [even, odd] = &self.ends;
        if round.is_multiple_of(2) { even } else { odd }
    }

    /// Until `ticket`, which is of this round, is durable. False when it failed.
    fn wait(&self, round: u32, ticket: u64) -> bool {
        let end = self.end_of(round);
        loop {
            // In this order: a change after the first look ends the sleep before it begins.
            let seen = end.load(Ordering::Acquire);
            if self.durable.load(Ordering::Acquire) >= ticket {
                return true;
            }
            if self.failed.load(Ordering::Acquire) {
                return false;
            }
            match futex::wait(end, futex::Flags::PRIVATE, seen, None) {
                // Woken, changed before, or interrupted: look again.
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => panic!("no way to wait: {error}"),
            }
        }
    }

    fn open(&self, round: u32) {
        let end = self.end_of(round);
        end.fetch_add(1, Ordering::Release);
        let woken = futex::wake(end, futex::Flags::PRIVATE, u32::MAX >> 1);
        assert_eq!(woken.err(), None, "no way to wake");
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.open(0);
        self.open(1);
    }
}
