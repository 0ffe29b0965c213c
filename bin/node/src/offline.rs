//! `node wal`: look at, check and mend the log of a node that does not run.
//!
//! What always holds: `inspect` and `verify` open files for reading alone; what a log holds and whether
//! it is whole is judged by the engine that opens it, never here; what was found goes to stdout whole
//! before the exit code says that it is bad news.

mod changes;
mod repair;
mod report;
#[cfg(test)]
mod tests;
mod text;
mod verify;

use std::{io::ErrorKind, path::Path, sync::Arc};

use serde::Serialize;
use wal::{Inspection, Io, RealIo};

use self::report::Report;
use crate::{NodeError, args::WalCommand, program::say};

const WANTED: &str = "give a node's data directory (`data_dir` in its node.toml)";

/// What a command says.
#[derive(Debug)]
struct Answer {
    /// What was found, for stdout.
    text: String,
    /// What the exit code comes from.
    outcome: Result<(), NodeError>,
}

/// Run the command.
pub(crate) fn command(command: &WalCommand) -> Result<(), NodeError> {
    let answer = answer(command)?;
    say(&answer.text)?;
    answer.outcome
}

fn answer(command: &WalCommand) -> Result<Answer, NodeError> {
    match command {
        WalCommand::Inspect(args) => {
            let report = Report::of(&args.data_dir, look(&args.data_dir)?);
            Ok(Answer::of(&report, args.json, text::inspected))
        }
        WalCommand::Verify(args) => {
            let report = Report::of(&args.data_dir, verify::verify(&args.data_dir)?);
            Ok(Answer::of(&report, args.json, text::verified))
        }
        WalCommand::Repair(args) => repair::repair(args),
    }
}

impl Answer {
    fn of(report: &Report, json: bool, text: fn(&Report) -> String) -> Self {
        Self { text: if json { to_json(report) } else { text(report) }, outcome: outcome(report) }
    }
}

/// The exit code says whether damage was found.
fn outcome(report: &Report) -> Result<(), NodeError> {
    match report.faults.len().max(report.lost.len()) {
        0 => Ok(()),
        found => Err(NodeError::Damaged {
            path: report.path.clone(),
            problem: format!("{found} faulty place{} found", text::plural(found)),
        }),
    }
}

/// One object on one line.
fn to_json(told: &impl Serialize) -> String {
    let mut text = serde_json::to_string(told).expect("text and numbers can be written");
    text.push('\n');
    text
}

/// Look at the log in `dir`, without changing a byte.
fn look(dir: &Path) -> Result<Inspection, NodeError> {
    let io: Arc<dyn Io> = Arc::new(RealIo::read_only(dir).map_err(|error| unfit(dir, error))?);
    wal::inspect(&io).map_err(|error| refused(dir, error))
}

fn unfit(dir: &Path, error: std::io::Error) -> NodeError {
    let shown = dir.display();
    if error.kind() == ErrorKind::NotFound {
        return NodeError::Usage(format!("there is no directory {shown}"));
    }
    if error.kind() == ErrorKind::NotADirectory {
        return NodeError::Usage(format!("{shown} is no directory: {WANTED}"));
    }
    NodeError::io("open", dir)(error)
}

fn refused(dir: &Path, error: wal::Error) -> NodeError {
    if matches!(error, wal::Error::Locked { .. }) {
        return NodeError::InUse { path: dir.to_path_buf() };
    }
    if matches!(error, wal::Error::Missing { .. }) {
        return NodeError::Usage(format!(
            "there is no log in {}: {WANTED}; a node makes its log when it is first started",
            dir.display()
        ));
    }
    if matches!(error, wal::Error::Version { .. }) {
        return NodeError::Usage(error.to_string());
    }
    NodeError::Log(error)
}
