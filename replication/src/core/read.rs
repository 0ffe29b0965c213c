//! Linearizable reads by read index (Raft thesis §6.4).
//!
//! What always holds: a read is answered with a commit index that was valid after the question came
//! to the leader, and only when a commit quorum has confirmed the leader in a heartbeat round that
//! started after that. A leader that has committed nothing of its own term answers none
//! (research traps 40, 41).

use std::collections::VecDeque;

use election::{Index, Micros, NodeId};

use crate::{Effect, Effects, ReadId};

/// Who waits for a read at the leader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    /// A client of this node.
    Own(ReadId),
    /// Another node.
    Peer {
        node: NodeId,
        /// Its name for the question.
        name: u64,
    },
}

/// The leader's side.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    waiting: Vec<Reader>,
    started: VecDeque<Round>,
    readers: usize,
}

#[derive(Debug)]
struct Round {
    round: u64,
    index: Index,
    readers: Vec<Reader>,
}

impl Rounds {
    pub(crate) const fn len(&self) -> usize {
        self.readers
    }

    pub(crate) fn wait(&mut self, reader: Reader) {
        self.readers += 1;
        self.waiting.push(reader);
    }

    /// Should a round start for those who wait? One at a time, so that many reads share one.
    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.started.is_empty()
    }

    /// A round starts now; whoever waits is answered by it.
    pub(crate) fn start(&mut self, round: u64, commit: Index) {
        if !self.waiting.is_empty() {
            let readers = std::mem::take(&mut self.waiting);
            self.started.push_back(Round { round, index: commit, readers });
        }
    }

    /// Take those whose round `is_confirmed`.
    pub(crate) fn confirmed(&mut self, is_confirmed: impl Fn(u64) -> bool) -> Vec<(Reader, Index)> {
        let mut answered = Vec::new();
        while let Some(round) = self.started.pop_front_if(|round| is_confirmed(round.round)) {
            self.readers -= round.readers.len();
            answered.extend(round.readers.into_iter().map(|reader| (reader, round.index)));
        }
        answered
    }

    /// Nobody will be answered.
    pub(crate) fn give_up(self) -> Vec<Reader> {
        let started = self.started.into_iter().flat_map(|round| round.readers);
        started.chain(self.waiting).collect()
    }
}

/// A follower's side: one question at a time stands for all reads that came before it was asked.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    waiting: Vec<ReadId>,
    asked: Option<Question>,
}

#[derive(Debug)]
struct Question {
    name: u64,
    leader: NodeId,
    since: Micros,
    reads: Vec<ReadId>,
}

impl Questions {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.asked.as_ref().map_or(0, |question| question.reads.len())
    }

    pub(crate) fn wait(&mut self, id: ReadId) {
        self.waiting.push(id);
    }

    pub(crate) fn wants_to_ask(&self) -> bool {
        !self.waiting.is_empty() && self.asked.is_none()
    }

    pub(crate) fn ask(&mut self, now: Micros, name: u64, leader: NodeId) {
        let reads = std::mem::take(&mut self.waiting);
        self.asked = Some(Question { name, leader, since: now, reads });
    }

    /// The leader answered; what it answers to something else is stale.
    pub(crate) fn answered(
        &mut self,
        from: NodeId,
        name: u64,
        index: Option<Index>,
        effects: &mut Effects,
    ) {
        let asked = self.asked.take_if(|asked| asked.leader == from && asked.name == name);
        for id in asked.into_iter().flat_map(|asked| asked.reads) {
            effects.push(match index {
                Some(index) => Effect::ReadReady { id, index },
                None => Effect::ReadFailed { id },
            });
        }
    }

    /// The question was lost on the way: ask again.
    pub(crate) fn lost(&mut self) {
        if let Some(asked) = self.asked.take() {
            let later = std::mem::replace(&mut self.waiting, asked.reads);
            self.waiting.extend(later);
        }
    }

    /// Nobody will answer.
    pub(crate) fn fail(&mut self, effects: &mut Effects) {
        self.lost();
        for id in std::mem::take(&mut self.waiting) {
            effects.push(Effect::ReadFailed { id });
        }
    }

    pub(crate) fn deadline(&self, answer: Micros) -> Option<Micros> {
        self.asked.as_ref().map(|asked| asked.since.plus(answer))
    }

    pub(crate) fn expire(&mut self, now: Micros, answer: Micros, effects: &mut Effects) {
        if self.deadline(answer).is_some_and(|deadline| deadline <= now) {
            self.fail(effects);
        }
    }
}
