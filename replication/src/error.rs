//! What can be wrong with bytes that came from a disk or from a peer.

/// Bytes that are not what they should be. Decoding is total: any bytes give a value or one of these.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not in the encoding of the format.
    #[error("malformed {what}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What the decoder said.
        source: postcard::Error,
    },
    /// Bytes are left over behind the value.
    #[error("{bytes} trailing bytes behind a {what}")]
    Trailing {
        /// What was expected.
        what: &'static str,
        /// How many are left over.
        bytes: usize,
    },
    /// The same value has a shorter encoding, or another order.
    #[error("{what} is not in its canonical encoding")]
    NotCanonical {
        /// What was expected.
        what: &'static str,
    },
    /// Larger than its bound.
    #[error("{what}: {found} is more than the {max} allowed")]
    TooLarge {
        /// What is bounded.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much may be.
        max: usize,
    },
    /// A value without a meaning.
    #[error("{what} has a value that means nothing here")]
    Invalid {
        /// Where.
        what: &'static str,
    },
    /// An entry whose checksum does not hold.
    #[error("the checksum of entry {index} does not hold: it was damaged on its way")]
    Damaged {
        /// The entry's index.
        index: u64,
    },
    /// Made by a newer version of this program.
    #[error(
        "{what} has format {found}, newer than {known}, the newest known here: upgrade this node"
    )]
    Newer {
        /// What it is.
        what: &'static str,
        /// Its format.
        found: u8,
        /// The newest format known here.
        known: u8,
    },
}
