//! Structured logs to stderr: one line per event, as text for people or as JSON for machines.
//!
//! Passwords, tokens and message texts are never logged.

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat, LogLevel};

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Log to stderr from here on, as `log` says. A second call changes nothing.
pub fn start(log: Log) {
    let (level, handle) = reload::Layer::new(LevelFilter::from(log.level));
    let lines = fmt::layer().with_writer(io::stderr).with_target(true);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    match tracing_subscriber::registry().with(level).with(lines).try_init() {
        // The first handle is the one of the first call, and so the one in use.
        Ok(()) => drop(LEVEL.set(handle)),
        Err(error) => tracing::debug!(%error, "logging had been started before"),
    }
}

/// From here on, what is less important than `level` is not told.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(LevelFilter::from(level))
    {
        tracing::warn!(%error, "the log level stays");
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
