//! The order of calls that the log owes its disk, call by call: research rules F1 to F13, F22 and F23,
//! and those of `FORMAT.md`.
//!
//! What always holds: nothing here is taken from the log's own code. What a manifest lists and where a
//! batch lies is read from the bytes written, as `FORMAT.md` describes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
};

const SECTOR: u64 = 512;
/// Where the batches of a segment begin.
const DATA_AT: u64 = 4096;
/// The files of two slots, and how large a slot is.
const SLOT_FILES: [(&str, u64); 2] = [("MANIFEST", 64 * 1024), ("VOTE", 4096)];
/// Where the number of its state begins in a slot, and then the state.
const STATE_AT: usize = 24;
/// Where the list of a manifest begins in its slot, and the size of one line.
const LIST_AT: usize = 32 + 72;
const LISTED_BYTES: usize = 32;

/// What one process has done to its directory, and what the one before left behind.
#[derive(Debug, Default)]
pub(super) struct Protocol {
    files: BTreeMap<String, Known>,
    /// Names made or removed since the directory was synced.
    unsynced_names: BTreeSet<String>,
    /// What the newest manifest lists, once both slots hold it durably; until then in `writing`.
    listed: BTreeSet<String>,
    writing: Option<BTreeSet<String>>,
    /// What this process wrote to the slots of a file.
    slots: BTreeMap<String, [Vec<u8>; 2]>,
    is_locked: bool,
    is_open: bool,
    /// The manifest was stored since the lock was taken.
    is_raised: bool,
    /// A write or sync failed, and not for want of room.
    has_failed: bool,
    /// The segment that took the last batch.
    active: Option<String>,
    /// Batches written and files synced since [`Protocol::begin_counting`].
    pub(super) batches: u64,
    pub(super) syncs: u64,
    /// Calls of each kind that were judged, so that a test can see that it saw something.
    pub(super) maps: u64,
    pub(super) rotations: u64,
    pub(super) cuts: u64,
}

/// A file, as far as this process can know.
#[derive(Clone, Debug, Default)]
struct Known {
    len: u64,
    /// Made by this process, and not yet listed: zeros and header are being written.
    is_new: bool,
    /// Written since it was last synced.
    is_dirty: bool,
    is_mapped: bool,
    /// A dead process may have left writes in the cache, or a failed sync has.
    is_doubtful: bool,
    is_synced_here: bool,
    /// The sectors that were dropped from the cache since it was opened.
    dropped: BTreeSet<u64>,
    /// First sector to the one after the last of each batch written by this process.
    batches: BTreeMap<u64, u64>,
    /// A segment start was written and not yet synced.
    start_is_due: bool,
}

impl Known {
    /// May the cache show something in this range that is not on the disk?
    fn is_in_doubt(&self, range: Range<u64>) -> bool {
        let is_dropped = || sectors(range, self.len).all(|sector| self.dropped.contains(&sector));
        self.is_doubtful && !(self.is_synced_here && is_dropped())
    }
}

impl Protocol {
    /// The protocol of the process after one that died: what it left unsynced is in doubt.
    pub(super) fn after(dead: &Self) -> Self {
        // The cache shows the manifest that was being written.
        let listed = dead.writing.as_ref().unwrap_or(&dead.listed).clone();
        let doubtful = |(name, known): (&String, &Known)| {
            // Nothing is ever read from a segment that was never listed, but whether it is empty.
            let is_used = !is_segment(name) || listed.contains(name);
            let is_doubtful = is_used && (known.is_dirty || known.is_in_doubt(0..known.len));
            (name.clone(), Known { is_doubtful, ..Known::default() })
        };
        Self {
            files: dead.files.iter().map(doubtful).collect(),
            unsynced_names: dead.unsynced_names.clone(),
            listed,
            ..Self::default()
        }
    }

    /// The log is open: recovery is over.
    pub(super) fn opened(&mut self) {
        assert!(self.is_raised, "the epoch is raised before the log is open");
        let counts = |name: &String| !is_segment(name) || self.listed.contains(name);
        assert!(!self.unsynced_names.iter().any(counts), "F7: {:?}", self.unsynced_names);
        self.is_open = true;
    }

    /// Something was called durable: then all of it is.
    pub(super) fn acknowledged(&self) {
        for (name, known) in &self.files {
            assert!(known.is_new || !known.is_dirty, "{name} is not synced");
        }
        for (name, [first, second]) in &self.slots {
            assert!(first == second, "F17: only one slot of {name} holds what counts");
        }
        assert!(self.writing.is_none(), "the manifest is not synced");
    }

    pub(super) fn begin_counting(&mut self) {
        (self.batches, self.syncs) = (0, 0);
    }

    fn known(&mut self, name: &str) -> &mut Known {
        self.files.entry(name.to_owned()).or_default()
    }

    /// A write or sync failed.
    pub(super) fn failed(&mut self, error: &io::Error) {
        self.has_failed |= error.kind() != io::ErrorKind::StorageFull;
    }

    pub(super) fn lock(&mut self) {
        self.is_locked = true;
        self.is_raised = false;
    }

    pub(super) fn create(&mut self, name: &str) {
        assert!(self.is_locked, "F22: {name} is made without the lock");
        self.unsynced_names.insert(name.to_owned());
        let new = Known { is_new: true, is_synced_here: true, ..Known::default() };
        self.files.insert(name.to_owned(), new);
    }

    pub(super) fn open(&mut self, name: &str, len: u64) {
        self.known(name).len = len;
    }

    pub(super) fn remove(&mut self, name: &str) {
        assert!(self.is_locked, "F22: {name} is removed without the lock");
        assert!(!self.listed.contains(name), "{name} is listed and removed");
        self.unsynced_names.insert(name.to_owned());
        self.files.remove(name);
    }

    pub(super) fn sync_dir(&mut self) {
        assert!(self.is_locked, "F22: the directory is synced without the lock");
        self.unsynced_names.clear();
    }

    pub(super) fn read(&mut self, name: &str, offset: u64, len: usize) {
        let is_segment = is_segment(name);
        let known = self.known(name);
        assert!(offset + len as u64 <= known.len, "{name}: a read beyond the end");
        // Before it has the lock a process only asks whether there is a log.
        if !self.is_locked || (is_segment && offset < DATA_AT) {
            return;
        }
        let known = self.known(name);
        assert!(
            !known.is_in_doubt(offset..offset + len as u64),
            "F2, F3: {name} is read at {offset} before it was synced and dropped from the cache"
        );
        if is_segment && known.is_doubtful {
            assert!(self.unsynced_names.is_empty(), "F3: read before the directory was synced");
        }
    }

    pub(super) fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        assert!(self.is_locked, "F22: {name} is written without the lock");
        assert!(!self.has_failed, "F1: {name} is written after something failed");
        let end = offset + bytes.len() as u64;
        let known = self.known(name);
        assert!(!known.is_mapped, "F4, F5: {name} is written at {offset} while it is mapped");
        if known.is_new {
            assert!(offset <= known.len, "F10: {name} is filled with real zeros, front to back");
            known.len = known.len.max(end);
        }
        assert!(end <= known.len, "F8, F10: a write to {name} changes its length");
        match name {
            "MANIFEST" | "VOTE" => self.write_slot(name, offset, bytes),
            _ if self.known(name).is_new => self.write_new(name, offset, bytes),
            _ => self.write_segment(name, offset, bytes),
        }
        self.known(name).is_dirty = true;
    }

    /// Never are both slots in doubt.
    fn write_slot(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        if self.known(name).is_new {
            assert!(is_zero(bytes), "F10: a new {name} gets zeros");
            return;
        }
        assert!(!self.known(name).is_dirty, "F12, F17: both slots of {name} are written at once");
        let (_, size) = SLOT_FILES.into_iter().find(|file| file.0 == name).unwrap();
        assert!(offset == 0 || offset == size, "{name} is written at {offset}: only slots are");
        let slots = self.slots.entry(name.to_owned()).or_default();
        slots[usize::from(offset > 0)] = bytes[STATE_AT..].to_vec();
        match name {
            "MANIFEST" => self.write_manifest(bytes),
            _ => self.write_vote(),
        }
    }

    /// Whatever it lists can be found after a crash: the file, its name, its length, its zeros.
    fn write_manifest(&mut self, bytes: &[u8]) {
        let listed = listed_in(bytes);
        for name in listed.difference(&self.listed) {
            let known = self.files.get(name);
            let known = known.unwrap_or_else(|| panic!("F23: {name} is listed and was never made"));
            assert!(!known.is_dirty, "F7: {name} is listed before it is synced");
            assert!(!self.unsynced_names.contains(name), "F7: {name} is listed before its name is");
        }
        assert!(listed.is_superset(&self.listed), "nothing listed is forgotten");
        self.writing = Some(listed);
    }

    /// The vote file never knows what the log does not.
    fn write_vote(&self) {
        let mut old = self.files.iter().filter(|(name, known)| is_segment(name) && !known.is_new);
        assert!(old.all(|(_, known)| !known.is_dirty), "the vote file is written before the log");
    }

    fn write_new(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        let is_header = offset == 0 && bytes.starts_with(b"HFWALSEG");
        assert!(is_header || is_zero(bytes), "F10: a new {name} gets zeros and its header");
    }

    fn write_segment(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        if is_zero(bytes) {
            assert!(!self.is_open, "F16: only recovery cuts: {name} at {offset}");
            self.cuts += 1;
            return;
        }
        if offset >= data_end(self.known(name).len) {
            self.write_footer(name, end);
            return;
        }
        if !bytes.starts_with(b"WBAT") {
            panic!("{name}: what is written at {offset} is no batch");
        }
        assert!(self.is_raised, "{name}: a batch before the epoch was raised");
        assert!(self.listed.contains(name), "F23: {name} takes a batch and is not listed");
        assert!(
            !self.unsynced_names.contains(name),
            "F7: {name} takes a batch, its name is unsynced"
        );
        assert!(offset >= DATA_AT && offset.is_multiple_of(SECTOR), "F13: a batch starts a sector");
        assert!(end.is_multiple_of(SECTOR), "F13: a batch fills its last sector");
        let is_start = bytes[4] == 2;
        assert_eq!(is_start, offset == DATA_AT, "a segment start is the first of a segment");
        if is_start {
            let mut others = self.files.iter().filter(|(other, _)| is_segment(other));
            let clean = others.all(|(_, known)| known.is_new || !known.is_dirty);
            assert!(clean, "F7: {name} is started before the segment before it is synced");
            self.rotations += 1;
        }
        let known = self.known(name);
        assert!(!known.start_is_due, "{name}: a batch before its start is durable");
        let before = known.batches.range(..end).next_back();
        assert!(
            before.is_none_or(|(_, &before)| before <= offset),
            "F13: two batches of {name} share a sector at {offset}"
        );
        known.batches.insert(offset, end);
        known.start_is_due = is_start;
        self.active = Some(name.to_owned());
        self.batches += 1;
    }

    /// A footer speaks only of what cannot change any more: of a segment whose successor has durably begun,
    /// or of the last one as its last words.
    fn write_footer(&mut self, name: &str, end: u64) {
        assert!(end <= self.known(name).len, "{name}: a footer beyond the end");
        if self.active.as_deref() != Some(name) {
            assert!(!self.known(name).start_is_due);
            let active = self.active.clone();
            let is_due = active.is_some_and(|active| self.known(&active).start_is_due);
            assert!(!is_due, "{name}: a footer before the next segment has durably begun");
        }
    }

    pub(super) fn sync(&mut self, name: &str, all: bool) {
        assert!(
            self.is_locked || self.known(name).len > 0,
            "F22: {name} is synced without the lock"
        );
        assert!(!self.has_failed, "F1: {name} is synced after something failed");
        assert!(!all || self.known(name).is_new, "F11: {name} is synced with its times");
        self.syncs += 1;
    }

    pub(super) fn synced(&mut self, name: &str) {
        let known = self.known(name);
        known.is_new &= is_segment(name);
        known.is_dirty = false;
        known.is_synced_here = true;
        known.start_is_due = false;
        let is_doubled = self.slots.get(name).is_some_and(|slots| slots[0] == slots[1]);
        if name == "MANIFEST"
            && is_doubled
            && let Some(listed) = self.writing.take()
        {
            for name in &listed {
                self.known(name).is_new = false;
            }
            self.listed = listed;
            self.is_raised = true;
        }
    }

    pub(super) fn set_len(&self, name: &str) {
        panic!("F5, F8: the length of {name} is set");
    }

    pub(super) fn drop_cache(&mut self, name: &str, range: Range<u64>) {
        let known = self.known(name);
        assert!(known.is_synced_here, "F2: {name} leaves the cache before it was synced");
        known.dropped.extend(sectors(range, known.len));
    }

    pub(super) fn map(&mut self, name: &str, range: Range<u64>) {
        assert!(self.is_open, "F6: recovery maps {name}");
        assert_ne!(self.active.as_deref(), Some(name), "F4: {name} is mapped and still written");
        let known = self.known(name);
        assert!(!known.is_dirty, "F4: {name} is mapped and not synced");
        assert!(!known.is_in_doubt(range), "F2: {name} is mapped as the cache shows it");
        known.is_mapped = true;
        self.maps += 1;
    }
}

/// The sectors that a range of a file touches.
fn sectors(range: Range<u64>, len: u64) -> Range<u64> {
    range.start / SECTOR..range.end.min(len).div_ceil(SECTOR)
}

fn is_segment(name: &str) -> bool {
    name.starts_with("seg-")
}

/// Where the footer area of a segment of this size begins.
const fn data_end(len: u64) -> u64 {
    len - ((len / 128).next_multiple_of(4096) + 4096)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The names of the segments that a manifest slot lists.
fn listed_in(slot: &[u8]) -> BTreeSet<String> {
    let number = |at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().unwrap());
    let count = u32::from_le_bytes(slot[LIST_AT - 8..LIST_AT - 4].try_into().unwrap());
    (0..count as usize)
        .map(|n| format!("seg-{:020}.wal", number(LIST_AT + n * LISTED_BYTES)))
        .collect()
}
