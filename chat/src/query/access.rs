//! Who is it, and what may it see: passwords, tokens, sessions, the audience of an event.

use alloc::vec::Vec;

use crate::{
    account::{PasswordHash, Registration},
    command::Target,
    conversation::{Conversation, Kind},
    id::{AccountId, ConversationId, SessionId, TokenHash},
    outcome::Event,
    rejection::Rejection,
    request::RequestId,
    state::State,
};

/// A session, as its account sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionView {
    /// Its name.
    pub id: SessionId,
    /// Log time of the log-in.
    pub opened_us: u64,
    /// When it ends.
    pub expires_us: u64,
}

impl State {
    /// What a verifier needs to check a password of the account called `name`.
    #[must_use]
    pub fn password_hash(&self, name: &str) -> Option<PasswordHash<'_>> {
        let id = self.accounts.id_of(name)?;
        let account = self.accounts.get(id).filter(|account| !account.deleted)?;
        Some(PasswordHash {
            account: id,
            phc: &account.password_hash,
            generation: account.password_generation,
        })
    }

    /// The session that a token opens, by the token's hash. `now_us` is the asking node's clock; log
    /// time counts if that is later. The view's end is that of the token, which may be an access
    /// token.
    #[must_use]
    pub fn session(
        &self,
        token: &TokenHash,
        now_us: u64,
    ) -> Option<(AccountId, SessionId, SessionView)> {
        let &(account, id) = self.tokens.get(token)?;
        let session = self.accounts.get(account)?.sessions.get(&id)?;
        let expires_us = session.token_expires_us(token);
        if now_us.max(self.time_us()) >= expires_us {
            return None;
        }
        let view = SessionView { id, opened_us: session.opened_us, expires_us };
        Some((account, id, view))
    }

    /// Has this session not ended? `now_us` as for [`session`](Self::session).
    #[must_use]
    pub fn is_session(&self, account: AccountId, session: SessionId, now_us: u64) -> bool {
        let session = self.accounts.get(account).and_then(|account| account.sessions.get(&session));
        session.is_some_and(|session| !session.has_ended(now_us.max(self.time_us())))
    }

    /// The sessions of an account that have not ended, oldest first.
    #[must_use]
    pub fn sessions(&self, account: AccountId, now_us: u64) -> Vec<SessionView> {
        let now_us = now_us.max(self.time_us());
        let sessions = self.accounts.get(account).map(|account| &account.sessions);
        sessions
            .into_iter()
            .flatten()
            .filter(|(_, session)| !session.has_ended(now_us))
            .map(|(&id, session)| SessionView {
                id,
                opened_us: session.opened_us,
                expires_us: session.expires_us(),
            })
            .collect()
    }

    /// Is there an outcome that this request of the account will be answered with?
    #[must_use]
    pub fn remembers(&self, account: AccountId, request: RequestId) -> bool {
        self.accounts.get(account).is_some_and(|account| account.requests.remembers(request))
    }

    /// Would a registration under a name that is free be refused, as things stand? Of a taken name
    /// it does not say: it may be a retry, which is answered with its first outcome.
    ///
    /// # Errors
    /// As registering: the invite is unknown or missing, or registration is closed.
    pub fn may_register(&self, name: &str, invite: Option<TokenHash>) -> Result<(), Rejection> {
        if self.accounts.id_of(name).is_some() {
            return Ok(());
        }
        self.role_of_newcomer(invite).map(|_role| ())
    }

    /// Who may register.
    #[must_use]
    pub const fn registration(&self) -> Registration {
        self.registration
    }

    /// Is the owner's token still to be used?
    #[must_use]
    pub const fn awaits_owner(&self) -> bool {
        self.owner_token.is_some()
    }

    /// The conversation that `reader` calls `to`; none for a direct conversation without a message.
    ///
    /// # Errors
    /// [`Rejection::NoSuchUser`], [`Rejection::NoSuchChannel`] (also for a private channel of
    /// others), [`Rejection::ToSelf`], or [`Rejection::TargetMalformed`].
    pub fn resolve(
        &self,
        reader: AccountId,
        to: &Target,
    ) -> Result<Option<ConversationId>, Rejection> {
        match to {
            Target::User(name) => {
                let other = self.accounts.id_of(name).ok_or(Rejection::NoSuchUser)?;
                if other == reader {
                    return Err(Rejection::ToSelf);
                }
                Ok(self.directs.get(&pair(reader, other)).copied())
            }
            Target::Channel(name) => self.channel_seen(reader, name).map(Some),
            Target::Neither => Err(Rejection::TargetMalformed),
        }
    }

    /// May `account` hear of `event` now?
    #[must_use]
    pub fn sees(&self, account: AccountId, event: &Event) -> bool {
        match *event {
            Event::Message { conversation, .. } => self.is_member(account, conversation),
            // Of what it cannot read it hears no more.
            Event::Edited { conversation, seq, .. } => {
                self.is_member(account, conversation)
                    && self
                        .posted(account, conversation, seq)
                        .is_some_and(|post| post.body.is_some())
            }
            Event::Deleted { conversation, only_for, .. } => {
                only_for.is_none_or(|only| only == account) && self.is_member(account, conversation)
            }
            // Who has an account is known to everyone who has one.
            Event::AccountDeleted { .. } => {
                self.accounts.get(account).is_some_and(|account| !account.deleted)
            }
            Event::Read { account: reader, .. } => reader == account,
            Event::Member { conversation, account: who, .. } => {
                who == account || self.is_member(account, conversation)
            }
            Event::Channel { conversation, .. } => self
                .conversations
                .get(&conversation)
                .is_some_and(|conversation| conversation.is_seen_by(account)),
        }
    }

    /// The two accounts who alone will ever hear of `event`, whatever happens; the same twice when it is
    /// one. None when there may be others.
    #[must_use]
    pub fn only_for(&self, event: &Event) -> Option<[AccountId; 2]> {
        match *event {
            Event::Read { account, .. } | Event::Deleted { only_for: Some(account), .. } => {
                Some([account; 2])
            }
            Event::Message { conversation, .. }
            | Event::Edited { conversation, .. }
            | Event::Deleted { conversation, .. } => {
                match self.conversations.get(&conversation)?.kind {
                    Kind::Direct(one, other) => Some([one, other]),
                    Kind::Channel(_) => None,
                }
            }
            Event::AccountDeleted { .. } | Event::Member { .. } | Event::Channel { .. } => None,
        }
    }

    /// Is this conversation a channel?
    #[must_use]
    pub fn is_channel(&self, conversation: ConversationId) -> bool {
        self.conversations
            .get(&conversation)
            .is_some_and(|conversation| matches!(conversation.kind, Kind::Channel(_)))
    }

    /// Is this account deleted?
    #[must_use]
    pub fn is_deleted(&self, account: AccountId) -> bool {
        self.accounts.get(account).is_some_and(|account| account.deleted)
    }

    /// Is `account` in this conversation?
    #[must_use]
    pub fn is_member(&self, account: AccountId, conversation: ConversationId) -> bool {
        self.conversations
            .get(&conversation)
            .is_some_and(|conversation| conversation.members.contains_key(&account))
    }

    /// The channel called `name`, if `reader` may know that it exists.
    pub(crate) fn channel_seen(
        &self,
        reader: AccountId,
        name: &str,
    ) -> Result<ConversationId, Rejection> {
        let id = self.channels.get(name).copied().ok_or(Rejection::NoSuchChannel)?;
        if self.conversation_known(id).is_seen_by(reader) {
            Ok(id)
        } else {
            Err(Rejection::NoSuchChannel)
        }
    }
}

impl Conversation {
    /// Members see it; a public channel is seen by all.
    pub(crate) fn is_seen_by(&self, account: AccountId) -> bool {
        let is_public = match &self.kind {
            Kind::Channel(channel) => !channel.private,
            Kind::Direct(..) => false,
        };
        is_public || self.members.contains_key(&account)
    }
}

/// Two accounts, the lower id first.
pub(crate) fn pair(one: AccountId, other: AccountId) -> (AccountId, AccountId) {
    (one.min(other), one.max(other))
}
