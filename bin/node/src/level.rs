//! The feature level: what a build understands, as one number.
//!
//! A cluster's level stands in its log and rises by itself when the last node runs a build that
//! understands the next one. What is new in the log, a command or a kind of entry, belongs to a level
//! of its own, and is proposed only when the cluster has reached it: so a rolling upgrade never gives
//! a node what it cannot read.
//!
//! | level | brings |
//! |---|---|
//! | 1 | everything so far |

use std::sync::OnceLock;

use chat::{Action, Body, Command};

/// The newest level that this build understands.
pub(crate) const FEATURE_LEVEL: u16 = 1;

static UNDERSTOOD: OnceLock<u16> = OnceLock::new();

/// What this process understands: [`FEATURE_LEVEL`], but where a test plays a build of another level.
pub(crate) fn understood() -> u16 {
    *UNDERSTOOD.get_or_init(|| FEATURE_LEVEL)
}

/// Understand what a build of this level does, from the start of the process on.
pub(crate) fn play(level: u16) {
    let played = UNDERSTOOD.set(level).is_ok();
    assert!(played, "a process is one build");
}

/// The level that a cluster must have reached before this is proposed.
pub(crate) const fn needed(command: &Command) -> u16 {
    match command.body() {
        Body::Register(_) | Body::Login(_) => 1,
        Body::Act { action, .. } => match action {
            Action::Logout { .. }
            | Action::CreateChannel { .. }
            | Action::Join { .. }
            | Action::Leave { .. }
            | Action::Invite { .. }
            | Action::Send { .. }
            | Action::Mark { .. }
            | Action::SetRegistration { .. }
            | Action::Edit { .. }
            | Action::Delete { .. }
            | Action::SetPassword { .. }
            | Action::DeleteAccount { .. }
            | Action::OpenToken { .. } => 1,
        },
    }
}
