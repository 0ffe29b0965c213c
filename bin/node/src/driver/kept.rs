//! The newest events, kept once for all subscribers: those who listen and those who come back.
//!
//! What always holds: every event above the newest one dropped is here, in the order of the log, and
//! no more of them than the bounds allow.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use chat::AccountId;

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
    /// The two who alone will ever hear of it; none when there may be others.
    pub(crate) only_for: Option<[AccountId; 2]>,
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
    events: VecDeque<Held>,
    bytes: usize,
}

/// One of them, with what is asked of each on the way to those that an account may hear of.
#[derive(Debug)]
struct Held {
    index: u64,
    only_for: Option<[AccountId; 2]>,
    bytes: usize,
    live: Arc<Live>,
}

impl Live {
    pub(crate) const fn new(index: u64, event: chat::Event, command: chat::Command) -> Self {
        Self { index, event, only_for: None, command, shared: OnceLock::new() }
    }
}

impl Held {
    fn may_be_heard_by(&self, account: AccountId) -> bool {
        self.only_for.is_none_or(|only| only.contains(&account))
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
        let (index, only_for) = (live.index, live.only_for);
        self.events.push_back(Held { index, only_for, bytes, live });
        self.bytes += bytes;
        while self.events.len() > self.count_max || self.bytes > self.bytes_max {
            let Some(dropped) = self.events.pop_front() else { break };
            self.bytes -= dropped.bytes;
            self.dropped = dropped.index;
            if !matches!(dropped.live.event, chat::Event::Message { .. }) {
                self.other_dropped = dropped.index;
            }
        }
    }

    /// The first events above `cursor` that `account` may hear of, at most `count_max`, and the index
    /// before the next such one; none when there is no other.
    pub(crate) fn after(
        &self,
        cursor: u64,
        account: AccountId,
        count_max: usize,
    ) -> Result<(Vec<Arc<Live>>, Option<u64>), Missed> {
        if cursor < self.dropped {
            return Err(Missed { upto: self.dropped, others: cursor < self.other_dropped });
        }
        let first = self.events.partition_point(|event| event.index <= cursor);
        let mut heard = self.events.range(first..).filter(|event| event.may_be_heard_by(account));
        let events = heard.by_ref().take(count_max).map(|event| Arc::clone(&event.live)).collect();
        Ok((events, heard.next().map(|event| event.index - 1)))
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

    const ANN: AccountId = AccountId(1);

    fn indexes(kept: &Kept, cursor: u64, count_max: usize) -> Vec<u64> {
        let (events, _) = kept.after(cursor, ANN, count_max).unwrap();
        events.iter().map(|live| live.index).collect()
    }

    #[test]
    fn as_many_as_the_bound_are_kept_and_not_one_more() {
        let mut kept = Kept::new(3, usize::MAX);
        // Entries without an event stand between them.
        for index in [2, 4, 6] {
            kept.keep(100, live(message(index)));
        }
        assert_eq!(indexes(&kept, 0, 9), [2, 4, 6]);
        kept.keep(100, live(message(8)));
        let missed = Missed { upto: 2, others: false };
        assert_eq!(kept.after(1, ANN, 9).unwrap_err(), missed);
        assert_eq!(indexes(&kept, 2, 9), [4, 6, 8]);
        assert_eq!(indexes(&kept, 5, 1), [6]);
        assert_eq!(indexes(&kept, 8, 9), [0; 0]);
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
        assert_eq!(kept.after(0, ANN, 9).unwrap_err().upto, 1);
    }

    #[test]
    fn what_is_missed_is_known_to_be_messages_or_not() {
        let mut kept = Kept::new(1, usize::MAX);
        let channel = Event::Channel { index: 2, conversation: CONVERSATION };
        for event in [message(1), channel, message(3), message(4)] {
            kept.keep(100, live(event));
        }
        let missed = |cursor| kept.after(cursor, ANN, 9).unwrap_err();
        assert_eq!(missed(1), Missed { upto: 3, others: true });
        assert_eq!(missed(2), Missed { upto: 3, others: false });
    }

    #[test]
    fn whom_an_event_does_not_concern_it_is_not_given_to() {
        let mut kept = Kept::default();
        for (index, two) in [(1, [1, 2]), (2, [2, 3]), (3, [2, 1]), (4, [3, 3])] {
            let live = Arc::into_inner(live(message(index))).unwrap();
            let only_for = Some(two.map(AccountId));
            kept.keep(100, Arc::new(Live { only_for, ..live }));
        }
        kept.keep(100, live(message(5)));
        assert_eq!(indexes(&kept, 0, 9), [1, 3, 5]);
        let (events, before_next) = kept.after(0, ANN, 1).unwrap();
        assert_eq!((events.len(), before_next), (1, Some(2)));
        assert_eq!(kept.after(3, AccountId(4), 1).unwrap().1, None, "there is no other");
    }
}
