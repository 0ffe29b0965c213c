//! Looking at a log without changing it: what each file says, and what opening would make of them.
//!
//! What always holds: nothing is written (the log is opened through an [`Overlay`]); whether the log is
//! whole is judged by opening it and by nothing else; what is counted here beside that is only told.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Error, HardState, Identity, Io, Log, Options, Overlay, Recovery,
    batch::{BatchKind, Header, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    manifest::{self, Listed, MANIFEST, Manifest},
    recovery::Footers,
    segment::{self, DATA_OFFSET, Segment},
    slots::{self, Slot},
    vote::{self, VOTE, VoteState},
};

/// Headers are looked for in pieces of this size.
const WINDOW_BYTES: u64 = 64 * 1024;

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

/// One segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentView {
    /// Its number, which its file name has.
    pub id: u64,
    /// Its file name.
    pub name: String,
    /// Does the manifest list it?
    pub is_listed: bool,
    /// What it is for.
    pub state: SegmentState,
    /// Size of the file in bytes.
    pub capacity: u64,
    /// Where its batches end at most, and the room for the footer begins.
    pub data_end: u64,
    /// Bytes of it in use, header included.
    pub used_bytes: u64,
    /// The epoch in which it was made.
    pub epoch: u32,
    /// Its first and last batch.
    pub batches: Option<(u64, u64)>,
    /// How many batches have a good header.
    pub batch_count: u64,
    /// How many entries they hold, those no longer in the log included.
    pub entry_count: u64,
    /// Indexes of the first and the last entry put into it, and the term of the last.
    pub entries: Option<(u64, u64, u64)>,
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SegmentState {
    /// Its file is not there.
    Missing,
    /// Its header cannot be read or is another's.
    Unreadable,
    /// Made ahead, not yet used.
    Spare,
    /// Written last.
    Active,
    /// In use, and never written again.
    Sealed,
}

/// Look at the log in `io`. It takes the lock, so that nobody changes what is looked at.
///
/// # Errors
/// When there is no log, it is in use or of a later version, or its directory cannot be read. Damage is
/// no error here.
pub fn inspect(io: &Arc<dyn Io>) -> Result<Inspection, Error> {
    let overlay: Arc<dyn Io> = Arc::new(Overlay::over(Arc::clone(io))?);
    let manifest_slots = slots::look(&*overlay, MANIFEST)?;
    let vote_slots = slots::look(&*overlay, VOTE)?;
    let manifest = newest(manifest_slots.as_ref()).and_then(manifest::decode);
    let vote = newest(vote_slots.as_ref()).and_then(vote::decode);
    // Before it is opened, which raises the epoch and takes up what it finds.
    let segments = view_segments(&*overlay, manifest.as_ref())?;
    if !Log::exists(&overlay)? {
        return Err(Error::Missing { path: overlay.path(MANIFEST.name) });
    }
    let options = Options { spare_segments: 0, ..Options::default() };
    let contents = match Log::open_with(overlay, options, Footers::Ignored) {
        Err(error @ (Error::Version { .. } | Error::Locked { .. })) => return Err(error),
        opened => opened.map(|(_, recovery)| recovery),
    };
    Ok(Inspection {
        contents,
        identity: identity_of(manifest.as_ref(), vote.as_ref()),
        epoch: manifest.map(|manifest| manifest.epoch),
        manifest: slot_file(manifest_slots.as_ref()),
        vote: slot_file(vote_slots.as_ref()),
        voted: vote.map(|vote| vote.hard_state),
        segments,
    })
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

fn view_segments(io: &dyn Io, manifest: Option<&Manifest>) -> Result<Vec<SegmentView>, Error> {
    let names = io.list().map_err(Error::io("list", &io.path("")))?;
    let there: BTreeSet<u64> = names.iter().filter_map(|name| segment::id_of(name)).collect();
    let listed: BTreeMap<u64, Listed> = manifest
        .map(|manifest| manifest.segments.iter().map(|listed| (listed.id, *listed)).collect())
        .unwrap_or_default();
    let mut ids = there.clone();
    ids.extend(listed.keys());
    let mut views = Vec::new();
    for id in ids {
        let listed = listed.get(&id);
        views.push(match (listed, there.contains(&id)) {
            (Some(listed), false) => blank(id, Some(listed), SegmentState::Missing),
            (Some(_) | None, _) => view_segment(io, id, listed)?,
        });
    }
    views.sort_by_key(|view| (view.batches.map_or(u64::MAX, |batches| batches.0), view.id));
    if let Some(last) = views.iter_mut().rfind(|view| view.state == SegmentState::Sealed) {
        last.state = SegmentState::Active;
    }
    Ok(views)
}

fn blank(id: u64, listed: Option<&Listed>, state: SegmentState) -> SegmentView {
    SegmentView {
        id,
        name: segment::name_of(id),
        is_listed: listed.is_some(),
        state,
        capacity: listed.map_or(0, |listed| listed.capacity),
        data_end: 0,
        used_bytes: 0,
        epoch: listed.map_or(0, |listed| listed.epoch),
        batches: None,
        batch_count: 0,
        entry_count: 0,
        entries: None,
    }
}

/// A segment by its own header.
fn view_segment(io: &dyn Io, id: u64, listed: Option<&Listed>) -> Result<SegmentView, Error> {
    let Some(segment) = segment::open_unlisted(io, id)? else {
        return Ok(blank(id, listed, SegmentState::Unreadable));
    };
    let mut view = SegmentView {
        capacity: segment.file.len().map_err(Error::io("read", &segment.path))?,
        data_end: segment.data_end,
        used_bytes: DATA_OFFSET,
        ..blank(id, listed, SegmentState::Spare)
    };
    let mut headers = Headers { segment: &segment, start: 0, bytes: Vec::new() };
    let mut offset = DATA_OFFSET;
    while let Some(header) = headers.at(offset)? {
        if view.batches.is_some_and(|batches| header.seq <= batches.1) {
            break;
        }
        if view.batches.is_none() && header.kind != BatchKind::SegmentStart {
            break;
        }
        let size = header.batch_bytes();
        if size > segment.data_end.saturating_sub(offset) {
            break;
        }
        let count = header.last_index.saturating_add(1).saturating_sub(header.first_index);
        if count > 0 {
            let first = view.entries.map_or(header.first_index, |entries| entries.0);
            view.entries = Some((first, header.last_index, header.last_term));
        }
        view.entry_count = view.entry_count.saturating_add(count);
        view.state = SegmentState::Sealed;
        view.batch_count = view.batch_count.saturating_add(1);
        view.batches = Some((view.batches.map_or(header.seq, |batches| batches.0), header.seq));
        offset = offset.saturating_add(size);
        view.used_bytes = offset;
    }
    Ok(view)
}

/// Reads a segment's batch headers from front to back.
#[derive(Debug)]
struct Headers<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: Vec<u8>,
}

impl Headers<'_> {
    /// The header at `offset`, if a good one is there.
    fn at(&mut self, offset: u64) -> Result<Option<Header>, Error> {
        let sector = len_u64(SECTOR_BYTES);
        let Some(left) = self.segment.data_end.checked_sub(offset).filter(|left| *left >= sector)
        else {
            return Ok(None);
        };
        let end = self.start.saturating_add(len_u64(self.bytes.len()));
        if offset < self.start || offset.saturating_add(sector) > end {
            self.bytes = self.segment.read(offset, to_usize(left.min(WINDOW_BYTES)))?;
            self.start = offset;
        }
        let from = to_usize(offset.saturating_sub(self.start));
        let bytes = self.bytes.get(from..).unwrap_or_default();
        Ok(Header::decode(bytes, self.segment.seed, offset).ok())
    }
}
