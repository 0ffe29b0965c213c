//! The state: everything the fold knows at one index of the log.
//!
//! What always holds between its parts:
//! - Every session's tokens stand in `tokens`, and every entry there leads to that session.
//! - An account is a member of exactly the conversations that it lists.
//! - `time_us` rises strictly with every command; `applied` by one with every entry.

use alloc::{collections::BTreeMap, string::String};

use crate::{
    account::{Account, Accounts, Registration},
    conversation::Conversation,
    hash,
    id::{AccountId, ConversationId, SessionId, TokenHash},
    limits::STAMP_US_MAX,
    outcome::Outcome,
};

/// What stands before the first entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Genesis {
    /// SHA-256 of the token that makes its bearer the owner, once.
    pub owner_token_hash: Option<TokenHash>,
}

/// The chat at one index of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    applied: u64,
    time_us: u64,
    hash: u64,
    /// None once it is used.
    pub(crate) owner_token: Option<TokenHash>,
    pub(crate) registration: Registration,
    pub(crate) accounts: Accounts,
    pub(crate) conversations: BTreeMap<ConversationId, Conversation>,
    pub(crate) channels: BTreeMap<String, ConversationId>,
    /// By both ids, the lower first.
    pub(crate) directs: BTreeMap<(AccountId, AccountId), ConversationId>,
    pub(crate) tokens: BTreeMap<TokenHash, (AccountId, SessionId)>,
    /// The account that was tidied up last.
    pub(crate) swept: AccountId,
}

impl State {
    /// The state before the first entry.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        Self {
            applied: 0,
            time_us: 0,
            hash: hash::START,
            owner_token: genesis.owner_token_hash,
            registration: Registration::default(),
            accounts: Accounts::default(),
            conversations: BTreeMap::new(),
            channels: BTreeMap::new(),
            directs: BTreeMap::new(),
            tokens: BTreeMap::new(),
            swept: AccountId::default(),
        }
    }

    /// Pass an entry that is no command.
    ///
    /// # Panics
    /// When `index` is not the next one.
    pub fn skip(&mut self, index: u64) {
        assert!(index == self.applied + 1, "entries are applied in order, each once");
        self.applied = index;
    }

    /// The index of the last entry.
    #[must_use]
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// Log time: that of the last command, in microseconds since 1970.
    #[must_use]
    pub const fn time_us(&self) -> u64 {
        self.time_us
    }

    /// The running hash over the indexes and outcomes of all commands. Two nodes that applied the
    /// same entries have the same.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Begin a command's entry: gives its log time.
    pub(crate) fn begin(&mut self, index: u64, stamp_us: u64) -> u64 {
        self.skip(index);
        self.time_us = stamp_us.min(STAMP_US_MAX).max(self.time_us + 1);
        self.time_us
    }

    /// End a command's entry.
    pub(crate) fn end(&mut self, outcome: &Outcome) {
        self.hash = hash::continued(self.hash, &(self.applied, outcome));
    }

    /// An account that holds one of this state's own references.
    pub(crate) fn account_known(&self, id: AccountId) -> &Account {
        match self.accounts.get(id) {
            Some(account) => account,
            None => unreachable!("account {id} is referred to and so exists"),
        }
    }

    /// The same, to change it.
    pub(crate) fn account_known_mut(&mut self, id: AccountId) -> &mut Account {
        match self.accounts.get_mut(id) {
            Some(account) => account,
            None => unreachable!("account {id} is referred to and so exists"),
        }
    }

    /// A conversation that this state's own references lead to.
    pub(crate) fn conversation_known(&self, id: ConversationId) -> &Conversation {
        match self.conversations.get(&id) {
            Some(conversation) => conversation,
            None => unreachable!("conversation {id} is referred to and so exists"),
        }
    }

    /// The same, to change it.
    pub(crate) fn conversation_known_mut(&mut self, id: ConversationId) -> &mut Conversation {
        match self.conversations.get_mut(&id) {
            Some(conversation) => conversation,
            None => unreachable!("conversation {id} is referred to and so exists"),
        }
    }
}
