//! What was found, for people: short, aligned, with what to do next.

use std::fmt::Write as _;

use super::report::{Contents, End, Lost, Owner, Report, Slots, Term, Verdict};

/// So many term runs, bindings or configurations are listed; `--json` has all.
const LISTED_MAX: usize = 8;

/// The answer of `node wal inspect`.
pub(super) fn inspected(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    table(&mut text, report);
    faults(&mut text, report);
    let dir = report.path.display();
    if report.verdict == Verdict::Whole {
        line(&mut text, format_args!("\nIt opens. To check every byte: node wal verify {dir}"));
    }
    text
}

/// The answer of `node wal verify`.
pub(super) fn verified(report: &Report) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{}", report.path.display()));
    line(&mut text, format_args!("  state     {}", state(report)));
    if let Some(contents) = &report.contents {
        line(&mut text, format_args!("  entries   {}", entries(contents)));
    }
    let used = report.segments.iter().filter(|segment| segment.batches > 0);
    let (mut count, mut bytes, mut batches) = (0, 0, 0);
    for segment in used {
        count += 1;
        bytes += segment.used_bytes;
        batches += segment.batches;
    }
    let read = format!("{} in {count} segment{}, {batches} batches", size(bytes), plural(count));
    line(&mut text, format_args!("  read      {read}"));
    let lacking = report.segments.iter().filter(|segment| {
        segment.state == "sealed" && segment.footer.is_some_and(|footer| footer != "good")
    });
    match lacking.count() {
        0 => {}
        lacking => line(
            &mut text,
            format_args!(
                "  footers   {lacking} missing or bad: nothing is lost, the next start reads these \
                 segments whole and writes them again; so does `node wal repair`"
            ),
        ),
    }
    faults(&mut text, report);
    text
}

fn head(text: &mut String, report: &Report) {
    line(text, format_args!("{}", report.path.display()));
    let mut field = |name: &str, value: &str| line(text, format_args!("  {name:<9} {value}"));
    field("state", &state(report));
    if let Some(Owner { node, cluster, store }) = &report.identity {
        field("owner", &format!("node {node}, cluster {cluster}, disk {store}"));
    }
    if let Some(epoch) = report.epoch {
        field("opened", &if epoch == 1 { "once".to_owned() } else { format!("{epoch} times") });
    }
    if let Some(contents) = &report.contents {
        field("entries", &entries(contents));
        field("term", &term(&contents.hard_state));
        let runs =
            contents.terms.iter().map(|run| format!("{} from {}", run.term, run.first_index));
        field("terms", &newest(runs));
        let disks = contents.bindings.iter().map(|disk| format!("{} = {}", disk.node, disk.store));
        field("disks", &newest(disks));
        field("configs", &newest(contents.configs.iter().map(u64::to_string)));
    }
    field("MANIFEST", &slots(&report.manifest));
    let voted = report.voted.as_ref().map(|voted| format!("; {}", term(voted)));
    field("VOTE", &format!("{}{}", slots(&report.vote), voted.unwrap_or_default()));
}

fn state(report: &Report) -> String {
    let is_damaged = report.verdict == Verdict::Damaged;
    match (report.end, is_damaged) {
        (Some(End::Stopped), false) => "whole, stopped in order".to_owned(),
        (Some(End::Clean), false) => "whole, ended without a stop".to_owned(),
        (Some(End::Torn), false) => format!(
            "whole; its last {} were never acknowledged and are cut at the next start",
            size(report.torn_bytes)
        ),
        (Some(_), true) if report.lost.is_empty() => {
            "DAMAGED where nothing that counts lies: the node starts".to_owned()
        }
        (None | Some(_), _) => "DAMAGED".to_owned(),
    }
}

fn entries(contents: &Contents) -> String {
    let Contents { first_index, last_index, last_term, .. } = contents;
    if last_index < first_index {
        return "none".to_owned();
    }
    format!("{first_index} to {last_index}, the last of term {last_term}")
}

fn term(state: &Term) -> String {
    match &state.voted_for {
        Some(disk) => {
            format!("term {}, voted for node {}, disk {}", state.term, disk.node, disk.store)
        }
        None => format!("term {}, no vote given", state.term),
    }
}

/// The last of them, so that a line stays one.
fn newest(all: impl ExactSizeIterator<Item = String>) -> String {
    let skipped = all.len().saturating_sub(LISTED_MAX);
    let mut shown: Vec<String> = all.skip(skipped).collect();
    if skipped > 0 {
        shown.insert(0, format!("({skipped} more)"));
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn slots(file: &Slots) -> String {
    if !file.exists {
        return "missing".to_owned();
    }
    let slot = |slot: &super::report::Slot| match slot.seq {
        Some(seq) => format!("write {seq}"),
        None => slot.state.to_owned(),
    };
    let mut told: Vec<_> = file.slots.iter().map(slot).collect();
    told.dedup();
    match &*told {
        [both] => format!("{both} in both slots"),
        _ => format!("{}: nothing is lost, the next start writes both slots", told.join(" / ")),
    }
}

fn table(text: &mut String, report: &Report) {
    let row = |text: &mut String, cells: [&str; 7]| {
        let [file, state, batches, entries, used, size, footer] = cells;
        let row = format!(
            "  {file:<28}  {state:<14}  {batches:>17}  {entries:>19}  {used:>9}  {size:>9}  {footer}"
        );
        line(text, format_args!("{}", row.trim_end()));
    };
    text.push('\n');
    row(text, ["segment", "state", "batches", "entries", "used", "size", "footer"]);
    for segment in &report.segments {
        let state = if segment.listed {
            segment.state.to_owned()
        } else {
            format!("{}, unlisted", segment.state)
        };
        let batches = range(segment.first_batch, segment.last_batch);
        let entries = range(segment.first_index, segment.last_index);
        let used = size(segment.used_bytes);
        let size = size(segment.bytes);
        let footer = segment.footer.unwrap_or("-");
        row(text, [&segment.file, &state, &batches, &entries, &used, &size, footer]);
    }
}

fn range(first: Option<u64>, last: Option<u64>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} - {last}"),
        (None | Some(_), _) => "-".to_owned(),
    }
}

pub(super) fn faults(text: &mut String, report: &Report) {
    if report.verdict == Verdict::Whole {
        return;
    }
    text.push_str("\nfaulty places\n");
    for fault in &report.faults {
        let place = match fault.byte {
            Some(byte) => format!("{}, byte {byte}", fault.file),
            None => fault.file.clone(),
        };
        line(text, format_args!("  {place}: {}", fault.what));
    }
    if !report.lost.is_empty() {
        text.push_str("\nlost entries\n");
    }
    for lost in &report.lost {
        line(text, format_args!("  {}", lost_range(lost)));
    }
    line(text, format_args!("{}", advice(report)));
}

fn lost_range(lost: &Lost) -> String {
    let Lost { first_index, lowest_term, .. } = lost;
    let Some(last_index) = lost.last_index else {
        return format!(
            "from {first_index} on, of term {lowest_term} or later: nobody knows how many"
        );
    };
    let indexes = if *first_index == last_index {
        first_index.to_string()
    } else {
        format!("{first_index} to {last_index}")
    };
    let terms = match lost.highest_term {
        Some(highest) if highest == *lowest_term => format!("term {lowest_term}"),
        Some(highest) => format!("terms {lowest_term} to {highest}"),
        None => format!("term {lowest_term} or later"),
    };
    let sure = if lost.kind == "corrupt" { "acknowledged" } else { "perhaps acknowledged" };
    format!("{indexes} ({terms}, {sure})")
}

/// How to go on with a damaged log.
fn advice(report: &Report) -> String {
    if report.lost.is_empty() && report.contents.is_some() {
        return "\nNothing is lost, and the node starts. But the disk gives back other bytes than were \
                written: look at it, or replace it."
            .to_owned();
    }
    let node =
        report.identity.as_ref().map_or_else(|| "N".to_owned(), |owner| owner.node.to_string());
    format!(
        "\nNothing was changed, and nothing here may be mended by guessing.\n\
         1. Keep a copy of {}.\n\
         2. In a cluster, replace this node's disk and let it catch up from the others:\n   \
         chatctl cluster replace {node}\n\
         3. A single server has only its backup:\n   \
         node restore FILE --dir DIR --nodes HOST",
        report.path.display()
    )
}

/// Bytes in the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(4);
    let unit = 1_u64 << (10 * power);
    let name = UNITS.get(power as usize - 1).copied().unwrap_or("TiB");
    match (bytes % unit) * 10 / unit {
        0 => format!("{} {name}", bytes / unit),
        tenths => format!("{}.{tenths} {name}", bytes / unit),
    }
}

pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
