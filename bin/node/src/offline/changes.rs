//! What was changed in a directory, noted call by call: what is told of a repair is what was done, not
//! what was meant.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;
use wal::{File, Io, Lock};

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

    fn recorded(&self, name: &str, file: Box<dyn File>) -> Box<dyn File> {
        let changes = Arc::clone(&self.changes);
        Box::new(RecordedFile { name: name.to_owned(), file, changes })
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

impl Io for Recorder {
    fn path(&self, name: &str) -> PathBuf {
        self.io.path(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.io.create(name)?;
        let (file_name, action) = (name.to_owned(), Action::Made);
        let made = Change { file: file_name, action, first_byte: 0, last_byte: 0 };
        note(&self.changes, made);
        Ok(self.recorded(name, file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.recorded(name, self.io.open(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.io.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.io.remove(name)?;
        let (file, action) = (name.to_owned(), Action::Removed);
        note(&self.changes, Change { file, action, first_byte: 0, last_byte: 0 });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.io.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.io.lock(name)
    }
}

#[derive(Debug)]
struct RecordedFile {
    name: String,
    file: Box<dyn File>,
    changes: Notes,
}

impl File for RecordedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
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

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn map(&self) -> io::Result<Bytes> {
        self.file.map()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
