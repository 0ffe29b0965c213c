//! What the log amounts to as of the newest batch written: what the next header and the next segment
//! start say.
//!
//! What always holds: it follows the records in the order in which they are written, and no other.

use std::collections::BTreeMap;

use super::BINDINGS_MAX;
use crate::{
    EntryKind, FAULTY_RANGES_MAX, FaultyKind, HardState,
    batch::{Counts, Record, batch_bytes, frame_bytes},
    payload::{FAULTY_BYTES, VOTE_BYTES},
    replay::Replay,
    seal::Gathered,
    segment::START_BYTES_MAX,
    terms::Terms,
    view::Pending,
};

const _: () = assert!(
    batch_bytes(
        (BINDINGS_MAX + 1) * frame_bytes(VOTE_BYTES)
            + FAULTY_RANGES_MAX * frame_bytes(FAULTY_BYTES)
    ) <= START_BYTES_MAX,
    "a segment start holds hard state, all bindings and all that is faulty"
);

/// The state after the newest batch.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) seq: u64,
    pub(super) chain: u32,
    /// The epoch of that batch.
    pub(super) epoch: u32,
    pub(super) ticket: u64,
    pub(super) terms: Terms,
    pub(super) hard_state: HardState,
    pub(super) bindings: BTreeMap<u64, u128>,
    /// Truncations so far, wrapping.
    pub(super) truncations: u16,
}

impl Written {
    /// As an opening found it.
    pub(super) fn new(replay: &Replay) -> Self {
        Self {
            seq: replay.seq,
            chain: replay.chain,
            epoch: replay.epoch,
            ticket: 0,
            terms: replay.terms.clone(),
            hard_state: replay.hard_state,
            bindings: replay.bindings.clone(),
            truncations: replay.truncations,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let bindings = u16::try_from(self.bindings.len()).expect("at most BINDINGS_MAX");
        Counts { truncations: self.truncations, bindings }
    }

    /// A record is in the active segment, at `offset`.
    pub(super) fn apply(&mut self, record: &Record, offset: u64, gathered: &mut Gathered) {
        match record {
            Record::Entry(entry) => {
                self.terms.push(entry.index, entry.term);
                if entry.kind == EntryKind::Config {
                    gathered.config(entry.index, offset);
                }
            }
            Record::HardState(state) => self.hard_state = *state,
            Record::TruncateAfter(index) => {
                self.truncations = self.truncations.wrapping_add(1);
                self.terms.truncate_after(*index);
                gathered.truncate_after(*index);
            }
            Record::Bind { node, store } => {
                if !self.bindings.contains_key(node) {
                    gathered.note(offset);
                }
                self.bindings.entry(*node).or_insert(*store);
                assert!(self.bindings.len() <= BINDINGS_MAX, "more nodes than can be bound");
            }
            Record::Repaired(entry) => {
                gathered.tells_of_damage = true;
                self.terms.repair(entry.index, entry.term);
            }
            Record::Settled => {
                gathered.tells_of_damage = true;
                self.terms.faulty.settle();
            }
            // Anything else repeats what is known.
            Record::Faulty(range) => {
                gathered.tells_of_damage = true;
                if range.kind == FaultyKind::EndUnknown {
                    self.terms.faulty.mark(*range);
                }
            }
        }
    }

    /// What a segment start repeats.
    pub(super) fn start_records(&self) -> Vec<Pending> {
        let state = Record::HardState(self.hard_state);
        let bindings = self.bindings.iter();
        let bindings = bindings.map(|(&node, &store)| Record::Bind { node, store });
        let faulty = self.terms.faulty.list().into_iter().map(Record::Faulty);
        let records = [state].into_iter().chain(bindings).chain(faulty);
        records.map(|record| Pending { ticket: 0, record: Some(record) }).collect()
    }
}
