//! One conversation as its clients saw it: is there one order that explains every answer?
//!
//! It knows nothing of logs, indexes or nodes: only what each call asked, when it began and returned,
//! and what it was told. A send is told its place; a read, how many messages there are and which is
//! the last. Places give the order, so that one pass over the history decides (a send of place `n`
//! stands between reads of `n - 1` and of `n`):
//!
//! ```text
//!   point   0     1      2      3      4
//!          ... send 1, read 1, send 2, read 2 ...
//! ```
//!
//! What is checked: a message has one place and a place one message; a call that begins after another
//! one returned has a later point (two reads may share one). What never returned counts only when a
//! read shows it.

use std::{collections::BTreeMap, fmt::Debug};

use super::checkers::{Checked, violated};

/// What clients did with one conversation, as it happened. `K` names a message.
#[derive(Debug)]
pub(crate) struct Linear<K> {
    events: Vec<Event<K>>,
}

#[derive(Clone, Copy, Debug)]
enum Event<K> {
    SendBegins(K),
    SendReturns(K, u64),
    ReadBegins(u64),
    ReadReturns(u64, Seen<K>),
}

/// What a read was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen<K> {
    /// How many messages there are.
    pub(crate) count: u64,
    /// The last one.
    pub(crate) last: Option<K>,
}

impl<K> Default for Linear<K> {
    fn default() -> Self {
        Self { events: Vec::new() }
    }
}

impl<K: Copy + Debug + Ord> Linear<K> {
    pub(crate) fn send_begins(&mut self, message: K) {
        self.events.push(Event::SendBegins(message));
    }

    pub(crate) fn send_returns(&mut self, message: K, place: u64) {
        self.events.push(Event::SendReturns(message, place));
    }

    pub(crate) fn read_begins(&mut self, call: u64) {
        self.events.push(Event::ReadBegins(call));
    }

    pub(crate) fn read_returns(&mut self, call: u64, seen: Seen<K>) {
        self.events.push(Event::ReadReturns(call, seen));
    }

    /// Is it linearizable?
    pub(crate) fn check(&self) -> Checked {
        let places = self.places()?;
        // The highest point of what has returned, and what it was when each read began.
        let mut floor = 0;
        let mut begun: BTreeMap<u64, u64> = BTreeMap::new();
        for event in &self.events {
            match *event {
                Event::SendBegins(message) => {
                    if let Some(place) = places.get(&message).filter(|place| **place * 2 < floor) {
                        return violated(format!(
                            "linearizable history: {message:?} stands at {place}, before what was \
                             known when it was sent: point {floor}"
                        ));
                    }
                }
                Event::SendReturns(_, place) => floor = floor.max(place * 2),
                Event::ReadBegins(call) => {
                    begun.insert(call, floor);
                }
                Event::ReadReturns(call, seen) => {
                    let known = begun.remove(&call).unwrap_or(u64::MAX);
                    let point = seen.count * 2 + 1;
                    if point < known {
                        return violated(format!(
                            "linearizable history: a read sees {seen:?}, behind what was known when \
                             it began: point {known}"
                        ));
                    }
                    floor = floor.max(point);
                }
            }
        }
        Ok(())
    }

    /// The one place of each message that has one.
    fn places(&self) -> Result<BTreeMap<K, u64>, super::checkers::Violation> {
        let mut places = BTreeMap::new();
        let mut messages = BTreeMap::new();
        for event in &self.events {
            let (message, place) = match *event {
                Event::SendBegins(_) | Event::ReadBegins(_) => continue,
                Event::SendReturns(message, place) => (Some(message), place),
                Event::ReadReturns(_, seen) => (seen.last, seen.count),
            };
            let Some(message) = message else {
                if place == 0 {
                    continue;
                }
                return violated(format!("linearizable history: {place} messages and no last one"));
            };
            let first = *places.entry(message).or_insert(place);
            let other = *messages.entry(place).or_insert(message);
            if first != place || other != message {
                return violated(format!(
                    "linearizable history: {message:?} stands at {place}; it stood at {first}, and \
                     there stood {other:?}"
                ));
            }
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::{Linear, Seen};

    fn seen(count: u64, last: char) -> Seen<char> {
        Seen { count, last: Some(last) }
    }

    /// Two messages, one after the other.
    fn two() -> Linear<char> {
        let mut history = Linear::default();
        for (message, place) in [('a', 1), ('b', 2)] {
            history.send_begins(message);
            history.send_returns(message, place);
        }
        history
    }

    #[track_caller]
    fn broken(history: &Linear<char>) {
        history.check().unwrap_err();
    }

    #[test]
    fn calls_that_overlap_may_come_in_any_order() {
        let mut history = Linear::default();
        history.read_begins(1);
        history.send_begins('a');
        history.send_begins('b');
        history.read_begins(2);
        history.send_returns('a', 2);
        history.read_returns(1, Seen { count: 0, last: None });
        // `b` never returns; a read shows it.
        history.read_returns(2, seen(1, 'b'));
        history.check().unwrap();
    }

    #[test]
    fn a_lost_message_is_found() {
        let mut history = two();
        history.read_begins(1);
        history.read_returns(1, seen(1, 'a'));
        broken(&history);
        let mut history = two();
        history.send_begins('c');
        history.send_returns('c', 2);
        broken(&history);
    }

    #[test]
    fn a_doubled_message_is_found() {
        let mut history = two();
        history.read_begins(1);
        history.read_returns(1, seen(3, 'a'));
        broken(&history);
    }

    #[test]
    fn reordered_messages_are_found() {
        let mut history = Linear::default();
        for (message, place) in [('a', 2), ('b', 1)] {
            history.send_begins(message);
            history.send_returns(message, place);
        }
        broken(&history);
    }

    #[test]
    fn a_message_from_the_future_is_found() {
        let mut history = Linear::default();
        history.read_begins(1);
        history.read_returns(1, seen(1, 'a'));
        history.send_begins('a');
        broken(&history);
    }

    #[test]
    fn a_stale_read_is_found() {
        let mut history = two();
        history.read_begins(1);
        history.read_begins(2);
        history.read_returns(1, seen(2, 'b'));
        history.read_returns(2, seen(2, 'b'));
        history.check().unwrap();
        history.read_begins(3);
        history.read_returns(3, seen(1, 'a'));
        broken(&history);
    }
}
