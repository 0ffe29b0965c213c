//! What was changed in a directory, noted call by call: what is told of a repair is what was done, not
//! what was meant.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use wal::{File, FileLayer, Io, IoLayer};

/// One change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) file: String,
    pub(super) action: Action,
    pub(super) first_byte: u64,
    pub(super) last_byte: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// The file was made.
    Made,
    Removed,
    /// Only zeros were written.
    Cut,
    Written,
}

/// A directory whose changes are noted.
#[derive(Debug)]
pub(super) struct Recorder {
    io: Arc<dyn Io>,
    changes: Notes,
}

type Notes = Arc<Mutex<Vec<Change>>>;

impl Recorder {
    pub(super) fn over(io: Arc<dyn Io>) -> Self {
        Self { io, changes: Notes::default() }
    }

    /// What was changed so far, in the order in which it was.
    pub(super) fn changes(&self) -> Vec<Change> {
        lock(&self.changes).clone()
    }
}

/// Changes that go on where the last one ended are one.
fn note(changes: &Notes, new: Change) {
    let mut changes = lock(changes);
    match changes.last_mut() {
        Some(last)
            if last.file == new.file
                && last.action == new.action
                && last.last_byte + 1 == new.first_byte =>
        {
            last.last_byte = new.last_byte;
        }
        Some(_) | None => changes.push(new),
    }
}

impl IoLayer for Recorder {
    fn below(&self) -> &dyn Io {
        &*self.io
    }

    fn file(&self, name: &str, below: Box<dyn File>) -> Box<dyn File> {
        let changes = Arc::clone(&self.changes);
        Box::new(RecordedFile { name: name.to_owned(), file: below, changes })
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.io.create(name)?;
        let (file_name, action) = (name.to_owned(), Action::Made);
        let made = Change { file: file_name, action, first_byte: 0, last_byte: 0 };
        note(&self.changes, made);
        Ok(self.file(name, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.io.remove(name)?;
        let (file, action) = (name.to_owned(), Action::Removed);
        note(&self.changes, Change { file, action, first_byte: 0, last_byte: 0 });
        Ok(())
    }
}

#[derive(Debug)]
struct RecordedFile {
    name: String,
    file: Box<dyn File>,
    changes: Notes,
}

impl FileLayer for RecordedFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        let action = if is_zero { Action::Cut } else { Action::Written };
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let last_byte = offset.saturating_add(len).saturating_sub(1);
        let change = Change { file: self.name.clone(), action, first_byte: offset, last_byte };
        note(&self.changes, change);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
