//! Conversations: who is in them, how far each has read, and the messages.
//!
//! What always holds of a member: `read_upto` never falls and never passes the last message, and
//! unread = messages after `read_upto` - deleted ones among them - own ones that are not deleted -
//! those of others that are not deleted but hidden by the member.

use alloc::{collections::BTreeMap, string::String};

use crate::{
    id::{AccountId, MessageId},
    message::{Post, Posts},
};

/// A conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) kind: Kind,
    pub(crate) members: BTreeMap<AccountId, Member>,
    pub(crate) posts: Posts,
}

/// What a conversation is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Two people, the lower id first. Neither ever leaves.
    Direct(AccountId, AccountId),
    /// A channel.
    Channel(Channel),
}

/// What a channel has that a direct conversation has not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) private: bool,
    pub(crate) created_us: u64,
}

/// A member of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Member {
    /// The entry that made it one.
    pub(crate) joined: u64,
    /// The highest `seq` marked as read; of what was there before, all.
    pub(crate) read_upto: u64,
    /// Own messages after `read_upto` that are not deleted.
    own_after: u64,
}

impl Conversation {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, members: BTreeMap::new(), posts: Posts::new() }
    }

    /// Make `account` a member, if it is none. Says whether that changed anything.
    pub(crate) fn join(&mut self, account: AccountId, index: u64) -> bool {
        if self.members.contains_key(&account) {
            return false;
        }
        let read_upto = self.posts.last_seq();
        self.members.insert(account, Member { joined: index, read_upto, own_after: 0 });
        true
    }

    /// Add a message of a member. Gives its `seq`.
    pub(crate) fn post(
        &mut self,
        account: AccountId,
        post: Post,
        reply_to: Option<MessageId>,
    ) -> u64 {
        let seq = self.posts.push(post, reply_to);
        let Some(member) = self.members.get_mut(&account) else {
            unreachable!("only members post");
        };
        member.own_after += 1;
        seq
    }

    /// Delete a message that the member `account` wrote. Says whether that changed anything.
    pub(crate) fn delete_own(&mut self, account: AccountId, seq: u64) -> bool {
        let changed = self.posts.delete(seq);
        if let Some(member) = self.members.get_mut(&account)
            && changed
            && seq > member.read_upto
        {
            member.own_after -= 1;
        }
        changed
    }

    /// Move a member's read mark up to `upto`, or to the last message if that is lower. Gives the
    /// mark after it, and whether it moved; nothing when `account` is no member.
    pub(crate) fn mark(
        &mut self,
        account: AccountId,
        ordinal: u32,
        upto: u64,
    ) -> Option<(u64, bool)> {
        let last = self.posts.last_seq();
        let member = self.members.get_mut(&account)?;
        let before = member.read_upto;
        let after = upto.min(last).max(before);
        if after > before {
            // Count over the shorter side.
            member.own_after = if after - before < last - after {
                member.own_after - self.posts.count_by(ordinal, before + 1, after)
            } else {
                self.posts.count_by(ordinal, after + 1, last)
            };
            member.read_upto = after;
        }
        Some((after, after > before))
    }

    /// How many messages by others has the member not read, of those that it can read? `hidden` are
    /// the ones after its mark that it has hidden.
    pub(crate) fn unread(&self, member: &Member, hidden: impl Iterator<Item = u64>) -> u64 {
        let hidden = hidden.filter(|&seq| !self.posts.is_gone(seq)).count();
        self.posts.last_seq()
            - member.read_upto
            - member.own_after
            - self.posts.gone_after(member.read_upto)
            - u64::try_from(hidden).unwrap_or(u64::MAX)
    }

    /// The entry by which conversations are ordered, latest first: the last message, or else the
    /// moment the member came in.
    pub(crate) fn activity(&self, member: &Member) -> u64 {
        self.posts.last().map_or(0, |post| post.index).max(member.joined)
    }
}
