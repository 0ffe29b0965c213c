//! From the command line to the exit code.
//!
//! What a command found goes to stdout, everything else to stderr; a reader that closes the pipe
//! ends the program quietly.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    NodeError,
    args::{Cli, Command},
    certs,
    config::Config,
    dev,
    genesis::GENESIS_VERSION,
    init, level, offline, run, telemetry,
};

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed stdout or stderr leaves nobody to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    match command(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {}", chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

/// The whole program, as if a build that understands this feature level: for tests of an upgrade from one
/// build to the next. No node that users run calls it.
#[must_use]
pub fn main_at(level: u16) -> ExitCode {
    level::play(level);
    main()
}

/// Print to stdout; a closed pipe is no error.
pub(crate) fn say(text: &str) -> Result<(), NodeError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(NodeError::System { action: "write to standard output", source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn command(cli: Cli) -> Result<(), NodeError> {
    if cli.version {
        return say(&version());
    }
    match (cli.config, cli.command) {
        (Some(file), _) => {
            dev::follow_parent()?;
            let config = Config::load(&file)?;
            telemetry::start(config.log);
            run::run(config)
        }
        (None, Some(Command::Init(args))) => say(&init::command(&args)?),
        (None, Some(Command::Certs(command))) => say(&certs::command(&command)?),
        (None, Some(Command::Dev(args))) => dev::command(&args),
        (None, Some(Command::Wal(command))) => offline::command(&command),
        (None, None) => Err(NodeError::Usage("nothing to do: see `node --help`".to_owned())),
    }
}

fn version() -> String {
    format!(
        "node {}\nlog format {}\ngenesis format {GENESIS_VERSION}\nnode protocol {}\nclient API v1\n\
         feature level {}\n",
        env!("CARGO_PKG_VERSION"),
        wal::FORMAT_VERSION,
        String::from_utf8_lossy(replication::quic::identity::ALPN),
        level::understood()
    )
}

/// An error and everything below it, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
