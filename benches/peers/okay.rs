//! okaywal: an entry per append, a chunk per payload.
//!
//! What always holds: it starts on a file of full size, as every log here; no checkpoint comes due, because
//! it would throw away what is to be read back.

use std::{
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use benches::{
    filled::Fill,
    payload,
    wal::{Append, Figures, Limit, Workload, run},
};
use bytes::Bytes;
use okaywal::{
    Configuration, Entry, EntryId, LogManager, LogPosition, LogVoid, ReadChunkResult,
    SegmentReader, WriteAheadLog,
};

use crate::{Stored, System, sync_files};

pub struct Okay;

impl System for Okay {
    fn name(&self) -> &'static str {
        "okaywal"
    }

    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures> {
        let log = Appender(configured(dir, limit.file_bytes)?.open(LogVoid)?);
        sync_files(dir)?;
        let figures = run(workload, limit, &log)?;
        log.0.shutdown()?;
        Ok(figures)
    }

    fn fill(&self, dir: &Path, fill: Fill) -> Result<()> {
        let bytes = fill.payload_bytes + fill.payload_bytes / 8 + (1 << 20);
        let log = configured(dir, bytes as u64)?.open(LogVoid)?;
        let data = payload(3, fill.entry_bytes);
        for _ in (0..fill.entries()).step_by(fill.batch) {
            let mut entry = log.begin_entry()?;
            for _ in 0..fill.batch {
                entry.write_chunk(&data)?;
            }
            entry.commit()?;
        }
        Ok(log.shutdown()?)
    }

    fn open(&self, dir: &Path) -> Result<Box<dyn Stored>> {
        let replay = Replay::default();
        let positions = Arc::clone(&replay.positions);
        let log = Configuration::default_for(dir).checkpoint_after_bytes(u64::MAX).open(replay)?;
        Ok(Box::new(Opened { log, positions }))
    }

    /// Nothing but its opening can do it.
    fn reads_all(&self) -> bool {
        false
    }
}

fn configured(dir: &Path, bytes: u64) -> Result<Configuration> {
    let bytes = u32::try_from(bytes)?;
    Ok(Configuration::default_for(dir).preallocate_bytes(bytes).checkpoint_after_bytes(u64::MAX))
}

struct Appender(WriteAheadLog);

impl Append for Appender {
    fn append(&self, _writer: usize, payloads: &[Bytes]) -> Result<()> {
        let mut entry = self.0.begin_entry()?;
        for payload in payloads {
            entry.write_chunk(payload)?;
        }
        entry.commit()?;
        Ok(())
    }
}

/// Reads every chunk of every entry, with its checksum, and remembers where it lies.
#[derive(Debug, Default)]
struct Replay {
    positions: Arc<Mutex<Vec<LogPosition>>>,
}

impl LogManager for Replay {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            let position = chunk.log_position();
            chunk.read_all()?;
            if !chunk.check_crc()? {
                return Err(io::ErrorKind::InvalidData.into());
            }
            positions.push(position);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _reader: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

struct Opened {
    log: WriteAheadLog,
    positions: Arc<Mutex<Vec<LogPosition>>>,
}

impl Stored for Opened {
    fn read_all(&self, _fill: Fill) -> Result<usize> {
        anyhow::bail!("only its opening reads all")
    }

    fn read_one(&self, index: u64) -> Result<usize> {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let position = positions.get(usize::try_from(index - 1)?).context("it is there")?;
        let mut chunk = self.log.read_at(*position)?;
        let mut bytes = Vec::with_capacity(chunk.chunk_length() as usize);
        chunk.read_to_end(&mut bytes)?;
        ensure!(chunk.crc_is_valid()?, "a chunk fails its checksum");
        Ok(bytes.len())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.log.shutdown()?)
    }
}
