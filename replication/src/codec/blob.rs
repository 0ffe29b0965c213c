//! Bytes and bounded lists as postcard writes them, without a copy and without trust in a length.

use core::fmt;
use std::marker::PhantomData;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use super::APPEND_ENTRIES_MAX;

/// A byte string that borrows from the frame.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Blob<'a>(#[serde(borrow)] pub(super) &'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("Blob", &Raw(self.0))
    }
}

/// Bytes in one piece; serde would write a slice byte by byte.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A list of at most [`APPEND_ENTRIES_MAX`] elements.
#[derive(Serialize)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {APPEND_ENTRIES_MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == APPEND_ENTRIES_MAX {
                return Err(A::Error::custom("too many elements"));
            }
            items.push(item);
        }
        Ok(List(items))
    }
}
