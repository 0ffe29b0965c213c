//! Which listed segments are in use, in the order of their first batches.
//!
//! What always holds: a segment is in use when its start, a batch in it or the manifest says so; of two with
//! one first batch the whole start of the later epoch goes on, because the opening that wrote it had judged
//! the other (research F20), and anything else is refused.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use super::{
    fast,
    look::{batch_in, damaged, newer_version},
};
use crate::{
    batch::{BatchKind, Fault, Header, SECTOR_BYTES},
    error::{Damage, Error},
    io::Io,
    manifest::{Listed, MANIFEST},
    segment::{DATA_OFFSET, Segment},
};

/// A segment that is in use.
#[derive(Debug)]
pub(super) struct Used {
    id: u64,
    /// None when it cannot be opened.
    pub(super) segment: Option<Arc<Segment>>,
    pub(super) path: PathBuf,
    /// The header of its first batch, if that can be read.
    pub(super) start: Option<Header>,
    /// All of that batch can be.
    pub(super) is_start_whole: bool,
}

/// All that are.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// By their first batches.
    pub(super) used: BTreeMap<u64, Used>,
    /// The numbers of those whose place another one took.
    pub(super) superseded: BTreeSet<u64>,
}

/// Look at the start of each.
pub(super) fn gather(
    io: &dyn Io,
    segments: &[(Arc<Segment>, Listed)],
    lost: &[(Listed, PathBuf)],
) -> Result<Gathering, Error> {
    let mut all = Gathering::default();
    for (segment, listed) in segments {
        let first_seq = listed.first_seq;
        let bytes = segment.read(DATA_OFFSET, SECTOR_BYTES)?;
        let (seq, start): (u64, Option<Header>) =
            match Header::decode(&bytes, segment.seed, DATA_OFFSET) {
                Ok(header) if header.kind == BatchKind::SegmentStart => (header.seq, Some(header)),
                Err(Fault::Version) => return Err(newer_version(segment)),
                Ok(_) => return Err(segment.damaged(DATA_OFFSET, Damage::OutOfSequence)),
                Err(Fault::Checksum | Fault::Contents) if first_seq > 0 => (first_seq, None),
                Err(Fault::Checksum | Fault::Contents) => match batch_in(segment)? {
                    Some(seq) => (seq - 1, None),
                    None => continue,
                },
            };
        let is_start_whole = match &start {
            Some(header) => fast::is_start_whole(segment, header, bytes)?,
            None => false,
        };
        let this = Used {
            id: segment.id,
            segment: Some(Arc::clone(segment)),
            path: segment.path.clone(),
            start,
            is_start_whole,
        };
        let is_known = first_seq == 0 || first_seq == seq;
        if !is_known || !all.take(seq, this) {
            return Err(segment.damaged(DATA_OFFSET, Damage::OutOfSequence));
        }
    }
    for (listed, path) in lost.iter().filter(|(listed, _)| listed.first_seq > 0) {
        let path = path.clone();
        let this = Used { id: listed.id, segment: None, path, start: None, is_start_whole: false };
        if !all.take(listed.first_seq, this) {
            return Err(damaged(&io.path(MANIFEST.name), 0, Damage::OutOfSequence));
        }
    }
    Ok(all)
}

impl Gathering {
    /// False when two of one first batch cannot be told apart.
    fn take(&mut self, seq: u64, this: Used) -> bool {
        let mut place = match self.used.entry(seq) {
            Entry::Vacant(place) => {
                place.insert(this);
                return true;
            }
            Entry::Occupied(place) => place,
        };
        let epoch = |used: &Used| used.start.map(|start| start.epoch);
        let is_later = epoch(&this) > epoch(place.get());
        let older = if is_later { place.insert(this) } else { this };
        let is_plain = place.get().is_start_whole && epoch(place.get()) > epoch(&older);
        self.superseded.insert(older.id);
        is_plain
    }
}
