//! A copy of the working tree to plant mutants in, for `cargo wal-mutants` and
//! `cargo consensus-mutants`.
//!
//! What always holds: the working tree is only read; a file whose text is right already is not
//! written, so that cargo builds only what a mutant changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What is copied: every package that the lock file knows, and the settings of the workspace.
const TREE: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "wal",
    "election",
    "replication",
    "chat",
    "bin",
    "benches",
    "tests",
    "README.md",
];
/// Not needed to build a test, and large.
const LEFT_OUT: [&str; 3] = ["node_modules", "target", "screenshots"];

/// The files of a copy that differ from those of the tree, by their path from its root.
pub type Changed = BTreeMap<&'static str, String>;

/// The copy.
#[derive(Debug)]
pub struct Copy {
    /// Where it is.
    pub root: PathBuf,
    /// Where it is built: apart, since cargo would take a mutant for the package of the same name.
    pub target: PathBuf,
}

impl Copy {
    /// The tree as it is now, but for the files in `changed`; below the target directory.
    ///
    /// # Errors
    /// In words, when a file cannot be read or written.
    pub fn of_the_tree(name: &str, changed: &Changed) -> Result<Self, String> {
        let tree = tree()?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree.join("target"), PathBuf::from);
        let root = target.join(name);
        fs::create_dir_all(&root).map_err(failed("make", &root))?;
        for name in TREE {
            same(Path::new(name), (tree, &root), changed)?;
        }
        let target = root.join("target");
        Ok(Self { root, target })
    }
}

/// The root of the working tree.
///
/// # Errors
/// In words, when there is none.
pub fn tree() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| "no workspace".to_owned())
}

/// What is said of a file with which something failed.
pub fn failed(action: &str, path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("cannot {action} {}: {error}", path.display())
}

/// Make `path` below `to` the same as below `from`, unless it is `changed`.
fn same(path: &Path, (from, to): (&Path, &Path), changed: &Changed) -> Result<(), String> {
    let (source, target) = (from.join(path), to.join(path));
    if let Some(text) = path.to_str().and_then(|path| changed.get(path)) {
        return write(&target, text.as_bytes());
    }
    if !source.is_dir() {
        return write(&target, &fs::read(&source).map_err(failed("read", &source))?);
    }
    fs::create_dir_all(&target).map_err(failed("make", &target))?;
    let wanted = names(&source)?;
    for name in names(&target)?.iter().filter(|name| !wanted.contains(name)) {
        let gone = target.join(name);
        let removed =
            if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) };
        removed.map_err(failed("remove", &gone))?;
    }
    wanted.iter().try_for_each(|name| same(&path.join(name), (from, to), changed))
}

/// Write `text` to a file that does not hold it already.
fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(failed("write", path))
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let name = entry.map_err(failed("list", folder))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !LEFT_OUT.contains(&name.as_str())));
    }
    Ok(names)
}
