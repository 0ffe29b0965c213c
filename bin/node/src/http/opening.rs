//! The first bytes of a connection. Which version of HTTP a client speaks is known only when they
//! have come, and before that no other deadline runs: a client that says nothing, or less than it
//! takes to tell, would hold its place for ever.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What a connection with HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Has every connection begin within this time.
#[derive(Clone, Debug)]
pub(super) struct Prompt<A> {
    inner: A,
    within: Duration,
}

impl<A> Prompt<A> {
    pub(super) fn new(inner: A, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<A, I, S> Accept<I, S> for Prompt<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Opening<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let within = self.within;
        let accepted = self.inner.accept(stream, service);
        accepted.map_ok(move |(stream, service)| (Opening::new(stream, within), service)).boxed()
    }
}

/// A connection that ends when its first bytes do not come in time.
#[derive(Debug)]
pub(super) struct Opening<I> {
    stream: I,
    /// None once the version is told.
    waits: Option<Pin<Box<Sleep>>>,
    /// What of the preface has come.
    told: usize,
}

impl<I> Opening<I> {
    fn new(stream: I, within: Duration) -> Self {
        Self { stream, waits: Some(Box::pin(sleep(within))), told: 0 }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let expected = PREFACE.get(self.told..).unwrap_or_default();
        self.told += bytes.len();
        let is_whole = self.told >= PREFACE.len();
        if is_whole || !expected.starts_with(bytes) {
            self.waits = None;
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Opening<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(waits) = &mut self.waits else {
            return poll;
        };
        if poll.is_ready() {
            self.heard(buffer.filled().get(before..).unwrap_or_default());
            return poll;
        }
        waits.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Opening<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(50);

    /// What becomes of a connection on which these pieces come, and then nothing.
    async fn end_of(pieces: &[&[u8]]) -> io::ErrorKind {
        let (mut client, node) = duplex(64);
        let mut opening = Opening::new(node, WITHIN);
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            let mut read = vec![0; piece.len()];
            opening.read_exact(&mut read).await.unwrap();
            assert_eq!(read, *piece);
        }
        let silence = tokio::time::timeout(WITHIN * 4, opening.read_u8()).await;
        silence.map_or(io::ErrorKind::WouldBlock, |read| read.unwrap_err().kind())
    }

    #[tokio::test]
    async fn who_does_not_tell_the_version_is_cut_off() {
        let cases: [&[&[u8]]; 4] =
            [&[], &[b"P"], &[b"PRI * ", b"HTTP/2.0\r\n"], &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"]];
        for pieces in cases {
            assert_eq!(end_of(pieces).await, io::ErrorKind::TimedOut, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn who_has_told_it_is_left_to_the_deadlines_of_http() {
        let cases: [&[&[u8]]; 4] = [
            &[b"G"],
            &[b"PRI", b" / "],
            &[PREFACE],
            &[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\nmore"],
        ];
        for pieces in cases {
            assert_eq!(end_of(pieces).await, io::ErrorKind::WouldBlock, "{pieces:?}");
        }
    }
}
