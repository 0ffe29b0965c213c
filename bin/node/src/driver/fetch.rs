//! Old entries for peers that lag, read on a thread of their own: the driver never waits for the disk.
//!
//! What always holds: at most [`FETCHES_MAX`] reads wait; each that is taken is answered once.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use election::Index;
use replication::{FetchId, MEMBERS_MAX};
use tokio::sync::mpsc;
use wal::Entry;

/// Reads that wait: one for each peer, and those that a leader asked for in its life before.
const FETCHES_MAX: usize = 2 * MEMBERS_MAX;

/// Entries `[first, last]`, as many as fit the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fetch {
    pub(crate) name: FetchId,
    pub(crate) first: Index,
    pub(crate) last: Index,
    pub(crate) bytes_max: u32,
}

/// What was read.
pub(crate) type Fetched = (FetchId, Result<Vec<Entry>, wal::Error>);

/// The way to the thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Fetches(SyncSender<Fetch>);

impl Fetches {
    /// Start the thread; what it reads comes out of the channel.
    pub(crate) fn start(reader: wal::Reader) -> std::io::Result<(Self, mpsc::Receiver<Fetched>)> {
        let (asks, asked) = sync_channel(FETCHES_MAX);
        let (tell, told) = mpsc::channel(FETCHES_MAX);
        thread::Builder::new()
            .name("fetch".to_owned())
            .spawn(move || run(&reader, &asked, &tell))?;
        Ok((Self(asks), told))
    }

    /// Ask for a read. Says whether there was room.
    pub(crate) fn ask(&self, fetch: Fetch) -> bool {
        self.0.try_send(fetch).is_ok()
    }
}

fn run(reader: &wal::Reader, asked: &Receiver<Fetch>, tell: &mpsc::Sender<Fetched>) {
    while let Ok(Fetch { name, first, last, bytes_max }) = asked.recv() {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let read = reader.read(first.0, last.0, bytes_max);
        if tell.blocking_send((name, read)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wal::{EntryKind, Op};

    use super::*;
    use crate::small_log;

    fn fetch(name: u64, first: u64, last: u64) -> Fetch {
        let (first, last) = (Index(first), Index(last));
        Fetch { name: FetchId(name), first, last, bytes_max: 1 << 20 }
    }

    #[tokio::test]
    async fn reads_are_answered_in_order_and_no_more_wait_than_may() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = small_log::create(dir.path(), small_log::options());
        let entry = |index| Entry::new(index, 1, EntryKind::Command, Bytes::from_static(b"x"));
        log.stage(1, Op::Append((1..=9).map(entry).collect()));
        log.write().unwrap();
        log.sync().unwrap();
        let (fetches, mut told) = Fetches::start(log.reader()).unwrap();
        assert!(fetches.ask(fetch(1, 2, 4)) && fetches.ask(fetch(2, 9, 9)));
        for (name, indexes) in [(1, vec![2, 3, 4]), (2, vec![9])] {
            let (found, read) = told.recv().await.unwrap();
            let read: Vec<u64> = read.unwrap().iter().map(|entry| entry.index).collect();
            assert_eq!((found, read), (FetchId(name), indexes));
        }
        // Nobody takes the answers: the thread waits, and so do the next.
        let taken = (0..).take_while(|name| fetches.ask(fetch(*name, 1, 1))).count();
        assert!((FETCHES_MAX..=2 * FETCHES_MAX + 1).contains(&taken), "{taken}");
        drop(fetches);
        let mut answered = 0;
        while told.recv().await.is_some() {
            answered += 1;
        }
        assert_eq!(answered, taken, "each was answered, and the thread has ended");
    }
}
