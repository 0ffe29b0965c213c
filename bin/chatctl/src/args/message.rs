//! What the commands about messages take.

use clap::Args;
use uuid::Uuid;

use crate::Target;

pub(crate) const SEND_HELP: &str = "\
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
