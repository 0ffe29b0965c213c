//! Every bound of the client API, with its unit. Bounds on names, texts and pages of the chat
//! itself live in `chat::limits`.

use std::time::Duration;

/// Connections open at once; the next one is closed before it is read. Overridden by
/// `limits.connections`.
pub const CONNECTIONS_MAX: usize = 4096;
/// Connections open at once to the listener that serves the metrics alone.
pub const METRICS_CONNECTIONS_MAX: usize = 16;
/// Bytes of requests being answered at once; the next one is told 503 `busy`. Overridden by
/// `limits.in_flight_bytes`.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a request counts for at least among the bytes in flight.
pub const REQUEST_BYTES_MIN: usize = 4 * 1024;
/// Bytes of a request's body: a text of the greatest size still fits when a client writes every
/// byte as `\u00XX`.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Streams of one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;

/// From the first byte a connection owes its head, and an idle one its next request, within this
/// time. Overridden by `timing.head_ms`.
pub const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A client has this long to send a request's body. Overridden by `timing.body_ms`.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A client has this long for its TLS handshake. Overridden by `timing.handshake_ms`.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A request is given up (503 when nothing was done, 504 when that is not known) after this long.
/// Overridden by `timing.request_ms`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// At shutdown, requests already begun have this long to end. Overridden by `timing.drain_ms`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// What a client that finds the node unable is told to wait at least.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A stale read of a state that was last proved current so many milliseconds ago has it proved
/// anew, and does not wait for that.
pub const STALE_REFRESH_MS: u64 = 500;

/// Passwords hashed at once: each takes 19 MiB and a core. Overridden by `limits.password_hashes`.
pub const HASHES_AT_ONCE: usize = 2;
/// Passwords that wait for their turn; the next one is told 429.
pub const HASHES_WAITING_MAX: usize = 64;

/// Bytes of one WebSocket frame, and of one message, from a client.
pub const FRAME_BYTES_MAX: usize = BODY_BYTES_MAX;
/// Bytes that every WebSocket holds for reading: clients say little at a time.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of frames that are gathered for one write to a WebSocket.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that one WebSocket holds back for a client that does not read; events beyond wait among
/// those that the node keeps for all, and who falls behind them is closed with its cursor.
pub const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Events that are gathered for one write to a WebSocket.
pub const FRAMES_PER_WRITE_MAX: usize = 128;
/// Sockets that asked for it are told how the cluster does no more often than this.
pub const CLUSTER_FRAME_INTERVAL: Duration = Duration::from_millis(500);
/// Sends of one WebSocket that wait for their outcome; more are not read from the socket until one
/// is answered.
pub const SENDS_IN_FLIGHT_MAX: usize = 1024;
/// Events read from the log at a time while a WebSocket catches up.
pub const REPLAY_PAGE: usize = 128;
/// A client has this long to say who it is. Overridden by `timing.hello_ms`.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A ping goes to the client this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A client from which nothing came for this long is gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(20);
/// One write to a WebSocket may take this long: then the client counts as too slow.
pub const FRAME_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!(
    BODY_BYTES_MAX >= 6 * chat::limits::TEXT_BYTES_MAX + 4096,
    "a text of 16 KiB fits, escaped"
);
const _: () = assert!(HASHES_AT_ONCE >= 1);
const _: () = assert!(WRITE_BUFFER_BYTES_MAX > WRITE_BUFFER_BYTES + FRAME_BYTES_MAX);
