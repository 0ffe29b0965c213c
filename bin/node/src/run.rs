//! One node in the foreground: from its configuration to its end.

use crate::{NodeError, config::Config};

/// Run the node until it is told to stop.
///
/// # Errors
/// It could not start, or had to stop.
pub fn run(config: Config) -> Result<(), NodeError> {
    Err(NodeError::Stopped(format!("{}: running a node is not built in", config.file.display())))
}
