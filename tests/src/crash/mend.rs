//! Putting back what a damaged log has lost, as a leader would.

use wal::{Error, Log, Op, Recovery};

use super::{
    history::History,
    model::{Contents, open},
    remains::Remains,
};
use crate::sim::disk::SimDisk;

/// An opening may find more than the one before, which believed a footer; not for ever.
const ROUNDS_MAX: usize = 4;

/// Repair a log whose remains are those of `truth` and open it again until it is whole; says what is
/// wrong, if anything is. It may be refused in the end: then that is said.
pub(super) fn mend(history: &History, disk: &SimDisk, truth: &Contents) -> Result<(), String> {
    let mut expected = truth.clone();
    for _ in 0..ROUNDS_MAX {
        let opened = open(disk, history.options());
        let (mut log, recovery) = match opened {
            Ok(opened) => opened,
            Err(Error::Damaged { .. } | Error::Io { .. }) => return Ok(()),
            Err(error) => return Err(format!("mending failed: {error}")),
        };
        let remains = match Remains::read(&log, &recovery) {
            Ok(remains) => remains,
            Err(Error::Io { .. }) => return Ok(()),
            Err(error) => return Err(format!("mending failed: {error}")),
        };
        if remains.is_whole() {
            return expect_whole(&log, &recovery, &expected);
        }
        if !remains.are_of(&expected) {
            return Err(format!("mending left {remains}\nof {expected}"));
        }
        // Where the end was in doubt, a leader goes on from what is there.
        expected.entries.truncate(usize::try_from(remains.last()).expect("a log in memory"));
        put_back(&mut log, &remains, &expected)
            .map_err(|error| format!("mending {remains} failed: {error}"))?;
        drop((log, recovery));
        disk.crash();
    }
    Err(format!("mended {ROUNDS_MAX} times, and still faulty; {expected}"))
}

fn put_back(log: &mut Log, remains: &Remains, truth: &Contents) -> Result<(), Error> {
    let lost = truth.entries.iter().filter(|entry| remains.lost(entry.index)).cloned();
    let ops = lost.map(Op::Repair).chain(remains.has_doubt().then_some(Op::Settle));
    for (ticket, op) in (1..).zip(ops) {
        log.stage(ticket, op);
    }
    log.write()?;
    log.sync()?;
    Ok(())
}

fn expect_whole(log: &Log, recovery: &Recovery, expected: &Contents) -> Result<(), String> {
    let found = Contents::try_of(log, recovery).map_err(|error| format!("mended: {error}"))?;
    if found == *expected { Ok(()) } else { Err(format!("mended to {found}\nfrom {expected}")) }
}
