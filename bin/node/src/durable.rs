//! Files and directories that are still there after a crash.
//!
//! Nothing here reports success before the bytes and the directory entries that lead to them are
//! fsynced. Nothing is ever overwritten in place.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::NodeError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    /// Everybody.
    Public,
    /// Its owner alone.
    Private,
}

/// Make a directory for its owner alone; it must not exist.
pub(crate) fn create_dir(path: &Path) -> Result<(), NodeError> {
    DirBuilder::new().mode(0o700).create(path).map_err(NodeError::io("create", path))?;
    sync_parent(path)
}

/// Write a file that must not exist.
pub(crate) fn create_file(path: &Path, bytes: &[u8], access: Access) -> Result<(), NodeError> {
    let mode = match access {
        Access::Public => 0o644,
        Access::Private => 0o600,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(NodeError::io("create", path))?;
    file.write_all(bytes).map_err(NodeError::io("write", path))?;
    file.sync_all().map_err(NodeError::io("fsync", path))?;
    sync_parent(path)
}

/// Put new contents in the place of a file: a reader sees the old bytes or the new ones.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], access: Access) -> Result<(), NodeError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let staged = path.with_file_name(name);
    if staged.exists() {
        fs::remove_file(&staged).map_err(NodeError::io("remove", &staged))?;
    }
    create_file(&staged, bytes, access)?;
    fs::rename(&staged, path).map_err(NodeError::io("replace", path))?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> Result<(), NodeError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(NodeError::io("fsync", parent))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_for_their_owner_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        create_dir(&folder).unwrap();
        let file = folder.join("secret");
        create_file(&file, b"one", Access::Private).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        let again = create_file(&file, b"two", Access::Private).unwrap_err();
        assert!(again.to_string().starts_with("cannot create "), "{again}");
        replace_file(&file, b"two", Access::Private).unwrap();
        assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"two".to_vec(), 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
