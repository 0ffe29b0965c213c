//! Log matching, commit, membership and transport.
//!
//! ```text
//!   client's node                 leader                         followers
//!        │  Forward{body}           │                                │
//!        ├─────────────────────────►│ Persist(Append)  Append{..}    │
//!        │                          ├───────────────────────────────►│ Persist(Append)
//!        │  Forwarded{place}        │ own fsync          own fsync   │
//!        │◄─────────────────────────┤◄───────────────────────────────┤
//!        │                          │      Appended{matched}         │
//!        │                          │ a commit quorum holds it:      │
//!        │  Heartbeat{commit}       │ Commit                         │
//!        │◄─────────────────────────┼───────────────────────────────►│
//!   Reply{Committed}                │ Heartbeat{commit}         Commit
//! ```
//!
//! [`Replica`] is all of consensus as one machine without clock, disk or network: `election` decides
//! who leads, `core` keeps the log, and both speak through [`Input`] and [`Effect`]. [`codec`] turns
//! messages into frames and back; `quic` carries them.
//!
//! The driver's contract, in whole:
//! 1. [`Effect::Persist`] operations go to one log, in ticket order;
//! 2. an effect with `after = n` leaves when everything up to ticket `n` is durable, and
//!    [`Input::Durable`] says so;
//! 3. an I/O error ends the process; nothing is tried again after a failed fsync.
//!
//! What always holds is listed at the head of each file of `core`. A promise that needs more than
//! one of them: nothing is answered as committed, by any node, that is not durable on a commit
//! quorum of the configuration in force.

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
pub use input::{Change, FetchId, Input, LinkEvent, Now, ProposalId, ReadId, Room};
pub use message::{Fitness, Message};
pub use replica::{Boot, Limits, PeerStatus, Replica, Status, Timing, Unread};

#[cfg(test)]
mod tests;
