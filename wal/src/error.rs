//! What can go wrong with a log, said so that someone can act on it: which file, which byte, what to do.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use crate::FaultyRange;

/// Why the log cannot go on.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "everybody says wal::Error")]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {path}{}", advice(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what was written and acknowledged. Nothing was changed.
    #[error(
        "{path} is damaged at byte {offset}: {damage}; nothing was changed. Keep a copy of the \
         directory. In a cluster, replace this node's disk (`chatctl cluster replace N`) and let it \
         catch up from the others; a single server has only its backup"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found.
        damage: Damage,
    },
    /// The log held this entry and cannot read it. Everything around it reads.
    #[error(
        "entry {index} is damaged on this disk (indexes {} to {}) and waits to be repaired from another \
         node", range.first, range.last
    )]
    Faulty {
        /// Which entry.
        index: u64,
        /// What is faulty with it.
        range: FaultyRange,
    },
    /// Another process has the log.
    #[error("{path} is held by another process: is this node running already?")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A log is there already, or what is left of one.
    #[error("{path} exists: a log is there already, or what is left of one")]
    Exists {
        /// What was found.
        path: PathBuf,
    },
    /// There is no log.
    #[error("no log at {path}")]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("{path} has format {found}, and this version reads {supported}: use a newer version")]
    Version {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u16,
        /// The newest that is understood.
        supported: u16,
    },
    /// A write or sync failed before; what reached the disk is not known. Only a restart finds out.
    #[error("the log stopped after a failed write or sync; restart the node")]
    Poisoned,
    /// The manifest cannot list another segment.
    #[error("{path} lists {limit} segments, and that is all it can")]
    TooManySegments {
        /// The manifest.
        path: PathBuf,
        /// How many it can list.
        limit: usize,
    },
    /// An option is out of its bounds.
    #[error("option {name} = {value} is out of bounds: {rule}")]
    Options {
        /// Which option.
        name: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },
}

impl Error {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    /// The same for another who waits for it; what cannot be said twice is [`Error::Poisoned`].
    pub(crate) fn again(&self) -> Self {
        let Self::Io { action, path, source } = self else { return Self::Poisoned };
        let source = source
            .raw_os_error()
            .map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
        Self::Io { action, path: path.clone(), source }
    }

    /// Is the disk full?
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

/// What to do when the system says this, in brackets.
fn advice(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::NOSPC | Errno::DQUOT) => " (make room on its disk)",
        Some(Errno::ACCESS | Errno::PERM) => " (it must belong to the user that runs this)",
        Some(Errno::ROFS) => " (its file system must be writable; a failing disk can end that)",
        Some(Errno::NOENT) => " (is its disk mounted?)",
        Some(Errno::IO) => " (its disk fails: check it)",
        Some(_) | None => "",
    }
}

/// Does it say that the disk does not give back what it holds, or that the file has been cut short?
pub(crate) fn is_of_disk(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        // Linux has a number for most ways in which a medium or what leads to it can fail.
        Some(
            Errno::IO
            | Errno::NODATA
            | Errno::ILSEQ
            | Errno::BADMSG
            | Errno::UCLEAN
            | Errno::REMOTEIO
            | Errno::TIMEDOUT,
        ) => true,
        Some(_) => false,
        None => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// A header fails its checksum.
    Header,
    /// A header belongs to another file or place.
    Misplaced,
    /// A batch does not follow the one before it.
    OutOfSequence,
    /// A batch fails its checksum though it was acknowledged: a later one says so.
    Acknowledged,
    /// The last batch is damaged, and not in a way that a crash leaves: it may have been acknowledged.
    Suspect,
    /// The log ends before what the manifest or the vote file knows to be durable.
    LostTail,
    /// An entry fails its checksum.
    Entry,
    /// The checksums hold but the contents make no sense.
    Contents,
    /// A file of the log is not there.
    FileMissing,
    /// A file is shorter than its header says.
    FileShort,
    /// Neither of the two slots can be read.
    BothSlots,
    /// A segment that the manifest does not list holds data.
    Unlisted,
    /// The disk cannot read it.
    Unreadable,
    /// The footer of a full segment cannot be believed. Nothing is lost with it.
    Footer,
    /// Batches are lost, and what is left does not tell what they did.
    Unbounded,
    /// A node's disk was bound, and the record of it is lost.
    LostBinding,
    /// More is faulty than can be listed.
    TooMuch,
    /// The manifest, which would have listed what followed, was lost.
    Unlisting,
    /// The log was opened more often than the manifest knows: its newest state is lost.
    Stale,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "a header fails its checksum",
            Self::Misplaced => "a header belongs to another file or place",
            Self::OutOfSequence => "a batch does not follow the one before it",
            Self::Acknowledged => "an acknowledged batch fails its checksum",
            Self::Suspect => {
                "the last batch fails its checksum in a way that no crash leaves, and may have been \
                 acknowledged"
            }
            Self::LostTail => "the log ends before what is known to have been durable",
            Self::Entry => "an entry fails its checksum",
            Self::Contents => "the checksums hold but the contents make no sense",
            Self::FileMissing => "the file is not there",
            Self::FileShort => "the file is shorter than its header says",
            Self::BothSlots => "neither of its two slots can be read",
            Self::Footer => {
                "the footer cannot be believed (nothing is lost: it is written again at the next start)"
            }
            Self::Unreadable => "the disk cannot read it",
            Self::Unlisted => "a segment that the manifest does not list holds data",
            Self::Unbounded => {
                "batches are lost, and what is left of the log does not tell what they did"
            }
            Self::LostBinding => "the record of which disk a node is was lost",
            Self::TooMuch => "more of the log is damaged than can be listed",
            Self::Unlisting => {
                "the log seems to end here, but the manifest is lost, and with it the list of the \
                 segments that may have followed"
            }
            Self::Stale => "its newest state is lost: the log was opened more often than it says",
        })
    }
}
