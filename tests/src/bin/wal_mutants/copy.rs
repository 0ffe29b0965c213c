//! A copy of the working tree to plant mutants in.
//!
//! What always holds: a file whose text is right already is not written, so that cargo builds only what
//! a mutant changes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::list::Mutant;

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
/// Where the copy differs: cargo builds a package's programs with its tests, and these need none.
const MANIFEST: &str = "tests/Cargo.toml";

/// The copy.
pub(super) struct Copy {
    pub(super) root: PathBuf,
    /// Where it is built: apart, since cargo would take a mutant for the package of the same name.
    pub(super) target: PathBuf,
}

/// A mutant in the copy.
pub(super) struct Planted {
    path: PathBuf,
    original: String,
}

impl Copy {
    pub(super) fn of_the_tree() -> Result<Self, String> {
        let tree = tree()?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree.join("target"), PathBuf::from);
        let root = target.join("wal-mutants");
        fs::create_dir_all(&root).map_err(failed("make", &root))?;
        let manifest = tree.join(MANIFEST);
        for name in TREE {
            same(&tree.join(name), &root.join(name), &manifest)?;
        }
        let text = fs::read_to_string(&manifest).map_err(failed("read", &manifest))?;
        write(&root.join(MANIFEST), without_programs(&text).as_bytes())?;
        let target = root.join("target");
        Ok(Self { root, target })
    }

    pub(super) fn plant(&self, mutant: &Mutant) -> Result<Planted, String> {
        let (path, original, text) = mutated(&self.root, mutant)?;
        fs::write(&path, text).map_err(failed("write", &path))?;
        Ok(Planted { path, original })
    }
}

impl Planted {
    pub(super) fn remove(self) -> Result<(), String> {
        fs::write(&self.path, self.original).map_err(failed("write", &self.path))
    }
}

fn tree() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| "no workspace".to_owned())
}

/// The file below `root` that a mutant changes, its text before and after.
pub(super) fn mutated(root: &Path, mutant: &Mutant) -> Result<(PathBuf, String, String), String> {
    let path = root.join(mutant.file);
    let original = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let mut text = original.clone();
    for (old, new) in mutant.changes {
        let times = text.matches(old).count();
        if times != 1 {
            let (name, file) = (mutant.name, mutant.file);
            return Err(format!("{name}: this is {times} times in {file}, not once:\n{old}"));
        }
        text = text.replacen(old, new, 1);
    }
    Ok((path, original, text))
}

/// A manifest without its `[[bin]]` tables.
fn without_programs(manifest: &str) -> String {
    let mut is_program = false;
    let kept = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_program = *line == "[[bin]]";
        }
        !is_program
    });
    let kept: Vec<&str> = kept.collect();
    kept.join("\n").replacen("autotests = false", "autotests = false\nautobins = false", 1)
}

/// Write `text` to a file that does not hold it already.
fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(failed("write", path))
}

/// Make `to` the same as `from`, except for one file.
fn same(from: &Path, to: &Path, except: &Path) -> Result<(), String> {
    if from == except {
        return Ok(());
    }
    if !from.is_dir() {
        return write(to, &fs::read(from).map_err(failed("read", from))?);
    }
    fs::create_dir_all(to).map_err(failed("make", to))?;
    let wanted = names(from)?;
    for name in names(to)?.iter().filter(|name| !wanted.contains(name)) {
        let gone = to.join(name);
        let removed =
            if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) };
        removed.map_err(failed("remove", &gone))?;
    }
    wanted.iter().try_for_each(|name| same(&from.join(name), &to.join(name), except))
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let name = entry.map_err(failed("list", folder))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !LEFT_OUT.contains(&name.as_str())));
    }
    Ok(names)
}

fn failed(action: &str, path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("cannot {action} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::{super::list::MUTANTS, mutated, tree};

    /// The list follows the code: whoever moves a safeguard is told at once.
    #[test]
    fn every_safeguard_is_where_the_list_says() {
        for mutant in MUTANTS {
            let (_, before, after) = mutated(tree().unwrap(), mutant).unwrap();
            assert_ne!(before, after, "{}", mutant.name);
        }
    }
}
