//! The one sequence of persist operations, and how far it is durable.

use election::{Micros, Ticket};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tickets {
    /// The newest ticket given out.
    pub(crate) issued: Ticket,
    /// Durable up to here.
    pub(crate) durable: Ticket,
    /// That of the newest hard state.
    pub(crate) hard_state: Ticket,
    /// Since when the disk has owed something and made nothing durable.
    waiting_since: Option<Micros>,
}

impl Tickets {
    pub(crate) const fn new(boot: Ticket) -> Self {
        Self { issued: boot, durable: boot, hard_state: boot, waiting_since: None }
    }

    pub(crate) fn issue(&mut self, now: Micros) -> Ticket {
        self.issued = Ticket(self.issued.0 + 1);
        self.waiting_since.get_or_insert(now);
        self.issued
    }

    pub(crate) fn durable_up_to(&mut self, ticket: Ticket, now: Micros) {
        assert!(ticket <= self.issued, "only what was asked for becomes durable");
        if ticket > self.durable {
            self.durable = ticket;
            self.waiting_since = (self.durable < self.issued).then_some(now);
        }
    }

    /// Has the disk made nothing durable for `span`, with something to do?
    pub(crate) fn is_stalled(&self, now: Micros, span: Micros) -> bool {
        self.waiting_since.is_some_and(|since| now.since(since) >= span)
    }
}
