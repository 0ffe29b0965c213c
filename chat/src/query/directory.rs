//! Who and what is there: accounts, channels, members, by pattern and in pages.
//!
//! A page costs at most [`NAMES_SCANNED_MAX`] names. So a page may have fewer items than asked for,
//! even none, and still a `next`: only a page without `next` is the last.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};
use core::ops::Bound;

use crate::{
    account::{Account, Role},
    conversation::{Conversation, Kind},
    glob::Glob,
    id::{AccountId, ConversationId},
    limits::{self, NAMES_SCANNED_MAX},
    rejection::Rejection,
    state::State,
};

/// An account, as everyone sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// It is deleted: nobody answers to the name, and nobody ever will again.
    pub deleted: bool,
}

/// Accounts by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountPage {
    /// The accounts.
    pub items: Vec<AccountView>,
    /// Where the next page begins: after this name.
    pub next: Option<String>,
}

/// A channel, as one who may see it does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelView {
    /// Its id.
    pub id: ConversationId,
    /// Its name, without `#`.
    pub name: String,
    /// What it is about; empty for nothing.
    pub topic: String,
    /// Only members know of it.
    pub private: bool,
    /// Log time of its creation.
    pub created_us: u64,
    /// How many members it has.
    pub members: usize,
    /// The reader is one of them.
    pub joined: bool,
    /// `seq` of its last message; 0 without one.
    pub last_seq: u64,
}

/// Channels by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelPage {
    /// The channels.
    pub items: Vec<ChannelView>,
    /// Where the next page begins: after this name.
    pub next: Option<String>,
}

impl State {
    /// One account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<AccountView> {
        self.accounts.get(id).map(|account| account_view(id, account))
    }

    /// One account by its name.
    #[must_use]
    pub fn account_named(&self, name: &str) -> Option<AccountView> {
        self.account(self.accounts.id_of(name)?)
    }

    /// Accounts whose names match `pattern`, after the name `after`.
    ///
    /// # Errors
    /// [`Rejection::GlobInvalid`], [`Rejection::LimitInvalid`].
    pub fn accounts(
        &self,
        pattern: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage, Rejection> {
        let glob = Glob::parse(pattern)?;
        let (items, next) =
            page(self.accounts.names(), &glob, after, limit, |id| self.account(id))?;
        Ok(AccountPage { items, next })
    }

    /// One channel, by its name without `#`.
    ///
    /// # Errors
    /// [`Rejection::NoSuchChannel`], also for a private channel of others.
    pub fn channel(&self, reader: AccountId, name: &str) -> Result<ChannelView, Rejection> {
        let id = self.channel_seen(reader, name)?;
        channel_view(reader, id, self.conversation_known(id)).ok_or(Rejection::NoSuchChannel)
    }

    /// Channels that `reader` may see and whose names match `pattern`, after the name `after`.
    ///
    /// # Errors
    /// [`Rejection::GlobInvalid`], [`Rejection::LimitInvalid`].
    pub fn channels(
        &self,
        reader: AccountId,
        pattern: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ChannelPage, Rejection> {
        let glob = Glob::parse(pattern)?;
        let seen = |id| {
            let conversation = self.conversation_known(id);
            if conversation.is_seen_by(reader) {
                channel_view(reader, id, conversation)
            } else {
                None
            }
        };
        let (items, next) = page(&self.channels, &glob, after, limit, seen)?;
        Ok(ChannelPage { items, next })
    }

    /// Members of a channel that `reader` may see, by name, after the name `after`.
    ///
    /// # Errors
    /// [`Rejection::NoSuchChannel`], also for a private channel of others;
    /// [`Rejection::LimitInvalid`].
    pub fn members(
        &self,
        reader: AccountId,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage, Rejection> {
        let conversation = self.conversation_known(self.channel_seen(reader, name)?);
        let limit = limits::page(limit)?;
        let named = |id| Some((self.accounts.get(id)?.name.as_str(), id));
        let mut members: Vec<_> = conversation
            .members
            .keys()
            .filter_map(|&id| named(id))
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .collect();
        members.sort_unstable();
        let has_more = members.len() > limit;
        members.truncate(limit);
        let items: Vec<_> = members.into_iter().filter_map(|(_, id)| self.account(id)).collect();
        let next = items.last().filter(|_| has_more).map(|item| item.name.clone());
        Ok(AccountPage { items, next })
    }
}

/// Go through `names` after `after`: what matches `glob` and has a view, at most `limit`.
fn page<I: Copy, V>(
    names: &BTreeMap<String, I>,
    glob: &Glob,
    after: Option<&str>,
    limit: usize,
    view: impl Fn(I) -> Option<V>,
) -> Result<(Vec<V>, Option<String>), Rejection> {
    let limit = limits::page(limit)?;
    let prefix = glob.literal_prefix();
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        Some(_) | None => Bound::Included(prefix),
    };
    let mut items = Vec::new();
    let mut last = None;
    let names = names
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(prefix));
    for (scanned, (name, &id)) in names.enumerate() {
        if items.len() == limit || scanned == NAMES_SCANNED_MAX {
            return Ok((items, last));
        }
        if glob.matches(name) {
            items.extend(view(id));
        }
        last = Some(name.to_owned());
    }
    Ok((items, None))
}

fn account_view(id: AccountId, account: &Account) -> AccountView {
    AccountView { id, name: account.name.clone(), role: account.role, deleted: account.deleted }
}

fn channel_view(
    reader: AccountId,
    id: ConversationId,
    conversation: &Conversation,
) -> Option<ChannelView> {
    match &conversation.kind {
        Kind::Direct(..) => None,
        Kind::Channel(channel) => Some(ChannelView {
            id,
            name: channel.name.clone(),
            topic: channel.topic.clone(),
            private: channel.private,
            created_us: channel.created_us,
            members: conversation.members.len(),
            joined: conversation.members.contains_key(&reader),
            last_seq: conversation.posts.last_seq(),
        }),
    }
}
