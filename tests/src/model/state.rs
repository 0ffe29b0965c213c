//! What the model remembers, and no more: small, and copied often.
//!
//! What always holds: unused room is zero.

use std::fmt;

/// As many nodes, terms and entries fit; bounds stay at or below these.
pub(super) const NODES_MAX: usize = 5;
pub(super) const TERMS_MAX: usize = 6;
pub(super) const ENTRIES_MAX: usize = 6;

/// Some of the nodes: one bit each.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Set(pub(super) u8);

/// A configuration: its voters in the low five bits, above them which voter may go on alone, counted
/// from 1. Zero is none.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Config(pub(super) u8);

/// An entry is known by its term and place. What else it holds matters only in a configuration.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Entry {
    pub(super) term: u8,
    pub(super) config: Config,
}

/// Entries 1 to `len`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Log {
    len: u8,
    entries: [Entry; ENTRIES_MAX],
}

/// What one node has on its disk, and whose votes it holds while it stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Node {
    pub(super) term: u8,
    /// The node voted for in this term, counted from 1; 0 is nobody.
    pub(super) vote: u8,
    /// Empty when it does not stand.
    pub(super) votes: Set,
    pub(super) log: Log,
    /// The term and index of the newest entry that rot took from it; zero when nothing is missing.
    pub(super) floor: (u8, u8),
    /// The last configuration taken in. Only a naive variant looks at it.
    pub(super) config: Config,
}

/// The leader of one term, apart from its node: what it said stays under way when it is long deposed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Leader {
    /// Counted from 1; 0 is "no leader yet, or nobody listens to it any more".
    pub(super) node: u8,
    pub(super) log: Log,
    /// What each node acknowledged in this term.
    pub(super) matched: [u8; NODES_MAX],
    /// What it committed itself.
    pub(super) commit: u8,
}

/// All nodes, all that is under way, and what was ever committed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    pub(super) nodes: [Node; NODES_MAX],
    /// By term, from 1.
    pub(super) leaders: [Leader; TERMS_MAX],
    pub(super) committed: Log,
    /// In which term each of these was committed.
    pub(super) committed_in: [u8; ENTRIES_MAX],
    /// Faults so far.
    pub(super) faults: u8,
}

impl Set {
    pub(super) fn of(node: usize) -> Self {
        Self(1 << node)
    }

    pub(super) fn contains(self, node: usize) -> bool {
        self.0 >> node & 1 == 1
    }

    pub(super) fn insert(&mut self, node: usize) {
        self.0 |= 1 << node;
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Those of `nodes` that are such.
    pub(super) fn filter(nodes: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::default();
        (0..nodes).filter(|node| is_in(*node)).for_each(|node| set.insert(node));
        set
    }
}

impl Config {
    const VOTERS: u8 = (1 << NODES_MAX) - 1;

    pub(super) fn new(voters: Set, survivor: Option<usize>) -> Self {
        let survivor = survivor.map_or(0, |node| number(node) + 1);
        Self(voters.0 | survivor << NODES_MAX)
    }

    pub(super) fn voters(self) -> Set {
        Set(self.0 & Self::VOTERS)
    }

    pub(super) fn survivor(self) -> Option<usize> {
        usize::from(self.0 >> NODES_MAX).checked_sub(1)
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Log {
    pub(super) fn len(&self) -> u8 {
        self.len
    }

    /// The entry at `index`, from 1.
    pub(super) fn at(&self, index: u8) -> Entry {
        self.entries[usize::from(index) - 1]
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    pub(super) fn cut(&mut self, len: u8) {
        for entry in &mut self.entries[usize::from(len)..usize::from(self.len.max(len))] {
            *entry = Entry::default();
        }
        self.len = self.len.min(len);
    }

    /// The first `len` entries.
    pub(super) fn up_to(&self, len: u8) -> Self {
        let mut log = *self;
        log.cut(len);
        log
    }

    /// The order of the vote rule.
    pub(super) fn last(&self) -> (u8, u8) {
        if self.len == 0 { (0, 0) } else { (self.at(self.len).term, self.len) }
    }

    /// How many entries both begin with.
    pub(super) fn common(&self, other: &Self) -> u8 {
        let most = self.len.min(other.len);
        (1..=most).find(|index| self.at(*index) != other.at(*index)).map_or(most, |index| index - 1)
    }

    /// The indices and configurations in it, the newest first.
    pub(super) fn configs(&self) -> impl Iterator<Item = (u8, Config)> + '_ {
        let all = (1..=self.len).rev().map(|index| (index, self.at(index).config));
        all.filter(|(_, config)| !config.is_none())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.len);
        for entry in &self.entries[..usize::from(self.len)] {
            bytes.extend([entry.term, entry.config.0]);
        }
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries[..usize::from(self.len)]
    }
}

impl State {
    pub(super) fn leader(&self, term: u8) -> &Leader {
        &self.leaders[usize::from(term) - 1]
    }

    /// All of it, as bytes; two states that differ differ in them.
    pub(super) fn write(&self, nodes: usize, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.push(self.faults);
        for node in &self.nodes[..nodes] {
            let Node { term, vote, votes, floor, config, .. } = *node;
            bytes.extend([term, vote, votes.0, floor.0, floor.1, config.0]);
            node.log.write(bytes);
        }
        for leader in &self.leaders {
            bytes.push(leader.node);
            if leader.node != 0 {
                bytes.push(leader.commit);
                bytes.extend(&leader.matched[..nodes]);
                leader.log.write(bytes);
            }
        }
        self.committed.write(bytes);
        bytes.extend(&self.committed_in[..usize::from(self.committed.len())]);
    }

    pub(super) fn leader_mut(&mut self, term: u8) -> &mut Leader {
        &mut self.leaders[usize::from(term) - 1]
    }
}

/// A node's number in the model, which has few of them.
pub(super) fn number(node: usize) -> u8 {
    u8::try_from(node).expect("few nodes")
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let voters = (0..NODES_MAX).filter(|node| self.voters().contains(*node));
        let names: Vec<String> = voters.map(|node| format!("n{}", node + 1)).collect();
        write!(f, "{{{}}}", names.join(" "))?;
        match self.survivor() {
            Some(node) => write!(f, " with survivor n{}", node + 1),
            None => Ok(()),
        }
    }
}
