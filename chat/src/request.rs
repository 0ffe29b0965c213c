//! Request ids: what makes a retried command take effect at most once.
//!
//! What always holds, per account and whatever arrives in whatever order:
//! - An id whose outcome is remembered is answered with that outcome and does nothing.
//! - An id below the floor (older than 24 h of log time, or not above the greatest id dropped for
//!   the cap) is never carried out: it may have been before.
//! - So no id is ever carried out twice, and none in silence.
//!
//! What is remembered below the floor is dead weight: dropping it sooner or later shows nowhere.

use alloc::collections::BTreeMap;
use core::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::{
    limits::{REQUEST_AHEAD_US_MAX, REQUEST_REMEMBERED_US, REQUESTS_MAX},
    outcome::Answer,
    rejection::Rejection,
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A UUID of version 7. Ordered by its time first.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Read the text form, with or without hyphens, in either case.
    ///
    /// # Errors
    /// [`Rejection::RequestIdMalformed`] for anything but a UUID of version 7.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let mut bytes = [0; 16];
        let mut digits = 0_usize;
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'-' && text.len() == 36 && matches!(at, 8 | 13 | 18 | 23) {
                continue;
            }
            let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(digit), Some(slot)) = (digit, bytes.get_mut(digits / 2)) else {
                return Err(Rejection::RequestIdMalformed);
            };
            *slot = *slot << 4 | digit;
            digits += 1;
        }
        if digits == 32 { Self::from_bytes(bytes) } else { Err(Rejection::RequestIdMalformed) }
    }

    /// The id of these bytes.
    ///
    /// # Errors
    /// [`Rejection::RequestIdMalformed`] for anything but a UUID of version 7.
    pub const fn from_bytes(bytes: [u8; 16]) -> Result<Self, Rejection> {
        let id = Self(bytes);
        if id.is_valid() { Ok(id) } else { Err(Rejection::RequestIdMalformed) }
    }

    /// Make an id from milliseconds since 1970 (48 bits of them) and 74 random bits.
    #[must_use]
    pub const fn new(unix_ms: u64, random: u128) -> Self {
        let version = 0x7_u128 << 76;
        let variant = 0b10_u128 << 62;
        let high = (random >> 62 & 0xfff) << 64;
        let low = random & ((1 << 62) - 1);
        let time = (unix_ms as u128 & 0xffff_ffff_ffff) << 80;
        Self((time | version | high | variant | low).to_be_bytes())
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The salt for a password that is set under this request: unique, and the same for a retry.
    #[must_use]
    pub const fn salt(self) -> [u8; 16] {
        self.0
    }

    /// Its time, in microseconds since 1970; the field itself has milliseconds.
    #[must_use]
    pub const fn time_us(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f]) * 1_000
    }

    /// Deriving lets any bytes in; `Command::decode` asks this.
    pub(crate) const fn is_valid(self) -> bool {
        let [_, _, _, _, _, _, version, _, variant, ..] = self.0;
        version >> 4 == 7 && variant >> 6 == 0b10
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_char('-')?;
            }
            for half in [byte >> 4, byte & 0xf] {
                f.write_char(char::from(DIGITS[usize::from(half)]))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// The requests of one account whose outcomes are remembered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Requests {
    remembered: BTreeMap<RequestId, Remembered>,
    /// The greatest of them: an id above it, as nearly every one is, need not be looked for.
    greatest: Option<RequestId>,
    /// The greatest id dropped for the cap; none at or below it is carried out.
    dropped: Option<RequestId>,
}

/// An outcome to give again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Remembered {
    /// Hash of what was asked, without what a retry may change.
    body_hash: u64,
    result: Result<Answer, Rejection>,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Carry it out, and remember the outcome.
    Fresh,
    /// It was carried out: answer this.
    Repeated(Result<Answer, Rejection>),
    /// Neither; this is not remembered.
    Refused(Rejection),
}

impl Requests {
    /// Judge a request at log time `time_us`.
    pub(crate) fn admit(&self, id: RequestId, body_hash: u64, time_us: u64) -> Admission {
        if is_old(id, time_us) {
            return Admission::Refused(Rejection::RequestIdExpired);
        }
        if Some(id) <= self.greatest
            && let Some(remembered) = self.remembered.get(&id)
        {
            return if remembered.body_hash == body_hash {
                Admission::Repeated(remembered.result)
            } else {
                Admission::Refused(Rejection::RequestIdConflict)
            };
        }
        match check_ahead(id, time_us) {
            Err(rejection) => Admission::Refused(rejection),
            Ok(()) if self.is_below_floor(id, time_us) => {
                Admission::Refused(Rejection::RequestIdExpired)
            }
            Ok(()) => Admission::Fresh,
        }
    }

    /// Has `id` an outcome that will not change? Also true below the floor, where it never will be
    /// carried out.
    pub(crate) fn is_settled(&self, id: RequestId, time_us: u64) -> bool {
        self.remembered.contains_key(&id) || self.is_below_floor(id, time_us)
    }

    /// Remember the outcome of a request that was admitted as fresh.
    pub(crate) fn remember(
        &mut self,
        id: RequestId,
        body_hash: u64,
        result: Result<Answer, Rejection>,
    ) {
        let before = self.remembered.insert(id, Remembered { body_hash, result });
        assert!(before.is_none(), "a request is carried out once");
        self.greatest = self.greatest.max(Some(id));
        if self.len() > REQUESTS_MAX {
            // By id, not by arrival: the floor must lie above everything that was forgotten.
            if let Some((lowest, _)) = self.remembered.pop_first() {
                assert!(self.dropped < Some(lowest), "the floor only rises");
                self.dropped = Some(lowest);
            }
        }
    }

    /// Is the outcome of `id` held?
    pub(crate) fn remembers(&self, id: RequestId) -> bool {
        self.remembered.contains_key(&id)
    }

    /// How many outcomes are held.
    pub(crate) fn len(&self) -> usize {
        self.remembered.len()
    }

    fn is_below_floor(&self, id: RequestId, time_us: u64) -> bool {
        self.dropped.is_some_and(|dropped| id <= dropped) || is_old(id, time_us)
    }

    /// Drop up to `most` outcomes that will not be asked for again. Gives how many.
    pub(crate) fn forget_old(&mut self, time_us: u64, most: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < most
            && let Some(lowest) = self.remembered.first_entry()
            && is_old(*lowest.key(), time_us)
        {
            lowest.remove();
            forgotten += 1;
        }
        if self.remembered.is_empty() {
            self.greatest = None;
        }
        forgotten
    }
}

/// Judge the id of a request that belongs to no account yet.
pub(crate) fn check_unowned(id: RequestId, time_us: u64) -> Result<(), Rejection> {
    check_ahead(id, time_us)?;
    if is_old(id, time_us) { Err(Rejection::RequestIdExpired) } else { Ok(()) }
}

fn check_ahead(id: RequestId, time_us: u64) -> Result<(), Rejection> {
    if id.time_us() > time_us.saturating_add(REQUEST_AHEAD_US_MAX) {
        Err(Rejection::RequestIdAhead)
    } else {
        Ok(())
    }
}

fn is_old(id: RequestId, time_us: u64) -> bool {
    id.time_us() < time_us.saturating_sub(REQUEST_REMEMBERED_US)
}
