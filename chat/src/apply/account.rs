//! Changing an account's password, and deleting the account.
//!
//! Both are for who knows the password: the proposing node has verified it and says which of the
//! account's passwords it was, so that one changed meanwhile is refused.

use crate::{
    apply::{Done, Entry},
    id::{AccountId, SessionId},
    limits,
    outcome::{Answer, Event},
    rejection::Rejection,
    session::Session,
    state::State,
};

impl State {
    /// Change the password. The acting session stays, with its tokens; all others end.
    pub(super) fn set_password(
        &mut self,
        (account, session): (AccountId, SessionId),
        generation: u32,
        password_hash: &str,
    ) -> Done {
        if !limits::is_password_hash(password_hash) {
            return Err(Rejection::Malformed);
        }
        self.check_generation(account, generation)?;
        let others = self.account_known(account).sessions.keys();
        let others: alloc::vec::Vec<_> = others.copied().filter(|id| *id != session).collect();
        for other in others {
            self.end_session(account, other);
        }
        let changed = self.account_known_mut(account);
        changed.password_hash = password_hash.into();
        changed.password_generation = generation.wrapping_add(1);
        Ok((Answer::PasswordSet, None))
    }

    /// Delete the account: its sessions end, it leaves every conversation, and what it sent is
    /// deleted if it wants that. What others sent it stays theirs. Its name stays taken.
    ///
    /// To delete its messages costs a walk over each conversation from its first message to its
    /// last.
    pub(super) fn delete_account(
        &mut self,
        entry: Entry,
        account: AccountId,
        generation: u32,
        erase_messages: bool,
    ) -> Done {
        self.check_generation(account, generation)?;
        if self.accounts.is_last_owner(account) {
            return Err(Rejection::LastOwner);
        }
        let deleted = self.accounts.delete(account).ok_or(Rejection::SessionEnded)?;
        for token in deleted.sessions.values().flat_map(Session::all_tokens) {
            self.tokens.remove(token);
        }
        for id in &deleted.conversations {
            self.conversation_known_mut(*id).members.remove(&account);
        }
        for (id, wrote) in deleted.wrote.iter().filter(|_| erase_messages) {
            let posts = &mut self.conversation_known_mut(*id).posts;
            posts.delete_by(deleted.ordinal, wrote.first, wrote.count);
        }
        let event = Event::AccountDeleted { index: entry.index, account, erased: erase_messages };
        Ok((Answer::AccountDeleted { account }, Some(event)))
    }

    fn check_generation(&self, account: AccountId, generation: u32) -> Result<(), Rejection> {
        if self.account_known(account).password_generation == generation {
            Ok(())
        } else {
            Err(Rejection::BadCredentials)
        }
    }
}
