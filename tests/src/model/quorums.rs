//! The quorums and steps of `election`, the ones that ship, asked once for every set and kept in tables.

use election::{Electorate, Mode, NodeId};

use super::state::{Config, Set, number};

/// Of every configuration, by its number.
#[derive(Debug)]
pub(super) struct Quorums {
    /// One bit for each set of nodes.
    elects: Vec<u32>,
    commits: Vec<u32>,
    /// What may follow by the rule that ships.
    next: Vec<Vec<Config>>,
    /// What differs by one voter at most.
    near: Vec<Vec<Config>>,
}

impl Quorums {
    /// Of all configurations of so many nodes, armed pairs among them if asked for.
    pub(super) fn of(nodes: usize, armed: bool) -> Self {
        let all = configs(nodes, armed);
        let mut quorums = Self {
            elects: vec![0; 256],
            commits: vec![0; 256],
            next: vec![Vec::new(); 256],
            near: vec![Vec::new(); 256],
        };
        for (config, electorate) in &all {
            let place = usize::from(config.0);
            for set in 0..1_u8 << nodes {
                let in_set = |node: NodeId| Set(set).contains(index(node));
                quorums.elects[place] |= u32::from(electorate.elects(in_set)) << set;
                quorums.commits[place] |= u32::from(electorate.commits(in_set)) << set;
            }
            for (other, next) in all.iter().filter(|(other, _)| other != config) {
                if electorate.may_become(next) {
                    quorums.next[place].push(*other);
                }
                if (config.voters().0 ^ other.voters().0).count_ones() <= 1 {
                    quorums.near[place].push(*other);
                }
            }
        }
        quorums
    }

    pub(super) fn elects(&self, config: Config, votes: Set) -> bool {
        self.elects[usize::from(config.0)] >> votes.0 & 1 == 1
    }

    pub(super) fn commits(&self, config: Config, holders: Set) -> bool {
        self.commits[usize::from(config.0)] >> holders.0 & 1 == 1
    }

    /// What may follow `config`; checked as it ships, or not at all.
    pub(super) fn next(&self, config: Config, checked: bool) -> &[Config] {
        let next = if checked { &self.next } else { &self.near };
        &next[usize::from(config.0)]
    }

    /// Are there two sets without a common node, of which one elects and the other elects or commits?
    pub(super) fn are_apart(&self, old: Config, new: Config, nodes: usize) -> bool {
        let all = (1_u8 << nodes) - 1;
        (0..=all).any(|set| {
            let (one, other) = (Set(set), Set(all & !set));
            let decides = |config| self.elects(config, other) || self.commits(config, other);
            (self.elects(old, one) && decides(new)) || (self.elects(new, one) && decides(old))
        })
    }
}

/// Every set of voters under the mode that fits it.
fn configs(nodes: usize, armed: bool) -> Vec<(Config, Electorate)> {
    let mut all = Vec::new();
    for set in 1..1_u8 << nodes {
        let voters: Vec<usize> = (0..nodes).filter(|node| Set(set).contains(*node)).collect();
        let survivors = voters.iter().copied().filter(|_| armed && voters.len() == 2).map(Some);
        for survivor in survivors.chain([None]) {
            let mode = match (survivor, voters.len()) {
                (Some(survivor), _) => Mode::Armed { survivor: node(survivor) },
                (None, 1) => Mode::Solo,
                (None, 2) => Mode::Pair,
                (None, _) => Mode::Majority,
            };
            let electorate = Electorate::new(mode, voters.iter().copied().map(node).collect());
            let electorate = electorate.expect("the mode fits the number of voters");
            all.push((Config::new(Set(set), survivor), electorate));
        }
    }
    all
}

fn node(place: usize) -> NodeId {
    NodeId(u64::from(number(place)) + 1)
}

fn index(node: NodeId) -> usize {
    usize::try_from(node.0 - 1).expect("few nodes")
}
