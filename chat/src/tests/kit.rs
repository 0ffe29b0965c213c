//! A world for tests: one state, the log that made it, a clock, and people with names.

use std::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    Accepted, AccountId, Action, Answer, Applied, Body, Command, Genesis, Login, Outcome, Register,
    Rejection, RequestId, SessionId, State, Target, TokenHash,
};

/// 2026-01-01T00:00:00Z.
pub(super) const START_US: u64 = 1_767_225_600_000_000;
pub(super) const OWNER_TOKEN: TokenHash = [0xaa; 32];

/// Text after which the log's commands are made.
pub(super) const PHC: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) clock_us: u64,
    /// The entry of index i at i - 1.
    pub(super) log: Vec<Command>,
    pub(super) people: BTreeMap<String, (AccountId, SessionId)>,
    made: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            state: State::new(Genesis { owner_token_hash: Some(OWNER_TOKEN) }),
            clock_us: START_US,
            log: Vec::new(),
            people: BTreeMap::new(),
            made: 0,
        }
    }

    /// A world where these people have accounts.
    pub(super) fn with(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            assert!(world.register(name).outcome.is_ok(), "{name} registers");
        }
        world
    }

    /// A fresh request id of now.
    pub(super) fn request(&mut self) -> RequestId {
        self.request_at(self.clock_us)
    }

    /// A fresh request id of another time.
    pub(super) fn request_at(&mut self, time_us: u64) -> RequestId {
        self.made += 1;
        RequestId::new(time_us / 1_000, u128::from(self.made))
    }

    /// A fresh token's hash.
    pub(super) fn token(&mut self) -> TokenHash {
        self.made += 1;
        let mut token = [0; 32];
        token[..8].copy_from_slice(&self.made.to_be_bytes());
        token
    }

    /// Apply a command by way of its bytes.
    pub(super) fn apply(&mut self, request: RequestId, body: Body) -> Applied {
        let command = Command::decode(&Command::new(request, body).encode()).unwrap();
        let index = self.state.applied() + 1;
        let applied = self.state.apply(index, self.clock_us, &command);
        self.log.push(command);
        applied
    }

    pub(super) fn register(&mut self, name: &str) -> Applied {
        let (request, token) = (self.request(), self.token());
        self.register_as(request, name, None, token)
    }

    pub(super) fn register_as(
        &mut self,
        request: RequestId,
        name: &str,
        invite: Option<TokenHash>,
        token_hash: TokenHash,
    ) -> Applied {
        let register =
            Register { name: name.to_owned(), password_hash: PHC.into(), invite, token_hash };
        let applied = self.apply(request, Body::Register(register));
        if let Ok(Accepted { answer: Answer::Registered { account, session, .. }, .. }) =
            applied.outcome
        {
            self.people.insert(name.to_owned(), (account, session));
        }
        applied
    }

    pub(super) fn login(&mut self, name: &str) -> Applied {
        let (request, token) = (self.request(), self.token());
        self.login_as(request, name, token)
    }

    pub(super) fn login_as(
        &mut self,
        request: RequestId,
        name: &str,
        token_hash: TokenHash,
    ) -> Applied {
        let (account, password_generation) = match self.state.password_hash(name) {
            Some(known) => (known.account, known.generation),
            None => (AccountId(u64::MAX), 0),
        };
        let body = Body::Login(Login { account, password_generation, token_hash });
        let applied = self.apply(request, body);
        if let Ok(Accepted { answer: Answer::LoggedIn { account, session, .. }, .. }) =
            applied.outcome
        {
            self.people.insert(name.to_owned(), (account, session));
        }
        applied
    }

    /// `who` does something under a fresh request id.
    pub(super) fn act(&mut self, who: &str, action: Action) -> Applied {
        let request = self.request();
        self.act_as(request, who, action)
    }

    pub(super) fn act_as(&mut self, request: RequestId, who: &str, action: Action) -> Applied {
        let (account, session) = self.people[who];
        self.apply(request, Body::Act { account, session, action })
    }

    pub(super) fn send(&mut self, who: &str, to: &str, text: &str) -> Outcome {
        self.act(who, send(to, text)).outcome
    }

    pub(super) fn id(&self, who: &str) -> AccountId {
        self.people[who].0
    }
}

pub(super) fn send(to: &str, text: &str) -> Action {
    Action::Send { to: target(to), text: text.into(), reply_to: None, after_request: None }
}

pub(super) fn send_after(to: &str, text: &str, after: RequestId) -> Action {
    Action::Send { to: target(to), text: text.into(), reply_to: None, after_request: Some(after) }
}

pub(super) fn create(name: &str) -> Action {
    Action::CreateChannel { name: name.into(), private: false, topic: String::new() }
}

pub(super) fn join(name: &str) -> Action {
    Action::Join { channel: name.into() }
}

pub(super) fn target(text: &str) -> Target {
    Target::parse(text).unwrap()
}

/// The `seq` of a message that was sent by this command or by the one that it repeats.
pub(super) fn seq(outcome: Outcome) -> Result<(u64, bool), Rejection> {
    match outcome? {
        Accepted { answer: Answer::Sent { seq, .. }, repeated } => Ok((seq, repeated)),
        other => panic!("not sent: {other:?}"),
    }
}

/// Compare with a file in `testdata`, or write it when `HOLDFAST_REWRITE` is set. Look at the
/// difference before you commit it.
pub(super) fn check_file(name: &str, actual: &str) {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("HOLDFAST_REWRITE").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{name} differs; HOLDFAST_REWRITE=1 writes what it is now:\n{actual}"
    );
}
