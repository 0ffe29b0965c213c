//! Proposals of this node's clients that wait for their outcome, wherever they were made.
//!
//! What always holds: each gets one outcome; `Committed` only when this node's own commit index has
//! passed the very entry; `Unknown` as soon as the entry can no longer be followed, and at the
//! latest an election after its leader was lost.

use std::collections::BTreeMap;

use election::{EntryId, Index, Micros, Term};

use super::log::Log;
use crate::{Effect, Effects, Outcome, ProposalId, Refusal};

#[derive(Debug, Default)]
pub(crate) struct Proposals {
    /// Asked of the leader, no place known: by the name used on the wire, ascending in time.
    asked: BTreeMap<u64, (ProposalId, Micros)>,
    /// In the leader's log at this place.
    placed: BTreeMap<(Index, Term), ProposalId>,
    /// The leader they were placed by is gone; until then they may still turn up committed.
    give_up_at: Option<Micros>,
    /// The term of the newest entry known to be committed.
    committed_term: Term,
}

pub(crate) fn reply(id: ProposalId, outcome: Outcome, effects: &mut Effects) {
    effects.push(Effect::Reply { id, outcome });
}

impl Proposals {
    pub(crate) fn len(&self) -> usize {
        self.asked.len() + self.placed.len()
    }

    pub(crate) fn ask(&mut self, now: Micros, name: u64, id: ProposalId) {
        self.asked.insert(name, (id, now));
    }

    pub(crate) fn place(&mut self, at: EntryId, id: ProposalId) {
        self.placed.insert((at.index, at.term), id);
    }

    /// The leader answered.
    pub(crate) fn answered(
        &mut self,
        name: u64,
        outcome: Result<EntryId, Refusal>,
        effects: &mut Effects,
    ) {
        let Some((id, _)) = self.asked.remove(&name) else { return };
        match outcome {
            Ok(at) => {
                // Two at one place cannot be: a leader that says so is wrong about one of them.
                if let Some(other) = self.placed.insert((at.index, at.term), id) {
                    reply(other, Outcome::Unknown, effects);
                }
            }
            Err(refusal) => reply(id, Outcome::NotAccepted(refusal), effects),
        }
    }

    /// Everything up to `commit` is committed.
    pub(crate) fn committed(&mut self, commit: Index, log: &Log, effects: &mut Effects) {
        while let Some(place) = self.placed.first_entry() {
            let (index, term) = *place.key();
            if index > commit {
                break;
            }
            let stands = log.holds(EntryId { term, index });
            let outcome = if stands { Outcome::Committed(index) } else { Outcome::Unknown };
            reply(place.remove(), outcome, effects);
        }
        self.superseded(log.term_of(commit).unwrap_or_default(), effects);
    }

    /// An entry of `term` is committed: behind it nothing older ever will be. So whoever waits for a
    /// leader that died hears of it when the next one has committed its first entry.
    fn superseded(&mut self, term: Term, effects: &mut Effects) {
        if term <= self.committed_term {
            return;
        }
        self.committed_term = term;
        for (_, id) in self.placed.extract_if(.., |(_, placed), _| *placed < term) {
            reply(id, Outcome::Unknown, effects);
        }
    }

    /// Entries above `index` were cut from this log.
    pub(crate) fn truncated(&mut self, index: Index, effects: &mut Effects) {
        for id in self.placed.split_off(&(index.next(), Term(0))).into_values() {
            reply(id, Outcome::Unknown, effects);
        }
    }

    /// The leader is gone, or was for a while: its answers will not come.
    pub(crate) fn leader_lost(&mut self, give_up_at: Micros, effects: &mut Effects) {
        self.answers_lost(effects);
        if !self.placed.is_empty() {
            self.give_up_at.get_or_insert(give_up_at);
        }
    }

    /// What was asked over the link to the leader is lost with it.
    pub(crate) fn answers_lost(&mut self, effects: &mut Effects) {
        for (id, _) in std::mem::take(&mut self.asked).into_values() {
            reply(id, Outcome::Unknown, effects);
        }
    }

    pub(crate) fn deadline(&self, answer: Micros) -> Option<Micros> {
        let asked = self.asked.values().next().map(|(_, since)| since.plus(answer));
        [asked, self.give_up_at].into_iter().flatten().min()
    }

    /// Give up what has waited too long. `lead` is the term of the leader that is followed now.
    pub(crate) fn expire(
        &mut self,
        now: Micros,
        answer: Micros,
        lead: Option<Term>,
        effects: &mut Effects,
    ) {
        while let Some(first) = self.asked.first_entry() {
            if now < first.get().1.plus(answer) {
                break;
            }
            reply(first.remove().0, Outcome::Unknown, effects);
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            for (_, id) in self.placed.extract_if(.., |(_, term), _| Some(*term) != lead) {
                reply(id, Outcome::Unknown, effects);
            }
        }
    }
}
