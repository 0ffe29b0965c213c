//! One replica, node 1, with a clock and nobody else: for what is said in which order.

use std::collections::BTreeMap;

use bytes::Bytes;
use election::{EntryId, HardState, Index, Micros, NodeId, Term, Ticket, VoterId};
use wal::{Entry, EntryKind, Op};

use super::{
    cluster::EPOCH,
    disk::{Disk, boot, genesis, voter},
};
use crate::{Boot, Effect, Effects, Fitness, Input, Message, Now, ProposalId, Replica, Role};

pub(super) struct One {
    pub(super) replica: Replica,
    pub(super) now: Micros,
    pub(super) wall: Micros,
    issued: Ticket,
}

pub(super) fn at(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

pub(super) fn entry(term: u64, index: u64) -> Entry {
    let payload = Bytes::copy_from_slice(&index.to_le_bytes());
    Entry::new(index, term, EntryKind::Command, payload)
}

pub(super) fn hard_state(term: u64, voted_for: Option<u64>) -> Op {
    let voted_for = voted_for.map(|node| {
        let id = voter(node);
        wal::Vote { node: id.node.0, store: id.store.0 }
    });
    Op::HardState(wal::HardState { term, voted_for })
}

pub(super) fn persist(ticket: u64, op: Op) -> Effect {
    Effect::Persist { ticket: Ticket(ticket), op }
}

pub(super) fn send(to: u64, message: Message, after: u64) -> Effect {
    Effect::Send { to: voter(to), lane: message.lane(), message, after: Ticket(after) }
}

pub(super) fn role(role: Role, term: u64, leader: Option<u64>) -> Effect {
    Effect::Role { role, term: Term(term), leader: leader.map(NodeId) }
}

pub(super) fn append(term: u64, previous: EntryId, commit: u64, entries: Vec<Entry>) -> Message {
    Message::Append { term: Term(term), previous, commit: Index(commit), entries }
}

pub(super) fn heartbeat(term: u64, commit: u64, round: u64) -> Message {
    counting_heartbeat(term, commit, round, 0)
}

/// Of a leader that counts on the receiver's log up to `matched`.
pub(super) fn counting_heartbeat(term: u64, commit: u64, round: u64, matched: u64) -> Message {
    let matched = Index(matched);
    Message::Heartbeat { term: Term(term), commit: Index(commit), round, matched }
}

pub(super) fn heartbeat_answer(term: u64, round: u64, wall: Micros) -> Message {
    let fitness = Fitness::default();
    Message::HeartbeatAnswer { term: Term(term), round, wall, fitness, level: 1 }
}

pub(super) fn appended(term: u64, matched: u64) -> Message {
    Message::Appended { term: Term(term), matched: Index(matched) }
}

/// A directory of a bound node of `nodes`, in `term`, with these entries; everybody's disk known.
pub(super) fn bound_boot(nodes: u64, term: u64, entries: Vec<Entry>) -> Boot {
    let mut genesis = genesis(nodes);
    for member in &mut genesis.voters {
        member.store = Some(voter(member.node.0).store);
    }
    let hard_state = HardState { term: Term(term), voted_for: None };
    let bindings = BTreeMap::from([(NodeId(1), voter(1).store)]);
    let disk = Disk { entries, hard_state, bindings, ..Disk::default() };
    boot(voter(1), &genesis, &disk, 1)
}

impl One {
    pub(super) fn boot(boot: Boot) -> Self {
        let now = Micros::from_millis(1_000);
        let issued = boot.ticket;
        let replica = Replica::new(Now { monotonic: now, wall: EPOCH }, boot);
        let mut one = Self { replica, now, wall: EPOCH, issued };
        one.input(Input::Wake);
        one
    }

    /// Of three, started.
    pub(super) fn new(term: u64, entries: Vec<Entry>) -> Self {
        Self::boot(bound_boot(3, term, entries))
    }

    /// Of three, leading `term` + 1 with the vote of 2; its no-op written, not durable; the clock of
    /// 2 heard.
    pub(super) fn lead(term: u64, entries: Vec<Entry>) -> Self {
        Self::lead_with(bound_boot(3, term, entries))
    }

    pub(super) fn lead_with(boot: Boot) -> Self {
        let mut one = Self::elected(boot);
        let term = one.replica.status().term.0;
        let effects = one.hear(2, heartbeat_answer(term, 1, EPOCH));
        assert_eq!(effects, []);
        one
    }

    /// Leading with the votes of the first others, and nothing heard yet.
    pub(super) fn elected(boot: Boot) -> Self {
        let term = boot.hard_state.term.next();
        let electors = 2..=boot.genesis.voters.len() as u64 / 2 + 1;
        let mut one = Self::boot(boot);
        one.now = one.replica.deadline();
        one.input(Input::Wake);
        for node in electors.clone() {
            one.hear(node, Message::PreVoteAnswer { term, granted: true });
        }
        one.sync();
        for node in electors {
            one.hear(node, Message::VoteAnswer { term, granted: true });
        }
        assert_eq!(one.replica.status().role, Role::Leader);
        one
    }

    pub(super) fn input(&mut self, input: Input) -> Effects {
        self.inputs(vec![input])
    }

    /// Inputs that came together.
    pub(super) fn inputs(&mut self, inputs: Vec<Input>) -> Effects {
        let mut effects = Effects::new();
        self.replica.handle_all(self.clock(), inputs, &mut effects);
        for effect in &effects {
            if let Effect::Persist { ticket, .. } = effect {
                assert_eq!(ticket.0, self.issued.0 + 1, "tickets are dense");
                self.issued = *ticket;
            }
        }
        effects
    }

    pub(super) fn hear(&mut self, from: u64, message: Message) -> Effects {
        self.input(Input::Message { from: voter(from), message })
    }

    pub(super) fn hear_from(&mut self, from: VoterId, message: Message) -> Effects {
        self.input(Input::Message { from, message })
    }

    /// Everything written so far becomes durable.
    pub(super) fn sync(&mut self) -> Effects {
        self.input(Input::Durable(self.issued))
    }

    pub(super) fn propose(&mut self, id: u64, body: &'static [u8]) -> Effects {
        self.input(Input::Propose { id: ProposalId(id), body: Bytes::from_static(body) })
    }

    pub(super) fn clock(&self) -> Now {
        Now { monotonic: self.now, wall: self.wall }
    }
}

/// The effects of one kind, in order.
pub(super) fn commits(effects: &Effects) -> Vec<u64> {
    let commits = effects.iter().filter_map(|effect| match effect {
        Effect::Commit(index) => Some(index.0),
        _ => None,
    });
    commits.collect()
}
