//! Sessions: what a token opens.
//!
//! A session ends when it is logged out or 30 days of log time after the log-in that opened it,
//! whether it was used or not. That is judged at every entry and at every look-up; what is left of
//! an ended session is swept bit by bit.

use alloc::vec::Vec;

use crate::{
    id::TokenHash,
    limits::{SESSION_LIFETIME_US, TOKENS_PER_SESSION_MAX},
};

/// One session of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    pub(crate) opened_us: u64,
    /// The hashes of the tokens that open it, oldest first. More than one only after a log-in was
    /// repeated under one request id: whichever attempt's answer reached the client must work.
    pub(crate) tokens: Vec<TokenHash>,
}

impl Session {
    pub(crate) fn new(opened_us: u64, token: TokenHash) -> Self {
        Self { opened_us, tokens: Vec::from([token]) }
    }

    pub(crate) const fn expires_us(&self) -> u64 {
        self.opened_us + SESSION_LIFETIME_US
    }

    pub(crate) const fn has_ended(&self, time_us: u64) -> bool {
        time_us >= self.expires_us()
    }

    /// Let one more token open it. Gives the token that no longer does, if that were too many.
    pub(crate) fn add_token(&mut self, token: TokenHash) -> Option<TokenHash> {
        assert!(!self.tokens.contains(&token), "a token is added once");
        self.tokens.push(token);
        (self.tokens.len() > TOKENS_PER_SESSION_MAX).then(|| self.tokens.remove(0))
    }
}
