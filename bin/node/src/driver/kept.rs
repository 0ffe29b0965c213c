//! The newest events, kept once for all subscribers: those who listen and those who come back.
//!
//! What always holds: every event above the newest one dropped is here, in the order of the log, and
//! no more of them than the bounds allow.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

/// The newest events kept for subscribers, at most: who has not taken an event when it is dropped is
/// cut off.
pub(crate) const EVENTS_KEPT_MAX: usize = 8_192;
/// Bytes of the newest events kept, at most, each counted as [`kept_bytes`] says.
const EVENTS_KEPT_BYTES_MAX: usize = 32 << 20;
/// What a kept event counts for besides its command.
const EVENT_BYTES_MIN: usize = 512;

/// What a subscriber is told about one applied entry.
#[derive(Debug)]
pub struct Live {
    /// The entry's index: the cursor.
    pub index: u64,
    /// What happened.
    pub event: chat::Event,
    /// The command that made it happen.
    pub command: chat::Command,
    /// What a gateway tells everyone who is told the same of it: made once, by the first who needs
    /// it.
    pub shared: OnceLock<Bytes>,
}

/// Events that are no longer kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Missed {
    /// The index of the newest of them.
    pub upto: u64,
    /// Some after the cursor asked for were other than messages: no reading of the log brings those
    /// back.
    pub others: bool,
}

/// The newest events.
#[derive(Debug)]
pub(crate) struct Kept {
    count_max: usize,
    bytes_max: usize,
    /// The index of the newest event dropped.
    dropped: u64,
    /// The same of those that are no message.
    other_dropped: u64,
    events: VecDeque<(usize, Arc<Live>)>,
    bytes: usize,
}

impl Live {
    pub(crate) const fn new(index: u64, event: chat::Event, command: chat::Command) -> Self {
        Self { index, event, command, shared: OnceLock::new() }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new(EVENTS_KEPT_MAX, EVENTS_KEPT_BYTES_MAX)
    }
}

impl Kept {
    const fn new(count_max: usize, bytes_max: usize) -> Self {
        let events = VecDeque::new();
        Self { count_max, bytes_max, dropped: 0, other_dropped: 0, events, bytes: 0 }
    }

    /// Keeps the newest event, whose command has so many bytes, and drops the oldest beyond the
    /// bounds.
    pub(crate) fn keep(&mut self, command_bytes: usize, live: Arc<Live>) {
        let bytes = kept_bytes(command_bytes);
        self.events.push_back((bytes, live));
        self.bytes += bytes;
        while self.events.len() > self.count_max || self.bytes > self.bytes_max {
            let Some((bytes, dropped)) = self.events.pop_front() else { break };
            self.bytes -= bytes;
            self.dropped = dropped.index;
            if !matches!(dropped.event, chat::Event::Message { .. }) {
                self.other_dropped = dropped.index;
            }
        }
    }

    /// The first events above `cursor`, at most `count_max`.
    pub(crate) fn after(&self, cursor: u64, count_max: usize) -> Result<Vec<Arc<Live>>, Missed> {
        if cursor < self.dropped {
            return Err(Missed { upto: self.dropped, others: cursor < self.other_dropped });
        }
        let first = self.events.partition_point(|(_, live)| live.index <= cursor);
        let events = self.events.range(first..).take(count_max);
        Ok(events.map(|(_, live)| Arc::clone(live)).collect())
    }
}

/// A text stands in the command, and again in what a gateway tells of it.
const fn kept_bytes(command_bytes: usize) -> usize {
    2 * command_bytes + EVENT_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use chat::{AccountId, Action, Body, Command, ConversationId, Event, RequestId, SessionId};

    use super::*;

    const CONVERSATION: ConversationId = ConversationId(1);

    fn message(index: u64) -> Event {
        Event::Message { index, conversation: CONVERSATION, seq: index }
    }

    fn live(event: Event) -> Arc<Live> {
        let action = Action::Join { channel: "general".to_owned() };
        let body = Body::Act { account: AccountId(1), session: SessionId(1), action };
        Arc::new(Live::new(event.index(), event, Command::new(RequestId::new(1, 1), body)))
    }

    fn indexes(events: &[Arc<Live>]) -> Vec<u64> {
        events.iter().map(|live| live.index).collect()
    }

    #[test]
    fn as_many_as_the_bound_are_kept_and_not_one_more() {
        let mut kept = Kept::new(3, usize::MAX);
        // Entries without an event stand between them.
        for index in [2, 4, 6] {
            kept.keep(100, live(message(index)));
        }
        assert_eq!(indexes(&kept.after(0, 9).unwrap()), [2, 4, 6]);
        kept.keep(100, live(message(8)));
        let missed = Missed { upto: 2, others: false };
        assert_eq!(kept.after(1, 9).unwrap_err(), missed);
        assert_eq!(indexes(&kept.after(2, 9).unwrap()), [4, 6, 8]);
        assert_eq!(indexes(&kept.after(5, 1).unwrap()), [6]);
        assert_eq!(indexes(&kept.after(8, 9).unwrap()), [0; 0]);
    }

    #[test]
    fn as_many_bytes_as_the_bound_are_kept_and_not_one_more() {
        for (bytes_max, left) in [(3 * kept_bytes(100), 3), (3 * kept_bytes(100) - 1, 2)] {
            let mut kept = Kept::new(usize::MAX, bytes_max);
            for index in 1..=3 {
                kept.keep(100, live(message(index)));
            }
            assert_eq!(kept.events.len(), left);
            assert_eq!(kept.bytes, left * kept_bytes(100));
        }
        let mut kept = Kept::new(usize::MAX, 10);
        kept.keep(100, live(message(1)));
        assert_eq!((kept.events.len(), kept.bytes), (0, 0), "one that is larger is not kept");
        assert_eq!(kept.after(0, 9).unwrap_err().upto, 1);
    }

    #[test]
    fn what_is_missed_is_known_to_be_messages_or_not() {
        let mut kept = Kept::new(1, usize::MAX);
        let channel = Event::Channel { index: 2, conversation: CONVERSATION };
        for event in [message(1), channel, message(3), message(4)] {
            kept.keep(100, live(event));
        }
        let missed = |cursor| kept.after(cursor, 9).unwrap_err();
        assert_eq!(missed(1), Missed { upto: 3, others: true });
        assert_eq!(missed(2), Missed { upto: 3, others: false });
    }
}
