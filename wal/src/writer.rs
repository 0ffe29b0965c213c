//! The one thread that writes and syncs: natural group commit.
//!
//! ```text
//! submit -> line -> [ everything in line -> one pwrite -> one fdatasync ] -> on_durable
//!                     ^ fills while the one before is being synced
//! ```
//!
//! What always holds: no timer decides when to write; the line is bounded in bytes and `submit` never
//! waits; spare segments are made on a thread of their own, and only the writer takes them up.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{
    Error, Log, Op, Reader,
    batch::{FRAME_HEADER_BYTES, frame_bytes},
    log::{Spare, SpareJob},
    view::Shared,
};

/// Called on the writer thread with the newest durable ticket after each sync, and once with the error
/// that ended it. It must not wait for the writer.
pub type OnDurable = Box<dyn FnMut(Result<u64, Error>) + Send>;

/// The line is full, or the log has stopped after an error, which `on_durable` was told: the operation
/// comes back. After the next call of `on_durable` there is room.
#[derive(Debug, Eq, PartialEq)]
pub struct Busy(pub Op);

/// What the writer thread is told beside the operations.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    end: Option<End>,
    spare: Option<Spare>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Write what is in line, close the log.
    Stop,
    /// Leave everything as it is.
    Abandon,
}

/// A log and its thread. Dropping it without [`Writer::stop`] leaves what is in line unwritten.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
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
        let shared = Arc::clone(log.shared());
        let cancel = Arc::clone(log.cancel());
        let queue_bytes_max = log.options().queue_bytes_max;
        let path = log.path();
        let failed = Error::io("start a thread for", &path);
        // One spare at a time is being made, so the writer never waits here.
        let (jobs, queue) = sync_channel(1);
        let preparer = {
            let shared = Arc::clone(&shared);
            let prepare = move || prepare(&queue, &shared);
            thread::Builder::new().name("wal-prepare".to_owned()).spawn(prepare).map_err(&failed)?
        };
        let thread = {
            let shared = Arc::clone(&shared);
            let report = Report { on_durable };
            let run = move || {
                let result = run(log, &shared, jobs, report);
                // Its channel is gone with `jobs`; what it was making has been given up.
                drop(preparer.join());
                result
            };
            thread::Builder::new().name("wal-write".to_owned()).spawn(run).map_err(&failed)?
        };
        Ok(Self { shared, queue_bytes_max, cancel, thread: Some(thread) })
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
        let size = op_bytes(&op);
        let mut view = self.shared.lock();
        let in_line = view.pending_bytes();
        if view.poisoned || (in_line > 0 && in_line.saturating_add(size) > self.queue_bytes_max) {
            return Err(Busy(op));
        }
        let was_idle = view.pending_count() == 0;
        view.stage(ticket, op);
        drop(view);
        if was_idle {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    /// Bytes in line.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued().0
    }

    /// Bytes and records in line.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let view = self.shared.lock();
        (view.pending_bytes(), view.pending_count())
    }

    /// A reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Write and sync everything in line, close the log, end the thread.
    ///
    /// # Errors
    /// When writing or syncing failed, now or before.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end(End::Stop)
    }

    fn end(&mut self, end: End) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.lock().signals.end = Some(end);
        self.cancel.store(true, Ordering::Relaxed);
        self.shared.changed.notify_one();
        // A panic of the thread was reported as an error already.
        thread.join().unwrap_or(Err(Error::Poisoned))
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
        Op::TruncateAfter(_) | Op::HardState(_) | Op::Bind { .. } | Op::Settle => {
            2 * FRAME_HEADER_BYTES
        }
    }
}

/// Tells the owner, also when the thread panics: the owner waits for nothing else.
struct Report {
    on_durable: OnDurable,
}

impl Drop for Report {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.on_durable)(Err(Error::Poisoned));
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}

fn run(
    log: Log,
    shared: &Shared,
    jobs: SyncSender<SpareJob>,
    mut report: Report,
) -> Result<(), Error> {
    let result = commit_until_end(log, shared, &jobs, &mut report);
    if let Err(error) = result {
        shared.lock().poisoned = true;
        (report.on_durable)(Err(error));
        return Err(Error::Poisoned);
    }
    Ok(())
}

fn commit_until_end(
    mut log: Log,
    shared: &Shared,
    jobs: &SyncSender<SpareJob>,
    report: &mut Report,
) -> Result<(), Error> {
    let mut told = 0;
    loop {
        if let Some(job) = log.spare_job() {
            // The other side ends only after this one.
            drop(jobs.send(job));
        }
        let (end, spare) = wait(shared);
        if end == Some(End::Abandon) {
            return Ok(());
        }
        log.write()?;
        let durable = log.sync()?;
        if durable > told {
            told = durable;
            (report.on_durable)(Ok(durable));
        }
        if end == Some(End::Stop) {
            return log.close();
        }
        if let Some(spare) = spare {
            log.adopt(spare)?;
        }
    }
}

/// Until there is something to do.
fn wait(shared: &Shared) -> (Option<End>, Option<Spare>) {
    let mut view = shared.lock();
    while view.pending_count() == 0 && view.signals.end.is_none() && view.signals.spare.is_none() {
        view = shared.wait(view);
    }
    (view.signals.end, view.signals.spare.take())
}

/// The other thread: make what is asked for.
fn prepare(queue: &Receiver<SpareJob>, shared: &Shared) {
    for job in queue {
        let spare = job.run();
        shared.lock().signals.spare = Some(spare);
        shared.changed.notify_one();
    }
}
