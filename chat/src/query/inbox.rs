//! The conversations of an account, latest first, and how much in them is unread.

use alloc::{string::String, vec::Vec};

use crate::{
    conversation::{Conversation, Member},
    id::{AccountId, ConversationId},
    limits,
    query::history::Posted,
    rejection::Rejection,
    state::State,
};

/// A conversation, as one of its members sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxItem {
    /// Its id.
    pub id: ConversationId,
    /// `#channel` or `@other`.
    pub conversation: String,
    /// Messages by others after the read mark that are not deleted.
    pub unread: u64,
    /// The read mark.
    pub read_upto: u64,
    /// The last message, deleted or not.
    pub last: Option<Posted>,
    /// The entry by which the inbox is ordered.
    pub activity: u64,
}

/// Conversations, latest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxPage {
    /// The conversations.
    pub items: Vec<InboxItem>,
    /// Where the next page begins: before this activity.
    pub next: Option<u64>,
}

impl State {
    /// The conversations of `account` with an activity before `before`, latest first.
    ///
    /// # Errors
    /// [`Rejection::LimitInvalid`].
    pub fn inbox(
        &self,
        account: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<InboxPage, Rejection> {
        let limit = limits::page(limit)?;
        let mut found: Vec<_> = self
            .memberships(account)
            .map(|(id, conversation, member)| (conversation.activity(member), id))
            .filter(|(activity, _)| before.is_none_or(|before| *activity < before))
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let items: Vec<_> =
            found.into_iter().filter_map(|(_, id)| self.inbox_item(account, id)).collect();
        let next = items.last().filter(|_| has_more).map(|item| item.activity);
        Ok(InboxPage { items, next })
    }

    /// One conversation of `account`.
    #[must_use]
    pub fn inbox_item(&self, account: AccountId, id: ConversationId) -> Option<InboxItem> {
        let conversation = self.conversations.get(&id)?;
        let member = conversation.members.get(&account)?;
        Some(InboxItem {
            id,
            conversation: self.label(account, id)?,
            unread: self.unread_in(account, id, conversation, member),
            read_upto: member.read_upto,
            last: self.posted(account, id, conversation.posts.last_seq()),
            activity: conversation.activity(member),
        })
    }

    /// Messages by others that `account` has not read, in all its conversations.
    #[must_use]
    pub fn unread(&self, account: AccountId) -> u64 {
        self.memberships(account)
            .map(|(id, conversation, member)| self.unread_in(account, id, conversation, member))
            .sum()
    }

    fn unread_in(
        &self,
        account: AccountId,
        id: ConversationId,
        conversation: &Conversation,
        member: &Member,
    ) -> u64 {
        let hidden = &self.account_known(account).hidden;
        let after_mark = hidden.range((id, member.read_upto + 1)..=(id, u64::MAX));
        conversation.unread(member, after_mark.map(|(_, seq)| *seq))
    }

    fn memberships(
        &self,
        account: AccountId,
    ) -> impl Iterator<Item = (ConversationId, &Conversation, &Member)> {
        let ids = self.accounts.get(account).map(|account| &account.conversations);
        ids.into_iter().flatten().filter_map(move |&id| {
            let conversation = self.conversations.get(&id)?;
            Some((id, conversation, conversation.members.get(&account)?))
        })
    }
}
