//! A disk that cannot read some of what it holds.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::{File, FileLayer, Io, IoLayer, RealIo};

/// Bytes of one file that cannot be read.
pub(super) type Spoiled = Arc<Mutex<Option<(String, Range<u64>)>>>;

/// A disk that cannot read them, through a map neither.
#[derive(Debug)]
pub(super) struct BadDisk {
    disk: RealIo,
    spoiled: Spoiled,
}

#[derive(Debug)]
struct BadFile {
    file: Box<dyn File>,
    name: String,
    spoiled: Spoiled,
}

impl BadDisk {
    pub(super) fn new(disk: RealIo, spoiled: &Spoiled) -> Self {
        Self { disk, spoiled: Arc::clone(spoiled) }
    }
}

impl IoLayer for BadDisk {
    fn below(&self) -> &dyn Io {
        &self.disk
    }

    fn file(&self, name: &str, below: Box<dyn File>) -> Box<dyn File> {
        Box::new(BadFile { file: below, name: name.to_owned(), spoiled: Arc::clone(&self.spoiled) })
    }
}

impl BadFile {
    fn check(&self, range: &Range<u64>) -> io::Result<()> {
        match &*self.spoiled.lock().unwrap() {
            Some((name, spoiled))
                if *name == self.name && range.start < spoiled.end && spoiled.start < range.end =>
            {
                Err(io::Error::from_raw_os_error(5))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl FileLayer for BadFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.check(&(offset..offset + buffer.len() as u64))?;
        self.file.read_at(buffer, offset)
    }

    fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.check(&(offset..offset + buffer.len() as u64))?;
        self.file.read_from_disk(buffer, offset)
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.check(&range)?;
        self.file.map(range)
    }
}
