//! What the load generator takes.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::parse::duration;
use crate::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Send as much as the cluster takes, and tell how much and how fast that was
    #[command(after_help = SEND_HELP)]
    Send(BenchArgs),
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Connections that send at the same time
    #[arg(long, value_name = "N", default_value = "4",
        value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) clients: u32,
    /// Messages that each has under way
    #[arg(long, value_name = "N", default_value = "16",
        value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) inflight: u32,
    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..=16384))]
    pub(crate) size: u32,
    /// How long new messages are sent
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// @user or '#channel'; a channel is made and joined as needed
    #[arg(long, value_name = "TO", default_value = "#bench")]
    pub(crate) to: Target,
    /// Write what was asked and answered here, for a checker
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}

const SEND_HELP: &str = "\
Example:
  chatctl bench send
  chatctl bench send --clients 16 --inflight 64 --size 100 --duration 30s
  chatctl bench send --to '#load' --history load.jsonl -o json

Every client is a WebSocket of its own, each first on another node, and hears what all of them send.
It ends early at Ctrl-C. A latency counts from the send to its acknowledgement.

The history has one JSON object per line, in the order in which things happened:
  {\"type\":\"invoke\",\"client\":0,\"request_id\":UUID,\"time_us\":T,\"conversation\":\"#bench\",\"size\":100}
  {\"type\":\"ok\",     the same,  \"id\":\"4711\",\"seq\":42}       acknowledged: it is in the log, once
  {\"type\":\"fail\",   the same,  \"code\":\"busy\"}               refused: it is not in the log
  {\"type\":\"info\",   the same,  \"reason\":\"...\"}              unknown: it may be in the log, once
T is microseconds of this machine since 1970. The text of a message starts with its request id, as
far as its size allows.

Exit code 0 when every message was acknowledged, 1 when some were refused, 5 when the outcome of
some is unknown, 3 when no node was reached.";
