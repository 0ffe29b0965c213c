//! Bad input, against real nodes: what a hostile or broken client may send is answered with a clear
//! refusal or a closed connection, and the node serves on.
//!
//! - `target`: the node under attack, and what has to hold after every attack
//! - `wire`: a client that writes its own bytes
//! - `http`, `request`, `http2`, `websocket`: the forms of the API
//! - `content`: names and texts
//! - `protocol`: request ids, order, sessions
//! - `login`: passwords and tokens
//! - `terminal`: what reaches the terminal of whoever reads
//! - `peers`: the port of the other nodes
//! - `parsers`: every parser of bytes from the network

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod content;
mod http;
mod login;
mod origin;
mod protocol;
mod request;
mod target;
mod websocket;
mod wire;

use tests::cluster::Programs;

/// The programs, built together with these tests.
const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };
