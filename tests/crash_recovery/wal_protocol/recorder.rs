//! A directory that passes every call on and lets [`Protocol`] judge it first.
//!
//! What always holds: it changes no call and no answer; a call that breaks a rule panics where it is
//! made, so that the backtrace shows who made it.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use wal::{File, FileLayer, Io, IoLayer, Lock};

use super::rules::Protocol;

/// The directory as one process uses it.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    inner: Arc<dyn Io>,
    protocol: Arc<Mutex<Protocol>>,
}

impl Recorder {
    pub(super) fn new(inner: Arc<dyn Io>, protocol: Protocol) -> Self {
        Self { inner, protocol: Arc::new(Mutex::new(protocol)) }
    }

    pub(super) fn io(&self) -> Arc<dyn Io> {
        Arc::new(self.clone())
    }

    /// What was recorded and what is known, locked.
    pub(super) fn protocol(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str, inner: Box<dyn File>) -> Box<dyn File> {
        Box::new(RecordedFile { recorder: self.clone(), name: name.to_owned(), inner })
    }
}

impl IoLayer for Recorder {
    fn below(&self) -> &dyn Io {
        &*self.inner
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.inner.create(name)?;
        self.protocol().create(name);
        Ok(self.file(name, file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.inner.open(name)?;
        self.protocol().open(name, file.len()?);
        Ok(self.file(name, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.protocol().remove(name);
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.sync_dir()?;
        self.protocol().sync_dir();
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let lock = self.inner.lock(name)?;
        self.protocol().lock();
        Ok(lock)
    }
}

#[derive(Debug)]
struct RecordedFile {
    recorder: Recorder,
    name: String,
    inner: Box<dyn File>,
}

impl RecordedFile {
    fn told(&self, result: io::Result<()>) -> io::Result<()> {
        result.inspect_err(|error| self.recorder.protocol().failed(error))
    }
}

impl FileLayer for RecordedFile {
    fn below(&self) -> &dyn File {
        &*self.inner
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.recorder.protocol().read(&self.name, offset, buffer.len());
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.recorder.protocol().write(&self.name, offset, bytes);
        self.told(self.inner.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.recorder.protocol().sync(&self.name, false);
        self.told(self.inner.sync_data())?;
        self.recorder.protocol().synced(&self.name);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.recorder.protocol().sync(&self.name, true);
        self.told(self.inner.sync_all())?;
        self.recorder.protocol().synced(&self.name);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.recorder.protocol().set_len(&self.name);
        self.inner.set_len(len)
    }

    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.drop_cache(range.clone())?;
        self.recorder.protocol().drop_cache(&self.name, range);
        Ok(())
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.recorder.protocol().map(&self.name, range.clone());
        self.inner.map(range)
    }
}
