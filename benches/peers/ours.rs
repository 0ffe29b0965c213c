//! Our log, as a peer of the others.

use std::path::Path;

use anyhow::{Context, Result};
use benches::{
    filled::{Fill, fill_log, open, read_through},
    wal::{Figures, Limit, Shape, Workload, run_log},
};
use wal::{Log, Reader};

use crate::{Stored, System};

/// With threads that block.
pub struct Ours;

/// With appends under way from one thread.
pub struct Tasks;

impl System for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures> {
        Ok(run_log(dir, workload, Shape::Writers, limit)?.0)
    }

    fn fill(&self, dir: &Path, fill: Fill) -> Result<()> {
        fill_log(dir, fill)
    }

    fn open(&self, dir: &Path) -> Result<Box<dyn Stored>> {
        let (log, _) = open(dir)?;
        Ok(Box::new(Opened { reader: log.reader(), log }))
    }
}

impl System for Tasks {
    fn name(&self) -> &'static str {
        "ours, tasks"
    }

    fn run(&self, dir: &Path, workload: Workload, limit: Limit) -> Result<Figures> {
        Ok(run_log(dir, workload, Shape::Tasks, limit)?.0)
    }

    fn fill(&self, dir: &Path, fill: Fill) -> Result<()> {
        Ours.fill(dir, fill)
    }

    fn open(&self, dir: &Path) -> Result<Box<dyn Stored>> {
        Ours.open(dir)
    }
}

struct Opened {
    reader: Reader,
    log: Log,
}

impl Stored for Opened {
    fn read_all(&self, fill: Fill) -> Result<usize> {
        read_through(&self.reader, fill)
    }

    fn read_one(&self, index: u64) -> Result<usize> {
        Ok(self.reader.entry(index)?.context("the entry is missing")?.payload.len())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.log.close()?)
    }
}
