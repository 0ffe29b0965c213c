//! One mutant at a time in a copy of the working tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ::tests::mutation::{Changed, Copy, failed, tree};

use super::list::Mutant;

/// Where the copy differs: cargo builds a package's programs with its tests, and these need none.
const MANIFEST: &str = "tests/Cargo.toml";

/// A mutant in the copy.
pub(super) struct Planted {
    path: PathBuf,
    original: String,
}

impl Planted {
    pub(super) fn remove(self) -> Result<(), String> {
        fs::write(&self.path, self.original).map_err(failed("write", &self.path))
    }
}

/// The copy, without any mutant.
pub(super) fn of_the_tree() -> Result<Copy, String> {
    let manifest = tree()?.join(MANIFEST);
    let text = fs::read_to_string(&manifest).map_err(failed("read", &manifest))?;
    let changed = Changed::from([(MANIFEST, without_programs(&text))]);
    Copy::of_the_tree("wal-mutants", &changed)
}

pub(super) fn plant(copy: &Copy, mutant: &Mutant) -> Result<Planted, String> {
    let (path, original, text) = mutated(&copy.root, mutant)?;
    fs::write(&path, text).map_err(failed("write", &path))?;
    Ok(Planted { path, original })
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

#[cfg(test)]
mod tests {
    use ::tests::mutation::tree;

    use super::{super::list::MUTANTS, mutated};

    /// The list follows the code: whoever moves a safeguard is told at once.
    #[test]
    fn every_safeguard_is_where_the_list_says() {
        for mutant in MUTANTS {
            let (_, before, after) = mutated(tree().unwrap(), mutant).unwrap();
            assert_ne!(before, after, "{}", mutant.name);
        }
    }
}
