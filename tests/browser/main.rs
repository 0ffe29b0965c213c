//! The page in a real browser: people talk through it while the nodes behind it are killed.
//!
//! Every test starts a cluster of three real nodes and plays one script of `scenarios/` in headless
//! Chromium, with a fresh profile for every person. Whatever a page writes to its console as an
//! error, throws, or is refused by its content security policy fails the test, as does any request
//! to a host outside the cluster.
//!
//! - `page`: what the nodes serve: headers, tags, the same page everywhere
//! - `scenarios`: what people do on it

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod page;
mod scenarios;

use tests::cluster::Programs;

/// The programs, built together with these tests.
const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };
