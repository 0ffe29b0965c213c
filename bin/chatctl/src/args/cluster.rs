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
    /// Admit a node: it learns what there is, and votes by itself when it has caught up
    #[command(
        after_help = "Example:\n  node certs issue --dir team --node 6 chat6.example.org     # where the cluster was made\n  node --config node-6/node.toml                            # there\n  chatctl cluster add 6 --peer chat6.example.org:7410 --client https://chat6.example.org:7411"
    )]
    Add {
        /// Its number, as in its certificate
        node: u64,
        /// Where its peers reach it
        #[arg(long, value_name = "HOST:PORT")]
        peer: String,
        /// Where its clients reach it
        #[arg(long, value_name = "URL")]
        client: String,
        /// Stay until it votes, also without a terminal
        #[arg(long)]
        wait: bool,
    },
    /// Have a node leave for good
    #[command(
        after_help = "Example:\n  chatctl cluster remove 2\n  chatctl cluster remove 2 --yes"
    )]
    Remove {
        /// Its number
        node: u64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Take a node whose disk is lost for a new one under its old number and addresses
    #[command(
        after_help = "Example:\n  chatctl cluster replace 3\n  node --config node-3/node.toml     # there, with an empty data directory"
    )]
    Replace {
        /// Its number
        node: u64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Stay until it votes, also without a terminal
        #[arg(long)]
        wait: bool,
    },
    /// Give leadership to a node, or to the best there is
    #[command(after_help = "Example:\n  chatctl cluster transfer\n  chatctl cluster transfer 4")]
    Transfer {
        /// Who is to lead
        node: Option<u64>,
    },
    /// Have a node lead no more until that is undone or it is started again; it votes and serves on
    #[command(after_help = "Example:\n  chatctl cluster drain 1\n  chatctl cluster drain 1 --undo")]
    Drain {
        /// Its number
        node: u64,
        /// It may lead again
        #[arg(long)]
        undo: bool,
    },
}
