//! Ordered effects of the election, by equality.
