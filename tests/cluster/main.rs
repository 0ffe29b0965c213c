//! Real processes: what a user was promised, while nodes are killed.
//!
//! - `crashes`: kill -9 of the leader, a follower, every pair of five, all; nothing lost or doubled
//! - `damage`: bits that rot in the files of up to f nodes are repaired from the others
//! - `stream`: a long pipe through a kill of the leader arrives exactly once, in order
//! - `reads`: a session reads its writes anywhere; a node alone says how old its answers are
//! - `refusals`: wrong input is refused with a clear message and nothing is lost
//! - `stopping`: SIGTERM hands over and drains
//! - `chatctl`: the command line client walks through all of its commands
//! - `dev`: the text of `node dev` leads through the loss of two nodes
//! - `failed_disk`: a write or sync that fails ends its node in words, and costs nobody a message
//! - `failover`: what clients wait for when nodes are killed or stopped
//! - `full_disk`: no room refuses writes alone, and is got over without a hand
//! - `membership`: machines join, leave and return without their disks, and leadership moves, while
//!   clients write
//! - `metrics`: the metrics of every node are sound through an election
//! - `upgrade`: one node after the other starts again with the next build
//! - `wal_tools`: a log is shown, checked and mended once its node has stopped
//! - `namespaces`: five hosts of their own, partitioned and healed

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod chatctl;
mod crashes;
mod damage;
mod dev;
mod failed_disk;
mod failover;
mod full_disk;
mod membership;
mod metrics;
mod namespaces;
mod reads;
mod refusals;
mod stopping;
mod stream;
mod upgrade;
mod wal_tools;

use tests::cluster::Programs;

/// The programs, built together with these tests.
const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };
/// The command line client.
const CHATCTL: &str = env!("CARGO_BIN_EXE_talker");
