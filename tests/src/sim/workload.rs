//! The clients: accounts that register, join, send, edit, delete, mark, read and leave for good, and
//! ask again under the same request id, at another node, until they have an answer.
//!
//! A client keeps a few operations under way at once. Its sends are chained by `after_request`, so
//! their order must survive every retry. Each answer is checked against the ledger, which holds the
//! one effect that each request had when it was first folded.

use std::collections::BTreeMap;

use bytes::Bytes;
use chat::{
    Accepted, AccountId, Action, Answer, Body, Command, Login, MessageId, Outcome, Register,
    Rejection, RequestId, SessionId, Target,
};
use election::{Micros, NodeId};

use super::{
    checkers::{Checked, violated},
    clock::{Queue, WALL_EPOCH_US},
    ledger::Ledger,
    linear::{Linear, Seen},
    rng::Rng,
    world::Event,
};

/// All clients together begin an operation every so many microseconds: 22 to 40 a second.
const INTERVAL_US: (u64, u64) = (25_000, 45_000);
/// A client has at most so many operations under way.
const UNDER_WAY_MAX: usize = 40;
/// The channel that everyone joins.
pub(super) const LOBBY: &str = "lobby";

/// What a client does, or what happens to it.
#[derive(Clone, Debug)]
pub(crate) enum ClientEvent {
    /// It may begin something new.
    Begin { client: usize },
    /// A request of it comes to a node.
    Ask { key: Key, node: NodeId },
    /// An answer comes to it.
    Answer { key: Key, reply: Reply },
    /// It has waited long enough for this attempt.
    Timeout { key: Key },
}

/// One attempt at one operation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) client: usize,
    pub(crate) operation: u64,
    pub(crate) attempt: u32,
}

/// What a node says to an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It stands in the log at this index, and came to this.
    Outcome { index: u64, outcome: Outcome },
    /// The state as of this index, and the lobby in it, for those who may see it.
    Read { folded: u64, lobby: Option<Seen<RequestId>> },
    /// Not now, or not known: ask again.
    Again,
}

/// What is asked of a node.
#[derive(Clone, Debug)]
pub(crate) enum Demand {
    Write { request: RequestId, body: Bytes },
    Read { reader: Option<AccountId> },
}

/// All clients, and what they were told.
#[derive(Debug)]
pub(crate) struct Workload {
    rng: Rng,
    clients: Vec<Client>,
    nodes: Vec<NodeId>,
    pub(crate) ledger: Ledger,
    /// The lobby, as the clients saw it.
    pub(crate) lobby: Linear<RequestId>,
    /// The newest index that any client knows of, by an acknowledgement or a read.
    known: u64,
    begun: u64,
    acknowledged: u64,
    /// Messages that any client knows of.
    messages: Vec<MessageId>,
    think_us: u64,
    patience_us: u64,
    /// Writes that a client has under way at once.
    window: usize,
    /// A client gives an operation up after this time.
    give_up_us: u64,
    /// Operations that were given up.
    given_up: u64,
    /// Once healed: begin nothing beyond this many operations.
    quota: Option<u64>,
}

#[derive(Debug)]
struct Client {
    name: String,
    /// Accounts that it has deleted.
    deleted: u64,
    session: Option<(AccountId, SessionId)>,
    is_in_lobby: bool,
    /// A second session, opened by a log-in and not yet ended.
    spare_session: Option<SessionId>,
    last_send: Option<RequestId>,
    sends: u64,
    next_operation: u64,
    under_way: BTreeMap<u64, Operation>,
    node: NodeId,
}

#[derive(Debug)]
struct Operation {
    attempt: u32,
    begun_at: Micros,
    kind: Kind,
    /// What every client together knew when this began: a read may not fall behind it.
    known_at_begin: u64,
}

#[derive(Debug)]
enum Kind {
    Write { request: RequestId, bytes: Bytes, rank: Rank },
    Read { reader: Option<AccountId> },
}

/// What giving a write up would mean.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rank {
    /// The client can do nothing without it.
    Needed,
    /// A link of the chain of sends.
    Send { to_lobby: bool },
    /// Nothing.
    Loose,
}

impl ClientEvent {
    /// The node at which this happens, if any.
    pub(crate) const fn node(&self) -> Option<NodeId> {
        match self {
            Self::Ask { node, .. } => Some(*node),
            Self::Begin { .. } | Self::Answer { .. } | Self::Timeout { .. } => None,
        }
    }
}

impl Workload {
    pub(crate) fn new(nodes: &[NodeId], count: Option<u64>, mut rng: Rng) -> Self {
        let count = count.unwrap_or_else(|| *rng.pick(&[2, 4, 5, 8]));
        let client = |number: u64| Client {
            name: format!("user-{number}"),
            deleted: 0,
            session: None,
            is_in_lobby: false,
            spare_session: None,
            last_send: None,
            sends: 0,
            next_operation: 0,
            under_way: BTreeMap::new(),
            node: nodes[rng.slot(nodes.len())],
        };
        let clients = (0..count).map(client).collect();
        Self {
            clients,
            nodes: nodes.to_vec(),
            ledger: Ledger::default(),
            lobby: Linear::default(),
            known: 0,
            begun: 0,
            acknowledged: 0,
            messages: Vec::new(),
            think_us: count * rng.within(INTERVAL_US.0, INTERVAL_US.1),
            patience_us: *rng.pick(&[100_000, 300_000, 1_000_000, 3_000_000]),
            window: rng.slot(4) + 1,
            give_up_us: *rng.pick(&[300_000, 1_000_000, 3_000_000]),
            given_up: 0,
            quota: None,
            rng,
        }
    }

    /// There is one node more to ask.
    pub(crate) fn knows(&mut self, node: NodeId) {
        self.nodes.push(node);
    }

    /// Every client begins.
    pub(crate) fn begin(&mut self, queue: &mut Queue<Event>) {
        for client in 0..self.clients.len() {
            let first_us = self.rng.below(500_000);
            queue.after(first_us, Event::Client(ClientEvent::Begin { client }));
        }
    }

    /// Begin nothing new once there have been `quota` operations.
    pub(crate) fn finish(&mut self, quota: u64) {
        self.quota = Some(quota);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.quota.is_some_and(|quota| self.begun >= quota) && self.waiting() == 0
    }

    pub(crate) fn waiting(&self) -> usize {
        self.clients.iter().map(|client| client.under_way.len()).sum()
    }

    pub(crate) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// The accounts that were made.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.clients.iter().filter_map(|client| Some(client.session?.0))
    }

    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    pub(crate) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What an attempt asks for; none when the client no longer waits for it.
    pub(crate) fn demand(&self, key: Key) -> Option<Demand> {
        let operation = self.clients[key.client].under_way.get(&key.operation)?;
        if operation.attempt != key.attempt {
            return None;
        }
        Some(match &operation.kind {
            Kind::Write { request, bytes, .. } => {
                Demand::Write { request: *request, body: bytes.clone() }
            }
            Kind::Read { reader } => Demand::Read { reader: *reader },
        })
    }

    /// A client may begin something new.
    pub(crate) fn begin_one(&mut self, client: usize, queue: &mut Queue<Event>) {
        if self.quota.is_some_and(|quota| self.begun >= quota) {
            return;
        }
        let think_us = self.rng.within(self.think_us / 2, self.think_us * 3 / 2);
        queue.after(think_us, Event::Client(ClientEvent::Begin { client }));
        let actor = &self.clients[client];
        if actor.under_way.len() >= UNDER_WAY_MAX {
            return;
        }
        // Registering and joining come first, one at a time. Who may not write, reads.
        let window = if actor.is_in_lobby { self.window } else { 1 };
        let kind = if actor.writes() < window {
            self.draw(client, queue.now())
        } else {
            Kind::Read { reader: actor.reader() }
        };
        let actor = &mut self.clients[client];
        let operation = actor.next_operation;
        actor.next_operation += 1;
        if let Kind::Read { reader: Some(_) } = kind {
            self.lobby.read_begins(call(client, operation));
        }
        let known_at_begin = self.known;
        let begun_at = queue.now();
        actor.under_way.insert(operation, Operation { attempt: 0, begun_at, kind, known_at_begin });
        self.begun += 1;
        self.attempt(Key { client, operation, attempt: 0 }, queue);
    }

    /// An attempt has taken too long, or was turned away: try the next node.
    pub(crate) fn try_again(&mut self, key: Key, queue: &mut Queue<Event>) {
        let client = &mut self.clients[key.client];
        let Some(operation) = client.under_way.get_mut(&key.operation) else {
            return;
        };
        if operation.attempt != key.attempt {
            return;
        }
        operation.attempt += 1;
        client.node = *self.rng.pick(&self.nodes);
        let waited_us = queue.now().since(operation.begun_at).0;
        if self.quota.is_none() && waited_us >= self.give_up_us {
            match operation.kind {
                Kind::Write { rank: Rank::Needed, .. } => {}
                Kind::Write { rank: Rank::Send { .. }, .. } => {
                    return self.give_sends_up(key.client);
                }
                Kind::Write { rank: Rank::Loose, .. } | Kind::Read { .. } => {
                    client.under_way.remove(&key.operation);
                    self.given_up += 1;
                    return;
                }
            }
        }
        let next = Key { attempt: operation.attempt, ..key };
        self.attempt(next, queue);
    }

    /// The client waits for none of its sends any more, and begins a new chain.
    fn give_sends_up(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.last_send = None;
        for (_, operation) in client.under_way.extract_if(.., |_, operation| operation.is_send()) {
            if let Kind::Write { request, .. } = operation.kind {
                self.ledger.given_up(request);
                self.given_up += 1;
            }
        }
    }

    /// A node has answered an attempt, maybe one that the client gave up: the answer counts.
    pub(crate) fn answered(&mut self, key: Key, reply: Reply, queue: &mut Queue<Event>) -> Checked {
        let client = &mut self.clients[key.client];
        let Some(operation) = client.under_way.get(&key.operation) else {
            return Ok(());
        };
        match (reply, &operation.kind) {
            (Reply::Again, _) => {
                self.try_again(key, queue);
                Ok(())
            }
            // Log time may lag behind while a wrong clock is among the few that are heard.
            (
                Reply::Outcome {
                    outcome: Err(Rejection::OutOfOrder | Rejection::RequestIdAhead),
                    ..
                },
                _,
            ) => {
                self.try_again(key, queue);
                Ok(())
            }
            (Reply::Outcome { index, outcome }, Kind::Write { request, rank, .. }) => {
                let first = self.ledger.acknowledged(*request, index, outcome)?;
                if first <= operation.known_at_begin {
                    return violated(format!(
                        "linearizable writes: {request:?} took effect at {first}, and began when {} \
                         was acknowledged",
                        operation.known_at_begin
                    ));
                }
                if let Ok(Accepted { answer: Answer::Sent { id, seq, .. }, .. }) = outcome {
                    self.messages.push(id);
                    if *rank == (Rank::Send { to_lobby: true }) {
                        self.lobby.send_returns(*request, seq);
                    }
                }
                client.under_way.remove(&key.operation);
                client.learn(outcome);
                self.known = self.known.max(index);
                self.acknowledged += 1;
                Ok(())
            }
            (Reply::Read { folded, lobby }, Kind::Read { reader }) => {
                if folded < operation.known_at_begin {
                    return violated(format!(
                        "linearizable reads: a read begun when {} was acknowledged shows {folded}",
                        operation.known_at_begin
                    ));
                }
                if let (Some(_), Some(seen)) = (reader, lobby) {
                    self.lobby.read_returns(call(key.client, key.operation), seen);
                }
                client.under_way.remove(&key.operation);
                self.known = self.known.max(folded);
                self.acknowledged += 1;
                Ok(())
            }
            (Reply::Outcome { .. }, Kind::Read { .. })
            | (Reply::Read { .. }, Kind::Write { .. }) => {
                violated(format!("{key:?} is answered by {reply:?}"))
            }
        }
    }

    fn attempt(&mut self, key: Key, queue: &mut Queue<Event>) {
        let node = self.clients[key.client].node;
        // A client that has just been turned away waits a little longer each time.
        let pause_us = u64::from(key.attempt.min(10)) * self.rng.below(10_000);
        let travel_us = pause_us + self.rng.within(50, 2_000);
        queue.after(travel_us, Event::Client(ClientEvent::Ask { key, node }));
        queue.after(travel_us + self.patience_us, Event::Client(ClientEvent::Timeout { key }));
    }

    /// What the client does next.
    fn draw(&mut self, client: usize, now: Micros) -> Kind {
        let request = request_id(now, &mut self.rng);
        let Some((account, session)) = self.clients[client].session else {
            let body = self.registration(client);
            return write(request, Body::Register(body), Rank::Needed);
        };
        if !self.clients[client].is_in_lobby {
            let action = if client == 0 {
                Action::CreateChannel { name: LOBBY.into(), private: false, topic: String::new() }
            } else {
                Action::Join { channel: LOBBY.into() }
            };
            return write(request, Body::Act { account, session, action }, Rank::Needed);
        }
        let mut rank = Rank::Loose;
        let action = match self.rng.below(24) {
            0..=9 => {
                rank = Rank::Send { to_lobby: true };
                self.lobby.send_begins(request);
                self.send(client, Target::channel(LOBBY), request)
            }
            10..=12 => {
                rank = Rank::Send { to_lobby: false };
                let peer = self.rng.slot(self.clients.len());
                self.send(client, Target::user(&format!("user-{peer}")), request)
            }
            13 => Action::Mark { to: Target::channel(LOBBY), upto: self.rng.below(1_000) },
            14 => {
                let name = format!("room-{}", self.rng.below(8));
                Action::CreateChannel { name, private: self.rng.chance(300), topic: String::new() }
            }
            15 => Action::Join { channel: format!("room-{}", self.rng.below(8)) },
            16 => Action::Leave { channel: format!("room-{}", self.rng.below(8)) },
            17 => match self.clients[client].spare_session.take() {
                Some(spare) => Action::Logout { session: spare },
                None => {
                    let token_hash = token_hash(&mut self.rng);
                    let login = Login { account, password_generation: 0, token_hash };
                    return write(request, Body::Login(login), Rank::Loose);
                }
            },
            18 | 19 if !self.messages.is_empty() => self.change(),
            // The first client stays, so that somebody can read what was said.
            20 if client > 0 && self.rng.chance(250) => {
                // Nothing new until it is done.
                rank = Rank::Needed;
                self.clients[client].is_in_lobby = false;
                Action::DeleteAccount {
                    password_generation: 0,
                    erase_messages: self.rng.chance(500),
                }
            }
            _ => return Kind::Read { reader: Some(account) },
        };
        write(request, Body::Act { account, session, action }, rank)
    }

    /// Another text or none, for a message of anyone.
    fn change(&mut self) -> Action {
        let message = *self.rng.pick(&self.messages);
        if self.rng.chance(500) {
            Action::Edit { message, text: format!("edited {}", self.rng.below(1_000)) }
        } else {
            Action::Delete { message }
        }
    }

    /// A message, chained to the client's previous one.
    fn send(&mut self, client: usize, to: Target, request: RequestId) -> Action {
        let padding = usize::try_from(self.rng.magnitude(1, 400)).expect("a few hundred");
        let actor = &mut self.clients[client];
        actor.sends += 1;
        self.ledger.chained(request, client, actor.sends);
        let after_request = actor.last_send.replace(request);
        let text = format!("{} says {} {}", actor.name, actor.sends, ".".repeat(padding));
        Action::Send { to, text, reply_to: None, after_request }
    }

    fn registration(&mut self, client: usize) -> Register {
        let Client { name, deleted, .. } = &self.clients[client];
        // A name is given once.
        let name = if *deleted == 0 { name.clone() } else { format!("{name}.{deleted}") };
        Register {
            name,
            password_hash: "$argon2id$simulated".into(),
            invite: None,
            token_hash: token_hash(&mut self.rng),
        }
    }
}

impl Operation {
    const fn is_send(&self) -> bool {
        matches!(self.kind, Kind::Write { rank: Rank::Send { .. }, .. })
    }
}

impl Client {
    /// Writes under way.
    fn writes(&self) -> usize {
        let kinds = self.under_way.values().map(|operation| &operation.kind);
        kinds.filter(|kind| matches!(kind, Kind::Write { .. })).count()
    }

    /// As whom it reads.
    fn reader(&self) -> Option<AccountId> {
        self.session.map(|(account, _)| account)
    }

    /// What an outcome means for what comes next.
    fn learn(&mut self, outcome: Outcome) {
        let Ok(Accepted { answer, .. }) = outcome else {
            return;
        };
        match answer {
            Answer::Registered { account, session, .. } => self.session = Some((account, session)),
            Answer::LoggedIn { session, .. } => self.spare_session = Some(session),
            Answer::AccountDeleted { .. } => {
                // It comes back as somebody else.
                self.deleted += 1;
                (self.session, self.spare_session, self.last_send) = (None, None, None);
            }
            Answer::Joined { .. } | Answer::ChannelCreated { .. } => self.is_in_lobby = true,
            Answer::LoggedOut { .. }
            | Answer::Left { .. }
            | Answer::Invited { .. }
            | Answer::Sent { .. }
            | Answer::Marked { .. }
            | Answer::SettingChanged
            | Answer::Edited { .. }
            | Answer::Deleted { .. }
            | Answer::PasswordSet
            | Answer::TokenOpened { .. } => {}
        }
    }
}

fn write(request: RequestId, body: Body, rank: Rank) -> Kind {
    Kind::Write { request, bytes: Command::new(request, body).encode().into(), rank }
}

/// One name for an operation of a client.
fn call(client: usize, operation: u64) -> u64 {
    u64::try_from(client).expect("a handful") << 32 | operation
}

/// A fresh `UUIDv7`.
fn request_id(now: Micros, rng: &mut Rng) -> RequestId {
    let millis = (WALL_EPOCH_US + now.0) / 1000;
    RequestId::new(millis, rng.next_u128())
}

fn token_hash(rng: &mut Rng) -> [u8; 32] {
    let mut hash = [0; 32];
    for byte in &mut hash {
        *byte = rng.next_u64().to_le_bytes()[0];
    }
    hash
}
