//! What can be told of a log's directory without opening the log.

use crate::{Error, Io, manifest::ManifestFile, recovery, segment, vote::VoteFile};

/// The names in it.
pub(crate) fn list(io: &dyn Io) -> Result<Vec<String>, Error> {
    io.list().map_err(Error::io("list", &io.path("")))
}

/// A manifest makes a log; so does a vote file that says that one was opened, and a segment with a batch in
/// it, though without a manifest it is damaged.
pub(crate) fn holds_log(io: &dyn Io) -> Result<bool, Error> {
    let is_said = |said: Result<bool, Error>| match said {
        Err(Error::Version { .. }) => Ok(true),
        said => said,
    };
    let manifest = ManifestFile::open(io).map(|(_, manifest)| manifest.is_ok());
    let vote = || VoteFile::open(io).map(|(_, vote)| vote.is_ok_and(|vote| vote.epoch > 0));
    if is_said(manifest)? || is_said(vote())? {
        return Ok(true);
    }
    for id in list(io)?.iter().filter_map(|name| segment::id_of(name)) {
        if recovery::unlisted_batch(io, id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
