//! The program as a script sees it: streams, exit codes, files, environment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod errors;
mod messages;
mod program;
mod scene;
