//! How much the state holds, for whoever watches over the node.

use crate::State;

/// Counts of what the state holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Census {
    /// Accounts, deleted ones included: their names stay taken.
    pub accounts: usize,
    /// Sessions that have not been ended; those past their time count until they are collected.
    pub sessions: usize,
    /// Channels, and pairs of people who wrote to each other.
    pub conversations: usize,
}

impl State {
    /// Count. It costs the same however much there is.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            accounts: self.accounts.names().len(),
            sessions: self.tokens.len(),
            conversations: self.conversations.len(),
        }
    }
}
