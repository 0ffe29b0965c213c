//! One program for all fuzz targets: the environment says which, or what else is wanted.
//!
//! ```text
//! FUZZ_TARGET=NAME    fuzz this one
//! FUZZ_LIST=          print the names of all
//! FUZZ_SEEDS=FOLDER   write the seeds of all to FOLDER/NAME
//! ```
//!
//! What always holds: an input that makes a target allocate beyond its bound, in one piece, is an input
//! that broke it.

#![no_main]

use std::{fs, path::Path, process, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use tests::{
    crash::Allocations,
    fuzz::{TARGETS, Target},
};

#[global_allocator]
static ALLOCATOR: Allocations = Allocations;

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = TARGETS.iter().find(|target| target.name == name);
        let target = target.unwrap_or_else(|| panic!("no target {name}"));
        // What is made once is made now, and counts for no input.
        let _taken = (target.run)(&[]);
        target
    })
}

/// What is wanted instead of fuzzing.
fn other_wishes() {
    if std::env::var_os("FUZZ_LIST").is_some() {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        process::exit(0);
    }
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        TARGETS.iter().for_each(|target| write_seeds(target, Path::new(&folder)));
        process::exit(0);
    }
}

fn write_seeds(target: &Target, corpus: &Path) {
    let folder = corpus.join(target.name);
    fs::create_dir_all(&folder).expect("the corpus is a folder");
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), seed).expect("it can be written to");
    }
}

fuzz_target!(init: other_wishes(), |input: &[u8]| {
    let _taken = target().judge(input);
});
