//! A small disk that can be filled: an ext4 of its own, with a journal, in a file, mounted through a
//! loop device.
//!
//! What always holds: it is unmounted when it is dropped, also by a test that fails; whatever process
//! still has it open keeps it alive unseen until it ends, and the loop device goes with it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::mark::must_run;

/// A file system of its own.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// One of this size. None where nothing may be mounted.
    ///
    /// # Panics
    /// When its file cannot be made, or nothing can be mounted and no test may be skipped.
    #[must_use]
    pub fn mount(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Self { dir };
        let image = disk.image();
        File::create(&image).and_then(|file| file.set_len(bytes)).expect("a file");
        fs::create_dir(disk.path()).expect("a directory");
        // No blocks kept for root: full is full.
        let made = done(Command::new("mkfs.ext4").args(["-q", "-F", "-j", "-m", "0"]).arg(&image));
        let mounted =
            || done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()));
        // Several at once may reach for the same loop device.
        let is_there = made && (0..5).any(|_| mounted());
        assert!(is_there || !must_run(), "nothing could be mounted, and here it has to be");
        is_there.then_some(disk)
    }

    /// Its top directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// The file that it is in: its medium, below every cache of what is mounted.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Bytes that may still be written.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let found = statvfs(self.path()).expect("it is mounted");
        found.f_bavail * found.f_frsize
    }

    /// Leave so many bytes free.
    ///
    /// # Panics
    /// When it cannot be written for another reason than that it is full.
    pub fn fill_up_to(&self, free_bytes: u64) {
        let mut ballast =
            File::options().append(true).create(true).open(self.ballast()).expect("a ballast");
        let piece = vec![1; 1 << 16];
        loop {
            let left = self.free_bytes().saturating_sub(free_bytes);
            let size = piece.len().min(usize::try_from(left).expect("a small disk"));
            // What is not synced has no room yet.
            let written = ballast.write_all(&piece[..size]).and_then(|()| match size {
                0 => ballast.sync_all(),
                _ => Ok(()),
            });
            match written {
                Ok(()) if size > 0 => {}
                Ok(()) => return,
                // Others take some as well.
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("the ballast: {error}"),
            }
        }
    }

    /// Take the ballast away.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn empty(&self) {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("the ballast: {error}"),
            Ok(()) | Err(_) => {}
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Processes may be alive still: the name goes now, the disk with the last of them.
        done(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn done(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
