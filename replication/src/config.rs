//! The configuration entry: who votes, how many must, and who else is known.
//!
//! It takes effect when appended and is undone by truncation (Raft §6; research trap 22). The
//! genesis is the configuration at index 0, written by `node init`.
//!
//! Its bytes are postcard inside `enum V1`, canonical: one value, one encoding. A configuration that
//! decodes is within every bound of [`ClusterConfig::check`].

use std::collections::BTreeSet;

pub use election::Mode;
use election::{Index, NodeId, StoreId};

use crate::DecodeError;

mod change;
mod wire;

pub(crate) use wire::MemberV1;

/// How many nodes a configuration may name: voters, learners and known together.
pub const MEMBERS_MAX: usize = 16;

/// How long an address may be, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// How long an encoded configuration may be, in bytes: 16 members with two addresses each.
pub const CONFIG_BYTES_MAX: usize = 16 * 1024;

const WHAT: &str = "cluster configuration";

/// A node in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Its disk; none until a genesis node has been started and bound.
    pub store: Option<StoreId>,
    /// Where its peers reach it: `HOST:PORT` (QUIC, UDP).
    pub peer: String,
    /// Where its clients reach it: a URL.
    pub client: String,
}

/// Who is in the cluster, and in what part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterConfig {
    /// The quorums in force.
    pub mode: Mode,
    /// Those who vote, ascending by node.
    pub voters: Vec<Member>,
    /// Those who receive the log and do not vote, ascending by node.
    pub learners: Vec<Member>,
    /// Those removed by a shrink, who rejoin by themselves when they return, ascending by node.
    pub known: Vec<Member>,
    /// How many voters the cluster wants to have.
    pub target_size: u8,
    /// The index of the configuration that this one follows (compare-and-set; research trap 24).
    pub predecessor: Index,
    /// The feature level: no entry stands behind this one that a node of this level does not
    /// understand. Never falls along the log.
    pub level: u16,
}

impl ClusterConfig {
    /// The member with this number, in whatever part.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        let lists = [&self.voters, &self.learners, &self.known];
        lists.into_iter().flatten().find(|member| member.node == node)
    }

    /// Is every voter's disk written here? Always so after the genesis.
    #[must_use]
    pub fn names_all_voters(&self) -> bool {
        self.voters.iter().all(|member| member.store.is_some())
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When it is out of bounds: whoever makes a configuration from foreign values checks it first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let checked = self.check();
        assert_eq!(checked, Ok(()), "a configuration is checked before it is written");
        wire::encode(self)
    }

    /// Read it. Total: any bytes give a configuration within its bounds, or an error.
    ///
    /// # Errors
    /// When the bytes are no configuration, not canonical, or out of bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CONFIG_BYTES_MAX {
            let found = bytes.len();
            return Err(DecodeError::TooLarge { what: WHAT, found, max: CONFIG_BYTES_MAX });
        }
        let config = wire::decode(bytes)?;
        config.check()?;
        if wire::encode(&config) != bytes {
            return Err(DecodeError::NotCanonical { what: WHAT });
        }
        Ok(config)
    }

    /// Is it within the bounds of the encoding? Says nothing about whether its quorums make sense.
    ///
    /// # Errors
    /// With too many members, an address too long, or members out of order or named twice.
    pub fn check(&self) -> Result<(), DecodeError> {
        let found = self.voters.len() + self.learners.len() + self.known.len();
        if found > MEMBERS_MAX {
            return Err(DecodeError::TooLarge { what: "members", found, max: MEMBERS_MAX });
        }
        let mut seen = BTreeSet::new();
        for list in [&self.voters, &self.learners, &self.known] {
            if !list.is_sorted_by_key(|member| member.node) {
                return Err(DecodeError::NotCanonical { what: "the order of the members" });
            }
            for member in list {
                if !seen.insert(member.node) {
                    return Err(DecodeError::Invalid { what: "a node named twice" });
                }
                for address in [&member.peer, &member.client] {
                    let (found, max) = (address.len(), ADDRESS_BYTES_MAX);
                    if found > max {
                        return Err(DecodeError::TooLarge { what: "address bytes", found, max });
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
