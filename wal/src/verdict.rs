//! What is made of one place in the log where the next batch should be: a pure decision.
//!
//! What always holds (research F15, F16): every evidence gets exactly one verdict; what anything says
//! was durable is never called torn or the end; only what a lost write explains is cut; with less to
//! see, or more amiss, the verdict never trusts more.
//!
//! ```text
//! later header, manifest or vote file says "it was durable"  -> corrupt, if a good header bounds it
//!                                                            -> end unknown, if none does
//! the run before ended in order                              -> stopped
//! zeros from here on                                         -> clean end
//! a sector that was written is zero                          -> torn
//! anything else                                              -> suspect, or end unknown
//! ```

use crate::error::Damage;

/// What stands where the next batch's header should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HeaderSeen {
    /// A good header that follows the batch before.
    Follows,
    /// A good header that does not.
    Strays,
    /// Something else.
    Bad,
    /// Zeros.
    Zero,
    /// The segment has no room for one.
    NoRoom,
}

/// What lies beyond the place, in this segment and in later ones.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Beyond {
    /// Zeros.
    Zeros,
    /// Something, and no good header in it.
    Remains,
    /// A good header of a later batch, which does not know this one to be durable.
    Batch,
    /// A good header of a later batch, which knows this one to be durable.
    Durable,
}

/// Everything that can be known about one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) header: HeaderSeen,
    /// Does the body's checksum hold? Means something only after a header that follows.
    pub(crate) body_holds: bool,
    /// Has the body more zero sectors than were written? Means something only after such a header.
    pub(crate) sector_lost: bool,
    pub(crate) beyond: Beyond,
    /// The manifest or the vote file knows this batch to be durable.
    pub(crate) ledger_knows: bool,
    /// The batch before says that the run ended in order, and it is of the newest epoch, as the manifest says,
    /// or the vote file when the manifest is lost.
    pub(crate) stopped: bool,
    /// There is a batch of an epoch that the manifest does not know.
    pub(crate) epoch_above: bool,
    /// The manifest was rebuilt: it cannot tell whether a segment is missing.
    pub(crate) rebuilt: bool,
    /// A listed segment that may have held this batch or a later one cannot be read.
    pub(crate) missing: bool,
}

/// What is to be done about the place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// A whole batch: it counts, and the next one is looked for.
    Whole,
    /// The end, said to be so: nothing can be missing.
    Stopped,
    /// The end after a crash.
    CleanEnd,
    /// A write that a crash cut short and nobody was told of: it is cut off.
    Torn,
    /// Acknowledged and damaged: kept, and faulty up to what the next good header says.
    Corrupt,
    /// Damaged, and perhaps acknowledged: as above.
    Suspect,
    /// Something may have been here and beyond, and nothing says how much.
    EndUnknown,
    /// Nothing can be built on this.
    Refused(Damage),
}

/// The one decision.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    let Evidence { header, body_holds, sector_lost, beyond, .. } = *evidence;
    if evidence.epoch_above {
        return Verdict::Refused(Damage::Stale);
    }
    if header == HeaderSeen::Strays {
        return Verdict::Refused(Damage::OutOfSequence);
    }
    if header == HeaderSeen::Follows && body_holds {
        return Verdict::Whole;
    }
    let has_later = matches!(beyond, Beyond::Batch | Beyond::Durable);
    let is_bounded = header == HeaderSeen::Follows || has_later;
    let was_acknowledged = beyond == Beyond::Durable || evidence.ledger_knows;
    if was_acknowledged {
        return if is_bounded { Verdict::Corrupt } else { Verdict::EndUnknown };
    }
    // A mark that something follows is no mark.
    if evidence.stopped && !is_bounded {
        return Verdict::Stopped;
    }
    let nothing_follows = beyond == Beyond::Zeros;
    // What is silent counts for nothing when what could speak is gone.
    if !evidence.rebuilt && !evidence.missing {
        match header {
            HeaderSeen::Zero | HeaderSeen::NoRoom if nothing_follows => return Verdict::CleanEnd,
            HeaderSeen::Zero => return Verdict::Torn,
            HeaderSeen::Follows if sector_lost => return Verdict::Torn,
            HeaderSeen::Follows | HeaderSeen::Strays | HeaderSeen::Bad | HeaderSeen::NoRoom => {}
        }
    }
    if is_bounded { Verdict::Suspect } else { Verdict::EndUnknown }
}

#[cfg(test)]
mod tests;
