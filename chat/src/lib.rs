//! The chat as a fold over the log: `State` × `Command` → `Outcome`, and nothing else.
//!
//! It contains no clock, no randomness, no I/O and no hash order: two nodes that apply the same
//! entries hold equal states, byte for byte, and their running hashes say so.
//!
//! ```text
//!   log entry ──decode──► Command ──State::apply(index, stamp)──► Applied { outcome, event }
//!                                        │                             │         └─► live subscribers
//!                                        ▼                             └─► the answer to the sender
//!                                      State ◄── queries (history, inbox, accounts, unread ..)
//! ```
//!
//! What always holds:
//! - `apply` is total: any command in any state gives an outcome and never panics; a refusal is an
//!   outcome too. Only a gap in the indexes, which is a fault of the caller, is asserted.
//! - A request id takes effect at most once per account (see [`request`]).
//! - Log time rises strictly with every command; `seq` of a conversation has no gaps.
//! - The state holds no bodies: a text stands in the log alone, at the index which is the message's
//!   id. No password and no token in clear is ever part of a command.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod id;
pub mod request;

mod command;
mod outcome;
mod rejection;

pub mod limits;

mod account;
mod conversation;
mod message;
mod session;
mod state;

mod apply;

mod glob;
mod hash;
mod query;

#[cfg(test)]
mod tests;

pub use account::{PasswordHash, Registration, Role};
pub use command::{Action, Body, Command, CommandV1, DecodeError, Login, Register, Target};
pub use id::{AccountId, ConversationId, MessageId, SessionId, TokenHash};
pub use outcome::{Accepted, Answer, Applied, Change, Event, Outcome};
pub use query::{
    AccountPage, AccountView, Census, ChannelPage, ChannelView, Content, DELETED_USER, History,
    InboxItem, InboxPage, MessageView, Posted, SessionView, Window,
};
pub use rejection::{Kind, Rejection};
pub use request::RequestId;
pub use state::{Genesis, State};
