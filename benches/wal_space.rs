//! Bytes on disk for each byte of payload.
//!
//! Counted: every segment before the last as a whole, with its header, footer and what was left over at its
//! end, and of the last what is used. Not counted, because they do not grow with the log: spare segments,
//! MANIFEST and VOTE.

use std::fs;

use anyhow::{Context, Result};
use benches::{
    Bound, answered_list,
    filled::{Fill, fill_log, used_segments},
    is_full_run, say, say_against,
};

const MIB: usize = 1024 * 1024;

struct Case {
    entry_bytes: usize,
    batch: usize,
    bound: Option<f64>,
}

/// Only the first has a bound; the others show what small batches cost.
const CASES: [Case; 4] = [
    Case { entry_bytes: 1_024, batch: 64, bound: Some(1.05) },
    Case { entry_bytes: 128, batch: 64, bound: None },
    Case { entry_bytes: 1_024, batch: 1, bound: None },
    Case { entry_bytes: 128, batch: 1, bound: None },
];

fn main() -> Result<()> {
    if answered_list() {
        return Ok(());
    }
    let batches = if is_full_run() { 8_000 } else { 40 };
    say("space                      on disk/payload   bound");
    for case in CASES {
        let Case { entry_bytes, batch, bound } = case;
        let payload_bytes = (batches * batch * entry_bytes).min(512 * MIB);
        let fill = Fill { payload_bytes, entry_bytes, batch };
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fill_log(dir.path(), fill)?;
        let mut files = used_segments(dir.path())?;
        let (_, last) = files.pop().context("the log has a segment")?;
        let mut on_disk = last;
        for (path, _) in &files {
            on_disk += fs::metadata(path)?.len();
        }
        let payload = fill.entries() * entry_bytes as u64;
        let more = format!("{} + 1 segments, {} MiB of payload", files.len(), payload >> 20);
        let ratio = on_disk as f64 / payload as f64;
        let name = format!("{entry_bytes} B in batches of {batch}");
        match bound {
            Some(bound) => say_against(&name, ratio, Bound::AtMost(bound), &more),
            None => say(&format!("{name:<26} {ratio:>10.2} {more:>56}")),
        }
    }
    Ok(())
}
