//! What a crash may leave, and what a node makes of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wal_bounds;
mod wal_crash;
mod wal_damage;
mod wal_every_call;
mod wal_faults;
mod wal_footers;
mod wal_found;
mod wal_golden;
mod wal_listed;
mod wal_model;
mod wal_protocol;
mod wal_repair;
mod wal_rules;
mod wal_sectors;
mod wal_slots;
mod wal_states;

/// Watched, so that a length read from a damaged file never becomes an allocation.
#[global_allocator]
static ALLOCATOR: tests::crash::Allocations = tests::crash::Allocations;
