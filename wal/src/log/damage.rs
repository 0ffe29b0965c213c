//! Damage that an opening found and that the log itself does not tell of yet.
//!
//! What always holds (research F20): until a segment start lists it durably, manifest and vote file know
//! no less than they did, nothing is written to a segment that is damaged or in doubt, and a next
//! opening finds the same; from then on the log tells of it, and the files are set right.

use super::Log;
use crate::{Error, codec::len_u64, manifest::SET_ASIDE, vote::VoteState};

/// What is to be done when the damage that was found is listed.
#[derive(Debug)]
pub(super) struct Unlisted {
    /// The newest batch that manifest or vote file knew to be durable.
    pub(super) ledger_seq: u64,
    /// Unused segments that something is in, or that cannot be opened.
    pub(super) set_aside: Vec<u64>,
}

impl Log {
    pub(super) fn store_vote(&mut self) -> Result<(), Error> {
        self.voted = VoteState {
            identity: self.manifest.identity,
            hard_state: self.written.hard_state,
            durable_seq: self.ledger_seq(),
            bindings: len_u64(self.written.bindings.len()),
            epoch: self.manifest.epoch,
        };
        self.vote_file.store(&*self.io, &self.voted)
    }

    /// The newest batch that manifest and vote file are to call durable. Before the damage is listed that is
    /// what they knew: of a suspect batch they must not know more.
    pub(super) fn ledger_seq(&self) -> u64 {
        self.unlisted.as_ref().map_or(self.durable_seq, |unlisted| unlisted.ledger_seq)
    }

    /// A segment start lists all that is faulty: from now on the log itself tells of it, and neither file
    /// need know more.
    pub(super) fn list_damage(&mut self) -> Result<(), Error> {
        let Some(Unlisted { set_aside, .. }) = self.unlisted.take() else { return Ok(()) };
        for listed in &mut self.manifest.segments {
            if set_aside.contains(&listed.id) {
                listed.first_seq = SET_ASIDE;
            }
        }
        self.manifest.durable_seq = self.durable_seq;
        self.manifest.is_rebuilt = false;
        self.manifest_file.store(&*self.io, &self.manifest)?;
        self.store_vote()
    }
}
