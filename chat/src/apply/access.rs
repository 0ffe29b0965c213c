//! Registering, logging in and out, and who may.
//!
//! A refused registration leaves nothing behind: there is no account to remember it, and a table for
//! everyone could be filled by anyone. It stays at most once, because a name is given once: an
//! accepted one is remembered by the account that it made.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    account::{Account, Registration, Role},
    apply::{Done, Entry},
    command::{Login, Register},
    hash::{self, Tag},
    id::{AccountId, SessionId, TokenHash},
    limits::{self, SESSIONS_MAX},
    outcome::{Answer, Applied},
    rejection::Rejection,
    request::{self, Admission, RequestId, Requests},
    session::Session,
    state::State,
};

impl State {
    pub(super) fn register(
        &mut self,
        entry: Entry,
        request: RequestId,
        register: &Register,
    ) -> Applied {
        // The token is no part of it: a retry brings a fresh one.
        let Register { name, password_hash, invite, token_hash } = register;
        let body_hash = hash::continued(hash::START, &(Tag::Register, name, password_hash, invite));
        let Some(id) = self.accounts.id_of(name) else {
            let done = request::check_unowned(request, entry.time_us)
                .and_then(|()| self.register_new(entry, request, register, body_hash));
            return Applied::fresh(done.map(|answer| (answer, None)));
        };
        let admission = self.account_known(id).requests.admit(request, body_hash, entry.time_us);
        match admission {
            Admission::Fresh => Applied::refused(Rejection::NameTaken),
            Admission::Refused(rejection) => Applied::refused(rejection),
            Admission::Repeated(result) => {
                Applied::repeated(self.reopen(entry, id, result, *token_hash))
            }
        }
    }

    fn register_new(
        &mut self,
        entry: Entry,
        request: RequestId,
        register: &Register,
        body_hash: u64,
    ) -> Result<Answer, Rejection> {
        if !limits::is_name(&register.name) {
            return Err(Rejection::NameInvalid);
        }
        if !limits::is_password_hash(&register.password_hash)
            || self.tokens.contains_key(&register.token_hash)
        {
            return Err(Rejection::Malformed);
        }
        let role = self.role_of_newcomer(register.invite)?;
        let ordinal = self.accounts.next_ordinal().ok_or(Rejection::TooManyAccounts)?;

        let (id, session_id) = (AccountId(entry.index), SessionId(entry.index));
        let session = Session::new(entry.time_us, register.token_hash);
        let expires_us = session.expires_us();
        let answer = Answer::Registered { account: id, role, session: session_id, expires_us };
        let mut requests = Requests::default();
        requests.remember(request, body_hash, Ok(answer));
        self.accounts.insert(
            id,
            Account {
                name: register.name.clone(),
                role,
                password_hash: register.password_hash.clone(),
                password_generation: 0,
                sessions: BTreeMap::from([(session_id, session)]),
                conversations: BTreeSet::new(),
                requests,
                ordinal,
                hidden: BTreeSet::new(),
                wrote: BTreeMap::new(),
                deleted: false,
            },
        );
        self.tokens.insert(register.token_hash, (id, session_id));
        if role == Role::Owner {
            self.owner_token = None;
        }
        Ok(answer)
    }

    pub(crate) fn role_of_newcomer(&self, invite: Option<TokenHash>) -> Result<Role, Rejection> {
        match (invite, self.registration) {
            (Some(_), _) if invite == self.owner_token => Ok(Role::Owner),
            (Some(_), _) => Err(Rejection::InviteUnknown),
            (None, Registration::Open) => Ok(Role::Member),
            (None, Registration::Invite) => Err(Rejection::InviteRequired),
            (None, Registration::Closed) => Err(Rejection::RegistrationClosed),
        }
    }

    pub(super) fn login(&mut self, entry: Entry, request: RequestId, login: &Login) -> Applied {
        let Login { account: id, password_generation, token_hash } = *login;
        let body_hash = hash::continued(hash::START, &(Tag::Login, id));
        let Some(account) = self.accounts.get(id) else {
            return Applied::refused(Rejection::BadCredentials);
        };
        // Before anything else, for a retry too: the password verified is no longer the password.
        if account.deleted || account.password_generation != password_generation {
            return Applied::refused(Rejection::BadCredentials);
        }
        match account.requests.admit(request, body_hash, entry.time_us) {
            Admission::Refused(rejection) => Applied::refused(rejection),
            Admission::Repeated(result) => {
                Applied::repeated(self.reopen(entry, id, result, token_hash))
            }
            Admission::Fresh => {
                let result = self.open(entry, id, token_hash);
                self.account_known_mut(id).requests.remember(request, body_hash, result);
                Applied::fresh(result.map(|answer| (answer, None)))
            }
        }
    }

    /// Open a session.
    fn open(
        &mut self,
        entry: Entry,
        account: AccountId,
        token: TokenHash,
    ) -> Result<Answer, Rejection> {
        if self.tokens.contains_key(&token) {
            return Err(Rejection::Malformed);
        }
        self.sweep_sessions(account, entry.time_us);
        let sessions = &self.account_known(account).sessions;
        if sessions.len() >= SESSIONS_MAX
            && let Some(&first_to_end) = sessions.keys().next()
        {
            // Refusing would lock out whoever forgot to log out so often.
            self.end_session(account, first_to_end);
        }
        let sessions = &mut self.account_known_mut(account).sessions;
        let id = SessionId(entry.index);
        let session = Session::new(entry.time_us, token);
        let expires_us = session.expires_us();
        sessions.insert(id, session);
        self.tokens.insert(token, (account, id));
        Ok(Answer::LoggedIn { account, session: id, expires_us })
    }

    /// Let a retry's fresh token open the session that the first attempt opened.
    fn reopen(
        &mut self,
        entry: Entry,
        account: AccountId,
        result: Result<Answer, Rejection>,
        token: TokenHash,
    ) -> Result<Answer, Rejection> {
        let answer = result?;
        let (Answer::Registered { session: id, .. } | Answer::LoggedIn { session: id, .. }) =
            answer
        else {
            // Another body with the same hash.
            return Err(Rejection::RequestIdConflict);
        };
        match self.tokens.get(&token) {
            Some(known) if *known == (account, id) => return Ok(answer),
            Some(_) => return Err(Rejection::Malformed),
            None => {}
        }
        let sessions = &mut self.account_known_mut(account).sessions;
        let session = sessions
            .get_mut(&id)
            .filter(|session| !session.has_ended(entry.time_us))
            .ok_or(Rejection::SessionEnded)?;
        let dropped = session.add_token(token);
        self.tokens.insert(token, (account, id));
        if let Some(dropped) = dropped {
            self.tokens.remove(&dropped);
        }
        Ok(answer)
    }

    pub(super) fn log_out(&mut self, entry: Entry, account: AccountId, id: SessionId) -> Done {
        // What has ended is not there, swept or not.
        self.sweep_sessions(account, entry.time_us);
        if self.end_session(account, id) {
            Ok((Answer::LoggedOut { session: id }, None))
        } else {
            Err(Rejection::NoSuchSession)
        }
    }

    /// End a session. Says whether there was one.
    pub(super) fn end_session(&mut self, account: AccountId, id: SessionId) -> bool {
        let Some(session) = self.account_known_mut(account).sessions.remove(&id) else {
            return false;
        };
        for token in session.all_tokens() {
            self.tokens.remove(token);
        }
        true
    }

    /// Let a token open the acting session for a short while.
    pub(super) fn open_access(
        &mut self,
        entry: Entry,
        (account, id): (AccountId, SessionId),
        token: TokenHash,
    ) -> Done {
        if self.tokens.contains_key(&token) {
            return Err(Rejection::Malformed);
        }
        let session = self.account_known_mut(account).sessions.get_mut(&id);
        let session = session.ok_or(Rejection::SessionEnded)?;
        let expires_us = session.access_expires_us(entry.time_us);
        let dropped = session.add_access(token, expires_us);
        self.tokens.insert(token, (account, id));
        if let Some(dropped) = dropped {
            self.tokens.remove(&dropped);
        }
        Ok((Answer::TokenOpened { session: id, expires_us }, None))
    }

    /// Let a retry's fresh token do what the first attempt's does, for as long.
    pub(super) fn reopen_access(
        &mut self,
        entry: Entry,
        acting: (AccountId, SessionId),
        result: Result<Answer, Rejection>,
        token: TokenHash,
    ) -> Result<Answer, Rejection> {
        let answer = result?;
        let Answer::TokenOpened { session: id, expires_us } = answer else {
            // Another body with the same hash.
            return Err(Rejection::RequestIdConflict);
        };
        match self.tokens.get(&token) {
            Some(known) if *known == acting => return Ok(answer),
            Some(_) => return Err(Rejection::Malformed),
            None => {}
        }
        let session = self.account_known_mut(acting.0).sessions.get_mut(&id);
        let session = session
            .filter(|session| id == acting.1 && !session.has_ended(entry.time_us))
            .ok_or(Rejection::SessionEnded)?;
        let dropped = session.add_access(token, expires_us);
        self.tokens.insert(token, acting);
        if let Some(dropped) = dropped {
            self.tokens.remove(&dropped);
        }
        Ok(answer)
    }

    pub(super) fn set_registration(
        &mut self,
        account: AccountId,
        registration: Registration,
    ) -> Done {
        if self.account_known(account).role < Role::Admin {
            return Err(Rejection::NotAllowed);
        }
        self.registration = registration;
        Ok((Answer::SettingChanged, None))
    }
}
