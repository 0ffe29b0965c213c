//! Making channels, and coming into and out of them.

use crate::{
    apply::{Done, Entry},
    conversation::{Channel, Conversation, Kind},
    id::{AccountId, ConversationId},
    limits::{self, CHANNELS_MAX, CONVERSATIONS_PER_ACCOUNT_MAX, MEMBERS_MAX},
    outcome::{Answer, Change, Event},
    rejection::Rejection,
    state::State,
};

impl State {
    pub(super) fn create_channel(
        &mut self,
        entry: Entry,
        account: AccountId,
        (name, topic, private): (&str, &str, bool),
    ) -> Done {
        if !limits::is_name(name) {
            return Err(Rejection::NameInvalid);
        }
        limits::topic(topic)?;
        if self.channels.contains_key(name) {
            return Err(Rejection::ChannelExists);
        }
        if self.channels.len() >= CHANNELS_MAX {
            return Err(Rejection::TooManyChannels);
        }
        self.check_room(account)?;

        let id = ConversationId(entry.index);
        let channel =
            Channel { name: name.into(), topic: topic.into(), private, created_us: entry.time_us };
        self.conversations.insert(id, Conversation::new(Kind::Channel(channel)));
        self.channels.insert(name.into(), id);
        self.enter(entry, account, id);
        let event = Event::Channel { index: entry.index, conversation: id };
        Ok((Answer::ChannelCreated { conversation: id }, Some(event)))
    }

    pub(super) fn join(&mut self, entry: Entry, account: AccountId, name: &str) -> Done {
        let id = self.channel_seen(account, name)?;
        let event = self.admit_member(entry, account, id)?;
        Ok((Answer::Joined { conversation: id }, event))
    }

    pub(super) fn invite(
        &mut self,
        entry: Entry,
        account: AccountId,
        name: &str,
        user: &str,
    ) -> Done {
        let id = self.channel_seen(account, name)?;
        self.conversation_of_member(account, id)?;
        let invited = self.accounts.id_of(user).ok_or(Rejection::NoSuchUser)?;
        self.check_lives(invited)?;
        let event = self.admit_member(entry, invited, id)?;
        Ok((Answer::Invited { conversation: id, account: invited }, event))
    }

    pub(super) fn leave(&mut self, entry: Entry, account: AccountId, name: &str) -> Done {
        let id = self.channel_seen(account, name)?;
        let was_member = self.conversation_known_mut(id).members.remove(&account).is_some();
        let was_listed = self.account_known_mut(account).conversations.remove(&id);
        assert!(was_member == was_listed, "an account lists what it is in");
        let event = was_member.then_some(Event::Member {
            index: entry.index,
            conversation: id,
            account,
            change: Change::Left,
        });
        Ok((Answer::Left { conversation: id }, event))
    }

    /// Make an account a member of a channel, if it is none.
    fn admit_member(
        &mut self,
        entry: Entry,
        account: AccountId,
        id: ConversationId,
    ) -> Result<Option<Event>, Rejection> {
        let members = &self.conversation_known(id).members;
        if members.contains_key(&account) {
            return Ok(None);
        }
        if members.len() >= MEMBERS_MAX {
            return Err(Rejection::ChannelFull);
        }
        self.check_room(account)?;
        self.enter(entry, account, id);
        Ok(Some(Event::Member {
            index: entry.index,
            conversation: id,
            account,
            change: Change::Joined,
        }))
    }

    /// Is the account not deleted?
    pub(super) fn check_lives(&self, account: AccountId) -> Result<(), Rejection> {
        if self.account_known(account).deleted { Err(Rejection::AccountDeleted) } else { Ok(()) }
    }

    /// Does one more conversation fit the account?
    pub(super) fn check_room(&self, account: AccountId) -> Result<(), Rejection> {
        if self.account_known(account).conversations.len() < CONVERSATIONS_PER_ACCOUNT_MAX {
            Ok(())
        } else {
            Err(Rejection::TooManyConversations)
        }
    }

    /// Put an account into a conversation that it is not in.
    pub(super) fn enter(&mut self, entry: Entry, account: AccountId, id: ConversationId) {
        let is_new = self.conversation_known_mut(id).join(account, entry.index);
        assert!(is_new, "an account comes in once");
        let is_new = self.account_known_mut(account).conversations.insert(id);
        assert!(is_new, "an account lists what it is in");
    }
}
