//! Accounts: a name, a role, a password's hash, sessions, and the requests that are remembered.
//!
//! An account is never removed, so its place in the order of registration names it in 32 bits. Of a
//! deleted one there is left its name, which nobody else can take, its role, and for a day the
//! requests that are remembered.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, ConversationId, SessionId},
    limits::ACCOUNTS_MAX,
    request::Requests,
    session::Session,
};

/// What an account may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Role {
    /// Chats.
    Member,
    /// Chats and administers.
    Admin,
    /// Administers everything; registered with the owner's token.
    Owner,
}

/// Who may register. The owner's token always registers the owner.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Registration {
    /// Everyone.
    #[default]
    Open,
    /// Who has an invite.
    Invite,
    /// No one.
    Closed,
}

/// What a password verifier needs to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PasswordHash<'a> {
    /// Whose.
    pub account: AccountId,
    /// The argon2 PHC string.
    pub phc: &'a str,
    /// Which of the account's passwords this is, from 0; goes into [`Login`](crate::Login).
    pub generation: u32,
}

impl Role {
    /// As clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// One account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) password_hash: String,
    pub(crate) password_generation: u32,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) conversations: BTreeSet<ConversationId>,
    pub(crate) requests: Requests,
    /// Its place in the order of registration.
    pub(crate) ordinal: u32,
    /// The messages of others that it deleted for itself, at most
    /// [`HIDDEN_MAX`](crate::limits::HIDDEN_MAX).
    pub(crate) hidden: BTreeSet<(ConversationId, u64)>,
    /// Where it sent messages, whether it is still there or not.
    pub(crate) wrote: BTreeMap<ConversationId, Wrote>,
    pub(crate) deleted: bool,
}

/// What an account sent to a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wrote {
    /// `seq` of the first message.
    pub(crate) first: u64,
    /// How many there are, deleted ones included.
    pub(crate) count: u64,
}

/// All accounts, by id, by name and by ordinal.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Accounts {
    by_id: BTreeMap<AccountId, Account>,
    by_name: BTreeMap<String, AccountId>,
    by_ordinal: Vec<AccountId>,
    /// Owners that are not deleted.
    owners: u64,
}

impl Accounts {
    pub(crate) fn get(&self, id: AccountId) -> Option<&Account> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.by_id.get_mut(&id)
    }

    /// The account after `id` in the order of registration, and after the last one the first.
    pub(crate) fn next_after(&mut self, id: AccountId) -> Option<(AccountId, &mut Account)> {
        let following = (Bound::Excluded(id), Bound::Unbounded);
        let is_last = self.by_id.range(following).next().is_none();
        let start = if is_last { Bound::Unbounded } else { Bound::Excluded(id) };
        let found = self.by_id.range_mut((start, Bound::Unbounded)).next();
        found.map(|(&id, account)| (id, account))
    }

    pub(crate) fn id_of(&self, name: &str) -> Option<AccountId> {
        self.by_name.get(name).copied()
    }

    /// The account that wrote a message.
    pub(crate) fn author(&self, ordinal: u32) -> Option<AccountId> {
        self.by_ordinal.get(usize::try_from(ordinal).ok()?).copied()
    }

    pub(crate) const fn names(&self) -> &BTreeMap<String, AccountId> {
        &self.by_name
    }

    /// The ordinal of the next account; none when no more fit.
    pub(crate) fn next_ordinal(&self) -> Option<u32> {
        ordinal_after(self.by_ordinal.len())
    }

    /// Is this the only owner?
    pub(crate) fn is_last_owner(&self, id: AccountId) -> bool {
        self.owners == 1 && self.get(id).is_some_and(|account| account.role == Role::Owner)
    }

    /// Leave nothing of an account but its name, its role and its requests. Gives what it was.
    pub(crate) fn delete(&mut self, id: AccountId) -> Option<Account> {
        let account = self.by_id.get_mut(&id)?;
        assert!(!account.deleted, "an account is deleted once");
        self.owners -= u64::from(account.role == Role::Owner);
        let left = Account {
            name: account.name.clone(),
            role: account.role,
            password_hash: String::new(),
            password_generation: account.password_generation.wrapping_add(1),
            sessions: BTreeMap::new(),
            conversations: BTreeSet::new(),
            requests: core::mem::take(&mut account.requests),
            ordinal: account.ordinal,
            hidden: BTreeSet::new(),
            wrote: BTreeMap::new(),
            deleted: true,
        };
        Some(core::mem::replace(account, left))
    }

    pub(crate) fn insert(&mut self, id: AccountId, account: Account) {
        assert!(self.next_ordinal() == Some(account.ordinal), "accounts are numbered in order");
        self.by_ordinal.push(id);
        self.owners += u64::from(account.role == Role::Owner);
        let same_name = self.by_name.insert(account.name.clone(), id);
        assert!(same_name.is_none(), "a name is given once");
        let same_id = self.by_id.insert(id, account);
        assert!(same_id.is_none(), "an entry makes one account");
    }
}

/// The ordinal of one more account than `count`, if it fits.
pub(crate) fn ordinal_after(count: usize) -> Option<u32> {
    if count < ACCOUNTS_MAX { u32::try_from(count).ok() } else { None }
}
