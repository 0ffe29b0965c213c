//! A disk in memory that loses at a crash what was not synced.
