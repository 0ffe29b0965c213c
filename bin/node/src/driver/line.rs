//! The way to the log's writer: its line, and behind it the operations that found no room there.
//!
//! What always holds: operations go in ticket order; while any waits behind the line, readers do not
//! see the log as the core knows it.

use std::collections::VecDeque;

use election::Ticket;
use wal::{Busy, Op, Writer};

/// The writer, and what waits for room. The core's own windows bound how much that is.
#[derive(Debug)]
pub(crate) struct Line {
    writer: Writer,
    waiting: VecDeque<(Ticket, Op)>,
}

impl Line {
    pub(crate) const fn new(writer: Writer) -> Self {
        Self { writer, waiting: VecDeque::new() }
    }

    /// Put an operation in line, or behind it.
    pub(crate) fn submit(&mut self, ticket: Ticket, op: Op) {
        self.waiting.push_back((ticket, op));
        if self.waiting.len() == 1 {
            self.advance();
        }
    }

    /// Offer again what waits: after something became durable there is room.
    pub(crate) fn advance(&mut self) {
        while let Some((ticket, op)) = self.waiting.pop_front() {
            if let Err(Busy(op)) = self.writer.submit(ticket.0, op) {
                self.waiting.push_front((ticket, op));
                return;
            }
        }
    }

    /// Bytes in line, and operations in line and behind it.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let (bytes, operations) = self.writer.queued();
        (bytes, operations + self.waiting.len())
    }

    /// Do readers see everything that was submitted?
    pub(crate) fn is_seen(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Write and sync what is in line, and close the log. What waits behind it was promised to
    /// nobody.
    pub(crate) fn stop(self) -> Result<(), wal::Error> {
        self.writer.stop()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;
    use wal::{Entry, EntryKind};

    use super::*;
    use crate::small_log;

    fn append(index: u64) -> Op {
        let payload = Bytes::from(vec![7; 3_000]);
        Op::Append(vec![Entry::new(index, 1, EntryKind::Command, payload)])
    }

    #[test]
    fn what_finds_no_room_is_not_taken_for_seen_and_follows_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = small_log::create(
            dir.path(),
            wal::Options { queue_bytes_max: 4_096, ..small_log::options() },
        );
        let reader = log.reader();
        // The disk is as slow as the test likes.
        let (told, durable) = mpsc::sync_channel(8);
        let (go_on, wait) = mpsc::sync_channel::<()>(8);
        let on_durable = move |result: Result<u64, wal::Error>| {
            told.send(result.unwrap()).unwrap();
            wait.recv().unwrap();
        };
        let mut line = Line::new(Writer::spawn(log, Box::new(on_durable)).unwrap());
        line.submit(Ticket(1), append(1));
        assert_eq!(durable.recv().unwrap(), 1);
        assert!(line.is_seen());
        for index in 2..=4 {
            line.submit(Ticket(index), append(index));
        }
        assert!(!line.is_seen());
        assert_eq!(reader.bounds(), (1, 2), "one fits, two wait");
        for (upto, is_seen) in [(2, false), (3, true)] {
            go_on.send(()).unwrap();
            assert_eq!(durable.recv().unwrap(), upto);
            line.advance();
            assert_eq!((reader.bounds().1, line.is_seen()), (upto + 1, is_seen));
        }
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        line.stop().unwrap();
        assert_eq!(reader.bounds(), (1, 4));
    }
}
