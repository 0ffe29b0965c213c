//! The chatctl binary: all of it is in the library.
fn main() {}
