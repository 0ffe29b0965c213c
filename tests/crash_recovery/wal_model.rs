//! The model of a log that every test here holds it to.

pub(crate) use tests::crash::{Contents, IDENTITY, Model, Random, open, small};
