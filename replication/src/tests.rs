//! Several replicas in memory, with simulated disks, clocks and links: scenarios as transcripts, one
//! test per research trap, ordered effects by equality, and random histories.

#![expect(clippy::cast_possible_truncation, reason = "logs of tests are short")]
#![expect(clippy::wildcard_enum_match_arm, reason = "tests look for one effect among many")]

mod bounds;
mod churn;
mod cluster;
mod disk;
mod effects;
mod genesis;
mod handover;
mod joining;
mod kit;
mod levels;
mod members;
mod one;
mod random;
mod reads;
mod recall;
mod repair;
mod total;
mod transcript;
mod traps;
