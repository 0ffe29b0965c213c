//! Crash states: every way in which the power may go while a log works, and what the log makes of it.
//!
//! A history is drawn from a seed. At each of its I/O calls the power goes, and every combination of
//! what the disk may then hold is opened and held to the model. `cargo crash-states` runs millions.

mod allocations;
mod batch;
mod explore;
mod faults;
mod history;
mod mend;
mod model;
mod path;
mod remains;

pub use allocations::Allocations;
pub use batch::{Batch, Totals};
pub use explore::{Explorer, Violation, replay};
pub use history::{History, Kind};
pub use model::{Contents, IDENTITY, Model, Random, open, small};
pub use path::{Path, Step};
