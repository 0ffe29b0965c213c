//! One entry of the log into the state.
//!
//! Every command passes the same gates, in this order: its request id (a repeated one is answered
//! and does nothing), its session, then its own rules. A command changes the state only after all of
//! its rules have been passed, so a refusal leaves nothing behind but its memory.

mod access;
mod account;
mod channel;
mod message;
mod sweep;

use crate::{
    command::{Action, Body, Command},
    hash,
    id::{AccountId, SessionId},
    outcome::{Accepted, Answer, Applied, Event},
    rejection::Rejection,
    request::{Admission, RequestId},
    state::State,
};

/// What an entry is applied under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    /// Log time.
    pub(crate) time_us: u64,
}

/// What carrying out a command gives.
pub(crate) type Done = Result<(Answer, Option<Event>), Rejection>;

impl State {
    /// Apply the command at `index`, stamped by the leader with `stamp_us`.
    ///
    /// # Panics
    /// When `index` is not the next one.
    pub fn apply(&mut self, index: u64, stamp_us: u64, command: &Command) -> Applied {
        let time_us = self.begin(index, stamp_us);
        let entry = Entry { index, time_us };
        let request = command.request();
        let applied = match command.body() {
            Body::Register(register) => self.register(entry, request, register),
            Body::Login(login) => self.login(entry, request, login),
            Body::Act { account, session, action } => {
                self.act_once(entry, request, (*account, *session), action)
            }
        };
        self.sweep_next(entry);
        self.end(&applied.outcome);
        applied
    }
}

impl State {
    /// The gates of everything that is done in a session.
    fn act_once(
        &mut self,
        entry: Entry,
        request: RequestId,
        (account, session): (AccountId, SessionId),
        action: &Action,
    ) -> Applied {
        // The session is no part of it: who had to log in again retries under the same id.
        let body_hash = action.hash();
        let Some(actor) = self.accounts.get(account) else {
            return Applied::refused(Rejection::SessionEnded);
        };
        match actor.requests.admit(request, body_hash, entry.time_us) {
            Admission::Repeated(result) => {
                let result = match action {
                    Action::OpenToken { token_hash } => {
                        self.reopen_access(entry, (account, session), result, *token_hash)
                    }
                    Action::Logout { .. }
                    | Action::CreateChannel { .. }
                    | Action::Join { .. }
                    | Action::Leave { .. }
                    | Action::Invite { .. }
                    | Action::Send { .. }
                    | Action::Mark { .. }
                    | Action::SetRegistration { .. }
                    | Action::Edit { .. }
                    | Action::Delete { .. }
                    | Action::SetPassword { .. }
                    | Action::DeleteAccount { .. } => result,
                };
                return Applied::repeated(result);
            }
            Admission::Refused(rejection) => return Applied::refused(rejection),
            Admission::Fresh => {}
        }
        if actor.sessions.get(&session).is_none_or(|session| session.has_ended(entry.time_us)) {
            // Not remembered: it says nothing about the request.
            return Applied::refused(Rejection::SessionEnded);
        }
        let done = self.act(entry, (account, session), action);
        if done != Err(Rejection::OutOfOrder) {
            let result = done.map(|(answer, _)| answer);
            self.account_known_mut(account).requests.remember(request, body_hash, result);
        }
        Applied::fresh(done)
    }

    fn act(
        &mut self,
        entry: Entry,
        (account, session): (AccountId, SessionId),
        action: &Action,
    ) -> Done {
        match action {
            Action::Logout { session } => self.log_out(entry, account, *session),
            Action::CreateChannel { name, private, topic } => {
                self.create_channel(entry, account, (name, topic, *private))
            }
            Action::Join { channel } => self.join(entry, account, channel),
            Action::Leave { channel } => self.leave(entry, account, channel),
            Action::Invite { channel, user } => self.invite(entry, account, channel, user),
            Action::Send { to, text, reply_to, after_request } => {
                self.check_order(entry, account, *after_request)?;
                self.send(entry, account, to, (text, *reply_to))
            }
            Action::Mark { to, upto } => self.mark(entry, account, to, *upto),
            Action::SetRegistration { registration } => {
                self.set_registration(account, *registration)
            }
            Action::Edit { message, text } => self.edit(entry, account, *message, text),
            Action::Delete { message } => self.delete(entry, account, *message),
            Action::SetPassword { password_generation, password_hash } => {
                self.set_password((account, session), *password_generation, password_hash)
            }
            Action::DeleteAccount { password_generation, erase_messages } => {
                self.delete_account(entry, account, *password_generation, *erase_messages)
            }
            Action::OpenToken { token_hash } => {
                self.open_access(entry, (account, session), *token_hash)
            }
        }
    }
}

impl Action {
    /// What a retry must have in common with the first attempt: all of it, but for what is fresh
    /// each time.
    fn hash(&self) -> u64 {
        let of = |action: &Self| hash::continued(hash::START, &(hash::Tag::Act, action));
        match self {
            Self::SetPassword { password_hash, .. } => of(&Self::SetPassword {
                password_generation: 0,
                password_hash: password_hash.clone(),
            }),
            Self::DeleteAccount { erase_messages, .. } => {
                of(&Self::DeleteAccount { password_generation: 0, erase_messages: *erase_messages })
            }
            Self::OpenToken { .. } => of(&Self::OpenToken { token_hash: [0; 32] }),
            Self::Logout { .. }
            | Self::CreateChannel { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Invite { .. }
            | Self::Send { .. }
            | Self::Mark { .. }
            | Self::SetRegistration { .. }
            | Self::Edit { .. }
            | Self::Delete { .. } => of(self),
        }
    }
}

impl Applied {
    fn fresh(done: Done) -> Self {
        match done {
            Ok((answer, event)) => {
                Self { outcome: Ok(Accepted { answer, repeated: false }), event }
            }
            Err(rejection) => Self::refused(rejection),
        }
    }

    fn repeated(result: Result<Answer, Rejection>) -> Self {
        Self { outcome: result.map(|answer| Accepted { answer, repeated: true }), event: None }
    }

    const fn refused(rejection: Rejection) -> Self {
        Self { outcome: Err(rejection), event: None }
    }
}
