//! What `MANIFEST` and `VOTE` say, and what stands in for the one that says nothing.
//!
//! ```text
//! VOTE gone        the manifest says whose log it is, and the log what was voted: see `recover`
//! MANIFEST gone    VOTE says whose log it is and how often it was opened, and the headers of the
//!                  segments which there are; nobody knows whether another one is lost
//! both gone        refused
//! ```
//!
//! What always holds: nothing is written, and nothing guessed: what does not fit together is refused.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::look::damaged;
use crate::{
    HardState, Io,
    directory::{holds_log, list},
    error::{Damage, Error},
    manifest::{Listed, MANIFEST, Manifest, ManifestFile, SEGMENTS_MAX},
    segment,
    vote::{VOTE, VoteFile, VoteState},
};

/// What both files say together.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) manifest: Manifest,
    pub(crate) vote: VoteState,
    /// What is wrong with the file, when it says nothing.
    pub(super) manifest_damage: Option<Damage>,
    pub(super) vote_damage: Option<Damage>,
}

impl Ledger {
    /// Open both files.
    pub(crate) fn open(io: &dyn Io) -> Result<(ManifestFile, VoteFile, Self), Error> {
        let (manifest_file, manifest) = ManifestFile::open(io)?;
        let (vote_file, vote) = VoteFile::open(io)?;
        Ok((manifest_file, vote_file, Self::of(io, manifest, vote)?))
    }

    /// From what each file says, or what is wrong with it.
    fn of(
        io: &dyn Io,
        manifest: Result<Manifest, Damage>,
        vote: Result<VoteState, Damage>,
    ) -> Result<Self, Error> {
        if manifest.is_err() && !holds_log(io)? {
            return Err(Error::Missing { path: io.path(MANIFEST.name) });
        }
        match (manifest, vote) {
            (Err(_), Err(damage)) => Err(damaged(&io.path(VOTE.name), 0, damage)),
            (Err(damage), Ok(vote)) => Self::of_vote(io, vote, damage),
            (Ok(manifest), Err(damage)) => {
                let vote = VoteState {
                    identity: manifest.identity,
                    hard_state: HardState::default(),
                    durable_seq: 0,
                    bindings: 0,
                    epoch: manifest.epoch,
                };
                Ok(Self { manifest, vote, manifest_damage: None, vote_damage: Some(damage) })
            }
            (Ok(manifest), Ok(vote)) if vote.identity != manifest.identity => {
                Err(damaged(&io.path(VOTE.name), 0, Damage::Misplaced))
            }
            // The manifest is written first.
            (Ok(manifest), Ok(vote)) if vote.epoch > manifest.epoch => {
                Self::of_vote(io, vote, Damage::Stale)
            }
            (Ok(manifest), Ok(vote)) => {
                Ok(Self { manifest, vote, manifest_damage: None, vote_damage: None })
            }
        }
    }

    /// The manifest is lost.
    fn of_vote(io: &dyn Io, vote: VoteState, damage: Damage) -> Result<Self, Error> {
        let manifest = rebuild(io, &vote)?;
        Ok(Self { manifest, vote, manifest_damage: Some(damage), vote_damage: None })
    }
}

/// The manifest as the segments have it. Which are in use is seen when they are read. One whose header
/// cannot be read is not among them: if a batch may be in it, it is refused as unlisted.
fn rebuild(io: &dyn Io, vote: &VoteState) -> Result<Manifest, Error> {
    let mut segments: Vec<Listed> = Vec::new();
    let mut next_segment: u64 = 1;
    for id in list(io)?.iter().filter_map(|name| segment::id_of(name)) {
        next_segment = next_segment.max(id.saturating_add(1));
        let Some((identity, listed)) = segment::told_by_header(io, id)? else { continue };
        if (identity, listed.id) != (vote.identity, id) {
            return Err(damaged(&io.path(&segment::name_of(id)), 0, Damage::Misplaced));
        }
        if segments.len() >= SEGMENTS_MAX {
            let path = io.path(MANIFEST.name);
            return Err(Error::TooManySegments { path, limit: SEGMENTS_MAX });
        }
        segments.push(listed);
    }
    Ok(Manifest {
        identity: vote.identity,
        epoch: vote.epoch,
        is_rebuilt: true,
        durable_seq: 0,
        next_segment,
        segments,
    })
}
