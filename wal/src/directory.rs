//! What can be told of a log's directory without opening the log.

use crate::{
    Error, Io,
    manifest::{MANIFEST, ManifestFile},
    recovery, segment,
};

/// The names in it.
pub(crate) fn list(io: &dyn Io) -> Result<Vec<String>, Error> {
    io.list().map_err(Error::io("list", &io.path("")))
}

/// A manifest makes a log; so does a segment with a batch in it, though without a manifest it is damaged.
pub(crate) fn holds_log(io: &dyn Io) -> Result<bool, Error> {
    let names = list(io)?;
    if names.iter().any(|name| name == MANIFEST.name) {
        match ManifestFile::open(io) {
            Ok(_) | Err(Error::Version { .. }) => return Ok(true),
            Err(Error::Damaged { .. } | Error::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for id in names.iter().filter_map(|name| segment::id_of(name)) {
        if recovery::unlisted_batch(io, id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
