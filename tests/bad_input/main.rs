//! Bad input, against real nodes: what a hostile or broken client may send is answered with a clear
//! refusal or a closed connection, and the node serves on.
//!
//! - `target`: the node under attack, and what has to hold after every attack
//! - `wire`: a client that writes its own bytes
//! - `http`, `http2`, `request`, `websocket`: the forms of the API
//! - `origin`: what other web sites have a browser send
//! - `content`: names and texts
//! - `protocol`: request ids, order, sessions
//! - `login`: passwords and tokens
//! - `terminal`: what reaches the terminal of whoever reads
//! - `peers`: the port of the other nodes
//! - `parsers`: every parser of bytes from the network

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod content;
mod http;
mod http2;
mod login;
mod origin;
mod parsers;
mod peers;
mod protocol;
mod request;
mod target;
mod terminal;
mod websocket;
mod wire;

use tests::cluster::Programs;

/// The programs, built together with these tests.
const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };
/// The command line client.
const CHATCTL: &str = env!("CARGO_BIN_EXE_talker");
