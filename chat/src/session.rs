//! Sessions: what a token opens.
//!
//! A session ends when it is logged out or 30 days of log time after the log-in that opened it,
//! whether it was used or not. That is judged at every entry and at every look-up; what is left of
//! an ended session is swept bit by bit.
//!
//! Besides the tokens of its log-in a session has a few access tokens, each good for ten minutes:
//! whoever must not hold the session's own token, such as a page in a browser, works with those.

use alloc::vec::Vec;

use crate::{
    id::TokenHash,
    limits::{
        ACCESS_TOKEN_LIFETIME_US, ACCESS_TOKENS_MAX, SESSION_LIFETIME_US, TOKENS_PER_SESSION_MAX,
    },
};

/// One session of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    pub(crate) opened_us: u64,
    /// The hashes of the tokens that open it, oldest first. More than one only after a log-in was
    /// repeated under one request id: whichever attempt's answer reached the client must work.
    pub(crate) tokens: Vec<TokenHash>,
    /// The access tokens, oldest first, with the moment when each ends.
    access: Vec<(TokenHash, u64)>,
}

impl Session {
    pub(crate) fn new(opened_us: u64, token: TokenHash) -> Self {
        Self { opened_us, tokens: Vec::from([token]), access: Vec::new() }
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

    /// When an access token ends that is opened now.
    pub(crate) fn access_expires_us(&self, time_us: u64) -> u64 {
        self.expires_us().min(time_us + ACCESS_TOKEN_LIFETIME_US)
    }

    /// Let an access token open it. Gives the token that no longer does, if that were too many.
    pub(crate) fn add_access(&mut self, token: TokenHash, expires_us: u64) -> Option<TokenHash> {
        assert!(self.all_tokens().all(|known| *known != token), "a token is added once");
        self.access.push((token, expires_us));
        (self.access.len() > ACCESS_TOKENS_MAX).then(|| self.access.remove(0).0)
    }

    /// When a token of it ends.
    pub(crate) fn token_expires_us(&self, token: &TokenHash) -> u64 {
        let access = self.access.iter().find(|(known, _)| known == token);
        access.map_or_else(|| self.expires_us(), |(_, expires_us)| *expires_us)
    }

    /// Everything that opens it.
    pub(crate) fn all_tokens(&self) -> impl Iterator<Item = &TokenHash> {
        self.tokens.iter().chain(self.access.iter().map(|(token, _)| token))
    }
}
