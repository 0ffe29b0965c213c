//! The client of Holdfast: a library, and the `chatctl` program on top of it.
//!
//! [`Client`] holds the list of nodes and moves on by itself when one dies.
//! What always holds:
//! - every write carries one request id, made before the first attempt and kept over all of them, so a
//!   write takes effect at most once however often it is sent;
//! - "nothing was done" ([`ClientError::Unavailable`]) is only said when no attempt can have taken effect;
//!   otherwise the outcome is unknown ([`ClientError::Unknown`]) and may be asked for under the same id;
//! - a pipelined stream ([`Client::stream_send`]) is acknowledged in the order in which it was given;
//! - a subscription ([`Client::follow`]) neither repeats nor skips an event over reconnects;
//! - a password or token goes over TLS, or over loopback, and nowhere else.

mod client;
mod error;
mod types;

mod args;
mod command;
mod config;
mod output;
mod session;

pub use client::{
    Client, Consistency, Ended, Endpoint, Follow, HistoryQuery, Load, LoadEvent, Options, Outgoing,
    Probe, ProbeAnswer, Stop, StreamSummary,
};
pub use command::main;
pub use error::{ClientError, Finding};
pub use types::{
    Channel, ClusterStatus, Conversation, Event, EventKind, FailureBody, History, Login, Me,
    Message, NodeStatus, Page, Signed, StateHash, Target, User,
};
