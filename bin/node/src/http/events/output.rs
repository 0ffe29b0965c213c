//! The writing half of a WebSocket: every write has a deadline, and the last word says why it ends
//! and where to go on.

use std::{future::Future, time::Duration};

use axum::{
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    http::StatusCode,
};
use futures_util::{SinkExt as _, stream::SplitSink};
use tokio::time::timeout;

use super::frame::ServerFrame;
use crate::http::error::Refusal;

/// The close code of a socket whose session has ended, or that has shown none: as 401 is of HTTP.
const UNAUTHORIZED: u16 = 4401;

/// Why a WebSocket ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client is gone.
    Gone,
    /// What the client sent is no WebSocket frame, or larger than one may be.
    Unreadable {
        /// Bytes that one may have.
        bytes_max: u64,
    },
    /// The client reads more slowly than events come.
    Slow,
    /// The node is about to stop.
    Leaving,
    /// The node refuses to go on.
    Refused(Refusal),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The writing half.
#[derive(Debug)]
pub(super) struct Output {
    sink: SplitSink<WebSocket, Message>,
    write_timeout: Duration,
}

impl Output {
    pub(super) fn new(sink: SplitSink<WebSocket, Message>, write_timeout: Duration) -> Self {
        Self { sink, write_timeout }
    }

    /// Writes a frame, or leaves it to the next [`flush`](Self::flush).
    pub(super) async fn feed(&mut self, frame: &ServerFrame) -> Result<(), End> {
        self.feed_text(frame.json()?.into()).await
    }

    /// The same, of a frame as text.
    pub(super) async fn feed_text(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.put(Message::Text(text)).await
    }

    /// Writes whatever waits.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        in_time(self.write_timeout, self.sink.flush()).await
    }

    /// Asks the client for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), End> {
        self.put(Message::Ping(Vec::new().into())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        in_time(self.write_timeout, self.sink.feed(message)).await
    }

    /// Says why it ends, and the cursor to go on from.
    pub(super) async fn close(mut self, end: &End, cursor: Option<u64>) {
        let Some((close_code, refusal)) = last_word(end) else {
            return;
        };
        let frame = ServerFrame::Error { error: refusal.object(), retry: refusal.may_retry() };
        let cursor = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        let reason = format!("{{\"code\":\"{}\",\"cursor\":{cursor}}}", refusal.code);
        let close = Message::Close(Some(CloseFrame { code: close_code, reason: reason.into() }));
        let goodbye = async {
            self.feed(&frame).await?;
            self.put(close).await?;
            self.flush().await
        };
        // Who does not take it will find the connection closed.
        if goodbye.await.is_err() {
            tracing::debug!("a WebSocket ended without a last word");
        }
    }
}

fn last_word(end: &End) -> Option<(u16, Refusal)> {
    match end {
        End::Gone => None,
        End::Unreadable { bytes_max } => {
            let message = format!("a frame is JSON text of {bytes_max} bytes at most");
            Some((close_code::POLICY, Refusal::malformed(message)))
        }
        End::Slow => {
            let message = "events come faster than this client reads them";
            let mut refusal = Refusal::unavailable("too_slow", message);
            "go on from the cursor, or read the history".clone_into(&mut refusal.hint);
            Some((close_code::AGAIN, refusal))
        }
        End::Leaving => {
            let refusal = Refusal::unavailable("draining", "this node is about to stop");
            Some((close_code::AWAY, refusal))
        }
        End::Refused(refusal) if refusal.may_retry() => Some((close_code::AGAIN, refusal.clone())),
        End::Refused(refusal) if refusal.status == StatusCode::UNAUTHORIZED => {
            Some((UNAUTHORIZED, refusal.clone()))
        }
        End::Refused(refusal) => Some((close_code::POLICY, refusal.clone())),
    }
}

async fn in_time(
    limit: Duration,
    write: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), End> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err(End::Gone),
        Err(_elapsed) => Err(End::Slow),
    }
}
