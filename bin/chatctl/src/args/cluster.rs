//! What the commands about channels and the cluster take.

use clap::Subcommand;

use super::{ChannelName, Name};

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
    /// Let somebody join a private channel
    #[command(after_help = "Example:\n  chatctl channel invite staff @bob")]
    Invite { name: ChannelName, user: Name },
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
    /// Compare the state of all nodes at one index
    #[command(
        after_help = "Example:\n  chatctl cluster verify\n\nExit code 0 when all agree, 4 when one differs, 3 when not all could be compared."
    )]
    Verify,
}
