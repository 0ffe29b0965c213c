//! What a log holds, and whether it may hold it: everything acknowledged, and after that a part of
//! what was submitted, in order, with nothing missing between.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use wal::{Entry, EntryKind, HardState, Io, Log, Op, Options, RealIo, Recovery};

use super::script::Start;

/// What a log holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    hard_state: HardState,
    bindings: BTreeMap<u64, u128>,
    entries: Vec<Entry>,
}

/// What was found in a directory.
#[derive(Debug)]
pub struct Found {
    /// What the log holds; nothing when there is none.
    pub contents: Contents,
    /// What recovery said of the end of the log.
    pub tail: String,
}

impl Contents {
    /// What a session starts from.
    #[must_use]
    pub fn start(&self) -> Start {
        let last_index = self.entries.last().map_or(0, |last| last.index);
        Start { last_index, hard_state: self.hard_state }
    }

    /// Have an operation done to it.
    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Append(entries) => self.entries.extend(entries),
            Op::TruncateAfter(index) => {
                let end = self.entries.partition_point(|entry| entry.index <= index);
                self.entries.truncate(end);
            }
            Op::HardState(state) => self.hard_state = state,
            Op::Bind { node, store } => {
                self.bindings.entry(node).or_insert(store);
            }
            // They give back what was there.
            Op::Repair(_) | Op::Doubt | Op::Settle => {}
        }
    }

    /// Is `found` this, followed by some of `submitted`? How many records of it.
    ///
    /// # Errors
    /// When it is not: what is wrong.
    pub fn followed_by(
        &self,
        submitted: impl Iterator<Item = Op>,
        found: &Self,
    ) -> Result<u64, String> {
        if found.hard_state.term < self.hard_state.term {
            return Err(format!(
                "term {} was acknowledged and is now {}",
                self.hard_state.term, found.hard_state.term
            ));
        }
        let mut candidate = self.clone();
        let mut records = 0;
        let mut submitted = submitted.flat_map(records_of);
        while candidate != *found {
            let Some(record) = submitted.next() else {
                return Err(self.difference(found));
            };
            candidate.apply(record);
            records += 1;
        }
        Ok(records)
    }

    /// In words, what `found` lacks of this or has beyond it.
    fn difference(&self, found: &Self) -> String {
        let mut pairs = self.entries.iter().zip(&found.entries);
        let same = pairs.position(|(mine, theirs)| mine != theirs);
        let same = same.unwrap_or_else(|| self.entries.len().min(found.entries.len()));
        format!(
            "acknowledged: {} entries, {:?}; found: {} entries, {:?}; the first {same} are the same; \
             bindings {} and {}; no part of what was submitted after makes one the other",
            self.entries.len(),
            self.hard_state,
            found.entries.len(),
            found.hard_state,
            self.bindings.len(),
            found.bindings.len(),
        )
    }
}

/// Open the log in a directory, read all of it, and leave it as a killed process would, or closed.
///
/// # Errors
/// When it cannot be opened or read, is called damaged, or its summaries and its entries differ.
pub fn find(dir: &Path, options: &Options, closes: bool) -> Result<Found, String> {
    let text = |error: wal::Error| chain(&error);
    let nothing = || Found { contents: Contents::default(), tail: "None".to_owned() };
    if !dir.exists() {
        return Ok(nothing());
    }
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir).map_err(|error| error.to_string())?);
    if !Log::exists(&io).map_err(text)? {
        return Ok(nothing());
    }
    let (log, recovery) = Log::open(io, options.clone()).map_err(text)?;
    if !recovery.is_whole() || !recovery.found.is_empty() || !recovery.rebuilt.is_empty() {
        return Err(format!("damaged: {:?} {:?}", recovery.faulty, recovery.found));
    }
    let entries = log.reader().read(1, u64::MAX, usize::MAX).map_err(text)?;
    check(&entries, &recovery)?;
    if closes {
        log.close().map_err(text)?;
    }
    let Recovery { hard_state, bindings, tail, .. } = recovery;
    Ok(Found { contents: Contents { hard_state, bindings, entries }, tail: format!("{tail:?}") })
}

fn check(entries: &[Entry], recovery: &Recovery) -> Result<(), String> {
    let last = entries.last().map_or((0, 0), |last| (last.index, last.term));
    let mut runs: Vec<_> = entries.iter().map(|entry| (entry.index, entry.term)).collect();
    runs.dedup_by_key(|run| run.1);
    let configs = entries.iter().filter(|entry| entry.kind == EntryKind::Config);
    if last != recovery.last || runs != recovery.term_runs || !configs.eq(&recovery.configs) {
        return Err(format!("recovery says {:?}, the entries end with {last:?}", recovery.last));
    }
    match entries.iter().zip(1..).find(|(entry, index)| entry.index != *index || !entry.is_intact())
    {
        None => Ok(()),
        Some((entry, index)) => Err(format!("at {index} is {entry:?}")),
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Entries of one operation may be divided between batches, and so by a crash.
fn records_of(op: Op) -> Vec<Op> {
    match op {
        Op::Append(entries) => entries.into_iter().map(|entry| Op::Append(vec![entry])).collect(),
        Op::TruncateAfter(_)
        | Op::HardState(_)
        | Op::Bind { .. }
        | Op::Repair(_)
        | Op::Doubt
        | Op::Settle => vec![op],
    }
}
