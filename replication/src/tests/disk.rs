//! A simulated disk, and what a node finds on it when it starts.

use std::collections::{BTreeMap, VecDeque};

use election::{EntryId, Index, NodeId, StoreId, Term, Ticket, VoterId};
use wal::{Entry, EntryKind, Op};

use crate::{Boot, ClusterConfig, Limits, Member, Mode, Timing};

/// What is on one disk: what is synced, and the operations that are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) entries: Vec<Entry>,
    pub(super) hard_state: election::HardState,
    pub(super) bindings: BTreeMap<NodeId, StoreId>,
    pub(super) pending: VecDeque<(Ticket, Op)>,
}

impl Disk {
    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Append(entries) => {
                for entry in entries {
                    assert_eq!(entry.index, self.entries.len() as u64 + 1, "no gap on disk");
                    self.entries.push(entry);
                }
            }
            Op::TruncateAfter(index) => self.entries.truncate(index as usize),
            Op::HardState(hard_state) => {
                let voted_for = hard_state.voted_for;
                self.hard_state = election::HardState {
                    term: Term(hard_state.term),
                    voted_for: voted_for
                        .map(|v| VoterId { node: NodeId(v.node), store: StoreId(v.store) }),
                };
            }
            Op::Bind { node, store } => {
                self.bindings.entry(NodeId(node)).or_insert(StoreId(store));
            }
            Op::Repair(_) | Op::Doubt | Op::Settle => panic!("nothing is damaged here"),
        }
    }

    pub(super) fn sync(&mut self, ticket: Ticket) {
        while let Some((_, op)) = self.pending.pop_front_if(|(at, _)| *at <= ticket) {
            self.apply(op);
        }
    }

    /// What reads see: synced or not.
    pub(super) fn view(&self) -> Vec<Entry> {
        let mut copy = self.clone();
        copy.sync(Ticket(u64::MAX));
        copy.entries
    }
}

pub(super) fn genesis(nodes: u64) -> ClusterConfig {
    let member = |node| Member {
        node: NodeId(node),
        store: None,
        peer: format!("10.0.0.{node}:7000"),
        client: format!("http://10.0.0.{node}"),
    };
    ClusterConfig {
        mode: match nodes {
            1 => Mode::Solo,
            2 => Mode::Pair,
            _ => Mode::Majority,
        },
        voters: (1..=nodes).map(member).collect(),
        learners: Vec::new(),
        known: Vec::new(),
        target_size: nodes as u8,
        predecessor: Index(0),
        level: 1,
    }
}

pub(super) fn voter(node: u64) -> VoterId {
    VoterId { node: NodeId(node), store: StoreId(u128::from(node) + 0xa0) }
}

/// What a fresh data directory gives.
pub(super) fn boot(me: VoterId, genesis: &ClusterConfig, disk: &Disk, seed: u64) -> Boot {
    let mut term_runs: Vec<(Index, Term)> = Vec::new();
    let mut configs = Vec::new();
    for entry in &disk.entries {
        if term_runs.last().is_none_or(|run| run.1.0 < entry.term) {
            term_runs.push((Index(entry.index), Term(entry.term)));
        }
        if entry.kind == EntryKind::Config {
            configs.push((Index(entry.index), ClusterConfig::decode(&entry.payload).unwrap()));
        }
    }
    let last = disk.entries.last();
    Boot {
        me,
        genesis: genesis.clone(),
        hard_state: disk.hard_state,
        bindings: disk.bindings.clone(),
        joined: false,
        first: Index(1),
        last: last.map_or_else(EntryId::default, |entry| EntryId {
            term: Term(entry.term),
            index: Index(entry.index),
        }),
        term_runs,
        configs,
        faulty: Vec::new(),
        ticket: Ticket(0),
        seed,
        level: 1,
        timing: Timing::default(),
        limits: Limits::default(),
    }
}
