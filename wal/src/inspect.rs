//! Looking at a log without changing it: what each file says, and what opening would make of them.
//!
//! What always holds: nothing is written (the log is opened through an [`Overlay`]); whether the log is
//! whole is judged by opening it and by nothing else; what is counted here beside that is only told.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod segments;

use std::sync::Arc;

use self::segments::{Judged, Views};
pub use self::segments::{SegmentState, SegmentView};
use crate::{
    Error, Found, HardState, Identity, Io, Log, Options, Overlay, Recovery,
    error::is_of_disk,
    manifest::{self, MANIFEST, Manifest},
    recovery::Footers,
    segment,
    slots::{self, Slot},
    vote::{self, VOTE, VoteState},
};

/// Everything that can be said of a log without using it.
#[derive(Debug)]
pub struct Inspection {
    /// What opening the log would find, or why it would be refused.
    pub contents: Result<Recovery, Error>,
    /// Whose log it is, as its manifest says; else as a segment does.
    pub identity: Option<Identity>,
    /// How often it has been opened, as its manifest says.
    pub epoch: Option<u32>,
    /// `MANIFEST`.
    pub manifest: SlotFile,
    /// `VOTE`.
    pub vote: SlotFile,
    /// Term and vote as `VOTE` says.
    pub voted: Option<HardState>,
    /// Where else segments are damaged, the first places of it, when the log cannot be opened because the
    /// disk cannot read it.
    pub places: Vec<Found>,
    /// Every segment that is listed or there: those in use in the order of their batches, then the
    /// others by number.
    pub segments: Vec<SegmentView>,
}

/// A file of two slots.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SlotFile {
    /// Is there such a file?
    pub exists: bool,
    /// Both slots.
    pub slots: [SlotState; 2],
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SlotState {
    /// Nothing was ever written to it.
    #[default]
    Empty,
    /// A state; of two, the one with the higher number counts.
    Readable {
        /// How often the file had been written.
        seq: u64,
    },
    /// It fails its checksum: a write was cut short, or it is damaged.
    Unreadable,
    /// Of a later version.
    Newer,
}

/// Look at the log in `io`. It takes the lock, so that nobody changes what is looked at.
///
/// # Errors
/// When there is no log, it is in use or of a later version, or its directory cannot be read. Damage is
/// no error here.
pub fn inspect(io: &Arc<dyn Io>) -> Result<Inspection, Error> {
    look(io, Depth::AsOpened)
}

/// The same, reading every byte of every batch, whatever the footers say, and the footers too.
///
/// # Errors
/// As [`inspect`].
pub fn verify(io: &Arc<dyn Io>) -> Result<Inspection, Error> {
    look(io, Depth::EveryByte)
}

/// How much is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    /// What opening reads.
    AsOpened,
    EveryByte,
}

/// What the cache holds of a full segment says nothing of the disk.
fn drop_caches(io: &dyn Io) -> Result<(), Error> {
    let names = io.list().map_err(Error::io("list", &io.path("")))?;
    for name in names.iter().filter(|name| segment::id_of(name).is_some()) {
        let dropped = io.open(name).and_then(|file| file.drop_cache(0..u64::MAX));
        dropped.map_err(Error::io("drop the cache of", &io.path(name)))?;
    }
    Ok(())
}

fn look(io: &Arc<dyn Io>, depth: Depth) -> Result<Inspection, Error> {
    // Whatever opening changes, it changes above: this one stays as the directory is.
    let below = Overlay::over(Arc::clone(io))?;
    let manifest_slots = slots::look(&below, MANIFEST)?;
    let vote_slots = slots::look(&below, VOTE)?;
    let manifest = newest(manifest_slots.as_ref()).and_then(manifest::decode);
    let vote = newest(vote_slots.as_ref()).and_then(vote::decode);
    let below: Arc<dyn Io> = Arc::new(below);
    if !Log::exists(&below)? {
        return Err(Error::Missing { path: below.path(MANIFEST.name) });
    }
    let mut opened = open(&below, Footers::Used)?;
    let mut judged = Judged::of(opened.as_ref().ok().map(|opened| &opened.0));
    if depth == Depth::EveryByte {
        drop(opened);
        drop_caches(&*below)?;
        opened = open(&below, Footers::Ignored)?;
        if let Ok((log, _)) = &opened {
            judged.compare(log);
        }
    }
    let made = opened.as_ref().ok().map(|(log, _)| log.manifest());
    let is_unreadable =
        |error: &Error| matches!(error, Error::Io { source, .. } if is_of_disk(source));
    let looks_on = opened.as_ref().is_err_and(is_unreadable);
    let Views { views: segments, places } =
        segments::view_all(&*below, manifest.as_ref().or(made), &judged, looks_on)?;
    Ok(Inspection {
        contents: opened.map(|opened| opened.1),
        identity: identity_of(manifest.as_ref(), vote.as_ref()),
        epoch: manifest.map(|manifest| manifest.epoch),
        manifest: slot_file(manifest_slots.as_ref()),
        vote: slot_file(vote_slots.as_ref()),
        voted: vote.map(|vote| vote.hard_state),
        places,
        segments,
    })
}

/// Open the log for show. That it is damaged, or cannot be read, is a finding.
fn open(below: &Arc<dyn Io>, footers: Footers) -> Result<Result<(Log, Recovery), Error>, Error> {
    let above: Arc<dyn Io> = Arc::new(Overlay::over(Arc::clone(below))?);
    match Log::open_with(above, Options { spare_segments: 0, ..Options::default() }, footers) {
        Err(error @ (Error::Version { .. } | Error::Locked { .. })) => Err(error),
        opened => Ok(opened),
    }
}

fn identity_of(manifest: Option<&Manifest>, vote: Option<&VoteState>) -> Option<Identity> {
    manifest.map(|manifest| manifest.identity).or_else(|| vote.map(|vote| vote.identity))
}

fn newest(slots: Option<&[Slot; 2]>) -> Option<&[u8]> {
    let states = slots?.iter().filter_map(|slot| match slot {
        Slot::State(seq, body) => Some((*seq, body.as_slice())),
        Slot::Empty | Slot::Bad | Slot::Version(_) => None,
    });
    states.max_by_key(|state| state.0).map(|state| state.1)
}

fn slot_file(slots: Option<&[Slot; 2]>) -> SlotFile {
    let Some(slots) = slots else { return SlotFile::default() };
    let state = |slot: &Slot| match slot {
        Slot::Empty => SlotState::Empty,
        Slot::State(seq, _) => SlotState::Readable { seq: *seq },
        Slot::Bad => SlotState::Unreadable,
        Slot::Version(_) => SlotState::Newer,
    };
    SlotFile { exists: true, slots: slots.each_ref().map(state) }
}
