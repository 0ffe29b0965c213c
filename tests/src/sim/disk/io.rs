//! The simulated disk as the log sees it: `wal::Io`, call by call.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    path::PathBuf,
    sync::MutexGuard,
};

use bytes::Bytes;
use wal::{File, Io, Lock};

use super::{
    Call, Fault, SimDisk,
    inode::SECTOR,
    random::to_usize,
    volume::{Fate, Volume},
};

/// The disk in the hands of one process.
#[derive(Clone, Debug)]
pub(super) struct SimIo {
    pub(super) disk: SimDisk,
    pub(super) process: u64,
}

impl SimIo {
    fn enter(&self, call: Call) -> io::Result<(MutexGuard<'_, Volume>, Fate)> {
        let mut disk = self.disk.lock();
        let fate = disk.enter(self.process, call)?;
        Ok((disk, fate))
    }

    fn file(&self, inode: u64) -> Box<dyn File> {
        Box::new(SimFile { io: self.clone(), inode })
    }
}

impl Io for SimIo {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (mut disk, fate) = self.enter(Call::Create)?;
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if fate == Fate::Strikes(Fault::Full) || !disk.has_room(None, 1) {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = disk.create(name);
        fate.outcome()?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (disk, fate) = self.enter(Call::Open)?;
        fate.outcome()?;
        let inode = *disk.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (disk, fate) = self.enter(Call::List)?;
        fate.outcome()?;
        Ok(disk.names.keys().map(ToString::to_string).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut disk, fate) = self.enter(Call::Remove)?;
        if !disk.names.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        disk.set_name(name, None);
        fate.outcome()
    }

    fn sync_dir(&self) -> io::Result<()> {
        let (mut disk, fate) = self.enter(Call::Sync)?;
        fate.outcome()?;
        disk.sync_names();
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let (mut disk, fate) = self.enter(Call::Open)?;
        fate.outcome()?;
        if !disk.locks.insert(name.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { io: self.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct SimLock {
    io: SimIo,
    name: String,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.io.disk.lock();
        if disk.process == self.io.process {
            disk.locks.remove(&self.name);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    io: SimIo,
    inode: u64,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Sync)?;
        if !disk.file(self.inode)?.is_synced() {
            let file = disk.file_mut(self.inode)?;
            match fate {
                Fate::Succeeds => file.sync(),
                Fate::Strikes(_) => file.fail_sync(),
                Fate::Cut => {}
            }
        }
        fate.outcome()
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (disk, fate) = self.io.enter(Call::Read)?;
        if fate == Fate::Strikes(Fault::Stale) {
            return disk.file(self.inode)?.read_stale(buffer, offset);
        }
        fate.outcome()?;
        disk.file(self.inode)?.read(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Write)?;
        let end = offset + bytes.len() as u64;
        let allocated = disk.file(self.inode)?.allocated;
        if end > allocated && !disk.has_room(Some(self.inode), end) {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = disk.file_mut(self.inode)?;
        match fate {
            Fate::Succeeds | Fate::Cut | Fate::Strikes(Fault::Eio | Fault::Stale) => {
                file.write(bytes, offset);
                fate.outcome()
            }
            Fate::Strikes(Fault::Full) => fate.outcome(),
            Fate::Strikes(Fault::Lost) => {
                file.lose(bytes, offset);
                Ok(())
            }
            Fate::Strikes(Fault::Misdirected { sectors }) => {
                file.lose(bytes, offset);
                file.write(bytes, offset + sectors * SECTOR);
                Ok(())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len(&self) -> io::Result<u64> {
        let (disk, fate) = self.io.enter(Call::Read)?;
        fate.outcome()?;
        Ok(disk.file(self.inode)?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Write)?;
        if fate != Fate::Strikes(Fault::Full) {
            disk.file_mut(self.inode)?.set_len(len);
        }
        fate.outcome()
    }

    fn drop_cache(&self, range: Range<u64>) -> io::Result<()> {
        let (mut disk, fate) = self.io.enter(Call::Read)?;
        fate.outcome()?;
        if !disk.file(self.inode)?.is_honest() {
            disk.file_mut(self.inode)?.forget_unwritable(range);
        }
        Ok(())
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (disk, fate) = self.io.enter(Call::Read)?;
        fate.outcome()?;
        let mut bytes = vec![0; to_usize(range.end - range.start)];
        disk.file(self.inode)?.read(&mut bytes, range.start)?;
        Ok(bytes.into())
    }
}
