//! Directories and files in front of others: to time, count, record or refuse some calls.
//!
//! What always holds: a call that a layer does not speak of goes to what is below it unchanged, also one
//! that [`File`] answers by itself where nobody does.

use std::{fmt, io, ops::Range, path::PathBuf};

use bytes::Bytes;

use crate::{File, Io, Lock};

/// A directory in front of another.
pub trait IoLayer: fmt::Debug + Send + Sync {
    /// The other.
    fn below(&self) -> &dyn Io;
    /// What stands in front of a file of the other, made or opened; nothing if that will do.
    fn file(&self, name: &str, below: Box<dyn File>) -> Box<dyn File> {
        let _ = name;
        below
    }
    /// As [`Io::create`].
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.file(name, self.below().create(name)?))
    }
    /// As [`Io::open`].
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.file(name, self.below().open(name)?))
    }
    /// As [`Io::remove`].
    fn remove(&self, name: &str) -> io::Result<()> {
        self.below().remove(name)
    }
    /// As [`Io::sync_dir`].
    fn sync_dir(&self) -> io::Result<()> {
        self.below().sync_dir()
    }
    /// As [`Io::lock`].
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.below().lock(name)
    }
}

impl<T: IoLayer> Io for T {
    fn path(&self, name: &str) -> PathBuf {
        self.below().path(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        IoLayer::create(self, name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        IoLayer::open(self, name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.below().list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        IoLayer::remove(self, name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        IoLayer::sync_dir(self)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        IoLayer::lock(self, name)
    }
}

/// A file in front of another.
pub trait FileLayer: fmt::Debug + Send + Sync {
    /// The other.
    fn below(&self) -> &dyn File;
    /// As [`File::read_at`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.below().read_at(buffer, offset)
    }
    /// As [`File::read_from_disk`].
    fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.below().read_from_disk(buffer, offset)
    }
    /// As [`File::write_at`].
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.below().write_at(bytes, offset)
    }
    /// As [`File::sync_data`].
    fn sync_data(&self) -> io::Result<()> {
        self.below().sync_data()
    }
    /// As [`File::sync_all`].
    fn sync_all(&self) -> io::Result<()> {
        self.below().sync_all()
    }
    /// As [`File::set_len`].
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below().set_len(len)
    }
    /// As [`File::drop_cache`].
    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        self.below().drop_cache(range)
    }
    /// As [`File::map`].
    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.below().map(range)
    }
}

impl<T: FileLayer> File for T {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileLayer::read_at(self, buffer, offset)
    }

    fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        FileLayer::read_from_disk(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileLayer::write_at(self, bytes, offset)
    }

    fn write_directly(&self, wanted: bool) -> bool {
        self.below().write_directly(wanted)
    }

    fn sync_data(&self) -> io::Result<()> {
        FileLayer::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        FileLayer::sync_all(self)
    }

    fn len(&self) -> io::Result<u64> {
        self.below().len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        FileLayer::set_len(self, len)
    }

    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        FileLayer::drop_cache(self, range)
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        FileLayer::map(self, range)
    }
}
