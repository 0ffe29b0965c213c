//! Log matching, commit, membership and transport.

pub mod codec;
mod config;
mod core;
mod effect;
mod error;
mod input;
mod message;
#[cfg(feature = "quic")]
pub mod quic;
mod replica;

pub use codec::ENTRY_OVERHEAD_BYTES;
pub use config::{ADDRESS_BYTES_MAX, CONFIG_BYTES_MAX, ClusterConfig, MEMBERS_MAX, Member, Mode};
pub use effect::{Effect, Effects, Halt, Lane, Outcome, Refusal, Role, STAMP_BYTES, split_stamp};
pub use error::DecodeError;
pub use input::{FetchId, Input, LinkEvent, Now, ProposalId, ReadId};
pub use message::Message;
#[cfg(feature = "mutants")]
pub use replica::Mutant;
pub use replica::{Boot, Limits, PeerStatus, Replica, Status, Timing};

#[cfg(test)]
mod tests;
