//! What can stop the program, and the exit code that it then ends with.
//!
//! `Display` is a fragment that says what happened, to what, and what to do; it leaves out its
//! source, because `main` prints the whole chain once.

use std::{io, net::SocketAddr, path::PathBuf};

use replication::quic;

use crate::{config::ConfigError, driver::CoreError, http::HttpError};

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file or directory failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "read", "write", "fsync" …
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system refused something that is no file.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error(
        "cannot listen for {what} on {address}: is another process using the port, or is the \
         address not of this host?"
    )]
    Listen {
        /// "peers" or "clients".
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A data directory that belongs to somebody else. Nothing in it was touched.
    #[error("{} belongs to {found}, but this is {wanted}: check node.data_dir", path.display())]
    ForeignData {
        /// The data directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// A data directory that another process has open. Nothing in it was touched.
    #[error("{} is in use by another process: stop that one first", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// A file that holds what it cannot hold.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// A certificate, key or token that must not be used.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A cluster that did not come up.
    #[error("{0}")]
    NotReady(String),
    /// A data directory that was not made by `node init`, or not yet admitted.
    #[error(
        "{} has no genesis: a data directory is made by `node init`; one that is empty joins a \
         running cluster, if node.toml names a node of it",
        .0.display()
    )]
    NoGenesis(PathBuf),
    /// The log cannot be opened, read or written.
    #[error("the log")]
    Log(#[from] wal::Error),
    /// The transport between nodes does not start.
    #[error("the links to the other nodes")]
    Transport(#[from] quic::StartError),
    /// The client API does not start, or failed.
    #[error("the client API")]
    Http(#[from] HttpError),
    /// A configuration entry that this version cannot read.
    #[error(
        "entry {index} of the log is no configuration that this version understands ({reason}): run \
         the version that the other nodes run"
    )]
    UnreadableConfig {
        /// Where.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// The core cannot go on.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The node had to stop.
    #[error("the node stopped: {0}")]
    Stopped(String),
}

impl NodeError {
    /// For `map_err` after a file operation.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The exit code of the process: 1 failed, 2 wrong usage or configuration, 3 nothing reachable,
    /// 4 damaged data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::Listen { .. }
            | Self::ForeignData { .. }
            | Self::InUse { .. }
            | Self::Certificate { .. }
            | Self::NoGenesis(_)
            | Self::Transport(_)
            | Self::Http(_)
            | Self::Log(wal::Error::Locked { .. } | wal::Error::Options { .. }) => 2,
            Self::NotReady(_) => 3,
            Self::Damaged { .. }
            | Self::Log(wal::Error::Damaged { .. } | wal::Error::Faulty { .. })
            | Self::Core(
                CoreError::Log(wal::Error::Damaged { .. } | wal::Error::Faulty { .. })
                | CoreError::OddState { .. }
                | CoreError::SplitState { .. },
            ) => 4,
            Self::Io { .. }
            | Self::System { .. }
            | Self::Log(_)
            | Self::UnreadableConfig { .. }
            | Self::Core(_)
            | Self::Stopped(_) => 1,
        }
    }
}
