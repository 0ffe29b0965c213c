//! The bounds of the client API that no operator has to think of, with their units. Those of
//! `node.toml` live in `config::limits`, those on names, texts and pages of the chat itself in
//! `chat::limits`.

use std::time::Duration;

/// Connections open at once to the listener that serves the metrics alone.
pub const METRICS_CONNECTIONS_MAX: u64 = 16;
/// What a request counts for at least among the bytes in flight.
pub const REQUEST_BYTES_MIN: usize = 4 * 1024;
/// Bytes above `limits.body_bytes` that are read of a body and dropped, so that a client which writes
/// all of it before it reads sees why it is refused.
pub const OVERSIZE_READ_BYTES_MAX: usize = 2 * 1024 * 1024;
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

/// Bytes that every WebSocket holds for reading: clients say little at a time.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of frames that are gathered for one write to a WebSocket.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// Events that are gathered for one write to a WebSocket.
pub const FRAMES_PER_WRITE_MAX: usize = 128;
/// Sockets that asked for it are told how the cluster does no more often than this.
pub const CLUSTER_FRAME_INTERVAL: Duration = Duration::from_millis(500);
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
/// Names, and addresses, whose failed log-ins are remembered.
pub const LOGIN_KEYS_MAX: usize = 4096;

/// A bound of the file as a size in memory.
pub(crate) fn size(bound: u64) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}

const _: () = assert!(RETRY_AFTER.as_secs() >= 1);
