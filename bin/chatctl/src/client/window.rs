//! The sending side of a pipelined stream, without any I/O.
//!
//! Messages go out in order, each chained to the one before by `after_request`, at most
//! [`MESSAGES_IN_FLIGHT_MAX`] unanswered. When one is to be sent again, nothing new goes out until all
//! that are in flight are answered; then everything unanswered goes out again, in order, under the same
//! ids. A lost connection does the same at once. Outcomes are handed out in order.

use std::collections::VecDeque;

use serde::Serialize;
use uuid::Uuid;

use crate::types::{FailureBody, Message};

/// Messages that are sent and not acknowledged.
pub(super) const MESSAGES_IN_FLIGHT_MAX: usize = 256;

/// One message on its way.
#[derive(Debug)]
struct Item {
    id: Uuid,
    after: Option<Uuid>,
    text: String,
    /// Whether some node may have received it.
    sent: bool,
    outcome: Option<Result<Message, FailureBody>>,
}

/// The messages that are not handed out yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    items: VecDeque<Item>,
    /// The first item that is not on the present connection.
    next: usize,
    in_flight: usize,
    rewinding: bool,
    last: Option<Uuid>,
}

#[derive(Serialize)]
struct SendFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    request_id: Uuid,
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_request: Option<Uuid>,
}

impl Window {
    pub(super) fn has_room(&self) -> bool {
        self.items.len() < MESSAGES_IN_FLIGHT_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn awaits_answers(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether everything in flight is answered and something must go out again.
    pub(super) fn must_rewind(&self) -> bool {
        self.rewinding && self.in_flight == 0
    }

    /// The first message without an outcome, if some node may have it.
    pub(super) fn first_unknown(&self) -> Option<Uuid> {
        self.items.iter().find(|item| item.sent && item.outcome.is_none()).map(|item| item.id)
    }

    /// The id of the newest message.
    pub(super) fn last(&self) -> Option<Uuid> {
        self.last
    }

    /// Takes one more message; ids must rise.
    pub(super) fn push(&mut self, id: Uuid, text: String) {
        assert!(self.has_room(), "the window holds {MESSAGES_IN_FLIGHT_MAX} messages");
        assert!(self.last.is_none_or(|last| last < id), "request ids rise along a stream");
        let after = self.last.replace(id);
        self.items.push_back(Item { id, after, text, sent: false, outcome: None });
    }

    /// The next frame to send on the present connection.
    pub(super) fn next_frame(&mut self, to: &str) -> Option<String> {
        if self.rewinding {
            return None;
        }
        while self.items.get(self.next)?.outcome.is_some() {
            self.next += 1;
        }
        let item = self.items.get_mut(self.next)?;
        self.next += 1;
        self.in_flight += 1;
        item.sent = true;
        let frame = SendFrame {
            kind: "send",
            request_id: item.id,
            to,
            text: &item.text,
            after_request: item.after,
        };
        // A struct of plain strings always has a JSON form.
        serde_json::to_string(&frame).ok()
    }

    /// An acknowledgement.
    pub(super) fn sent(&mut self, id: Uuid, message: Message) {
        self.answer(id, Some(Ok(message)));
    }

    /// A failure. `out_of_order` alone is not remembered by the cluster, so it is always sent again.
    pub(super) fn failed(&mut self, id: Uuid, error: FailureBody, retry: bool) {
        let again = retry || error.code == "out_of_order";
        self.answer(id, (!again).then_some(Err(error)));
    }

    fn answer(&mut self, id: Uuid, outcome: Option<Result<Message, FailureBody>>) {
        let Ok(at) = self.items.binary_search_by(|item| item.id.cmp(&id)) else { return };
        if at >= self.next || self.items[at].outcome.is_some() || self.in_flight == 0 {
            return;
        }
        self.in_flight -= 1;
        match outcome {
            Some(outcome) => self.items[at].outcome = Some(outcome),
            None => self.rewinding = true,
        }
    }

    /// Everything unanswered is to go out again, on this or another connection.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
        self.in_flight = 0;
        self.rewinding = false;
    }

    /// The oldest outcome that was not handed out yet.
    pub(super) fn pop(&mut self) -> Option<Result<Message, FailureBody>> {
        self.items.front()?.outcome.as_ref()?;
        let item = self.items.pop_front()?;
        self.next = self.next.saturating_sub(1);
        item.outcome
    }
}

#[cfg(test)]
mod tests;
