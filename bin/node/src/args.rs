//! The command line of `node`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{HostPort, PEER_PORT_DEFAULT, is_cluster_name};

/// One Holdfast node, and the commands that make a cluster.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "node",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  node dev                          a whole cluster on this machine\n  \
                  node init --dir chat --nodes a.example.org,b.example.org,c.example.org\n  \
                  node --config chat/node-1/node.toml\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 cluster not \
                  reachable, 4 damaged data."
)]
pub struct Cli {
    /// Run one node in the foreground, as this file says.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print version, format and protocol versions.
    #[arg(short = 'V', long, conflicts_with = "config")]
    pub version: bool,
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands other than running a node.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a whole cluster on this machine, one process per node.
    Dev(DevArgs),
    /// Make a new cluster: CA, certificates, one folder per node, the owner's sign-up token.
    Init(InitArgs),
    /// Issue, renew and show certificates.
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Look at, check and mend the log of a node that does not run.
    #[command(subcommand)]
    Wal(WalCommand),
}

/// `node dev`
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "On its terminal: `r N` restarts node N, `k N` kills it (-9), `q` quits; Ctrl-C \
                  stops all gracefully.\n\nExample:\n  node dev --nodes 3 --dir /tmp/chat --fresh"
)]
pub struct DevArgs {
    /// How many nodes, 1 to 7 (default 5, or as many as DIR has).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub nodes: Option<u8>,
    /// Where the cluster is kept; started on it again, it resumes.
    #[arg(long, value_name = "DIR", default_value = "./holdfast-dev")]
    pub dir: PathBuf,
    /// Node i takes the ports P + 10 i (peers, UDP) and P + 10 i + 1 (clients, TCP) (default 7400).
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    pub base_port: Option<u16>,
    /// Delete what DIR holds of an earlier `node dev` and start anew.
    #[arg(long)]
    pub fresh: bool,
}

/// `node init`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  node init --dir chat --name team --nodes \
                  chat1.example.org,chat2.example.org:7500,192.0.2.7\n\nThen copy chat/node-1 to \
                  chat1.example.org, and so on, and start `node --config node.toml` in each copy.")]
pub struct InitArgs {
    /// The directory to make; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The hosts, 1 to 7, with their peer ports; the client port is the next one.
    #[arg(
        long,
        value_name = "HOST[:PORT],...",
        required = true,
        value_delimiter = ',',
        value_parser = parse_node_address
    )]
    pub nodes: Vec<HostPort>,
    /// The cluster's name.
    #[arg(long, value_name = "CLUSTER", default_value = "holdfast", value_parser = parse_name)]
    pub name: String,
}

/// `node certs`
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Make the folder of one more node: certificate, node.toml, an empty data directory.
    #[command(after_help = "Example:\n  node certs issue --dir chat --node 4 d.example.org")]
    Issue {
        /// The directory that `node init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The new node's number.
        #[arg(long, value_name = "N")]
        node: u64,
        /// Its host and peer port; the client port is the next one.
        #[arg(value_name = "HOST[:PORT]", value_parser = parse_node_address)]
        at: HostPort,
    },
    /// Make new certificates that last another year; keys and names stay.
    #[command(after_help = "Example:\n  node certs renew --dir chat --node 2")]
    Renew {
        /// The directory that `node init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Only this node's.
        #[arg(long, value_name = "N")]
        node: Option<u64>,
    },
    /// Show whose certificates there are and how long they last.
    #[command(after_help = "Example:\n  node certs show --dir chat")]
    Show {
        /// The directory that `node init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Only this node's.
        #[arg(long, value_name = "N")]
        node: Option<u64>,
    },
}

/// `node wal`
#[derive(Clone, Debug, Subcommand)]
pub enum WalCommand {
    /// Show what a log holds, file by file; changes nothing.
    #[command(after_help = INSPECT_HELP)]
    Inspect(WalArgs),
    /// Read every byte of a log and check it; changes nothing.
    #[command(after_help = VERIFY_HELP)]
    Verify(WalArgs),
    /// Do now what the next start would mend: cut what was never acknowledged, write missing footers.
    #[command(after_help = REPAIR_HELP)]
    Repair(WalRepairArgs),
}

/// `node wal repair`
#[derive(Args, Clone, Debug)]
pub struct WalRepairArgs {
    /// The log.
    #[command(flatten)]
    pub log: WalArgs,
    /// Only say what would be changed.
    #[arg(long)]
    pub dry_run: bool,
}

/// Which log, and how to tell.
#[derive(Args, Clone, Debug)]
pub struct WalArgs {
    /// A node's data directory: what `data_dir` in its node.toml names.
    #[arg(value_name = "DATA_DIR")]
    pub data_dir: PathBuf,
    /// One JSON object instead of text for people.
    #[arg(long)]
    pub json: bool,
}

const INSPECT_HELP: &str = "\
Example:
  node wal inspect chat/node-1/data

The JSON object; null where a log does not say:
  path
  verdict       \"whole\" or \"damaged\"
  faults        [{file, byte, what}]: damaged places
  lost          [{first_index, last_index, lowest_term, highest_term, kind}]: entries that the log held
                and cannot read. A kind is \"corrupt\" (acknowledged), \"suspect\" (perhaps) or
                \"end_unknown\" (from first_index on, nobody knows how many)
  end           \"stopped\", \"clean\" (no stop, nothing half-written), \"torn\"
                or \"unknown\"
  torn_bytes    never acknowledged; cut at the next start
  identity      {node, cluster, store}
  epoch         how often the log has been opened
  contents      {first_index, last_index, last_term, hard_state: {term, voted_for: {node, store}},
                terms: [{term, first_index}], bindings: [{node, store}], configs: [index]}
  manifest      {exists, slots: [{state, seq}]}; vote the same. A state is \"readable\", \"empty\",
                \"unreadable\" or \"newer\"
  voted         {term, voted_for} as VOTE says
  segments      [{file, state, footer, listed, bytes, data_end, used_bytes, first_batch, last_batch,
                batches, first_index, last_index, last_term, entries, made_in_epoch}]. A state is
                \"active\", \"sealed\", \"spare\", \"missing\" or \"unreadable\"; a footer is
                \"good\", \"none\" or \"bad\" (then the segment is read whole at the next start, and
                its footer is written again)

Exit codes: 0 it opens whole, 2 in use or no log, 4 damaged.";

const VERIFY_HELP: &str = "\
Example:
  node wal verify chat/node-1/data

The JSON object is that of `node wal inspect`; its faults are all that is wrong with any byte.

Exit codes: 0 whole, 2 in use or no log, 4 damaged.";

const REPAIR_HELP: &str = "\
What may have been acknowledged is never touched: a log that has lost some of it stays damaged. In a
cluster such a node is replaced (`chatctl cluster replace N`) and catches up from the others.

Examples:
  node wal repair --dry-run chat/node-1/data
  node wal repair chat/node-1/data

The JSON object is that of `node wal inspect`, as the log is afterwards, and:
  dry_run       true when nothing was changed
  changes       [{file, action, first_byte, last_byte}]. An action is \"cut\" (to zeros),
                \"written\", \"made\" or \"removed\" (the file)

Exit codes: 0 whole now, 2 in use or no log, 4 still damaged.";

fn parse_node_address(text: &str) -> Result<HostPort, String> {
    match HostPort::parse_or_port(text, PEER_PORT_DEFAULT) {
        Some(address) if address.port < u16::MAX => Ok(address),
        Some(_) => Err("the client port is PORT + 1: PORT is at most 65534".to_owned()),
        None => Err("HOST or HOST:PORT, HOST a DNS name, an IPv4 address or an IPv6 address in \
                     brackets"
            .to_owned()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    if is_cluster_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("allowed: {}", crate::config::CLUSTER_NAME_ALLOWED))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn hosts_are_told_apart_from_nonsense() {
        let parse = |text: &str| parse_node_address(text).map(|at| at.to_string());
        assert_eq!(parse("a.example.org"), Ok("a.example.org:7410".to_owned()));
        assert_eq!(parse("10.0.0.1:99"), Ok("10.0.0.1:99".to_owned()));
        assert_eq!(parse("[::1]:99"), Ok("[::1]:99".to_owned()));
        assert_eq!(parse("[::1]"), Ok("[::1]:7410".to_owned()));
        for wrong in
            ["", ":7410", "a b", "a:", "a:0", "a:65536", "a:65535", "::1", "1.2.3", "a_b", "-a"]
        {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
