//! The `VOTE` file: term and vote a second time, in a place of its own.
//!
//! What always holds: it is written after the log holds the same state durably and before anyone is
//! told, so the log is never behind it; if it is, the log has lost its end. A vote cannot be repaired
//! from peers (research F17), nor can a binding. It also says how often the log was opened, before the
//! first batch of that run: so it can stand in for the manifest when an end is to be believed.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    HardState, Identity, Vote,
    codec::Cursor,
    error::{Damage, Error},
    io::Io,
    slots::{Kind, Slots},
};

pub(crate) const VOTE: Kind = Kind { name: "VOTE", magic: *b"HFWALVOT", slot_bytes: 4 * 1024 };

/// What the file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct VoteState {
    pub(crate) identity: Identity,
    pub(crate) hard_state: HardState,
    /// The newest batch known to be durable when this was written.
    pub(crate) durable_seq: u64,
    /// How many nodes were bound in the log then.
    pub(crate) bindings: u64,
    /// How often the log had been opened: never more than the manifest says, never less than a batch does.
    pub(crate) epoch: u32,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct VoteFile {
    slots: Slots,
}

impl VoteFile {
    pub(crate) fn create(io: &dyn Io, state: &VoteState) -> Result<(), Error> {
        Slots::create(io, VOTE, &encode(state))
    }

    /// With what it says, or what is wrong with it.
    pub(crate) fn open(io: &dyn Io) -> Result<(Self, Result<VoteState, Damage>), Error> {
        let (slots, body) = Slots::open(io, VOTE)?;
        let said = body.and_then(|body| decode(&body).ok_or(Damage::Contents));
        Ok((Self { slots }, said))
    }

    pub(crate) fn store(&mut self, io: &dyn Io, state: &VoteState) -> Result<(), Error> {
        self.slots.store(io, &encode(state))
    }
}

/// Identity in a slot file: cluster 16, node 8, store 16.
pub(crate) fn encode_identity(identity: &Identity, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&identity.cluster.to_le_bytes());
    bytes.extend_from_slice(&identity.node.to_le_bytes());
    bytes.extend_from_slice(&identity.store.to_le_bytes());
}

pub(crate) fn decode_identity(cursor: &mut Cursor<'_>) -> Option<Identity> {
    let cluster = cursor.u128()?;
    let node = cursor.u64()?;
    let store = cursor.u128()?;
    Some(Identity { cluster, node, store })
}

fn encode(state: &VoteState) -> Vec<u8> {
    let vote = state.hard_state.voted_for;
    let mut bytes = Vec::with_capacity(104);
    encode_identity(&state.identity, &mut bytes);
    bytes.extend_from_slice(&state.hard_state.term.to_le_bytes());
    bytes.extend_from_slice(&u64::from(vote.is_some()).to_le_bytes());
    bytes.extend_from_slice(&vote.map_or(0, |vote| vote.node).to_le_bytes());
    bytes.extend_from_slice(&vote.map_or(0, |vote| vote.store).to_le_bytes());
    bytes.extend_from_slice(&state.durable_seq.to_le_bytes());
    bytes.extend_from_slice(&state.bindings.to_le_bytes());
    bytes.extend_from_slice(&state.epoch.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

pub(crate) fn decode(body: &[u8]) -> Option<VoteState> {
    let mut cursor = Cursor::new(body);
    let identity = decode_identity(&mut cursor)?;
    let term = cursor.u64()?;
    let has_voted = cursor.u64()?;
    let (node, store) = cursor.u64().zip(cursor.u128())?;
    let (durable_seq, bindings) = cursor.u64().zip(cursor.u64())?;
    let epoch = cursor.u32()?;
    let voted_for = (has_voted != 0).then_some(Vote { node, store });
    let hard_state = HardState { term, voted_for };
    Some(VoteState { identity, hard_state, durable_seq, bindings, epoch })
}
