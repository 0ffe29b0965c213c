//! One Holdfast node: configuration, the driver loop, the client API, and the commands that make
//! and run a cluster.
//!
//! Read it in this order: [`args`] says what can be asked, [`config`] what a node may be told,
//! [`genesis`] what a cluster starts from, [`run`] how one node lives. The cores know nothing of
//! this crate: clocks, threads, sockets and files come in here.

pub mod args;
pub mod certs;
pub mod config;
mod dev;
pub mod genesis;
mod init;
mod offline;

pub mod driver;
pub mod http;
mod level;
mod metrics;
pub mod run;
pub mod service;

mod durable;
mod error;
mod program;
#[cfg(test)]
mod small_log;
mod systemd;
pub mod telemetry;

pub use self::{
    error::NodeError,
    program::{main, main_at},
};
