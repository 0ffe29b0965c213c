//! Consensus in the small, searched exhaustively: a few nodes, terms and entries, and every order in which
//! anything may happen.
//!
//! Modelled are durable terms and votes, logs, the vote rule, log matching, leaders that are long
//! deposed and still heard, crashes (all that counts is on disk, so a crash is the end of a candidate
//! and nothing more), messages lost, late and doubled (what was sent may arrive at any later step),
//! changes of the configuration in force where it is appended and undone where it is cut, and
//! entries that rot takes from a node that knows. The quorums and the steps from one configuration
//! to the next are those of `election`, the code that ships. A commit counts at the first moment
//! when a quorum of the configuration in force has acknowledged, whether anybody knows or not.
//!
//! Not modelled: time and all that only spares elections (pre-votes, loyalty, the check of a
//! quorum), reads, learners' promotion, repair without a leader, snapshots, and disks that lie.
//!
//! What must hold in every state: one leader in a term; every leader has what was committed before its
//! term; nothing else is ever committed in its place; quorums of successive configurations meet. The
//! same search without one of the rules ([`Naive`]) must find a violation: so it could find one.

mod explore;
mod quorums;
mod rules;
mod state;
mod step;
mod symmetry;

pub use explore::{Report, Trace, explore, walk};
pub use rules::{Bounds, Naive};
