//! Marks that tests leave which need more than a user's rights: the gate looks for them, so that a
//! machine on which they were skipped is not taken for one on which they passed.

use std::{fs, path::PathBuf};

/// Is this a machine where no test may be skipped? The gate says so.
#[must_use]
pub fn must_run() -> bool {
    std::env::var_os("HOLDFAST_TESTS_MUST_RUN").is_some()
}

/// The mark of a test.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
}

impl Mark {
    /// In the test's own directory, `CARGO_TARGET_TMPDIR`.
    #[must_use]
    pub fn new(dir: &str, name: &str) -> Self {
        Self { path: PathBuf::from(dir).join(format!("{name}.ran")) }
    }

    /// The test ran to its end.
    ///
    /// # Panics
    /// When the mark cannot be written.
    pub fn leave(&self) {
        fs::write(&self.path, "ran\n").expect("a mark can be written");
    }
}
