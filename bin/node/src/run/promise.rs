//! Does the disk keep what it calls durable? Looked at once, at the start, as far as that can be seen
//! from here (research F24).
//!
//! What always holds: it only warns. A node on a disk that forgets is still one of several copies; what
//! it must not do is to lose one in silence.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

/// A file for the attempt; removed again.
const NAME: &str = "probe.tmp";
const SYNCS: usize = 9;
/// No disk that keeps its promise answers a sync sooner: the fastest need two or three times as long.
const SYNC_MIN: Duration = Duration::from_micros(8);

/// As `statfs` names them.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;
const OVERLAYFS: i64 = 0x794c_7630;

/// Say what is wrong with the disk under `data_dir`, if anything is.
pub(super) fn check(data_dir: &Path) {
    let found = file_system(data_dir).and_then(|kind| Ok((kind, sync_time(data_dir)?)));
    match found {
        Ok((kind, sync)) => {
            let sync_us = sync.as_micros();
            if let Some(doubt) = doubt(kind, sync) {
                tracing::warn!(path = %data_dir.display(), sync_us, "{doubt}");
            } else {
                tracing::debug!(sync_us, "the disk answers a sync in this time");
            }
        }
        // A full disk, for one; what opens the log says more.
        Err(error) => tracing::debug!(%error, "the disk could not be tried"),
    }
}

/// Why not to believe this file system when it says that something is durable.
fn doubt(kind: i64, sync: Duration) -> Option<&'static str> {
    match kind {
        TMPFS | RAMFS => Some(
            "the data directory lies in memory: a power cut takes all of it. Put node.data_dir on a disk",
        ),
        OVERLAYFS => Some(
            "the data directory lies in a container's own layer: it goes when the container goes. Put \
             node.data_dir on a volume",
        ),
        _ if sync < SYNC_MIN => Some(
            "the disk answers a sync faster than any disk can write: it may lose in a power cut what \
             this node has acknowledged. Turn write-back caching without power protection off",
        ),
        _ => None,
    }
}

fn file_system(dir: &Path) -> io::Result<i64> {
    Ok(rustix::fs::statfs(dir)?.f_type)
}

/// The median of a few small writes with a sync each.
fn sync_time(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(NAME);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let tried = (|| {
        let mut times = Vec::with_capacity(SYNCS);
        for round in 0..SYNCS {
            file.write_all_at(&[u8::try_from(round).unwrap_or(0); 512], 0)?;
            let start = Instant::now();
            file.sync_data()?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(times[SYNCS / 2])
    })();
    fs::remove_file(&path)?;
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F24: what cannot keep a promise is told apart from what may.
    #[test]
    fn a_disk_that_answers_too_fast_or_lies_in_memory_is_doubted() {
        const EXT4: i64 = 0xef53;
        let (fast, slow) = (Duration::from_micros(1), Duration::from_micros(100));
        assert!(doubt(EXT4, slow).is_none());
        assert!(doubt(EXT4, fast).is_some_and(|doubt| doubt.contains("faster than any disk")));
        assert!(doubt(TMPFS, slow).is_some_and(|doubt| doubt.contains("in memory")));
        assert!(doubt(OVERLAYFS, slow).is_some_and(|doubt| doubt.contains("volume")));
    }

    /// F24: trying leaves nothing behind, and takes what a sync takes.
    #[test]
    fn trying_the_disk_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        file_system(dir.path()).unwrap();
        sync_time(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // Without a directory there is an error and no panic.
        sync_time(&dir.path().join("missing")).unwrap_err();
        check(&dir.path().join("missing"));
    }
}
