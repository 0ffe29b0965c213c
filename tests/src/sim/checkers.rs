//! The laws of consensus, checked at every event against one shared record.
//!
//! The record is global: it sees every node at once, as no node can. Each law is checked where it
//! could first be broken, so that the trace ends next to the cause.

use std::{collections::BTreeMap, fmt};

use election::{Electorate, NodeId, VoterId};
use replication::ClusterConfig;

use super::shadow::{Image, Mark};

/// A broken law, in words.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

/// A law holds, or is broken.
pub(crate) type Checked = Result<(), Violation>;

/// A committed entry.
#[derive(Clone, Copy, Debug)]
struct Golden {
    mark: Mark,
    /// The term of the leader that committed it.
    committed_in: u64,
}

/// What the whole cluster has done so far.
#[derive(Debug)]
pub(crate) struct Checkers {
    /// Every configuration that anybody appended, by index and term; (0, 0) is the genesis.
    configs: BTreeMap<(u64, u64), (ClusterConfig, Electorate)>,
    /// Election safety: who led each term.
    leaders: BTreeMap<u64, NodeId>,
    /// Log matching: what follows which term at each (index, term).
    entries: BTreeMap<(u64, u64), (u32, u64)>,
    /// State-machine safety: the one committed log.
    golden: Vec<Golden>,
    /// One vote a term: for whom each identity voted.
    votes: BTreeMap<(VoterId, u64), VoterId>,
    /// One fold: the running hash after each index.
    folded: Vec<u64>,
}

/// Broken, for this reason.
pub(crate) fn violated<T>(reason: String) -> Result<T, Violation> {
    Err(Violation(reason))
}

impl Checkers {
    /// A cluster that begins with this configuration.
    pub(crate) fn new(genesis: &ClusterConfig) -> Self {
        Self {
            configs: BTreeMap::from([((0, 0), with_quorums(genesis))]),
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            golden: Vec::new(),
            votes: BTreeMap::new(),
            folded: Vec::new(),
        }
    }

    /// A configuration stands in a log. When it is new, its predecessor and an entry of its term are
    /// committed, and their quorums meet: one change at a time.
    pub(crate) fn configured(&mut self, index: u64, term: u64, config: &ClusterConfig) -> Checked {
        if self.configs.contains_key(&(index, term)) {
            return Ok(());
        }
        let at = config.predecessor.0;
        let old_term = if at == 0 { Some(0) } else { self.golden(at).map(|old| old.mark.term) };
        let old = old_term.and_then(|old_term| self.configs.get(&(at, old_term)));
        let is_own_committed = self.golden.last().is_some_and(|last| last.mark.term >= term);
        let new = with_quorums(config);
        if !is_own_committed || !old.is_some_and(|(_, old)| old.may_become(&new.1)) {
            return violated(format!(
                "one change at a time: {:?} at {index} of term {term} follows {:?} at {at}, with {} \
                 entries committed",
                new.1,
                old.map(|(_, old)| old),
                self.newest(),
            ));
        }
        self.configs.insert((index, term), new);
        Ok(())
    }

    /// The quorums that are in force for whoever has this log: those of its last configuration,
    /// committed or not.
    pub(crate) fn in_force(&self, log: &Image) -> &Electorate {
        &self.last_config(|index| log.at(index)).1
    }

    /// The last configuration that is committed.
    pub(crate) fn newest_config(&self) -> &ClusterConfig {
        &self.last_config(|index| self.golden(index).map(|golden| golden.mark)).0
    }

    /// The configuration that is in force for whoever has this log.
    pub(crate) fn config_in_force(&self, log: &Image) -> &ClusterConfig {
        &self.last_config(|index| log.at(index)).0
    }

    /// Does a configuration stand in this log above `last`?
    pub(crate) fn is_configured_after(&self, last: u64, log: &Image) -> bool {
        let above = self.configs.range((last + 1, 0)..);
        above
            .map(|(at, _)| at)
            .any(|(index, term)| log.at(*index).is_some_and(|mark| mark.term == *term))
    }

    fn last_config(&self, at: impl Fn(u64) -> Option<Mark>) -> &(ClusterConfig, Electorate) {
        let mut newest_first = self.configs.iter().rev();
        let found = newest_first.find(|&(&(index, term), _)| {
            index == 0 || at(index).is_some_and(|mark| mark.term == term)
        });
        found.map(|(_, config)| config).expect("the genesis stands in every log")
    }

    /// Terms in which several stood and nobody won.
    pub(crate) fn split_votes(&self) -> u64 {
        let mut candidates: BTreeMap<u64, u64> = BTreeMap::new();
        for ((voter, term), candidate) in &self.votes {
            *candidates.entry(*term).or_default() += u64::from(voter == candidate);
        }
        let split = candidates
            .iter()
            .filter(|&(term, &stood)| stood > 1 && !self.leaders.contains_key(term));
        u64::try_from(split.count()).expect("a count fits 64 bits")
    }

    /// A node says that it leads `term`: nobody else does, and it has every entry that a leader of
    /// an earlier term has committed (election safety, leader completeness). True when it is news.
    pub(crate) fn leads(
        &mut self,
        node: NodeId,
        term: u64,
        log: &Image,
    ) -> Result<bool, Violation> {
        let news = !self.leaders.contains_key(&term);
        let first = *self.leaders.entry(term).or_insert(node);
        if first != node {
            return violated(format!(
                "election safety: nodes {first} and {node} both lead term {term}"
            ));
        }
        if !news {
            return Ok(false);
        }
        for (golden, index) in self.golden.iter().zip(1..) {
            if golden.committed_in < term && log.at(index) != Some(golden.mark) {
                return violated(format!(
                    "leader completeness: node {node} leads term {term} without entry {index}, \
                     committed in term {}: it has {:?} for {:?}",
                    golden.committed_in,
                    log.at(index),
                    golden.mark,
                ));
            }
        }
        Ok(true)
    }

    /// A node grants a vote: its first or only one of the term.
    pub(crate) fn votes(&mut self, voter: VoterId, term: u64, candidate: VoterId) -> Checked {
        let first = *self.votes.entry((voter, term)).or_insert(candidate);
        if first != candidate {
            return violated(format!(
                "one vote a term: {voter} votes for {first} and for {candidate} in term {term}"
            ));
        }
        Ok(())
    }

    /// A node has `mark` at `index`, after an entry of term `previous` (log matching).
    pub(crate) fn appended(
        &mut self,
        node: NodeId,
        index: u64,
        mark: Mark,
        previous: Option<u64>,
    ) -> Checked {
        let at = (index, mark.term);
        // What stands before it may be unreadable here; somebody else has said it then.
        let previous = previous.or_else(|| Some(self.entries.get(&at)?.1)).unwrap_or(0);
        let here = (mark.checksum, previous);
        let first = *self.entries.entry(at).or_insert(here);
        if first != here {
            return violated(format!(
                "log matching: node {node} has {here:?} at {index} of term {}, others {first:?}",
                mark.term
            ));
        }
        Ok(())
    }

    /// A node puts `mark` back at `index`, where it could not read what it had: the entry that there is
    /// in that term. It need not be the committed one: what is not may have been lost, too.
    pub(crate) fn repaired(&self, node: NodeId, index: u64, mark: Mark) -> Checked {
        let known = self.entries.get(&(index, mark.term)).map(|(checksum, _)| *checksum);
        if known != Some(mark.checksum) {
            return violated(format!(
                "repair: node {node} puts {mark:?} back at {index}, not {known:?}"
            ));
        }
        Ok(())
    }

    /// A node of `term` regards everything up to `to` as committed, having `log`. What is new must be
    /// `durable` on a commit quorum of the configuration in force there; what is known must be the
    /// same. Returns how many entries are new.
    pub(crate) fn committed(
        &mut self,
        (node, term): (NodeId, u64),
        (from, to): (u64, u64),
        log: &Image,
        durable: impl Fn(NodeId, u64, Mark) -> bool,
    ) -> Result<u64, Violation> {
        let mut news = 0;
        for index in from + 1..=to {
            let Some(mark) = log.at(index) else {
                return violated(format!("node {node} commits {to} and has no entry {index}"));
            };
            if let Some(golden) = self.golden(index) {
                if golden.mark != mark {
                    return violated(format!(
                        "state-machine safety: node {node} commits {mark:?} at {index}, where {:?} \
                         was committed in term {}",
                        golden.mark, golden.committed_in
                    ));
                }
                continue;
            }
            let electorate = self.in_force(log);
            if !electorate.commits(|voter| durable(voter, index, mark)) {
                let voters = electorate.voters().iter();
                let copies: Vec<&NodeId> =
                    voters.filter(|voter| durable(**voter, index, mark)).collect();
                return violated(format!(
                    "durable before commit: node {node} commits {mark:?} at {index}, durable at \
                     {copies:?} of {electorate:?}"
                ));
            }
            self.golden.push(Golden { mark, committed_in: term });
            news += 1;
        }
        Ok(news)
    }

    /// A node has folded everything up to `index`, with this hash. True when it is the first.
    pub(crate) fn folded(
        &mut self,
        node: NodeId,
        index: u64,
        hash: u64,
    ) -> Result<bool, Violation> {
        let slot = usize::try_from(index - 1).expect("an index fits memory");
        match self.folded.get(slot) {
            None => {
                if slot != self.folded.len() {
                    return violated(format!(
                        "node {node} folds {index} after {}",
                        self.folded.len()
                    ));
                }
                self.folded.push(hash);
                Ok(true)
            }
            Some(&first) if first == hash => Ok(false),
            Some(&first) => violated(format!(
                "equal hashes: node {node} has {hash:016x} after index {index}, others {first:016x}"
            )),
        }
    }

    /// The newest committed index known to anybody.
    pub(crate) fn newest(&self) -> u64 {
        u64::try_from(self.golden.len()).expect("a length fits 64 bits")
    }

    fn golden(&self, index: u64) -> Option<&Golden> {
        self.golden.get(usize::try_from(index - 1).expect("an index fits memory"))
    }
}

/// The quorums of a configuration.
pub(crate) fn quorums(config: &ClusterConfig) -> Electorate {
    let voters = config.voters.iter().map(|member| member.node).collect();
    Electorate::new(config.mode, voters).expect("a configuration has quorums")
}

fn with_quorums(config: &ClusterConfig) -> (ClusterConfig, Electorate) {
    (config.clone(), quorums(config))
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests;
