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
    time::{Duration, Instant},
};

use chat::AccountId;
use replication::split_stamp;
use tokio::sync::{oneshot, watch};
use wal::{Entry, EntryKind, Reader};

use super::{
    CoreError, Refused,
    clock::Clock,
    ears::{Ear, Ears},
    kept::{Kept, Live, Missed},
};
use crate::metrics::Folding;

/// Entries whose outcome is remembered for proposals whose index becomes known after the fold has
/// passed it, and whose hash for the comparison of nodes.
const RECENT_OUTCOMES_MAX: usize = 16_384;
/// Bytes of entries read from the log for one turn of the fold.
const READ_BYTES_MAX: usize = 1 << 20;
/// Entries applied under one write lock, so that readers never wait long.
const APPLY_ENTRIES_MAX: usize = 256;
/// How often the sleeping thread looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// How often the thread looks whether an entry was repaired.
const REPAIR_CHECK: Duration = Duration::from_millis(20);
/// Hashes are compared at every so many entries,
const MARK_EVERY: u64 = 1_024;
/// and the newest so many are remembered.
pub(crate) const MARKS_MAX: usize = 32;
/// To whoever proposed; dropped, it says "unknown".
pub(crate) type Answer = oneshot::Sender<Result<Submitted, Refused>>;

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
    clock: Arc<Clock>,
    metrics: Folding,
}

#[derive(Debug, Default)]
struct Progress {
    commit: u64,
    applied: u64,
    stop: bool,
    /// The newest applied entries; the last stands for `applied`.
    recent: VecDeque<Past>,
    events: Kept,
    ears: Ears,
    answers: BTreeMap<u64, Answer>,
    /// The running hash of the state at `applied`.
    hash: u64,
    /// The newest indexes at which nodes compare their hashes, ascending, and the hashes.
    marks: VecDeque<(u64, u64)>,
}

/// What is remembered of an applied entry.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// None is no command.
    outcome: Option<chat::Outcome>,
    /// The running hash of the state behind it.
    hash: u64,
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
    pub(crate) fn new(genesis: chat::Genesis, clock: Arc<Clock>, metrics: Folding) -> Self {
        let (applied, _) = watch::channel(0);
        let state = chat::State::new(genesis);
        let progress = Progress { hash: state.hash(), ..Progress::default() };
        Self {
            state: RwLock::new(state),
            progress: Mutex::new(progress),
            committed: Condvar::new(),
            applied,
            clock,
            metrics,
        }
    }

    /// Everything up to `index` is committed and can be read from the log. Each of `answers` gets the
    /// fold's decision about its entry, now or when the fold gets there; it is dropped when that is no
    /// longer remembered.
    pub(crate) fn commit(&self, index: u64, answers: impl IntoIterator<Item = (u64, Answer)>) {
        let mut progress = self.progress();
        for (index, answer) in answers {
            if index > progress.applied {
                progress.answers.insert(index, answer);
            } else if let Some(outcome) = progress.recent(index).and_then(|past| past.outcome) {
                deliver(answer, Ok(Submitted { index, outcome }));
            }
        }
        if index > progress.commit {
            progress.commit = index;
            drop(progress);
            self.committed.notify_one();
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

    /// The newest indexes at which nodes compare their states, ascending, and the running hashes there.
    pub(crate) fn marks(&self) -> Vec<(u64, u64)> {
        self.progress().marks.iter().copied().collect()
    }

    /// Look at the state.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, chat::State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `account` listens, to what is above `cursor`.
    pub(crate) fn listen(&self, account: AccountId, cursor: u64) -> Ear {
        self.progress().ears.open(account, cursor)
    }

    /// It listens no more.
    pub(crate) fn hush(&self, ear: &Ear) {
        self.progress().ears.close(ear);
    }

    /// The first events above `cursor` that the account may hear of, at most `count_max`, and the cursor
    /// behind them; none when nothing concerned it since it asked last.
    ///
    /// # Errors
    /// They are no longer all kept.
    pub(crate) fn hear(
        &self,
        ear: &Ear,
        cursor: &mut u64,
        count_max: usize,
    ) -> Result<Option<Vec<Arc<Live>>>, Missed> {
        let mut progress = self.progress();
        let Some(first) = progress.ears.first(ear) else { return Ok(None) };
        let after = first.saturating_sub(1).max(*cursor);
        let (events, upto) = progress.events.after(after, ear.account(), count_max)?;
        let upto = upto.unwrap_or_else(|| progress.applied.max(after));
        *cursor = upto;
        let is_more = upto < progress.applied;
        progress.ears.heard(ear, is_more.then_some(upto + 1));
        Ok(Some(events))
    }

    /// Up to here there is nothing that this one has not been given; none when there is something.
    pub(crate) fn quiet_upto(&self, ear: &Ear) -> Option<u64> {
        let progress = self.progress();
        progress.ears.first(ear).is_none().then_some(progress.applied)
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
            let entries = match reader.read(applied + 1, commit, READ_BYTES_MAX) {
                // Until it is repaired; who watches the log tells the core.
                Err(wal::Error::Faulty { .. }) => {
                    self.rest();
                    continue;
                }
                read => read?,
            };
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

    fn rest(&self) {
        let progress = self.progress();
        if !progress.stop {
            drop(self.committed.wait_timeout(progress, REPAIR_CHECK));
        }
    }

    fn apply(&self, entries: &[Entry]) -> Result<(), CoreError> {
        let commands = entries.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mut done = Vec::with_capacity(entries.len());
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let begun = Instant::now();
            for (entry, command) in entries.iter().zip(commands) {
                done.push(apply_one(&mut state, entry, command));
            }
            self.clock.saw_log_time(state.time_us());
            self.metrics.folded(entries.len(), begun.elapsed());
        }
        self.publish(done);
        Ok(())
    }

    fn publish(&self, done: Vec<Applied>) {
        let mut answers = Vec::with_capacity(done.len());
        let mut calls = Vec::new();
        let mut progress = self.progress();
        for Applied { bytes, outcome, hash, live } in done {
            let index = progress.applied + 1;
            progress.applied = index;
            if let Some(answer) = progress.answers.remove(&index)
                && let Some(outcome) = outcome
            {
                answers.push((answer, Submitted { index, outcome }));
            }
            if progress.recent.len() == RECENT_OUTCOMES_MAX {
                progress.recent.pop_front();
            }
            progress.recent.push_back(Past { outcome, hash });
            progress.hash = hash;
            if index.is_multiple_of(MARK_EVERY) {
                progress.marks.push_back((index, hash));
                if progress.marks.len() > MARKS_MAX {
                    progress.marks.pop_front();
                }
            }
            // What has no event may have ended a session: everyone looks.
            let only = live.as_ref().and_then(|live| live.only_for);
            progress.ears.call(index, only, &mut calls);
            if let Some(live) = live {
                progress.events.keep(bytes, live);
            }
        }
        let applied = progress.applied;
        // Those whom this wakes take the lock.
        drop(progress);
        for (answer, submitted) in answers {
            deliver(answer, Ok(submitted));
        }
        for call in calls {
            call.notify_one();
        }
        self.applied.send_replace(applied);
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
    let live = applied.event.map(|event| {
        let only_for = state.only_for(&event);
        Arc::new(Live { only_for, ..Live::new(index, event, command) })
    });
    Applied { bytes, outcome: Some(applied.outcome), hash: state.hash(), live }
}
