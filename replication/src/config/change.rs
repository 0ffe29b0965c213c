//! What a configuration becomes by one change, as far as it says so itself. Whether the change may be
//! made now is the leader's to judge.
//!
//! What always holds: the target size follows what the operator asked for; the mode follows the number
//! of voters.

use election::{Index, NodeId, VOTERS_MAX};

use super::{ADDRESS_BYTES_MAX, ClusterConfig, MEMBERS_MAX, Member, Mode};
use crate::{Change, Refusal};

impl ClusterConfig {
    /// This configuration, which stands at `index`, after a change.
    pub(crate) fn changed(&self, index: Index, change: Change) -> Result<Self, Refusal> {
        let mut next = Self { predecessor: index, ..self.clone() };
        match change {
            Change::Add(member) => next.add(member)?,
            Change::Remove(node) => {
                next.take(node).ok_or(Refusal::NotMember)?;
                next.target_size = next.target_size.saturating_sub(1).max(1);
            }
            Change::Replace(node, _) => {
                let member = next.take(node).ok_or(Refusal::NotMember)?;
                insert(&mut next.learners, Member { store: None, ..member });
            }
            Change::Transfer(_) => {}
        }
        if next.voters.is_empty() {
            return Err(Refusal::LastVoter);
        }
        next.fit_mode(self);
        Ok(next)
    }

    /// Make a voter of a learner.
    pub(crate) fn promote(&mut self, node: NodeId) {
        let before = self.clone();
        if let Some(at) = self.learners.iter().position(|member| member.node == node) {
            let learner = self.learners.remove(at);
            insert(&mut self.voters, learner);
        }
        self.fit_mode(&before);
    }

    fn add(&mut self, member: Member) -> Result<(), Refusal> {
        let members = self.voters.len() + self.learners.len() + self.known.len();
        if self.member(member.node).is_some() {
            return Err(Refusal::AlreadyMember);
        }
        if members >= MEMBERS_MAX || usize::from(self.target_size) >= VOTERS_MAX {
            return Err(Refusal::Full);
        }
        if member.peer.len().max(member.client.len()) > ADDRESS_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        insert(&mut self.learners, Member { store: None, ..member });
        self.target_size += 1;
        Ok(())
    }

    /// Take a member out, in whatever part it is.
    fn take(&mut self, node: NodeId) -> Option<Member> {
        [&mut self.voters, &mut self.learners, &mut self.known].into_iter().find_map(|list| {
            let at = list.iter().position(|member| member.node == node)?;
            Some(list.remove(at))
        })
    }

    /// As many voters as before keep their mode.
    fn fit_mode(&mut self, before: &Self) {
        if self.voters.len() != before.voters.len() {
            self.mode = match self.voters.len() {
                1 => Mode::Solo,
                2 => Mode::Pair,
                _ => Mode::Majority,
            };
        }
    }
}

fn insert(list: &mut Vec<Member>, member: Member) {
    let at = list.partition_point(|other| other.node < member.node);
    list.insert(at, member);
}
