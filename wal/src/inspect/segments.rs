//! Each segment as it is, told from its footer where the log was opened by that, else from its headers.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Damage, Error, FooterState, Found, Io, Log,
    batch::{BatchKind, Header, SECTOR_BYTES},
    codec::{len_u64, to_usize},
    error::is_of_disk,
    footer,
    manifest::{Listed, Manifest},
    scrub,
    seal::Summary,
    segment::{self, DATA_OFFSET, Segment},
};

/// Headers are looked for in pieces of this size.
const WINDOW_BYTES: u64 = 64 * 1024;

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
    /// Its footer, when it is sealed.
    pub footer: Option<FooterState>,
    /// The epoch in which it was made.
    pub epoch: u32,
    /// Its first and last batch.
    pub batches: Option<(u64, u64)>,
    /// How many batches there are.
    pub batch_count: u64,
    /// The first index that it decides, the last entry of the log at its end, and the term of that.
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

/// What opening made of the footers.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Footers of these segments were of no use; none when the log could not be opened.
    refused: Option<BTreeSet<u64>>,
    /// What they should say, where every batch was read.
    expected: BTreeMap<u64, Summary>,
}

impl Judged {
    /// By opening with the footers.
    pub(super) fn of(opened: Option<&Log>) -> Self {
        let refused = opened.map(|log| log.unsealed().map(|job| job.segment.id).collect());
        Self { refused, expected: BTreeMap::new() }
    }

    /// And by reading every batch.
    pub(super) fn compare(&mut self, scanned: &Log) {
        let jobs = scanned.unsealed();
        self.expected = jobs.map(|job| (job.segment.id, job.summary.clone())).collect();
    }

    /// Does opening or the batches contradict this footer?
    fn contradicts(&self, id: u64, summary: Option<&Summary>) -> bool {
        let is_refused = self.refused.as_ref().is_some_and(|refused| refused.contains(&id));
        let expected = self.expected.get(&id);
        is_refused || expected.is_some_and(|expected| summary != Some(expected))
    }
}

/// So many places are told.
const PLACES_MAX: usize = 64;

/// Every segment, and what was found beside.
#[derive(Debug, Default)]
pub(super) struct Views {
    pub(super) views: Vec<SegmentView>,
    pub(super) places: Vec<Found>,
}

/// Every segment that is listed or there: those in use in the order of their batches, then the others.
/// If it `looks_on`, it reads all of those in use to tell where they are damaged.
pub(super) fn view_all(
    io: &dyn Io,
    manifest: Option<&Manifest>,
    judged: &Judged,
    looks_on: bool,
) -> Result<Views, Error> {
    let names = io.list().map_err(Error::io("list", &io.path("")))?;
    let there: BTreeSet<u64> = names.iter().filter_map(|name| segment::id_of(name)).collect();
    let listed = manifest.map_or(&[][..], |manifest| manifest.segments.as_slice());
    let listed: BTreeMap<u64, Listed> = listed.iter().map(|one| (one.id, *one)).collect();
    let ids: BTreeSet<u64> = there.iter().chain(listed.keys()).copied().collect();
    let mut all = Views::default();
    let (mut used, mut others) = (BTreeMap::new(), Vec::new());
    for id in ids {
        let listed = listed.get(&id);
        if !there.contains(&id) {
            others.push(blank(id, listed, SegmentState::Missing));
            continue;
        }
        let opened = match segment::open_unlisted(io, id) {
            Err(Error::Io { path, source, .. }) if is_of_disk(&source) => {
                all.places.push(Found { path, offset: 0, damage: Damage::Unreadable });
                None
            }
            opened => opened?,
        };
        let Some(segment) = opened else {
            others.push(blank(id, listed, SegmentState::Unreadable));
            continue;
        };
        let capacity = segment.capacity;
        let (data_end, used_bytes) = (segment.data_end, DATA_OFFSET);
        let view = blank(id, listed, SegmentState::Spare);
        let view = SegmentView { capacity, data_end, used_bytes, ..view };
        match Headers::of(&segment).at(DATA_OFFSET) {
            Some(start) if start.kind == BatchKind::SegmentStart => {
                used.insert((start.seq, id), (view, Arc::new(segment)));
            }
            Some(_) | None => others.push(view),
        }
    }
    let mut nexts: Vec<Option<u64>> = used.keys().skip(1).map(|(seq, _)| Some(*seq)).collect();
    nexts.push(None);
    for (next, (view, segment)) in nexts.into_iter().zip(used.into_values()) {
        if looks_on {
            let found = scrub::walk(&segment, next).into_iter();
            let path = &segment.path;
            all.places.extend(found.map(|(offset, damage)| Found {
                path: path.clone(),
                offset,
                damage,
            }));
        }
        all.views.push(match next {
            Some(_) => sealed(view, &segment, judged),
            None => walk(SegmentView { state: SegmentState::Active, ..view }, &segment),
        });
    }
    all.views.extend(others);
    all.places.truncate(PLACES_MAX);
    Ok(all)
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
        footer: None,
        epoch: listed.map_or(0, |listed| listed.epoch),
        batches: None,
        batch_count: 0,
        entries: None,
    }
}

fn sealed(view: SegmentView, segment: &Segment, judged: &Judged) -> SegmentView {
    let (mut footer, summary) = footer::look(segment, |at, len| segment.read(at, len).ok());
    if footer == FooterState::Good && judged.contradicts(view.id, summary.as_ref()) {
        footer = FooterState::Bad;
    }
    let view = SegmentView { state: SegmentState::Sealed, footer: Some(footer), ..view };
    match summary {
        Some(summary) if footer == FooterState::Good && judged.refused.is_some() => {
            summed_up(view, &summary)
        }
        Some(_) | None => walk(view, segment),
    }
}

/// A segment as its footer tells it.
fn summed_up(view: SegmentView, summary: &Summary) -> SegmentView {
    let (first, (last, term)) = (summary.first_index, summary.last);
    SegmentView {
        used_bytes: summary.end,
        batches: Some((summary.first_seq, summary.last_seq)),
        batch_count: summary.last_seq.saturating_sub(summary.first_seq).saturating_add(1),
        entries: (first <= last).then_some((first, last, term)),
        ..view
    }
}

/// A segment as its headers tell it, up to the first that is none.
fn walk(mut view: SegmentView, segment: &Segment) -> SegmentView {
    let mut headers = Headers::of(segment);
    let mut offset = DATA_OFFSET;
    let (mut first_index, mut last) = (u64::MAX, (0, 0));
    while let Some(header) = headers.at(offset) {
        let size = header.batch_bytes();
        let follows = view.batches.is_none_or(|batches| header.seq > batches.1);
        if !follows || size > segment.data_end.saturating_sub(offset) {
            break;
        }
        first_index = first_index.min(header.first_index);
        last = (header.last_index, header.last_term);
        view.batch_count = view.batch_count.saturating_add(1);
        view.batches = Some((view.batches.map_or(header.seq, |batches| batches.0), header.seq));
        offset = offset.saturating_add(size);
        view.used_bytes = offset;
    }
    view.entries = (first_index <= last.0).then_some((first_index, last.0, last.1));
    view
}

/// Reads a segment's batch headers from front to back.
#[derive(Debug)]
struct Headers<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Headers<'a> {
    const fn of(segment: &'a Segment) -> Self {
        Self { segment, start: 0, bytes: Vec::new() }
    }

    /// The header at `offset`, if a good one is there and can be read.
    fn at(&mut self, offset: u64) -> Option<Header> {
        let sector = len_u64(SECTOR_BYTES);
        let left = self.segment.data_end.checked_sub(offset).filter(|left| *left >= sector)?;
        let end = self.start.saturating_add(len_u64(self.bytes.len()));
        if offset < self.start || offset.saturating_add(sector) > end {
            // One bad sector must not hide its neighbours.
            let read = self.segment.read(offset, to_usize(left.min(WINDOW_BYTES)));
            self.bytes = read.or_else(|_error| self.segment.read(offset, SECTOR_BYTES)).ok()?;
            self.start = offset;
        }
        let from = to_usize(offset.saturating_sub(self.start));
        let bytes = self.bytes.get(from..).unwrap_or_default();
        Header::decode(bytes, self.segment.seed, offset).ok()
    }
}
