//! Opening a log: read every batch, judge every place, cut what was never acknowledged.
//!
//! What always holds: nothing is changed before everything was read and judged; what is cut was never
//! acknowledged (research F16), and where anything is damaged nothing is cut; what is lost is faulty,
//! and all around it reads; a loss without a bound stops with an error and leaves every byte as it is;
//! a crash at any step leaves a log that opens to the same contents. It needs no free space (F20), unless
//! a file of 8 or 128 KiB is gone. A vote is never made up (F17).
//! How each place is judged: `verdict`.

mod fast;
mod ledger;
mod look;
mod scan;
mod used;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

pub(crate) use self::ledger::Ledger;
use self::{
    look::{Chunks, visit_sectors},
    scan::{Cut, Scan},
};
use crate::{
    Entry, FaultyRange, HardState, Identity,
    batch::{Header, SEQ_END},
    codec::{len_u64, to_usize},
    error::{Damage, Error},
    io::Io,
    log::upkeep::FooterJob,
    manifest::{MANIFEST, Manifest},
    replay::Replay,
    segment::{self, DATA_OFFSET, Segment},
    view::may_follow,
    vote::VOTE,
};

/// What was found at the end of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TailVerdict {
    /// Stopped in order: nothing can be missing.
    Stopped,
    /// A crash, with nothing written beyond the last batch.
    CleanEnd,
    /// A crash in the middle of a write that was never acknowledged: cut off.
    Torn {
        /// Bytes that were zeroed, in whole sectors; none when something else is damaged.
        cut_bytes: u64,
    },
    /// There may have been more.
    Unknown,
}

/// A damaged place, found on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Which file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What was found.
    pub damage: Damage,
}

/// What the log holds, found when it was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// Whose log it is. The caller compares it with its configuration.
    pub identity: Identity,
    /// Term and vote.
    pub hard_state: HardState,
    /// Node number to disk.
    pub bindings: BTreeMap<u64, u128>,
    /// The first index that the log can hold: 1.
    pub first_index: u64,
    /// Index and term of the last entry; (0, 0) when there is none.
    pub last: (u64, u64),
    /// Where each term begins: (first index, term), ascending.
    pub term_runs: Vec<(u64, u64)>,
    /// Every configuration entry in the log, ascending.
    pub configs: Vec<Entry>,
    /// What the log holds and cannot read, ascending; [`FaultyKind::EndUnknown`](crate::FaultyKind) comes
    /// last.
    pub faulty: Vec<FaultyRange>,
    /// Where the damage is, the first places of it; also such as took nothing away.
    pub found: Vec<Found>,
    /// `MANIFEST` or `VOTE`, with what was wrong with it: it said nothing, and what it has to say was taken
    /// from all the rest and written to it again.
    pub rebuilt: Vec<Found>,
    /// What was found at the end.
    pub tail: TailVerdict,
    /// How often this log has been opened, this time included.
    pub epoch: u32,
    /// Bytes read to find all this.
    pub scanned_bytes: u64,
}

impl Recovery {
    /// Can everything be read that the log is to hold?
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.faulty.is_empty()
    }

    /// [`Error::Damaged`] unless it is whole, for those who can do nothing about it.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn check_whole(&self) -> Result<(), Error> {
        match self.found.first() {
            _ if self.is_whole() => Ok(()),
            Some(Found { path, offset, damage }) => {
                Err(Error::Damaged { path: path.clone(), offset: *offset, damage: *damage })
            }
            None => {
                let range = self.faulty[0];
                Err(Error::Faulty { index: range.first, range })
            }
        }
    }
}

/// What recovery hands to the log.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) replay: Replay,
    pub(crate) tail: TailVerdict,
    pub(crate) scanned_bytes: u64,
    /// The segment that was written last and where its next batch goes; none in a fresh log.
    pub(crate) active: Option<(Arc<Segment>, u64)>,
    /// Segments in use, in the order of their batches.
    pub(crate) used: Vec<Arc<Segment>>,
    /// Segments not yet used.
    pub(crate) ready: Vec<Arc<Segment>>,
    /// Full segments without a footer that can be used, oldest first.
    pub(crate) unsealed: Vec<FooterJob>,
    /// First batch of each segment in use, by segment number.
    pub(crate) first_seqs: BTreeMap<u64, u64>,
    pub(crate) found: Vec<Found>,
    pub(crate) rebuilt: Vec<Found>,
    /// The next batch goes to a fresh segment (research F20).
    pub(crate) must_rotate: bool,
    /// Unused segments that are not to be used, and not to be looked at once the doubt is listed.
    pub(crate) set_aside: Vec<u64>,
}

/// What is made of seal footers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Footers {
    /// They stand for their segments where they can be believed.
    Used,
    /// Every batch is read.
    Ignored,
}

/// Read, judge, cut.
pub(crate) fn recover(io: &dyn Io, ledger: &Ledger, footers: Footers) -> Result<Recovered, Error> {
    let Ledger { manifest, vote, .. } = ledger;
    let ledger_seq = vote.durable_seq.max(manifest.durable_seq);
    let mut scan = Scan::open(io, manifest, ledger_seq)?;
    scan.walk(footers)?;
    if scan.replay.seq >= SEQ_END / 2 || manifest.epoch == u32::MAX {
        // No log lives so long, and there must be room to go on.
        let (path, damage) = (io.path(MANIFEST.name), Damage::OutOfSequence);
        return Err(Error::Damaged { path, offset: 0, damage });
    }
    let damaged = |damage| Err(Error::Damaged { path: io.path(VOTE.name), offset: 0, damage });
    if scan.replay.bindings_unsure || len_u64(scan.replay.bindings.len()) < vote.bindings {
        return damaged(Damage::LostBinding);
    }
    let may_lack_vote = scan.end_unknown || scan.replay.hard_state_unsure;
    let is_stale = vote.epoch < scan.replay.epoch;
    let vote_damage = ledger.vote_damage.or_else(|| is_stale.then_some(Damage::Stale));
    if let Some(damage) = vote_damage
        && (may_lack_vote || !scan.cuts.is_empty())
    {
        // The log alone knows the vote, and may have lost it (research F17).
        return damaged(damage);
    }
    if may_lack_vote && may_follow(scan.replay.hard_state, vote.hard_state) {
        scan.replay.hard_state = vote.hard_state;
    }
    // The vote file is written after the log, so it knows nothing newer; and no entry is of a term that the
    // log never saw.
    let is_behind = may_lack_vote && scan.replay.hard_state.term < scan.replay.terms.last.1;
    if is_behind || !may_follow(vote.hard_state, scan.replay.hard_state) {
        return damaged(Damage::LostTail);
    }
    // Where anything is damaged, all of it is kept.
    let is_cut = !scan.cuts.is_empty();
    let cuts = if scan.found.is_empty() { std::mem::take(&mut scan.cuts) } else { Vec::new() };
    for cut in &cuts {
        cut.apply()?;
    }
    let tail = match cuts.iter().map(|cut| cut.to - cut.from).sum() {
        _ if scan.end_unknown => TailVerdict::Unknown,
        0 if scan.stopped => TailVerdict::Stopped,
        0 if !is_cut => TailVerdict::CleanEnd,
        cut_bytes => TailVerdict::Torn { cut_bytes },
    };
    let (ready, set_aside) = scan.unused();
    let lists_more = !scan.found.is_empty() && !scan.replay.terms.faulty.is_empty();
    // What is not cut is not written over either.
    let must_rotate =
        lists_more || (!scan.found.is_empty() && (is_cut || scan.is_active_damaged()));
    let used = scan.used_segments();
    let rebuilt = [(MANIFEST, ledger.manifest_damage), (VOTE, vote_damage)].into_iter();
    let rebuilt = rebuilt.filter_map(|(kind, damage)| {
        Some(Found { path: io.path(kind.name), offset: 0, damage: damage? })
    });
    let rebuilt = rebuilt.collect();
    let Scan { replay, scanned_bytes, active, unsealed, first_seqs, found, .. } = scan;
    Ok(Recovered {
        replay,
        tail,
        scanned_bytes,
        active,
        used,
        ready,
        unsealed,
        first_seqs,
        found,
        rebuilt,
        must_rotate,
        set_aside,
    })
}

/// Files that look like segments and that the manifest does not list: left by a crash while one was
/// being made. One with a batch in it is none of these, and the manifest is wrong.
pub(crate) fn orphans(io: &dyn Io, manifest: &Manifest) -> Result<Vec<u64>, Error> {
    let listed: BTreeSet<u64> = manifest.segments.iter().map(|segment| segment.id).collect();
    let names = io.list().map_err(Error::io("list", &io.path("")))?;
    let mut orphans = Vec::new();
    for id in names.iter().filter_map(|name| segment::id_of(name)) {
        if listed.contains(&id) {
            continue;
        }
        if let Some(damage) = unlisted_batch(io, id)? {
            return Err(damage);
        }
        orphans.push(id);
    }
    Ok(orphans)
}

/// A batch in a segment that no manifest lists, as the error that it is. What begins like one counts: the
/// file's own header may have rotted too, and what a crash leaves of a file being made is none.
pub(crate) fn unlisted_batch(io: &dyn Io, id: u64) -> Result<Option<Error>, Error> {
    let segment = Segment::open_any(io, id)?;
    let mut found = None;
    let mut visit = |offset, sector: &[u8]| {
        if found.is_none() && Header::is_magic(sector) {
            found = Some(segment.damaged(offset, Damage::Unlisted));
        }
    };
    visit_sectors(&mut Chunks::new(&segment), DATA_OFFSET, segment.data_end, &mut visit)?;
    Ok(found)
}

impl Cut {
    fn apply(&self) -> Result<(), Error> {
        let Self { segment, from, to } = self;
        let failed = Error::io("cut the torn end of", &segment.path);
        segment.file.write_at(&vec![0; to_usize(to - from)], *from).map_err(&failed)?;
        segment.file.sync_data().map_err(&failed)
    }
}
