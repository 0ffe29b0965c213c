//! Terms, votes, roles, quorum modes and timers: a sans-IO state machine.
//!
//! No clock, randomness, file, socket, thread or hash order can get in: the crate is `no_std` and
//! depends on nothing.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod quorum;
mod types;

pub use quorum::Mode;
pub use types::{EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId};
