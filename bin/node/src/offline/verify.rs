//! `node wal verify`: every byte of a log, with all checksums, and a progress bar on a terminal.

use std::{
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressStyle};
use wal::{File, FileLayer, Inspection, Io, IoLayer, RealIo, SegmentState};

use super::{look, refused, unfit};
use crate::NodeError;

/// Read all of it. A quick look comes first: it refuses what is no log, and tells how much there is.
pub(super) fn verify(dir: &Path) -> Result<Inspection, NodeError> {
    let bar = bar(to_read(&look(dir)?));
    let disk = RealIo::read_only(dir).map_err(|error| unfit(dir, error))?;
    let io: Arc<dyn Io> = Arc::new(Metered { io: disk, bar: bar.clone() });
    let found = wal::verify(&io).map_err(|error| refused(dir, error));
    bar.finish_and_clear();
    found
}

/// What is in use, and all of the segment that may have been written to last.
fn to_read(found: &Inspection) -> u64 {
    let bytes = found.segments.iter().map(|segment| match segment.state {
        SegmentState::Active => segment.data_end,
        SegmentState::Sealed => segment.used_bytes,
        SegmentState::Spare | SegmentState::Missing | SegmentState::Unreadable => 0,
    });
    bytes.sum()
}

fn bar(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_template| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

/// A directory that counts what is read.
#[derive(Debug)]
struct Metered {
    io: RealIo,
    bar: ProgressBar,
}

impl IoLayer for Metered {
    fn below(&self) -> &dyn Io {
        &self.io
    }

    fn file(&self, _name: &str, below: Box<dyn File>) -> Box<dyn File> {
        Box::new(MeteredFile { file: below, bar: self.bar.clone() })
    }
}

#[derive(Debug)]
struct MeteredFile {
    file: Box<dyn File>,
    bar: ProgressBar,
}

impl FileLayer for MeteredFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.bar.inc(u64::try_from(buffer.len()).unwrap_or(0));
        self.file.read_at(buffer, offset)
    }
}
