//! `handle` is total: whatever a peer says, in whatever order, nothing panics.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId, Random, StoreId, Term, VoterId};
use wal::{Entry, EntryKind, FaultyKind, FaultyRange};

use super::{
    disk::voter,
    one::{One, at, bound_boot, entry},
};
use crate::{
    Boot, Change, Effect, FetchId, Fitness, Input, Limits, LinkEvent, Member, Message, ProposalId,
    ReadId, Refusal, Role, Room,
};

/// Draws what a confused or hostile peer might say: numbers near the true ones, rarely far ones.
struct Liar {
    random: Random,
    /// What the replica's last entry and term are.
    last: EntryId,
    term: Term,
    /// What the replica asked for its repair.
    asked: Option<u64>,
}

impl Liar {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), last: at(3, 3), term: Term(3), asked: None }
    }

    fn near(&mut self, truth: u64) -> u64 {
        match self.random.up_to(999) {
            0 => u64::MAX - self.random.up_to(1),
            1 => 1 << self.random.up_to(63),
            2..=99 => truth + 1,
            100..=199 => truth.saturating_sub(1),
            200..=249 => self.random.up_to(truth + 1),
            _ => truth,
        }
    }

    fn term(&mut self) -> Term {
        Term(self.near(self.term.0))
    }

    fn index(&mut self) -> Index {
        Index(self.near(self.last.index.0))
    }

    fn flag(&mut self) -> bool {
        self.random.up_to(1) == 0
    }

    fn id(&mut self) -> EntryId {
        let (term, index) = (self.near(self.last.term.0), self.index());
        EntryId { term: Term(term), index }
    }

    fn entry(&mut self, index: u64) -> Entry {
        let kind = [EntryKind::Command, EntryKind::NoOp, EntryKind::Config];
        let kind = kind[self.random.up_to(2) as usize];
        let mut config = super::disk::genesis(3);
        config.target_size = 9;
        let payload = if kind == EntryKind::Config && self.flag() {
            Bytes::from(config.encode())
        } else {
            Bytes::from_static(b"payload")
        };
        let term = self.term();
        Entry::new(index, term.0, kind, payload)
    }

    fn change(&mut self) -> Change {
        let node = NodeId(self.random.up_to(4) + 1);
        let (peer, client) = ("host:1".repeat(self.random.up_to(50) as usize), String::new());
        match self.random.up_to(3) {
            0 => Change::Add(Member { node, store: None, peer, client }),
            1 => Change::Remove(node),
            2 => Change::Replace(node, None),
            _ => Change::Transfer(self.flag().then_some(node)),
        }
    }

    fn message(&mut self) -> Message {
        let (id, term, index) = (self.random.up_to(9), self.term(), self.index());
        let asked = Term(term.0.saturating_add(1));
        match self.random.up_to(21) {
            0 => Message::PreVote { term: asked, last: self.id() },
            1 => Message::PreVoteAnswer { term: asked, granted: self.flag() },
            2 => Message::Vote { term: asked, last: self.id(), transfer: self.flag() },
            3 => Message::VoteAnswer { term, granted: self.flag() },
            4 => Message::Heartbeat { term, commit: index, round: id, matched: index },
            5 => {
                let wall = Micros(self.random.next());
                let (has_space, stalled, draining) = (self.flag(), self.flag(), self.flag());
                let fitness = Fitness { has_space, stalled, draining };
                let level = self.random.up_to(3) as u16;
                Message::HeartbeatAnswer { term, round: id, wall, fitness, level }
            }
            6 => Message::Appended { term, matched: index },
            7 => Message::Conflict { term, refused: self.id(), hint: self.id() },
            8 => Message::Forward { id, body: Bytes::from_static(b"body") },
            9 => Message::Forwarded {
                id,
                outcome: if self.flag() { Ok(self.id()) } else { Err(Refusal::Busy) },
            },
            10 => Message::Read { id },
            11 => Message::ReadAnswer { id, index: self.flag().then_some(index) },
            12 if self.random.up_to(19) == 0 => Message::Drain { undo: self.flag() },
            12 => Message::TimeoutNow { term },
            13 if self.flag() => Message::Bind { joined: self.flag() },
            14 => Message::Reconfigure { id, change: self.change() },
            15 => Message::Named { store: voter(self.random.up_to(3)).store, index },
            16 if self.random.up_to(99) == 0 => Message::Removed { index },
            17 if self.flag() => Message::Regressed { term, matched: index, end: self.index() },
            17 => Message::Mend { id, first: index, last: self.index(), anchor: self.id() },
            18 if self.flag() => Message::Recall { id, term },
            19 if self.flag() => {
                let (id, hears) = (self.asked.unwrap_or(id), self.random.up_to(9) == 0);
                let (readable, config_index) = (self.id(), self.index());
                let config = if self.random.up_to(9) == 0 {
                    Bytes::from_static(b"none")
                } else {
                    let count = [2, 3, 5][self.random.up_to(2) as usize];
                    bound_boot(count, 3, Vec::new()).genesis.encode().into()
                };
                Message::Recalled { id, term, hears, readable, config_index, config }
            }
            20 if self.flag() => {
                let (end, first) = (self.flag().then(|| self.index()), self.index());
                let entries = (0..self.random.up_to(3))
                    .map(|n| self.entry(first.0.saturating_add(n)))
                    .collect();
                let id = self.asked.unwrap_or(id);
                Message::Mended { id, term, end, holds: self.flag(), first, entries }
            }
            _ => {
                let previous = self.id();
                let count = self.random.up_to(3);
                let first = previous.index.0.saturating_add(1);
                let entries = (0..count).map(|n| self.entry(first.saturating_add(n)));
                let entries = entries.collect();
                Message::Append { term, previous, commit: index, entries }
            }
        }
    }

    fn input(&mut self, effects: &[Effect]) -> Input {
        let peer = NodeId(self.random.up_to(3) + 1);
        let mut from = voter(peer.0);
        if self.random.up_to(9) == 0 {
            from = VoterId { node: peer, store: StoreId(1) };
        }
        match self.random.up_to(12) {
            12 => {
                let id = ProposalId(self.random.next());
                Input::Reconfigure { id, change: self.change() }
            }
            0 => Input::Propose { id: ProposalId(self.random.next()), body: Bytes::new() },
            1 => Input::Read { id: ReadId(self.random.next()) },
            2 => {
                let event = [LinkEvent::Up(from), LinkEvent::Lost, LinkEvent::SteppedDown];
                Input::Link { peer, event: event[self.random.up_to(2) as usize] }
            }
            3 => Input::Wake,
            4 => {
                let asked = effects.iter().rev().find_map(|effect| match effect {
                    Effect::Fetch { fetch, first, .. } => Some((*fetch, first.0)),
                    _ => None,
                });
                let (fetch, first) = asked.unwrap_or((FetchId(1), 1));
                Input::Fetched { fetch, entries: vec![self.entry(first)] }
            }
            5 if self.random.up_to(9) == 0 => {
                Input::Space(if self.flag() { Room::Enough } else { Room::None })
            }
            5 if self.random.up_to(9) == 0 => Input::Damaged { ranges: damage(self.random.next()) },
            5 if self.random.up_to(19) == 0 => Input::Leave,
            5 if self.random.up_to(19) == 0 => Input::Drain { node: peer, undo: self.flag() },
            5 if self.random.up_to(9) == 0 => {
                let (rtt, fsync) = (self.near(500), self.near(2_000));
                Input::Pace { rtt: Micros(rtt), fsync: Micros(fsync) }
            }
            _ => Input::Message { from, message: self.message() },
        }
    }
}

/// Somewhere in the first three entries, of known terms or not, and the end.
fn damage(seed: u64) -> Vec<FaultyRange> {
    let mut random = Random::new(seed);
    let kind = if random.up_to(1) == 0 { FaultyKind::Corrupt } else { FaultyKind::Suspect };
    let first = random.up_to(2) + 1;
    let last = first + random.up_to(3 - first);
    let term_max = if last == 3 || random.up_to(1) == 0 { 3 } else { 1 };
    let term_min = if first == 3 { 3 } else { 1 };
    let range = FaultyRange { first, last, term_min, term_max, kind };
    let kind = FaultyKind::EndUnknown;
    let end = FaultyRange { first: 4, last: u64::MAX, term_min: 3, term_max: u64::MAX, kind };
    [Some(range), (random.up_to(1) == 0).then_some(end)].into_iter().flatten().collect()
}

#[test]
fn nothing_that_a_peer_says_panics() {
    let (mut led, mut committed, mut halted, mut gave_up) = (0, 0, 0, 0);
    for seed in 0..400 {
        let mut liar = Liar::new(seed);
        let entries = vec![entry(1, 1), entry(1, 2), entry(3, 3)];
        let limits = Limits { tail_bytes_max: 50, append_entries_max: 2, ..Limits::default() };
        let faulty = if seed % 8 == 2 { damage(seed) } else { Vec::new() };
        let boot =
            Boot { limits, faulty, ..bound_boot([2, 3, 5, 3][seed as usize % 4], 3, entries) };
        let mut one = if seed % 4 == 2 { One::boot(boot) } else { One::lead_with(boot) };
        led += u32::from(one.replica.status().role == Role::Leader);
        let mut effects = Vec::new();
        for _ in 0..300 {
            if liar.random.up_to(3) == 0 {
                let due = one.replica.deadline().min(one.now.plus(Micros::from_millis(60)));
                one.now = one.now.max(due);
                effects.extend(one.input(Input::Wake));
            }
            let status = one.replica.status();
            (liar.last, liar.term) = (status.last, status.term);
            liar.asked = effects.iter().rev().find_map(|effect| match effect {
                Effect::Send {
                    message: Message::Mend { id, .. } | Message::Recall { id, .. },
                    ..
                } => Some(*id),
                _ => None,
            });
            let input = liar.input(&effects);
            effects.extend(one.input(input));
            if liar.flag() {
                effects.extend(one.sync());
            }
        }
        gave_up += u32::from(one.replica.status().given_up.is_some());
        let seen = |what: fn(&Effect) -> bool| u32::from(effects.iter().any(what));
        committed += seen(|effect| matches!(effect, Effect::Commit(_)));
        halted += seen(|effect| matches!(effect, Effect::Halt(_)));
    }
    assert!(led > 200 && committed > 200 && halted > 20, "{led} {committed} {halted}");
    assert!(gave_up > 0, "{gave_up}");
}
