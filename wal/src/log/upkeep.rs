//! Work that need not be done on the way to an acknowledgement: spare segments, seal footers.
//!
//! What always holds: a spare is used only once it belongs to the log, durably; a footer is written only
//! for a segment that nobody writes to any more and whose successor has durably begun, and the segment
//! is mapped only after that; all of it can be given up without loss.

use std::sync::{Arc, atomic::AtomicBool};

use super::{Active, Log, SPARE_RETRY_BYTES};
use crate::{
    Error, Identity, Io, Lock,
    manifest::{Listed, SEGMENTS_MAX},
    positions::{Places, Run, sparse_index},
    seal::{self, Sparse, Summary, Trailer},
    segment::{self, Segment},
};

/// Something to be done, by whoever has the time.
#[derive(Debug)]
pub(crate) enum Job {
    Spare(SpareJob),
    /// The lock because the job may outlive the log, and nobody else may write to the file meanwhile.
    Footer(Arc<FooterJob>, Arc<dyn Lock>),
}

/// A job's result.
#[derive(Debug)]
pub(crate) enum Done {
    Spare(Spare),
    Footer(Result<Sealed, Error>),
}

/// A segment to be made.
#[derive(Debug)]
pub(crate) struct SpareJob {
    pub(crate) io: Arc<dyn Io>,
    pub(crate) identity: Identity,
    pub(crate) listed: Listed,
    pub(crate) cancel: Arc<AtomicBool>,
    /// The job may outlive the log. Whoever opens it then gives out the same number.
    pub(crate) lock: Arc<dyn Lock>,
}

#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) listed: Listed,
    pub(crate) made: Result<Option<Segment>, Error>,
}

/// A footer to be written. Doing it twice does nothing more.
#[derive(Debug)]
pub(crate) struct FooterJob {
    pub(crate) segment: Arc<Segment>,
    pub(crate) summary: Summary,
    pub(crate) runs: Vec<Run>,
    /// Nothing in it or before it is damaged, and nothing in it speaks of that.
    pub(crate) is_whole: bool,
}

/// How the entries of a full segment are found from now on.
#[derive(Debug)]
pub(crate) enum Sealed {
    /// The footer is durable.
    Footer(Trailer),
    /// There is none: it does not fit, or must not hide damage.
    Memory(Vec<Sparse>),
}

impl Log {
    /// Make the spare segments that are missing and write the footers of full segments, here and now. The
    /// writer has a thread for this. Without room on the disk there will be fewer spares.
    ///
    /// # Errors
    /// What failed the first time; [`Error::Poisoned`] ever after.
    pub fn upkeep(&mut self) -> Result<(), Error> {
        self.guarded(|_| Ok(()))?;
        while let Some(job) = self.next_job() {
            self.adopt(job.run())?;
        }
        Ok(())
    }

    /// What is to be done next, if anything is and nothing is being done. A footer can wait, but not
    /// for the last of the spares.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        if self.job_is_out {
            return None;
        }
        let wants_spare = self.ready.len() < self.options.spare_segments
            && self.manifest.segments.len() < SEGMENTS_MAX
            && self.spare_wait_bytes == 0;
        let footer = self.unsealed.front().filter(|_| !wants_spare || !self.ready.is_empty());
        let job = match footer {
            Some(footer) => Job::Footer(Arc::clone(footer), Arc::clone(&self.lock)),
            None if wants_spare => Job::Spare(self.spare_job(self.options.segment_bytes)),
            None => return None,
        };
        self.job_is_out = true;
        Some(job)
    }

    /// Take up what was done: a spare belongs to the log from now on, a footer is used.
    pub(crate) fn adopt(&mut self, done: Done) -> Result<(), Error> {
        self.job_is_out = false;
        match done {
            Done::Spare(Spare { made: Err(error), .. }) if error.is_full() => {
                self.spare_wait_bytes = SPARE_RETRY_BYTES;
                Ok(())
            }
            Done::Spare(Spare { made: Ok(None), .. }) => Ok(()),
            Done::Spare(Spare { made, listed }) => self.guarded(|log| log.enlist(listed, made?)),
            Done::Footer(sealed) => self.guarded(|log| {
                log.seal(sealed?);
                Ok(())
            }),
        }
    }

    /// The first of the full segments is sealed.
    pub(super) fn seal(&mut self, sealed: Sealed) {
        let job = self.unsealed.pop_front().expect("footers are written in order");
        let (trailer, places) = match sealed {
            Sealed::Footer(trailer) => (Some(trailer), Places::Footer),
            Sealed::Memory(index) => (None, Places::Sparse(Arc::new(index))),
        };
        job.segment.seal(trailer);
        self.shared.lock().positions.replace(&job.segment, &places);
    }

    /// What the footer of the active segment will say.
    pub(super) fn footer_job(&self, active: &Active) -> FooterJob {
        let written = &self.written;
        let first_index = active.gathered.first_index;
        let summary = Summary {
            first_seq: active.gathered.first_seq,
            last_seq: written.seq,
            end: active.end,
            first_index,
            last: written.terms.last,
            hard_state: written.hard_state,
            chain: written.chain,
            epoch: written.epoch,
            counts: written.counts(),
            term_runs: written.terms.runs_from(first_index),
            notes: active.gathered.offsets(),
        };
        let runs = self.shared.lock().positions.runs_in(&active.segment);
        let is_whole = !active.gathered.tells_of_damage && written.terms.faulty.is_empty();
        FooterJob { segment: Arc::clone(&active.segment), summary, runs, is_whole }
    }

    pub(super) fn spare_job(&mut self, capacity: u64) -> SpareJob {
        let id = self.manifest.next_segment;
        self.manifest.next_segment += 1;
        let listed = Listed { id, capacity, epoch: self.manifest.epoch, first_seq: 0 };
        SpareJob {
            io: Arc::clone(&self.io),
            identity: self.manifest.identity,
            listed,
            cancel: Arc::clone(&self.cancel),
            lock: Arc::clone(&self.lock),
        }
    }

    pub(super) fn enlist(&mut self, listed: Listed, made: Option<Segment>) -> Result<(), Error> {
        let segment = made.expect("only spares are given up");
        self.manifest.segments.push(listed);
        self.manifest.durable_seq = self.ledger_seq();
        self.manifest_file.store(&*self.io, &self.manifest)?;
        self.ready.push_back(Arc::new(segment));
        self.shared.lock().spares = self.ready.len();
        Ok(())
    }
}

impl Job {
    pub(crate) fn run(self) -> Done {
        match self {
            Self::Spare(job) => Done::Spare(job.run()),
            Self::Footer(job, lock) => {
                let sealed = job.run();
                drop(lock);
                Done::Footer(sealed)
            }
        }
    }
}

impl SpareJob {
    pub(crate) fn run(self) -> Spare {
        let made = segment::make(&*self.io, &self.identity, &self.listed, &self.cancel);
        if !matches!(made, Ok(Some(_))) {
            segment::unmake(&*self.io, self.listed.id);
        }
        drop(self.lock);
        Spare { listed: self.listed, made }
    }
}

impl FooterJob {
    pub(crate) fn run(&self) -> Result<Sealed, Error> {
        let sealed = self.write()?;
        if matches!(sealed, Sealed::Footer(_)) {
            let segment = &self.segment;
            segment.file.sync_data().map_err(Error::io("sync", &segment.path))?;
        }
        Ok(sealed)
    }

    /// Without the sync.
    pub(crate) fn write(&self) -> Result<Sealed, Error> {
        let Self { segment, summary, runs, is_whole } = self;
        let index = sparse_index(runs, |index| summary.term_of(index));
        let encoded = if *is_whole { seal::encode(summary, &index, segment.area()) } else { None };
        let Some(encoded) = encoded else {
            return Ok(Sealed::Memory(index));
        };
        let failed = Error::io("write the footer of", &segment.path);
        if !encoded.index.is_empty() {
            segment.file.write_at(&encoded.index, encoded.index_at).map_err(&failed)?;
        }
        segment.file.write_at(&encoded.tail, encoded.tail_at).map_err(&failed)?;
        Ok(Sealed::Footer(encoded.trailer))
    }
}
