//! The command line, to the letter of the documented contract.
//!
//! A flag beats the environment, which beats the file, which beats the default. No secret but the one-time
//! invite is ever an argument.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::{ClientError, Consistency, Endpoint, Target, types::checked_name};

const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

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
    /// How fresh reads must be
    #[arg(long, global = true, value_name = "LEVEL", default_value = "linearizable")]
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
    #[command(after_help = SEND_HELP)]
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
    /// List channels, by wildcard
    #[command(after_help = "Example:\n  chatctl channels 'team-*'")]
    Channels {
        /// Wildcard: * is any text, ? any character
        glob: Option<String>,
    },
    /// Make, join and leave channels
    #[command(
        subcommand,
        after_help = "Example:\n  chatctl channel create general\n  chatctl channel join general"
    )]
    Channel(ChannelCommand),
    /// Look at the cluster
    #[command(subcommand, after_help = "Example:\n  chatctl cluster status --watch")]
    Cluster(ClusterCommand),
}

const SEND_HELP: &str = "\
Examples:
  chatctl send @bob 'hello'
  chatctl send '#general' 'quote the # in a shell'
  git log -1 | chatctl send @bob                        # stdin is the message
  tail -f app.log | chatctl send '#logs' --lines        # one message per line, in order
  chatctl send @bob 'again' --request-id 01946e4c-…     # after an unknown outcome";

#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// @user or '#channel'
    pub(crate) to: Target,
    /// The message; stdin without it
    pub(crate) text: Option<String>,
    /// Every line of stdin is a message; empty lines are left out
    #[arg(long, conflicts_with_all = ["text", "request_id", "reply_to"])]
    pub(crate) lines: bool,
    /// Retry an earlier send under its id
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<Uuid>,
    /// Reply to the message with this id
    #[arg(long, value_name = "ID")]
    pub(crate) reply_to: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct ReadArgs {
    /// @user or '#channel'; without it everything unread
    pub(crate) to: Option<Target>,
    /// Only what is unread
    #[arg(long)]
    pub(crate) unread: bool,
    /// At most so many (50 of a conversation; all that is unread)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Older than this place in the conversation
    #[arg(long, value_name = "SEQ", requires = "to", conflicts_with = "unread")]
    pub(crate) before: Option<u64>,
    /// Newer than this place in the conversation
    #[arg(long, value_name = "SEQ", requires = "to", conflicts_with_all = ["before", "unread"])]
    pub(crate) after: Option<u64>,
    /// Mark as read what was shown
    #[arg(long)]
    pub(crate) mark: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PasswordArgs {
    /// Read the password from stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Make a channel and join it
    #[command(after_help = "Example:\n  chatctl channel create general --topic 'all of us'")]
    Create {
        name: ChannelName,
        /// Only its members see it
        #[arg(long)]
        private: bool,
        /// What it is about
        #[arg(long)]
        topic: Option<String>,
    },
    /// Join a channel
    #[command(after_help = "Example:\n  chatctl channel join general")]
    Join { name: ChannelName },
    /// Leave a channel
    #[command(after_help = "Example:\n  chatctl channel leave general")]
    Leave { name: ChannelName },
    /// List the members of a channel
    #[command(after_help = "Example:\n  chatctl channel members general")]
    Members { name: ChannelName },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the nodes, the leader and which losses are survived
    #[command(after_help = "Example:\n  chatctl cluster status\n  chatctl cluster status --watch")]
    Status {
        /// Again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
}

/// A user name; a leading `@` is allowed.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) String);

impl std::str::FromStr for Name {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        checked_name(text.strip_prefix('@').unwrap_or(text)).map(Self)
    }
}

/// A channel name; a leading `#` is allowed.
#[derive(Clone, Debug)]
pub(crate) struct ChannelName(pub(crate) String);

impl std::str::FromStr for ChannelName {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        checked_name(text.strip_prefix('#').unwrap_or(text)).map(Self)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let allowed = || format!("{text:?} is not a time from 1ms to 1h, such as 500ms, 10s or 2m");
    let span: jiff::SignedDuration = text.parse().map_err(|_unclear| allowed())?;
    let time = Duration::try_from(span).map_err(|_negative| allowed())?;
    if time.is_zero() || time > TIMEOUT_MAX { Err(allowed()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("chatctl "), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn times_have_bounds() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1h"), Ok(TIMEOUT_MAX));
        for wrong in ["", "0s", "-1s", "3601s", "ten"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
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
