//! raft-engine: a raft group per writer, a `LogBatch` of raft entries per append, written with sync.
//!
//! What always holds: its defaults, and files prefilled with zeros, on which it starts; where it starts on
//! its first file, that one grows.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use benches::{
    filled::Fill,
    payload,
    wal::{Append, Figures, Limit, Workload, run},
};
use bytes::Bytes;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use raft_proto::eraftpb::Entry;

use crate::{Stored, System, sync_files};

/// Read at a time, as the others do.
const READ_BYTES: usize = 1 << 20;
const GROUP: u64 = 1;

pub struct Raft;

struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

impl System for Raft {
    fn name(&self) -> &'static str {
        "raft-engine"
    }

    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures> {
        let size = ReadableSize(limit.file_bytes);
        let engine = Engine::open(Config {
            target_file_size: size,
            purge_threshold: size,
            prefill_for_recycle: true,
            ..config(dir)
        })?;
        // On to a prefilled file.
        engine.purge_manager().must_rewrite_append_queue(None, Some(1));
        sync_files(dir)?;
        let indexes = (0..workload.writers).map(|_| AtomicU64::new(0)).collect();
        run(workload, limit, &Appender { engine, indexes })
    }

    fn fill(&self, dir: &Path, fill: Fill) -> Result<()> {
        let appender =
            Appender { engine: Engine::open(config(dir))?, indexes: vec![AtomicU64::new(0)] };
        let data: Vec<_> =
            (3..).take(fill.batch).map(|n| Bytes::from(payload(n, fill.entry_bytes))).collect();
        for _ in (0..fill.entries()).step_by(fill.batch) {
            appender.append(0, &data)?;
        }
        Ok(())
    }

    fn open(&self, dir: &Path) -> Result<Box<dyn Stored>> {
        Ok(Box::new(Opened(Engine::open(config(dir))?)))
    }
}

fn config(dir: &Path) -> Config {
    Config { dir: dir.display().to_string(), ..Config::default() }
}

struct Appender {
    engine: Engine,
    /// The last index of each group.
    indexes: Vec<AtomicU64>,
}

impl Append for Appender {
    fn append(&self, writer: usize, payloads: &[Bytes]) -> Result<()> {
        let last = self.indexes.get(writer).context("a writer has a group")?;
        let first = last.fetch_add(payloads.len() as u64, Ordering::Relaxed) + 1;
        let entries: Vec<_> = (first..)
            .zip(payloads)
            .map(|(index, data)| Entry { index, term: 1, data: data.clone(), ..Entry::default() })
            .collect();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Entries>(GROUP + writer as u64, &entries)?;
        self.engine.write(&mut batch, true)?;
        Ok(())
    }
}

struct Opened(Engine);

impl Stored for Opened {
    fn read_all(&self, fill: Fill) -> Result<usize> {
        let (mut next, mut bytes) = (1, 0);
        let mut entries = Vec::new();
        while next <= fill.entries() {
            entries.clear();
            let end = fill.entries() + 1;
            let end = end.min(next + (READ_BYTES / fill.entry_bytes) as u64);
            self.0.fetch_entries_to::<Entries>(GROUP, next, end, Some(READ_BYTES), &mut entries)?;
            ensure!(!entries.is_empty(), "entry {next} is missing");
            next += entries.len() as u64;
            bytes += entries.iter().map(|entry| entry.data.len()).sum::<usize>();
        }
        Ok(bytes)
    }

    fn read_one(&self, index: u64) -> Result<usize> {
        let entry = self.0.get_entry::<Entries>(GROUP, index)?.context("the entry is missing")?;
        Ok(entry.data.len())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
