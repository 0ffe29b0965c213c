//! The program: from the command line to an exit code.

mod account;
mod app;
mod channel;
mod cluster;
mod follow;
mod lines;
mod password;
mod read;
mod send;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use self::app::App;
use crate::{
    ClientError,
    args::{ChannelCommand, Cli, ClusterCommand, Command},
    output::{self, Output},
};

/// Runs `chatctl` with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(shown) => {
            // Help and version are no errors; a closed pipe while printing them is none either.
            drop(shown.print());
            return if shown.use_stderr() { 2 } else { 0 };
        }
    };
    let output = Output::new(&cli.global);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(perform(cli, output.clone()));
            // A reader of stdin may still wait for a line that nobody wants any more.
            runtime.shutdown_background();
            result
        }
        Err(source) => Err(ClientError::Io { action: "starting up".to_owned(), source }),
    };
    match result {
        Ok(()) => 0,
        Err(error) if output::is_closed_pipe(&error) => 0,
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

async fn perform(cli: Cli, output: Output) -> Result<(), ClientError> {
    let mut app = App::new(&cli.global, output)?;
    let signs_in = matches!(cli.command, Command::Register { .. } | Command::Login { .. });
    let result = dispatch(&mut app, cli.command).await;
    let result = if signs_in { result } else { result.map_err(|error| app.explain(error)) };
    // What was learnt is kept even when the command failed; failing to keep it is the lesser trouble.
    let kept = app.keep();
    result.and(kept)
}

async fn dispatch(app: &mut App, command: Command) -> Result<(), ClientError> {
    match command {
        Command::Register { name, invite, password } => {
            account::register(app, &name.0, invite.as_deref(), &password).await
        }
        Command::Login { name, password } => account::login(app, &name.0, &password).await,
        Command::Logout => account::logout(app).await,
        Command::Whoami => account::whoami(app).await,
        Command::Users { glob, limit, after } => {
            account::users(app, glob.as_deref(), limit, after.map(|name| name.0)).await
        }
        Command::Send(args) if args.lines => lines::send_lines(app, &args.to).await,
        Command::Send(args) => send::send(app, args).await,
        Command::Read(args) => read::read(app, args).await,
        Command::Follow { to, since } => follow::follow(app, &to, since).await,
        Command::Inbox => read::inbox(app).await,
        Command::Channels { glob } => channel::list(app, glob.as_deref()).await,
        Command::Channel(command) => match command {
            ChannelCommand::Create { name, private, topic } => {
                channel::create(app, &name.0, private, topic.as_deref()).await
            }
            ChannelCommand::Join { name } => channel::join(app, &name.0).await,
            ChannelCommand::Leave { name } => channel::leave(app, &name.0).await,
            ChannelCommand::Members { name } => channel::members(app, &name.0).await,
        },
        Command::Cluster(ClusterCommand::Status { watch }) => cluster::status(app, watch).await,
    }
}
