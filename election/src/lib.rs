//! Terms, votes, roles, quorum modes and timers: a sans-IO state machine.
//!
//! ```text
//!             leader silent                 a quorum would            a quorum did
//!  Follower ────────────────► PreCandidate ────────────────► Candidate ───────────► Leader
//!     ▲                             │                            │                     │
//!     └── leader heard, higher term ┴── also: round lost ────────┘   quorum silent,    │
//!     └────────────────────────────────────────────────────────────  higher term  ─────┘
//! ```
//!
//! What always holds:
//! - a term never goes back, and in one term a node votes at most once (Raft §5.2);
//! - term and vote are handed out to be written before any message that rests on them;
//! - a candidate counts its own vote only when that is durable;
//! - a node that hears a leader helps nobody to depose it, unless that leader hands over;
//! - whoever answers says its term, so that nobody waits for ever behind an old one.
//!
//! No clock, randomness, file, socket, thread or hash order can get in: the crate is `no_std` and
//! depends on nothing.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod effect;
mod election;
mod input;
mod message;
mod quorum;
mod role;
mod timer;
mod types;

pub use effect::{Effect, Effects, Role};
pub use election::Election;
pub use input::Input;
pub use message::Message;
pub use quorum::{Electorate, Mode, NotAnElectorate, VOTERS_MAX};
pub use timer::{Random, Timing};
pub use types::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};

#[cfg(test)]
mod tests;
