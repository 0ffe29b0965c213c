//! Whether the disk has room for more entries: looked at now and then, off the driver's thread.
//!
//! ```text
//! free space:  |---- none ----|---- low ----|---- enough ----
//!              0        reserve / 2      reserve
//! a leader takes commands:                   yes
//! a follower takes what the leader took:     yes, and while it is low
//! ```
//!
//! So what a leader has taken finds room with followers whose disks fill up like its own. When there
//! is room again, commands are taken again.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use replication::Room;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::metrics::Disk;

/// From one look to the next. The reserve is far more than a log writes in that time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How to see, and what is wanted.
pub(crate) struct Space {
    free_bytes: Arc<dyn Fn() -> io::Result<u64> + Send + Sync>,
    reserve_bytes: u64,
    metrics: Disk,
    look_interval: Duration,
}

impl Space {
    /// The disk on which this directory lies.
    pub(crate) fn of(directory: PathBuf, reserve_bytes: u64, metrics: Disk) -> Self {
        let free_bytes = move || {
            let found = rustix::fs::statvfs(&directory)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        };
        Self {
            free_bytes: Arc::new(free_bytes),
            reserve_bytes,
            metrics,
            look_interval: LOOK_INTERVAL,
        }
    }

    /// Look now, and on until nobody asks any more.
    pub(crate) fn watch(self) -> watch::Receiver<Room> {
        let seen = (self.free_bytes)();
        let first = seen.map_or(Room::Enough, |free_bytes| self.room(free_bytes));
        let (sender, receiver) = watch::channel(first);
        tokio::spawn(self.look(sender));
        receiver
    }

    async fn look(self, sender: watch::Sender<Room>) {
        let mut looks = interval(self.look_interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                _ = looks.tick() => {}
            }
            let see = Arc::clone(&self.free_bytes);
            // A disk that hangs holds up nobody but this task.
            let seen = tokio::task::spawn_blocking(move || see()).await;
            match seen {
                Ok(Ok(free_bytes)) => self.tell(free_bytes, &sender),
                // What was known last is still the best guess.
                Ok(Err(error)) => tracing::warn!(%error, "the free space cannot be told"),
                Err(_panic) => return,
            }
        }
    }

    fn tell(&self, free_bytes: u64, sender: &watch::Sender<Room>) {
        let room = self.room(free_bytes);
        sender.send_if_modified(|before| {
            let is_news = *before != room;
            let reserve_bytes = self.reserve_bytes;
            match room {
                Room::Enough if is_news => {
                    tracing::info!(free_bytes, "there is room again: writes are taken");
                }
                Room::Low | Room::None if is_news => tracing::warn!(
                    free_bytes,
                    reserve_bytes,
                    ?room,
                    "too little free space: writes are refused until there is more \
                     (storage.reserve_bytes)"
                ),
                Room::Enough | Room::Low | Room::None => {}
            }
            *before = room;
            is_news
        });
    }

    fn room(&self, free_bytes: u64) -> Room {
        self.metrics.free.set(free_bytes);
        if free_bytes >= self.reserve_bytes {
            Room::Enough
        } else if free_bytes >= self.reserve_bytes / 2 {
            Room::Low
        } else {
            Room::None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::timeout;

    use super::*;
    use crate::metrics::Metrics;

    const RESERVE_BYTES: u64 = 1_000;
    /// The disk does not answer.
    const UNKNOWN: u64 = u64::MAX;

    fn watched(disk: &Arc<AtomicU64>) -> watch::Receiver<Room> {
        let disk = Arc::clone(disk);
        let free_bytes = move || match disk.load(Ordering::Relaxed) {
            UNKNOWN => Err(io::ErrorKind::Other.into()),
            free_bytes => Ok(free_bytes),
        };
        Space {
            free_bytes: Arc::new(free_bytes),
            reserve_bytes: RESERVE_BYTES,
            metrics: Metrics::new().disk,
            look_interval: Duration::from_millis(1),
        }
        .watch()
    }

    async fn becomes(space: &mut watch::Receiver<Room>, room: Room) {
        let told = timeout(Duration::from_secs(10), space.wait_for(|now| *now == room));
        drop(told.await.expect("it is told in time").expect("somebody looks"));
    }

    #[tokio::test]
    async fn room_ends_below_the_reserve_and_comes_back_by_itself() {
        let disk = Arc::new(AtomicU64::new(RESERVE_BYTES));
        let mut space = watched(&disk);
        assert_eq!(*space.borrow_and_update(), Room::Enough, "the reserve itself is enough");
        for (free_bytes, room) in [
            (RESERVE_BYTES - 1, Room::Low),
            (RESERVE_BYTES / 2, Room::Low),
            (RESERVE_BYTES / 2 - 1, Room::None),
            (0, Room::None),
            (RESERVE_BYTES, Room::Enough),
        ] {
            disk.store(free_bytes, Ordering::Relaxed);
            becomes(&mut space, room).await;
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_full_at_the_start_is_told_at_once() {
        let space = watched(&Arc::new(AtomicU64::new(0)));
        assert_eq!(*space.borrow(), Room::None);
    }

    #[tokio::test]
    async fn what_is_known_holds_while_the_disk_does_not_answer() {
        let disk = Arc::new(AtomicU64::new(0));
        let mut space = watched(&disk);
        disk.store(UNKNOWN, Ordering::Relaxed);
        let told = timeout(Duration::from_millis(50), space.changed()).await;
        assert!(told.is_err() && *space.borrow() == Room::None);
        disk.store(RESERVE_BYTES, Ordering::Relaxed);
        becomes(&mut space, Room::Enough).await;
    }

    #[tokio::test]
    async fn a_real_directory_has_some_room() {
        let metrics = Metrics::new();
        let dir = tempfile::tempdir().unwrap();
        let space = Space::of(dir.path().to_path_buf(), 1, metrics.disk.clone()).watch();
        assert_eq!(*space.borrow(), Room::Enough);
        assert!(metrics.disk.free.get() > 1);
    }
}
