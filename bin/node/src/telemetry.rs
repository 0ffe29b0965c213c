//! Structured logs to stderr: one line per event, as text for people or as JSON for machines.
//!
//! Passwords, tokens and message texts are never logged.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// Log to stderr from here on, as `log` says. A second call changes nothing.
pub fn start(log: Log) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(log.level))
        .with_writer(io::stderr)
        .with_target(true);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}
