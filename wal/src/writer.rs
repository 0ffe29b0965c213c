//! The log's door for many threads: those who submit and are told later, and those who wait.
//!
//! What always holds: no timer decides when to write; the line is bounded in bytes and nobody waits for
//! room in it; spare segments and footers are made on a thread of their own, and only who has the turn
//! takes them up. How the writing goes: [`crate::commit`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;

use crate::{
    Entry, EntryKind, Error, Log, Op, Reader,
    batch::{FRAME_HEADER_BYTES, frame_bytes},
    commit::{Commit, End},
    log::upkeep::Job,
    view::{Shared, View},
};

/// Called with the newest durable ticket after each sync, and once with the error that ended it, on the
/// thread that wrote: the writer's, or one that waits in [`Writer::append`]. It must not wait for the
/// writer.
pub type OnDurable = Box<dyn FnMut(Result<u64, Error>) + Send>;

/// The line is full, or the log has stopped after an error, which `on_durable` was told: the operation
/// comes back. After the next call of `on_durable` there is room.
#[derive(Debug, Eq, PartialEq)]
pub struct Busy(pub Op);

/// Why an append was not done, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum NotAppended {
    /// The line is full; nothing of it was taken.
    #[error("the line to the log is full")]
    Busy,
    /// The log has stopped. What was taken before may be found at the next opening, or not.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A log and its thread. Dropping it without [`Writer::stop`] leaves what is in line unwritten.
#[derive(Debug)]
pub struct Writer {
    commit: Arc<Commit>,
    queue_bytes_max: usize,
    cancel: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Writer {
    /// Start the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(log: Log, on_durable: OnDurable) -> Result<Self, Error> {
        let cancel = Arc::clone(log.cancel());
        let queue_bytes_max = log.options().queue_bytes_max;
        let path = log.path();
        let failed = Error::io("start a thread for", &path);
        // One job at a time is being done, so who has the turn never waits here.
        let (jobs, queue) = sync_channel(1);
        let commit = Arc::new(Commit::new(log, on_durable, jobs));
        let preparer = {
            let shared = Arc::clone(&commit.shared);
            let prepare = move || prepare(&queue, &shared);
            thread::Builder::new().name("wal-prepare".to_owned()).spawn(prepare).map_err(&failed)?
        };
        let thread = {
            let commit = Arc::clone(&commit);
            let run = move || {
                let result = commit.run();
                commit.end();
                // Its channel is gone; what it was making has been given up.
                drop(preparer.join());
                result
            };
            thread::Builder::new().name("wal-write".to_owned()).spawn(run).map_err(&failed)?
        };
        Ok(Self { commit, queue_bytes_max, cancel, thread: Some(thread) })
    }

    /// Put `op` in line, without waiting. Readers see its entries from now on. Tickets are dense and
    /// ascending; a ticket that came back with [`Busy`] is the next.
    ///
    /// # Errors
    /// [`Busy`] gives the operation back.
    ///
    /// # Panics
    /// As [`Log::stage`].
    pub fn submit(&self, ticket: u64, op: Op) -> Result<(), Busy> {
        let mut view = self.commit.shared.lock();
        if view.poisoned || !self.has_room(&view, op_bytes(&op)) {
            return Err(Busy(op));
        }
        let is_awake = view.signals.at_work || view.is_work();
        view.stage(ticket, op);
        drop(view);
        if !is_awake {
            self.commit.shared.changed.notify_one();
        }
        Ok(())
    }

    /// Append an entry for each payload and wait until all are durable; returns the last index. The log
    /// gives out indexes and tickets, so whoever submits meanwhile has to ask for the next. When nobody
    /// else is at work this thread writes and syncs, and no other is woken.
    ///
    /// # Errors
    /// [`NotAppended::Busy`] when there is no room in line, and why the log stopped when it has.
    ///
    /// # Panics
    /// When `term` goes back, or a payload is too large.
    pub fn append(
        &self,
        term: u64,
        kind: EntryKind,
        payloads: &[Bytes],
    ) -> Result<u64, NotAppended> {
        let size = payloads.iter().map(|payload| frame_bytes(payload.len())).sum();
        let mut view = self.commit.shared.lock();
        if view.poisoned {
            return Err(view.failure().into());
        }
        if !self.has_room(&view, size) {
            return Err(NotAppended::Busy);
        }
        let ticket = view.last_ticket() + 1;
        let mut last = view.terms.last.0;
        view.stage_entries(
            ticket,
            payloads.iter().map(|payload| {
                last += 1;
                Entry::new(last, term, kind, payload.clone())
            }),
        );
        self.commit.complete(view, ticket)?;
        Ok(last)
    }

    fn has_room(&self, view: &View, size: usize) -> bool {
        let in_line = view.pending_bytes();
        in_line == 0 || in_line.saturating_add(size) <= self.queue_bytes_max
    }

    /// Bytes in line.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued().0
    }

    /// Bytes and records in line.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let view = self.commit.shared.lock();
        (view.pending_bytes(), view.pending_count())
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.commit.shared))
    }

    /// Write and sync everything in line, close the log, end the thread.
    ///
    /// # Errors
    /// What writing or syncing failed with, now or before.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end(End::Stop)
    }

    fn end(&mut self, end: End) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.commit.shared.lock().signals.end = Some(end);
        self.cancel.store(true, Ordering::Relaxed);
        self.commit.shared.changed.notify_one();
        // A panic of the thread was reported as an error already.
        let ended = thread.join().unwrap_or(Err(Error::Poisoned));
        ended.map_err(|_poisoned| self.commit.shared.lock().failure())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error that `on_durable` was not told.
        drop(self.end(End::Abandon));
    }
}

/// Bytes that an operation takes in line.
fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Append(entries) => entries.iter().map(|entry| frame_bytes(entry.payload.len())).sum(),
        Op::Repair(entry) => frame_bytes(entry.payload.len()),
        Op::TruncateAfter(_) | Op::HardState(_) | Op::Bind { .. } | Op::Doubt | Op::Settle => {
            2 * FRAME_HEADER_BYTES
        }
    }
}

/// The other thread: make what is asked for.
fn prepare(queue: &Receiver<Job>, shared: &Shared) {
    for job in queue {
        let done = job.run();
        shared.lock().signals.done = Some(done);
        shared.changed.notify_one();
    }
}
