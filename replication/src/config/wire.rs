//! The bytes of a configuration. Frozen: a new field means a new variant of [`Wire`].

use election::{Index, NodeId, StoreId};
use serde::{Deserialize, Serialize};

use super::{ClusterConfig, Member, Mode, WHAT};
use crate::DecodeError;

pub(super) fn encode(config: &ClusterConfig) -> Vec<u8> {
    postcard::to_allocvec(&Wire::V1(ConfigV1::from(config)))
        .expect("plain structs of numbers and text always encode into memory")
}

/// Anything that has the shape of a configuration. Bounds and canonical form are the caller's.
pub(super) fn decode(bytes: &[u8]) -> Result<ClusterConfig, DecodeError> {
    let (wire, rest) = postcard::take_from_bytes::<Wire>(bytes)
        .map_err(|source| DecodeError::Malformed { what: WHAT, source })?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing { what: WHAT, bytes: rest.len() });
    }
    let Wire::V1(config) = wire;
    Ok(config.into())
}

#[derive(Deserialize, Serialize)]
enum Wire {
    V1(ConfigV1),
}

#[derive(Deserialize, Serialize)]
struct ConfigV1 {
    mode: ModeV1,
    voters: Vec<MemberV1>,
    learners: Vec<MemberV1>,
    known: Vec<MemberV1>,
    target_size: u8,
    predecessor: u64,
    level: u16,
}

#[derive(Deserialize, Serialize)]
enum ModeV1 {
    Majority,
    Pair,
    Armed { survivor: u64 },
    Solo,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct MemberV1 {
    node: u64,
    /// Big-endian, as it is printed.
    store: Option<[u8; 16]>,
    peer: String,
    client: String,
}

impl From<&ClusterConfig> for ConfigV1 {
    fn from(config: &ClusterConfig) -> Self {
        let members = |list: &[Member]| list.iter().map(MemberV1::from).collect();
        Self {
            mode: match config.mode {
                Mode::Majority => ModeV1::Majority,
                Mode::Pair => ModeV1::Pair,
                Mode::Armed { survivor } => ModeV1::Armed { survivor: survivor.0 },
                Mode::Solo => ModeV1::Solo,
            },
            voters: members(&config.voters),
            learners: members(&config.learners),
            known: members(&config.known),
            target_size: config.target_size,
            predecessor: config.predecessor.0,
            level: config.level,
        }
    }
}

impl From<ConfigV1> for ClusterConfig {
    fn from(config: ConfigV1) -> Self {
        let members = |list: Vec<MemberV1>| list.into_iter().map(Member::from).collect();
        Self {
            mode: match config.mode {
                ModeV1::Majority => Mode::Majority,
                ModeV1::Pair => Mode::Pair,
                ModeV1::Armed { survivor } => Mode::Armed { survivor: NodeId(survivor) },
                ModeV1::Solo => Mode::Solo,
            },
            voters: members(config.voters),
            learners: members(config.learners),
            known: members(config.known),
            target_size: config.target_size,
            predecessor: Index(config.predecessor),
            level: config.level,
        }
    }
}

impl From<&Member> for MemberV1 {
    fn from(member: &Member) -> Self {
        Self {
            node: member.node.0,
            store: member.store.map(|store| store.0.to_be_bytes()),
            peer: member.peer.clone(),
            client: member.client.clone(),
        }
    }
}

impl From<MemberV1> for Member {
    fn from(member: MemberV1) -> Self {
        Self {
            node: NodeId(member.node),
            store: member.store.map(|store| StoreId(u128::from_be_bytes(store))),
            peer: member.peer,
            client: member.client,
        }
    }
}
