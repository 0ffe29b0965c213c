//! FNV-1a over an encoding, byte by byte as it is made, without a buffer.
//!
//! It tells honest mistakes apart (a fold that went another way, a request id used twice). It is no
//! defence against someone who looks for a collision: they would fool only themselves.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// The hash before anything is hashed.
pub(crate) const START: u64 = 0xcbf2_9ce4_8422_2325;

const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Carry `hash` on over the encoding of `value`.
pub(crate) fn continued<T: Serialize + ?Sized>(hash: u64, value: &T) -> u64 {
    match postcard::serialize_with_flavor(value, Fnv(hash)) {
        Ok(hash) => hash,
        Err(error) => unreachable!("what is hashed can be encoded: {error}"),
    }
}

struct Fnv(u64);

impl Flavor for Fnv {
    type Output = u64;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u64> {
        Ok(self.0)
    }
}

/// What kind of body is hashed, so that no two kinds look alike. The numbers are final.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Tag {
    Register,
    Login,
    Act,
}
