//! The fold: one thread applies committed entries in order, answers those who wait, and tells the
//! subscribers.
//!
//! What always holds:
//! - the state is written by this thread alone; everybody else reads it under a short read lock;
//! - nothing is applied before it is committed, and everything in index order, once;
//! - an answer or an event leaves only after the state shows it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use replication::split_stamp;
use tokio::sync::{broadcast, oneshot, watch};
use wal::{Entry, EntryKind, Reader};

use super::{CoreError, clock::Clock};

/// Entries whose outcome is remembered for proposals whose index becomes known after the fold has
/// passed it, and whose hash for the comparison of nodes.
const RECENT_OUTCOMES_MAX: usize = 16_384;
/// Bytes of entries read from the log for one turn of the fold.
const READ_BYTES_MAX: usize = 1 << 20;
/// Entries applied under one write lock, so that readers never wait long.
const APPLY_ENTRIES_MAX: usize = 256;
/// Live events that a subscriber may lag behind before it is cut off.
pub(crate) const LIVE_EVENTS_MAX: usize = 8_192;
/// Events kept for subscribers who come back, at most.
pub(crate) const RECENT_EVENTS_MAX: usize = LIVE_EVENTS_MAX;
/// Bytes of their commands, at most.
const RECENT_EVENT_BYTES_MAX: usize = 16 << 20;
/// How often the sleeping thread looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// What a subscriber is told about one applied entry.
#[derive(Debug)]
pub struct Live {
    /// The entry's index: the cursor.
    pub index: u64,
    /// Its log time, microseconds since 1970.
    pub time_us: u64,
    /// What happened.
    pub event: chat::Event,
    /// The command that made it happen.
    pub command: Arc<chat::Command>,
}

/// The fold's decision about one entry.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Where the command stands in the log.
    pub index: u64,
    /// What the fold decided.
    pub outcome: chat::Outcome,
}

/// The shared face of the fold.
#[derive(Debug)]
pub(crate) struct Fold {
    state: RwLock<chat::State>,
    progress: Mutex<Progress>,
    committed: Condvar,
    /// The newest applied index.
    applied: watch::Sender<u64>,
    live: broadcast::Sender<Arc<Live>>,
    clock: Arc<Clock>,
}

#[derive(Debug, Default)]
struct Progress {
    commit: u64,
    applied: u64,
    stop: bool,
    /// The newest applied entries; the last stands for `applied`.
    recent: VecDeque<Past>,
    events: RecentEvents,
    answers: BTreeMap<u64, Vec<oneshot::Sender<Submitted>>>,
    /// The running hash of the state at `applied`.
    hash: u64,
}

/// What is remembered of an applied entry.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// None is no command.
    outcome: Option<chat::Outcome>,
    /// The running hash of the state behind it.
    hash: u64,
}

/// Events that have been, and those to come.
pub(crate) type PastAndFuture = (Vec<Arc<Live>>, broadcast::Receiver<Arc<Live>>);

/// The newest events: every one above `since` is here.
#[derive(Debug, Default)]
struct RecentEvents {
    since: u64,
    events: VecDeque<(usize, Arc<Live>)>,
    bytes: usize,
}

/// One applied entry, on its way to those who wait for it.
struct Applied {
    bytes: usize,
    outcome: Option<chat::Outcome>,
    hash: u64,
    live: Option<Arc<Live>>,
}

impl Fold {
    /// A fold that has applied nothing yet.
    pub(crate) fn new(genesis: chat::Genesis, clock: Arc<Clock>) -> Self {
        let (live, _) = broadcast::channel(LIVE_EVENTS_MAX);
        let (applied, _) = watch::channel(0);
        let state = chat::State::new(genesis);
        let progress = Progress { hash: state.hash(), ..Progress::default() };
        Self {
            state: RwLock::new(state),
            progress: Mutex::new(progress),
            committed: Condvar::new(),
            applied,
            live,
            clock,
        }
    }

    /// Everything up to `index` is committed and can be read from the log.
    pub(crate) fn commit(&self, index: u64) {
        let mut progress = self.progress();
        if index > progress.commit {
            progress.commit = index;
            self.committed.notify_one();
        }
    }

    /// Answer with the fold's decision at `index`, now or when it gets there. The sender is
    /// dropped, which says "unknown", when the decision is no longer remembered.
    pub(crate) fn answer(&self, index: u64, answer: oneshot::Sender<Submitted>) {
        let mut progress = self.progress();
        if index > progress.applied {
            progress.answers.entry(index).or_default().push(answer);
        } else if let Some(outcome) = progress.recent(index).and_then(|past| past.outcome) {
            deliver(answer, Submitted { index, outcome });
        }
    }

    /// The newest applied index, for those who wait for one to come.
    pub(crate) fn applied_watch(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The newest applied index.
    pub(crate) fn applied(&self) -> u64 {
        self.progress().applied
    }

    /// The newest applied index, and the running hash of the state there. It waits for no reader of
    /// the state.
    pub(crate) fn applied_and_hash(&self) -> (u64, u64) {
        let progress = self.progress();
        (progress.applied, progress.hash)
    }

    /// The running hash of the state behind the entry at `index`: none when it is not applied yet,
    /// or no longer remembered.
    pub(crate) fn hash_at(&self, index: u64) -> Option<u64> {
        self.progress().recent(index).map(|past| past.hash)
    }

    /// Look at the state.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, chat::State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hear every event above `cursor`: those that have been, and from now on.
    ///
    /// # Errors
    /// They are no longer all kept: only those above the returned index are.
    pub(crate) fn subscribe_after(&self, cursor: u64) -> Result<PastAndFuture, u64> {
        // Events are kept and sent under this lock: so none is missed or heard twice.
        let progress = self.progress();
        Ok((progress.events.after(cursor)?, self.live.subscribe()))
    }

    /// End [`Fold::run`].
    pub(crate) fn stop(&self) {
        self.progress().stop = true;
        self.committed.notify_one();
    }

    /// The fold's thread: applies until stopped.
    ///
    /// # Errors
    /// The log could not be read, or holds a command that this version does not understand.
    pub(crate) fn run(&self, reader: &Reader) -> Result<(), CoreError> {
        while let Some((applied, commit)) = self.next_work() {
            let entries = reader.read(applied + 1, commit, READ_BYTES_MAX)?;
            assert!(!entries.is_empty(), "a committed entry is in the log");
            for chunk in entries.chunks(APPLY_ENTRIES_MAX) {
                self.apply(chunk)?;
            }
        }
        Ok(())
    }

    fn next_work(&self) -> Option<(u64, u64)> {
        let mut progress = self.progress();
        loop {
            if progress.stop {
                return None;
            }
            if progress.commit > progress.applied {
                return Some((progress.applied, progress.commit));
            }
            (progress, _) = self
                .committed
                .wait_timeout(progress, STOP_CHECK)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn apply(&self, entries: &[Entry]) -> Result<(), CoreError> {
        let commands = entries.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mut done = Vec::with_capacity(entries.len());
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for (entry, command) in entries.iter().zip(commands) {
                done.push(apply_one(&mut state, entry, command));
            }
            self.clock.saw_log_time(state.time_us());
        }
        self.publish(done);
        Ok(())
    }

    fn publish(&self, done: Vec<Applied>) {
        let mut progress = self.progress();
        for Applied { bytes, outcome, hash, live } in done {
            let index = progress.applied + 1;
            progress.applied = index;
            for answer in progress.answers.remove(&index).unwrap_or_default() {
                if let Some(outcome) = outcome {
                    deliver(answer, Submitted { index, outcome });
                }
            }
            if progress.recent.len() == RECENT_OUTCOMES_MAX {
                progress.recent.pop_front();
            }
            progress.recent.push_back(Past { outcome, hash });
            progress.hash = hash;
            if let Some(live) = live {
                progress.events.keep(bytes, &live);
                // Without subscribers there is nobody to tell.
                drop(self.live.send(live));
            }
        }
        self.applied.send_replace(progress.applied);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn recent(&self, index: u64) -> Option<Past> {
        let back = usize::try_from(self.applied.checked_sub(index)?).ok()?;
        let place = self.recent.len().checked_sub(back + 1)?;
        self.recent.get(place).copied()
    }
}

impl RecentEvents {
    fn keep(&mut self, bytes: usize, live: &Arc<Live>) {
        self.events.push_back((bytes, Arc::clone(live)));
        self.bytes += bytes;
        while self.events.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_EVENT_BYTES_MAX {
            let Some((bytes, dropped)) = self.events.pop_front() else { break };
            self.bytes -= bytes;
            self.since = dropped.index;
        }
    }

    fn after(&self, cursor: u64) -> Result<Vec<Arc<Live>>, u64> {
        if cursor < self.since {
            return Err(self.since);
        }
        let first = self.events.partition_point(|(_, live)| live.index <= cursor);
        Ok(self.events.range(first..).map(|(_, live)| Arc::clone(live)).collect())
    }
}

/// The receiver may have given up waiting: then there is nobody to tell.
pub(crate) fn deliver<T>(sender: oneshot::Sender<T>, value: T) {
    drop(sender.send(value));
}

/// The command in an entry, with the leader's stamp; none when the entry is no command.
fn decode(entry: &Entry) -> Result<Option<(u64, chat::Command)>, CoreError> {
    match entry.kind {
        EntryKind::NoOp | EntryKind::Config => Ok(None),
        EntryKind::Command => command_of(entry).map(Some),
    }
}

/// The stamp and the command of a command entry.
///
/// # Errors
/// The payload is not a command that this version understands.
pub(crate) fn command_of(entry: &Entry) -> Result<(u64, chat::Command), CoreError> {
    let unreadable = |reason: String| CoreError::UnreadableCommand { index: entry.index, reason };
    let (stamp_us, body) =
        split_stamp(&entry.payload).ok_or_else(|| unreadable("no time stamp".to_owned()))?;
    let command = chat::Command::decode(&body).map_err(|error| unreadable(error.to_string()))?;
    Ok((stamp_us, command))
}

fn apply_one(
    state: &mut chat::State,
    entry: &Entry,
    command: Option<(u64, chat::Command)>,
) -> Applied {
    let (index, bytes) = (entry.index, entry.payload.len());
    let Some((stamp_us, command)) = command else {
        state.skip(index);
        return Applied { bytes, outcome: None, hash: state.hash(), live: None };
    };
    let applied = state.apply(index, stamp_us, &command);
    let time_us = state.time_us();
    let live = applied
        .event
        .map(|event| Arc::new(Live { index, time_us, event, command: Arc::new(command) }));
    Applied { bytes, outcome: Some(applied.outcome), hash: state.hash(), live }
}
