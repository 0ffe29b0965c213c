//! Patterns for names: `*`, `?` and `[a-z]`, `[!a-z]`, as in file names.
//!
//! Matching goes back to the last `*` only, so it costs at most pattern × name steps.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::{limits::GLOB_BYTES_MAX, rejection::Rejection};

/// A pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Glob {
    parts: Vec<Part>,
    prefix: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Any,
    One,
    Byte(u8),
    Set { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Glob {
    /// Read a pattern; case is folded, as in names.
    pub(crate) fn parse(text: &str) -> Result<Self, Rejection> {
        if text.is_empty() || text.len() > GLOB_BYTES_MAX {
            return Err(Rejection::GlobInvalid);
        }
        let text = text.to_ascii_lowercase();
        let mut parts = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            parts.push(match byte {
                b'*' => Part::Any,
                b'?' => Part::One,
                b'[' => {
                    let (set, after) = parse_set(rest).ok_or(Rejection::GlobInvalid)?;
                    rest = after;
                    set
                }
                byte => Part::Byte(byte),
            });
        }
        let prefix = text.split(['*', '?', '[']).next().unwrap_or_default().to_owned();
        Ok(Self { parts, prefix })
    }

    /// What every match begins with.
    pub(crate) fn literal_prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let (mut part, mut at) = (0, 0);
        // The part after the last `*`, and where in the name it is tried next.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.parts.get(part), name.get(at)) {
                (Some(Part::Any), _) => {
                    part += 1;
                    retry = Some((part, at));
                    continue;
                }
                (Some(wanted), Some(&byte)) if wanted.matches(byte) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                (None, None) => return true,
                (Some(_) | None, _) => {}
            }
            match retry {
                Some((after_star, tried)) if tried < name.len() => {
                    part = after_star;
                    at = tried + 1;
                    retry = Some((after_star, at));
                }
                Some(_) | None => return false,
            }
        }
    }
}

impl Part {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Byte(wanted) => *wanted == byte,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

/// What stands between `[` and `]`; gives what follows the `]`. A `]` right after the `[` is a
/// member of the set.
fn parse_set(text: &[u8]) -> Option<(Part, &[u8])> {
    let (negated, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [b']', rest @ ..] if !ranges.is_empty() => {
                return Some((Part::Set { negated, ranges }, rest));
            }
            [low, b'-', high, rest @ ..] if *high != b']' => {
                ranges.push((*low, *high));
                rest
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
            [] => return None,
        };
    }
}
