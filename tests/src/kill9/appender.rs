//! The process that is killed: it opens a log through the writer thread, appends, closes, opens again,
//! and says on its standard output what it does, one line each.
//!
//! ```text
//! opening | opened LAST_INDEX TERM TAIL | durable TICKET | closing | closed
//! ```
//!
//! What always holds: a line is written before anything is done that rests on it, so that whoever reads
//! the lines of a killed appender knows what it may have done; a line is one `write`.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
};

use bytes::Bytes;
use wal::{Busy, Entry, Error, Io, Log, NotAppended, Op, Reader, RealIo, Writer};

use super::script::{IDENTITY, Plan, Session, Start};
use crate::sim::rng::Rng;

/// What to do.
#[derive(Clone, Debug)]
pub struct Appender {
    /// Where the log is, or is to be.
    pub dir: PathBuf,
    /// The seed of all rounds.
    pub seed: u64,
    /// Which round this is.
    pub round: u64,
    /// That many sessions, instead of what the plan says.
    pub sessions: Option<u64>,
}

impl Appender {
    /// Append until nothing is left to do.
    ///
    /// # Errors
    /// When the log cannot go on.
    pub fn run(&self) -> Result<(), Error> {
        let plan = Plan::draw(self.seed, self.round);
        for number in 0..self.sessions.unwrap_or(plan.sessions) {
            say("opening");
            let log = open(&self.dir, &plan)?;
            self.session(&plan, number, log)?;
        }
        Ok(())
    }

    fn session(&self, plan: &Plan, number: u64, log: Opened) -> Result<(), Error> {
        let Opened { log, start } = log;
        let reader = log.reader();
        let ops = Session::new(plan, (self.seed, self.round, number), start);
        // One message for each operation on its way, and the error that ends it.
        let (tell, told) = sync_channel(plan.window + 1);
        let on_durable = move |result: Result<u64, Error>| {
            if let Ok(ticket) = &result {
                say(&format!("durable {ticket}"));
            }
            // The session may have ended with an earlier error.
            drop(tell.send(result));
        };
        let writer = Writer::spawn(log, Box::new(on_durable))?;
        let mut rng = Rng::new(self.seed ^ number);
        let mut durable = 0;
        for (ticket, op) in (1..).zip(ops) {
            while ticket > durable + plan.window as u64 {
                durable = next(&told)?;
            }
            if let Some(entries) = entries_of_one_kind(&op).filter(|_| plan.waits) {
                append(&writer, entries)?;
            } else {
                let mut op = op;
                while let Err(Busy(back)) = writer.submit(ticket, op) {
                    op = back;
                    durable = next(&told)?;
                }
            }
            if rng.chance(100) {
                check_some(&reader, &mut rng)?;
            }
        }
        say("closing");
        writer.stop()?;
        say("closed");
        Ok(())
    }
}

/// Append and wait.
fn append(writer: &Writer, entries: &[Entry]) -> Result<(), Error> {
    let payloads: Vec<Bytes> = entries.iter().map(|entry| entry.payload.clone()).collect();
    let last = entries.last().expect("there are some");
    match writer.append(last.term, last.kind, &payloads) {
        Ok(index) => assert_eq!(index, last.index, "the log counts as we do"),
        Err(NotAppended::Busy) => unreachable!("the window is smaller than the line"),
        Err(NotAppended::Failed(error)) => return Err(error),
    }
    Ok(())
}

fn entries_of_one_kind(op: &Op) -> Option<&[Entry]> {
    let Op::Append(entries) = op else { return None };
    let first = entries.first()?;
    entries.iter().all(|entry| entry.kind == first.kind).then_some(entries)
}

struct Opened {
    log: Log,
    start: Start,
}

/// The next ticket that is durable.
fn next(told: &Receiver<Result<u64, Error>>) -> Result<u64, Error> {
    told.recv().unwrap_or(Err(Error::Poisoned))
}

fn open(dir: &Path, plan: &Plan) -> Result<Opened, Error> {
    let failed = |source| Error::Io { action: "open", path: dir.to_owned(), source };
    let io: Arc<dyn Io> = Arc::new(RealIo::new(dir).map_err(failed)?);
    if !Log::exists(&io)? {
        Log::create(&io, IDENTITY, &plan.options)?;
    }
    let (log, recovery) = Log::open(io, plan.options.clone())?;
    let (last_index, _) = recovery.last;
    let start = Start { last_index, hard_state: recovery.hard_state };
    say(&format!("opened {last_index} {} {:?}", start.hard_state.term, recovery.tail));
    Ok(Opened { log, start })
}

/// Readers see whole entries while the writer writes, rotates and seals.
fn check_some(reader: &Reader, rng: &mut Rng) -> Result<(), Error> {
    let (_, last) = reader.bounds();
    let first = rng.within(1, last.max(1));
    let entries = reader.read(first, first + 20, 64 << 10)?;
    for (entry, index) in entries.iter().zip(first..) {
        assert!(entry.index == index && entry.is_intact(), "read {entry:?} at {index}");
    }
    Ok(())
}

fn say(line: &str) {
    let line = Bytes::from(format!("{line}\n"));
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).expect("somebody listens");
}
