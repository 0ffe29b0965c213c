//! What the commands about the own account take.

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub(crate) struct PasswordArgs {
    /// Read the password from stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// A new password beside the present one.
#[derive(Args, Debug)]
pub(crate) struct NewPasswordArgs {
    /// Read the present password from the first line of stdin, the new one from the second
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List where you are logged in, or end one of these logins
    #[command(
        after_help = "Example:\n  chatctl account sessions\n  chatctl account sessions --end 4711"
    )]
    Sessions {
        /// End the login with this id
        #[arg(long, value_name = "ID")]
        end: Option<u64>,
    },
    /// Delete the own account, for good; says what that means and asks before
    #[command(after_help = DELETE_HELP)]
    Delete {
        /// Delete the messages that you sent, for everyone
        #[arg(long)]
        erase_messages: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

const DELETE_HELP: &str = "\
Example:
  chatctl account delete
  chatctl account delete --erase-messages
  printf %s \"$PW\" | chatctl account delete --yes --password-stdin

What you sent stays readable under \"deleted user\", unless --erase-messages is given. What you have
not read stays with those who sent it. The name is not given to anyone again.";
