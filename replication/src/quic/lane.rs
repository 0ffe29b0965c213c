//! One lane of a link: a bounded queue of frames and the task that writes them, and the task that
//! reads the peer's.
//!
//! Frames are written as they come; those that came while a write was under way go together.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};
use tokio::sync::Notify;

use super::error::LinkError;
use crate::codec::{self, Packet};

/// What a queued frame is counted beside its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// How much is read from a stream at a time.
const READ_BYTES: usize = 64 * 1024;

/// The frames that wait to be written to one lane.
#[derive(Debug)]
pub(super) struct Queue {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// No room: the lane must be reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    /// Of the frames here and of those in the writer's hands.
    bytes: usize,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Queue a frame, unless the queue would hold more than its bound.
    pub(super) fn push(&self, frame: Bytes) -> Result<(), Full> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = waiting.bytes + frame.len() + FRAME_OVERHEAD_BYTES;
        if bytes > self.bytes_max {
            return Err(Full);
        }
        waiting.bytes = bytes;
        waiting.frames.push_back(frame);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Write the queue to `stream`, for ever.
    pub(super) async fn write_to(&self, mut stream: SendStream) -> LinkError {
        loop {
            let mut batch = self.take();
            if batch.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let bytes: usize = batch.iter().map(|frame| frame.len() + FRAME_OVERHEAD_BYTES).sum();
            if let Err(error) = stream.write_all_chunks(batch.make_contiguous()).await {
                return error.into();
            }
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).bytes -= bytes;
        }
    }

    fn take(&self) -> VecDeque<Bytes> {
        mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner).frames)
    }
}

/// The packets of one incoming stream.
#[derive(Debug)]
pub(super) struct Reader {
    stream: RecvStream,
    buffer: BytesMut,
}

impl Reader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next packet.
    pub(super) async fn next(&mut self) -> Result<Packet, LinkError> {
        loop {
            if let Some(frame) = codec::split(&mut self.buffer)? {
                return Ok(codec::decode(frame)?);
            }
            match self.stream.read_chunk(READ_BYTES, true).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None => return Err(LinkError::StreamEnded),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{FRAME_OVERHEAD_BYTES, Full, Queue};

    #[test]
    fn a_queue_takes_frames_up_to_its_bound() {
        let frame = || Bytes::from_static(&[7; 100]);
        let queue = Queue::new(2 * (100 + FRAME_OVERHEAD_BYTES));
        assert_eq!(queue.push(frame()), Ok(()));
        assert_eq!(queue.push(frame()), Ok(()));
        assert_eq!(queue.push(Bytes::new()), Err(Full));
        // What the writer holds still counts: it has left the queue, not the node.
        assert_eq!(queue.take().len(), 2);
        assert_eq!(queue.push(frame()), Err(Full));
    }
}
