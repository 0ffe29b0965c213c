//! `node wal repair`: what opening a log mends by itself, done now and told.
//!
//! What always holds: it is tried first on an overlay, so nothing is written where nothing can be mended;
//! bytes that may have been acknowledged are never touched, because opening never touches them.

use std::{fmt::Write as _, io::ErrorKind, path::Path, sync::Arc};

use serde::Serialize;
use wal::{Io, Log, Options, Overlay, RealIo};

use super::{
    Answer,
    changes::{Action, Change, Recorder},
    look, outcome, refused,
    report::{Report, Slots, Verdict},
    text, to_json, unfit,
};
use crate::{NodeError, args::WalRepairArgs};

/// What was done, or would be, and what the log is like after it.
#[derive(Debug, Serialize)]
struct Repair {
    dry_run: bool,
    changes: Vec<Change>,
    #[serde(flatten)]
    log: Report,
}

pub(super) fn repair(args: &WalRepairArgs) -> Result<Answer, NodeError> {
    let dir = &args.log.data_dir;
    let before = Report::of(dir, look(dir)?);
    let disk = RealIo::read_only(dir).map_err(|error| unfit(dir, error))?;
    let overlay = Overlay::over(Arc::new(disk)).map_err(|error| refused(dir, error))?;
    let (overlay, planned) = mend(dir, Arc::new(overlay), true)?;
    let planned = worth_it(planned, &before);
    let done = if args.dry_run || planned.is_empty() {
        let found = wal::inspect(&overlay).map_err(|error| refused(dir, error))?;
        Repair { dry_run: args.dry_run, changes: planned, log: Report::of(dir, found) }
    } else {
        drop(overlay);
        let disk = RealIo::new(dir).map_err(|error| unfit(dir, error))?;
        let (_, changes) = mend(dir, Arc::new(disk), false)?;
        let changes = worth_it(changes, &before);
        Repair { dry_run: false, changes, log: Report::of(dir, look(dir)?) }
    };
    let outcome = outcome(&done.log);
    let text = if args.log.json { to_json(&done) } else { done.to_text() };
    Ok(Answer { text, outcome })
}

/// Have the log in `io` mend itself. A log that does not open stays as it is.
fn mend(
    dir: &Path,
    io: Arc<dyn Io>,
    is_planned: bool,
) -> Result<(Arc<dyn Io>, Vec<Change>), NodeError> {
    let recorder = Arc::new(Recorder::over(Arc::clone(&io)));
    let options = Options { spare_segments: 0, ..Options::default() };
    let opened = Log::open(Arc::clone(&recorder) as Arc<dyn Io>, options);
    let mended = opened.and_then(|(mut log, _)| log.upkeep());
    match mended {
        Ok(()) | Err(wal::Error::Damaged { .. }) => Ok((io, recorder.changes())),
        // The report says so. What was only tried is forgotten.
        Err(wal::Error::Io { source, .. })
            if is_planned && source.kind() != ErrorKind::StorageFull =>
        {
            Ok((io, Vec::new()))
        }
        Err(error) => Err(refused(dir, error)),
    }
}

/// Without what every opening writes.
fn worth_it(mut changes: Vec<Change>, before: &Report) -> Vec<Change> {
    changes.retain(|change| match (&*change.file, change.action) {
        ("MANIFEST", Action::Written) => is_mended(&before.manifest, change),
        ("VOTE", Action::Written) => is_mended(&before.vote, change),
        (_, Action::Made | Action::Removed | Action::Cut | Action::Written) => true,
    });
    changes
}

/// Did the slot that was written lack the newest state?
fn is_mended(before: &Slots, change: &Change) -> bool {
    let newest = before.slots.iter().map(|slot| slot.seq).max().flatten();
    let slot = before.slots.get(usize::from(change.first_byte > 0));
    slot.is_none_or(|slot| slot.seq.is_none() || slot.seq < newest)
}

impl Repair {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.log.path.display());
        let verb = if self.dry_run { "would be" } else { "was" };
        for change in &self.changes {
            let said = self.sentence(change, verb);
            writeln!(text, "  {}: {said}", change.file).expect("writing to a string cannot fail");
        }
        match (self.changes.is_empty(), self.log.verdict == Verdict::Whole) {
            (true, true) => text.push_str("  whole: nothing had to be mended\n"),
            (false, true) if self.dry_run => text.push_str("\nThen it would be whole.\n"),
            (false, true) => text.push_str("\nIt is whole now.\n"),
            (_, false) => text::faults(&mut text, &self.log),
        }
        text
    }

    fn sentence(&self, change: &Change, verb: &str) -> String {
        let Change { action, first_byte, last_byte, .. } = change;
        let segment = self.log.segments.iter().find(|segment| segment.file == change.file);
        let is_footer = segment.is_some_and(|segment| *first_byte >= segment.data_end);
        let bytes = format!("bytes {first_byte} to {last_byte}");
        match action {
            Action::Made => format!("{verb} made anew"),
            Action::Removed => format!("{verb} removed: left from a crash while it was being made"),
            Action::Cut => {
                let size = text::size(last_byte - first_byte + 1);
                format!("{size} never acknowledged {verb} cut off ({bytes})")
            }
            Action::Written if is_footer => format!("its footer {verb} written ({bytes})"),
            Action::Written if change.file == "MANIFEST" || change.file == "VOTE" => {
                format!("a bad slot {verb} written anew")
            }
            Action::Written => format!("{bytes} {verb} written"),
        }
    }
}
