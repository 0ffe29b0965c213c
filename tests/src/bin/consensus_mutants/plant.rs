//! All mutants in one copy of the sources, each behind a switch, so that one build has them all.
//!
//! What always holds: the switch is in the copy alone; it is an environment variable, read once.
//! A text that is not found exactly once, or that two mutants change, is an error.

use std::{collections::BTreeMap, fs};

use tests::mutation::{Changed, failed, tree};

use super::list::Mutant;

/// What says which mutant is on.
pub(super) const SWITCH: &str = "PLANTED";

/// Added to each crate that has mutants. It is `no_std`, maybe: so is not the copy.
const SWITCHBOARD: &str = r#"
/// Is this mutant on?
pub fn planted(name: &str) -> bool {
    extern crate std;
    static ON: std::sync::OnceLock<std::option::Option<std::string::String>> =
        std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("PLANTED").ok()).as_deref() == Some(name)
}
"#;

/// One text that a mutant replaces.
struct Place {
    start: usize,
    old: &'static str,
    guarded: String,
}

/// Every file that a mutant changes, with the change behind its switch.
pub(super) fn all(mutants: &[Mutant]) -> Result<Changed, String> {
    let mut places: BTreeMap<&'static str, Vec<Place>> = BTreeMap::new();
    for mutant in mutants {
        for (file, old, new) in mutant.changes {
            let text = read(file)?;
            let found: Vec<usize> = text.match_indices(old).map(|(start, _)| start).collect();
            let [start] = found[..] else {
                let (name, times) = (mutant.name, found.len());
                return Err(format!("{name}: this is {times} times in {file}, not once:\n{old}"));
            };
            let guarded = guarded(mutant.name, old, new);
            places.entry(file).or_default().push(Place { start, old, guarded });
        }
    }
    let mut changed = Changed::new();
    for (file, places) in places {
        changed.insert(file, replaced(file, places)?);
        let library = library(file)?;
        if let Some(text) = changed.get_mut(library) {
            if !text.ends_with(SWITCHBOARD) {
                text.push_str(SWITCHBOARD);
            }
        } else {
            changed.insert(library, read(library)? + SWITCHBOARD);
        }
    }
    Ok(changed)
}

/// `new` when the switch is on, else `old`. What ends with a line is statements, what does not is an
/// expression.
fn guarded(name: &str, old: &str, new: &str) -> String {
    let choice = format!("if crate::planted(\"{name}\") {{ {new} }} else {{ {old} }}");
    if old.ends_with('\n') { format!("{choice}\n") } else { format!("({choice})") }
}

fn replaced(file: &str, mut places: Vec<Place>) -> Result<String, String> {
    places.sort_unstable_by_key(|place| place.start);
    let text = read(file)?;
    let (mut result, mut rest) = (String::new(), 0);
    for Place { start, old, guarded } in places {
        let between = text.get(rest..start);
        let between = between.ok_or_else(|| format!("{file}: two mutants change this:\n{old}"))?;
        result.push_str(between);
        result.push_str(&guarded);
        rest = start + old.len();
    }
    result.push_str(text.get(rest..).unwrap_or_default());
    Ok(result)
}

/// The root file of the crate that a file belongs to.
fn library(file: &str) -> Result<&'static str, String> {
    const LIBRARIES: [&str; 5] = [
        "chat/src/lib.rs",
        "election/src/lib.rs",
        "replication/src/lib.rs",
        "tests/src/lib.rs",
        "wal/src/lib.rs",
    ];
    let room = file.split('/').next();
    let found = LIBRARIES.into_iter().find(|library| library.split('/').next() == room);
    found.ok_or_else(|| format!("{file} is in no crate of the simulator"))
}

fn read(file: &str) -> Result<String, String> {
    let path = tree()?.join(file);
    fs::read_to_string(&path).map_err(failed("read", &path))
}

#[cfg(test)]
mod checks {
    use std::collections::BTreeSet;

    use super::{super::list::MUTANTS, all};

    /// Of the 48 traps, so many are put back.
    const TRAPS_MIN: usize = 25;

    /// The list follows the code: whoever moves a rule is told at once.
    #[test]
    fn every_rule_is_where_the_list_says() {
        let changed = all(MUTANTS).unwrap();
        assert!(!changed.is_empty());
    }

    #[test]
    fn the_names_differ_and_the_traps_are_many() {
        let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
        let traps: BTreeSet<u8> = MUTANTS.iter().map(|mutant| mutant.trap).collect();
        assert!(traps.iter().all(|trap| (1..=48).contains(trap)));
        assert!(traps.len() >= TRAPS_MIN, "{traps:?}");
    }
}
