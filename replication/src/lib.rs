//! Log matching, commit, membership and transport.

mod config;
mod effect;
mod input;
mod message;

pub use config::{ClusterConfig, Member, Mode};
pub use effect::{Effect, Effects, Halt, Lane, Outcome, Refusal, Role, STAMP_BYTES, split_stamp};
pub use input::{FetchId, Input, LinkEvent, Now, ProposalId, ReadId};
pub use message::Message;
