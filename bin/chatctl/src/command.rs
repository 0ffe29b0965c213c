//! The program: from the command line to an exit code.

mod account;
mod app;
mod bench;
mod channel;
mod cluster;
mod deletion;
mod docs;
mod doctor;
mod follow;
mod lines;
mod membership;
mod message;
mod password;
mod read;
mod send;
mod verify;

use std::{ffi::OsString, process::ExitCode};

use self::app::{App, Cut};
use crate::{
    ClientError,
    args::{self, AccountCommand, BenchCommand, ChannelCommand, Cli, ClusterCommand, Command},
    output::{self, Output},
};

/// Runs `chatctl` with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match args::parse(&args) {
        Ok(cli) => cli,
        // Help and version are no errors; a closed pipe while printing them is none either.
        Err(shown) if !shown.use_stderr() => {
            drop(shown.print());
            return 0;
        }
        Err(wrong) if asks_for_json(&args) => {
            let message = wrong.render().to_string();
            let message = message.trim().trim_start_matches("error: ").to_owned();
            let error = ClientError::usage_hint(message, "chatctl --help shows what there is");
            output::error_object(&error);
            return 2;
        }
        Err(wrong) => {
            drop(wrong.print());
            return 2;
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

/// Whether the command line asks for JSON, though it is not understood as a whole.
fn asks_for_json(args: &[OsString]) -> bool {
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    words.iter().any(|word| matches!(word.as_ref(), "-ojson" | "-o=json" | "--output=json"))
        || words
            .windows(2)
            .any(|pair| matches!(pair[0].as_ref(), "-o" | "--output") && pair[1] == "json")
}

async fn perform(cli: Cli, output: Output) -> Result<(), ClientError> {
    if let Command::Docs(command) = &cli.command {
        return docs::print(command);
    }
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
        Command::Passwd(args) => account::passwd(app, &args).await,
        Command::Users { glob, limit, after } => {
            let cut = Cut { limit, after: after.map(|name| name.0) };
            account::users(app, glob.as_deref(), cut).await
        }
        Command::Send(args) if args.lines => lines::send_lines(app, &args.to).await,
        Command::Send(args) => send::send(app, args).await,
        Command::Read(args) => read::read(app, args).await,
        Command::Follow { to, since } => follow::follow(app, &to, since).await,
        Command::Inbox => read::inbox(app).await,
        Command::Mark { to, upto } => message::mark(app, &to, upto).await,
        Command::Edit { id, text } => message::edit(app, id, &text).await,
        Command::Delete { ids } => message::delete(app, &ids).await,
        Command::Channels { glob, limit, after } => {
            let cut = Cut { limit, after: after.map(|name| name.0) };
            channel::list(app, glob.as_deref(), cut).await
        }
        Command::Account(command) => account(app, command).await,
        Command::Channel(command) => channel(app, command).await,
        Command::Cluster(command) => cluster(app, command).await,
        Command::Doctor => doctor::doctor(app).await,
        Command::Bench(BenchCommand::Send(args)) => bench::send(app, &args).await,
        Command::Docs(command) => docs::print(&command),
    }
}

async fn account(app: &mut App, command: AccountCommand) -> Result<(), ClientError> {
    match command {
        AccountCommand::Sessions { end } => account::sessions(app, end).await,
        AccountCommand::Delete { erase_messages, yes, password } => {
            deletion::delete(app, &deletion::Asked { erase_messages, yes, password }).await
        }
    }
}

async fn cluster(app: &App, command: ClusterCommand) -> Result<(), ClientError> {
    match command {
        ClusterCommand::Status { watch } => cluster::status(app, watch).await,
        ClusterCommand::Verify => verify::verify(app).await,
        ClusterCommand::Add { node, peer, client, wait } => {
            membership::add(app, node, (&peer, &client), wait).await
        }
        ClusterCommand::Remove { node, yes } => membership::remove(app, node, yes).await,
        ClusterCommand::Replace { node, yes, wait } => {
            membership::replace(app, node, (yes, wait)).await
        }
        ClusterCommand::Transfer { node } => membership::transfer(app, node).await,
        ClusterCommand::Drain { node, undo } => membership::drain(app, node, undo).await,
    }
}

async fn channel(app: &App, command: ChannelCommand) -> Result<(), ClientError> {
    match command {
        ChannelCommand::Create { name, private, topic } => {
            channel::create(app, &name.0, private, topic.as_deref()).await
        }
        ChannelCommand::Join { name } => channel::join(app, &name.0).await,
        ChannelCommand::Leave { name } => channel::leave(app, &name.0).await,
        ChannelCommand::Invite { name, user } => channel::invite(app, &name.0, &user.0).await,
        ChannelCommand::Members { name } => channel::members(app, &name.0).await,
    }
}
