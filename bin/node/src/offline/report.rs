//! What was found of a log, in the form in which it is told: one object, also as JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wal::{
    Error, FaultyKind, FaultyRange, FooterState, Found, HardState, Identity, Inspection, Recovery,
    SegmentState, SegmentView, SlotFile, SlotState, TailVerdict,
};

/// The whole of it. The names of its fields are the keys of the JSON and stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) verdict: Verdict,
    pub(super) faults: Vec<Fault>,
    /// Entries that the log held and cannot read. None although there are faults: they took nothing
    /// that is in force, or the log cannot be opened.
    pub(super) lost: Vec<Lost>,
    /// How the log ends; none when it cannot be opened.
    pub(super) end: Option<End>,
    /// Bytes that were never acknowledged and that opening cuts off.
    pub(super) torn_bytes: u64,
    pub(super) identity: Option<Owner>,
    pub(super) epoch: Option<u32>,
    pub(super) contents: Option<Contents>,
    pub(super) manifest: Slots,
    pub(super) vote: Slots,
    /// Term and vote as `VOTE` says.
    pub(super) voted: Option<Term>,
    pub(super) segments: Vec<Segment>,
}

/// Is everything there that was ever acknowledged?
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Whole,
    Damaged,
}

/// One faulty place.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    pub(super) file: String,
    pub(super) byte: Option<u64>,
    pub(super) what: String,
}

/// Lost entries.
#[derive(Debug, Serialize)]
pub(super) struct Lost {
    pub(super) first_index: u64,
    /// None when nobody knows how many there were.
    pub(super) last_index: Option<u64>,
    pub(super) lowest_term: u64,
    pub(super) highest_term: Option<u64>,
    pub(super) kind: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Stopped,
    Clean,
    Torn,
    Unknown,
}

/// Whose log it is. The two long numbers are hexadecimal.
#[derive(Debug, Serialize)]
pub(super) struct Owner {
    pub(super) node: u64,
    pub(super) cluster: String,
    pub(super) store: String,
}

/// What is in the log.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    pub(super) first_index: u64,
    pub(super) last_index: u64,
    pub(super) last_term: u64,
    pub(super) hard_state: Term,
    /// Where each term begins.
    pub(super) terms: Vec<TermRun>,
    pub(super) bindings: Vec<Disk>,
    /// Indexes of the configuration entries.
    pub(super) configs: Vec<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Term {
    pub(super) term: u64,
    pub(super) voted_for: Option<Disk>,
}

#[derive(Debug, Serialize)]
pub(super) struct TermRun {
    pub(super) term: u64,
    pub(super) first_index: u64,
}

/// A node and its disk.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    pub(super) node: u64,
    pub(super) store: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Slots {
    pub(super) exists: bool,
    pub(super) slots: Vec<Slot>,
}

#[derive(Debug, Serialize)]
pub(super) struct Slot {
    pub(super) state: &'static str,
    /// How often the file had been written.
    pub(super) seq: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Segment {
    pub(super) file: String,
    pub(super) state: &'static str,
    pub(super) listed: bool,
    pub(super) footer: Option<&'static str>,
    pub(super) bytes: u64,
    pub(super) data_end: u64,
    pub(super) used_bytes: u64,
    pub(super) first_batch: Option<u64>,
    pub(super) last_batch: Option<u64>,
    pub(super) batches: u64,
    pub(super) first_index: Option<u64>,
    pub(super) last_index: Option<u64>,
    pub(super) last_term: Option<u64>,
    pub(super) entries: u64,
    pub(super) made_in_epoch: u32,
}

impl Report {
    pub(super) fn of(dir: &Path, found: Inspection) -> Self {
        let (contents, faults) = match found.contents {
            Ok(recovery) => {
                let found = recovery.rebuilt.iter().chain(&recovery.found);
                let faults = found.map(Fault::at).collect();
                (Some(recovery), faults)
            }
            Err(error) => (None, vec![Fault::of(&error)]),
        };
        let faults: Vec<_> = faults.into_iter().chain(found.places.iter().map(Fault::at)).collect();
        let lost = contents.as_ref().map_or(&[][..], |recovery| recovery.faulty.as_slice());
        let lost: Vec<_> = lost.iter().map(Lost::of).collect();
        let is_whole = faults.is_empty() && lost.is_empty();
        let (end, torn_bytes) = match contents.as_ref().map(|recovery| recovery.tail) {
            Some(TailVerdict::Stopped) => (Some(End::Stopped), 0),
            Some(TailVerdict::CleanEnd) => (Some(End::Clean), 0),
            Some(TailVerdict::Torn { cut_bytes }) => (Some(End::Torn), cut_bytes),
            Some(TailVerdict::Unknown) => (Some(End::Unknown), 0),
            None => (None, 0),
        };
        Self {
            path: dir.to_path_buf(),
            verdict: if is_whole { Verdict::Whole } else { Verdict::Damaged },
            faults,
            lost,
            end,
            torn_bytes,
            identity: found.identity.map(Owner::of),
            epoch: found.epoch,
            contents: contents.map(Contents::of),
            manifest: Slots::of(found.manifest),
            vote: Slots::of(found.vote),
            voted: found.voted.map(Term::of),
            segments: found.segments.into_iter().map(Segment::of).collect(),
        }
    }
}

impl Lost {
    fn of(range: &FaultyRange) -> Self {
        let known = |number: u64| (number < u64::MAX).then_some(number);
        Self {
            first_index: range.first,
            last_index: known(range.last),
            lowest_term: range.term_min,
            highest_term: known(range.term_max),
            kind: match range.kind {
                FaultyKind::Corrupt => "corrupt",
                FaultyKind::Suspect => "suspect",
                FaultyKind::EndUnknown => "end_unknown",
            },
        }
    }
}

impl Fault {
    fn at(found: &Found) -> Self {
        let Found { path, offset, damage } = found;
        Self { file: name_of(path), byte: Some(*offset), what: damage.to_string() }
    }

    fn of(error: &Error) -> Self {
        if let Error::Damaged { path, offset, damage } = error {
            return Self { file: name_of(path), byte: Some(*offset), what: damage.to_string() };
        }
        if let Error::Missing { path } = error {
            return Self { file: name_of(path), byte: None, what: "it is not there".to_owned() };
        }
        if let Error::Io { action, path, source } = error {
            let what = format!("cannot {action}: {source}");
            return Self { file: name_of(path), byte: None, what };
        }
        Self { file: "the log".to_owned(), byte: None, what: error.to_string() }
    }
}

/// A file by its own name, a directory by its path.
fn name_of(path: &Path) -> String {
    let name = if path.is_dir() { path.as_os_str() } else { path.file_name().unwrap_or_default() };
    name.to_string_lossy().into_owned()
}

impl Owner {
    fn of(identity: Identity) -> Self {
        let Identity { cluster, node, store } = identity;
        Self { node, cluster: hex(cluster), store: hex(store) }
    }
}

fn hex(number: u128) -> String {
    format!("{number:032x}")
}

impl Contents {
    fn of(recovery: Recovery) -> Self {
        let terms = recovery.term_runs.into_iter();
        let bindings = recovery.bindings.into_iter();
        Self {
            first_index: recovery.first_index,
            last_index: recovery.last.0,
            last_term: recovery.last.1,
            hard_state: Term::of(recovery.hard_state),
            terms: terms.map(|(first_index, term)| TermRun { term, first_index }).collect(),
            bindings: bindings.map(|(node, store)| Disk { node, store: hex(store) }).collect(),
            configs: recovery.configs.into_iter().map(|entry| entry.index).collect(),
        }
    }
}

impl Term {
    fn of(state: HardState) -> Self {
        let voted = state.voted_for;
        let voted_for = voted.map(|vote| Disk { node: vote.node, store: hex(vote.store) });
        Self { term: state.term, voted_for }
    }
}

impl Slots {
    fn of(file: SlotFile) -> Self {
        let slot = |state| match state {
            SlotState::Empty => Slot { state: "empty", seq: None },
            SlotState::Readable { seq } => Slot { state: "readable", seq: Some(seq) },
            SlotState::Unreadable => Slot { state: "unreadable", seq: None },
            SlotState::Newer => Slot { state: "newer", seq: None },
        };
        let slots = if file.exists { file.slots.map(slot).into() } else { Vec::new() };
        Self { exists: file.exists, slots }
    }
}

impl Segment {
    fn of(view: SegmentView) -> Self {
        Self {
            file: view.name,
            state: match view.state {
                SegmentState::Missing => "missing",
                SegmentState::Unreadable => "unreadable",
                SegmentState::Spare => "spare",
                SegmentState::Active => "active",
                SegmentState::Sealed => "sealed",
            },
            listed: view.is_listed,
            footer: match view.footer {
                None => None,
                Some(FooterState::Good) => Some("good"),
                Some(FooterState::None) => Some("none"),
                Some(FooterState::Bad) => Some("bad"),
            },
            bytes: view.capacity,
            data_end: view.data_end,
            used_bytes: view.used_bytes,
            first_batch: view.batches.map(|batches| batches.0),
            last_batch: view.batches.map(|batches| batches.1),
            batches: view.batch_count,
            first_index: view.entries.map(|entries| entries.0),
            last_index: view.entries.map(|entries| entries.1),
            last_term: view.entries.map(|entries| entries.2),
            entries: view.entries.map_or(0, |(first, last, _)| last - first + 1),
            made_in_epoch: view.epoch,
        }
    }
}
