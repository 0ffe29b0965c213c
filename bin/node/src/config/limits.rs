//! `[limits]`: what clients may take of a node, in one table. Each line is a key of the file, its
//! default, its bounds and its unit; `node.example.toml` says what happens beyond.

use serde::Deserialize;

use super::{
    Bounded, ConfigError, bounded,
    check::{Source, number},
    raw::At,
};

/// Bytes of the longest text as a client may write it: every byte of it as `\u00XX`, and the rest of
/// the JSON.
const TEXT_JSON_BYTES_MAX: u64 = 6 * 16_384 + 4_096;

const _: () = assert!(chat::limits::TEXT_BYTES_MAX == 16_384, "see TEXT_JSON_BYTES_MAX");

macro_rules! table {
    ($($(#[$doc:meta])+ $key:ident: $default:expr, $min:expr, $max:expr, $unit:literal;)+) => {
        /// `[limits]`
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct Limits {
            $($(#[$doc])+ pub $key: u64,)+
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct RawLimits {
            $($key: Option<At<u64>>,)+
        }

        /// Every number of the section.
        pub(super) const TABLE: &[Bounded] = &[
            $(bounded(concat!("limits.", stringify!($key)), $default, $min, $max, $unit),)+
        ];

        impl Limits {
            /// What holds where the file says nothing.
            pub const DEFAULT: Self = Self { $($key: $default,)+ };
        }

        impl Default for Limits {
            fn default() -> Self {
                Self::DEFAULT
            }
        }

        pub(super) fn check(source: &Source<'_>, raw: &RawLimits) -> Result<Limits, ConfigError> {
            Ok(Limits {
                $($key: number(
                    source,
                    concat!("limits.", stringify!($key)),
                    raw.$key.as_ref(),
                )?,)+
            })
        }
    };
}

table! {
    /// Client connections open at once.
    connections: 4_096, 1, 1_000_000, "connections";
    /// Of these, from one address.
    connections_per_address: 2_048, 1, 1_000_000, "connections";
    /// Headers of a request.
    headers: 64, 16, 1_024, "headers";
    /// Bytes of a request's head.
    head_bytes: 32 << 10, 8 << 10, 1 << 20, "bytes";
    /// Bytes of a request's body.
    body_bytes: 128 << 10, TEXT_JSON_BYTES_MAX, 1 << 20, "bytes";
    /// Bytes of requests accepted and not yet answered.
    in_flight_bytes: 64 << 20, 1 << 20, 1 << 34, "bytes";
    /// Commands and reads that wait for the core.
    queued_requests: 4_096, 16, 65_536, "requests";
    /// Requests per second of one account on this node; 0 is no limit.
    requests_per_s: 20_000, 0, 1_000_000, "requests per second";
    /// Passwords hashed at once; each takes one core and 19 MiB meanwhile.
    password_hashes: 2, 1, 64, "hashes";
    /// Passwords that wait to be hashed.
    password_queue: 64, 0, 4_096, "hashes";
    /// Log-ins under one name that may fail in a minute; 0 is no limit.
    failed_logins_per_name: 10, 0, 10_000, "log-ins per minute";
    /// Log-ins from one address that may fail in a minute; 0 is no limit.
    failed_logins_per_address: 120, 0, 10_000, "log-ins per minute";
    /// WebSockets open at once.
    websockets: 3_072, 1, 1_000_000, "connections";
    /// Bytes of one WebSocket message from a client.
    frame_bytes: 128 << 10, TEXT_JSON_BYTES_MAX, 1 << 20, "bytes";
    /// Sends of one WebSocket that wait for their outcome.
    sends_in_flight: 1_024, 1, 65_536, "sends";
    /// Bytes that a WebSocket holds for a client that does not read.
    websocket_buffer_bytes: 1 << 20, 256 << 10, 64 << 20, "bytes";
}
