//! The command line, to the letter of the documented contract.
//!
//! A flag beats the environment, which beats the file, which beats the default. No secret but the one-time
//! invite is ever an argument.

mod account;
mod bench;
mod cluster;
mod message;
mod parse;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use self::parse::duration;
pub(crate) use self::{
    account::{AccountCommand, NewPasswordArgs, PasswordArgs},
    bench::{BenchArgs, BenchCommand},
    cluster::{ChannelCommand, ClusterCommand},
    message::{ReadArgs, SendArgs},
    parse::{ChannelName, Name},
};
use crate::{Consistency, Endpoint, Target};

const AFTER_HELP: &str = "\
Examples:
  chatctl register alice
  chatctl send @bob 'hello'
  chatctl send '#general' 'quote the # in a shell'
  chatctl follow
  HOLDFAST_PROFILE=bob chatctl login bob      # a second user beside the first

A profile is a name of its own for a login: two profiles are two users. It may also stand in the
configuration with endpoints of its own.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 nothing was done, 4 damage found,
            5 outcome unknown (retry with the same --request-id)";

/// Every help: what it does, how it is written, an example, and then the options.
const HELP: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}";

/// The description of the command line.
pub(crate) fn command() -> clap::Command {
    fn example_first(command: clap::Command) -> clap::Command {
        command.help_template(HELP).mut_subcommands(example_first)
    }
    example_first(Cli::command())
}

/// The words of the command line, understood.
pub(crate) fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Chat on a Holdfast cluster.
#[derive(Debug, Parser)]
#[command(name = "chatctl", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command understands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of a node; repeat it for more nodes
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint: Vec<Endpoint>,
    /// Which login and endpoints to use
    #[arg(long, global = true, value_name = "NAME", env = "HOLDFAST_PROFILE")]
    pub(crate) profile: Option<String>,
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// CA certificate (PEM) of the cluster
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// text for people, json for scripts (one object per line)
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Format,
    /// How long a request may take over all nodes
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// How fresh reads must be: linearizable, session (what this login saw) or stale
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "linearizable",
        hide_possible_values = true
    )]
    pub(crate) read: Consistency,
    /// Never ask anything
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// No colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// No messages but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account and log in
    #[command(
        after_help = "Example:\n  chatctl register alice\n  chatctl register root --invite TOKEN   # the owner's one-time token"
    )]
    Register {
        name: Name,
        /// An invite, or the owner's one-time token
        #[arg(long, value_name = "TOKEN")]
        invite: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Log in
    #[command(
        after_help = "Example:\n  chatctl login alice\n  printf %s \"$PW\" | chatctl login alice --password-stdin"
    )]
    Login {
        name: Name,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// End the session
    #[command(after_help = "Example:\n  chatctl logout")]
    Logout,
    /// Show the own account
    #[command(after_help = "Example:\n  chatctl whoami -o json")]
    Whoami,
    /// Change the own password; every other login ends
    #[command(
        after_help = "Example:\n  chatctl passwd\n  printf '%s\\n%s\\n' \"$OLD\" \"$NEW\" | chatctl passwd --password-stdin"
    )]
    Passwd(NewPasswordArgs),
    /// List accounts, by wildcard
    #[command(after_help = "Example:\n  chatctl users 'al*' --limit 20")]
    Users {
        /// Wildcard: * is any text, ? any character
        glob: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Continue after this name
        #[arg(long, value_name = "NAME")]
        after: Option<Name>,
    },
    /// Send a message
    #[command(after_help = message::SEND_HELP)]
    Send(SendArgs),
    /// Read a conversation, or everything unread
    #[command(
        after_help = "Example:\n  chatctl read\n  chatctl read @bob --limit 20\n  chatctl read '#general' --unread --mark"
    )]
    Read(ReadArgs),
    /// Show messages live, until Ctrl-C
    #[command(
        after_help = "Example:\n  chatctl follow\n  chatctl follow '#general' @bob\n  chatctl follow --since 4711 -o json"
    )]
    Follow {
        /// Only these conversations: @user, '#channel'
        to: Vec<Target>,
        /// Start after this message id; 0 is the beginning
        #[arg(long, value_name = "ID")]
        since: Option<u64>,
    },
    /// List conversations with unread and mention counts
    #[command(after_help = "Example:\n  chatctl inbox")]
    Inbox,
    /// Mark a conversation as read
    #[command(after_help = "Example:\n  chatctl mark @bob\n  chatctl mark '#general' --upto 42")]
    Mark {
        /// @user or '#channel'
        to: Target,
        /// Only up to this place in the conversation; all of it otherwise
        #[arg(long, value_name = "SEQ")]
        upto: Option<u64>,
    },
    /// Change the text of an own message
    #[command(after_help = "Example:\n  chatctl edit 4711 'what I meant to say'")]
    Edit {
        /// The message
        id: u64,
        /// Its new text
        text: String,
    },
    /// Delete messages: own ones for everyone, received ones for you
    #[command(after_help = "Example:\n  chatctl delete 4711\n  chatctl delete 4711 4712 4713")]
    Delete {
        /// The messages
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
    },
    /// List channels, by wildcard
    #[command(after_help = "Example:\n  chatctl channels 'team-*' --limit 20")]
    Channels {
        /// Wildcard: * is any text, ? any character
        glob: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Continue after this name
        #[arg(long, value_name = "NAME")]
        after: Option<ChannelName>,
    },
    /// See where you are logged in, delete the account
    #[command(
        subcommand,
        after_help = "Example:\n  chatctl account sessions\n  chatctl account delete"
    )]
    Account(AccountCommand),
    /// Make, join and leave channels
    #[command(
        subcommand,
        after_help = "Example:\n  chatctl channel create general\n  chatctl channel join general"
    )]
    Channel(ChannelCommand),
    /// Look at the cluster, and say who is in it and who leads it
    #[command(subcommand, after_help = "Example:\n  chatctl cluster status --watch")]
    Cluster(ClusterCommand),
    /// Find out why it does not work: names, ports, TLS, clocks, versions, login, quorum
    #[command(
        after_help = "Example:\n  chatctl doctor\n  chatctl doctor -o json --endpoint https://chat1.example.org:7411\n\nExit code 0 when nothing fails, 3 when no node is reachable, 1 otherwise."
    )]
    Doctor,
    /// Measure what the cluster does under load
    #[command(subcommand, after_help = "Example:\n  chatctl bench send --duration 10s")]
    Bench(BenchCommand),
    #[command(flatten)]
    Docs(DocsCommand),
}

/// What only describes the program: it needs no configuration and no node.
#[derive(Debug, Subcommand)]
pub(crate) enum DocsCommand {
    /// Print what a shell needs to complete commands
    #[command(
        after_help = "Example:\n  chatctl completions bash > ~/.local/share/bash-completion/completions/chatctl\n  chatctl completions fish > ~/.config/fish/completions/chatctl.fish"
    )]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one page per command into a directory
    #[command(
        after_help = "Example:\n  chatctl man | man -l -\n  chatctl man ~/.local/share/man/man1"
    )]
    Man {
        /// Where to write the pages
        dir: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_help_shows_an_example() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            let example = help.split_once("Example").map_or("", |(_, example)| example);
            assert!(example.contains("chatctl "), "{} has no example", command.get_name());
            // Only `help` itself is not ours.
            let ours = command.get_subcommands_mut().filter(|below| below.get_name() != "help");
            ours.into_iter().for_each(check);
        }
        check(&mut command());
    }

    #[test]
    fn lines_exclude_what_belongs_to_one_message() {
        let parse = |more: &[&str]| {
            let words = ["chatctl", "send", "#a", "--lines"];
            Cli::try_parse_from(words.iter().chain(more)).is_ok()
        };
        assert!(parse(&[]));
        assert!(!parse(&["text"]));
        assert!(!parse(&["--reply-to", "1"]));
    }
}
