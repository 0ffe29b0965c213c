//! What a parent knows of its child: everything acknowledged, and what may have been submitted after.

use std::iter::Peekable;

use wal::Op;

use super::{
    contents::{Contents, Found},
    script::{Plan, Session},
};

/// What the child said it does.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Nothing yet.
    Starting,
    /// Opens the log.
    Opening,
    /// Appends.
    Appending,
    /// Closes the log.
    Closing,
    /// Has closed it.
    Closed,
}

/// The parent's model of a child.
#[derive(Debug)]
pub struct Watch {
    plan: Plan,
    seed: (u64, u64),
    phase: Phase,
    /// With everything acknowledged done to it.
    acknowledged: Contents,
    /// How many sessions were begun.
    sessions: u64,
    /// What the session has not had acknowledged yet.
    rest: Option<Peekable<Session>>,
    /// The newest ticket of the session that is durable.
    durable: u64,
    /// Operations acknowledged in all sessions.
    count: u64,
}

impl Watch {
    /// Of a child with this plan, seed and round, that finds `contents`.
    #[must_use]
    pub fn new(plan: &Plan, seed: (u64, u64), contents: Contents) -> Self {
        Self {
            plan: plan.clone(),
            seed,
            phase: Phase::Starting,
            acknowledged: contents,
            sessions: 0,
            rest: None,
            durable: 0,
            count: 0,
        }
    }

    /// What the child does.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How many operations were acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> u64 {
        self.count
    }

    /// The child said something.
    ///
    /// # Errors
    /// When what it says breaks a promise.
    pub fn hear(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
        match (words.first().copied(), number(1)) {
            (Some("opening"), _) => self.phase = Phase::Opening,
            (Some("opened"), Some(last_index)) => self.opened(last_index, number(2), line)?,
            (Some("durable"), Some(ticket)) => self.acknowledge_until(ticket)?,
            (Some("closing"), _) => self.phase = Phase::Closing,
            (Some("closed"), _) => {
                self.phase = Phase::Closed;
                self.acknowledge_until(u64::MAX)?;
                self.rest = None;
            }
            _ => return Err(format!("it said {line:?}")),
        }
        Ok(())
    }

    /// What was found after the child's end: may it be? How many records beyond what was acknowledged.
    ///
    /// # Errors
    /// When a promise is broken.
    pub fn judge(self, found: &Found) -> Result<u64, String> {
        if self.phase == Phase::Closed && found.tail != "Stopped" {
            return Err(format!("it was closed in order, and {} was found", found.tail));
        }
        let submitted = self.rest.into_iter().flatten().take(self.plan.window);
        self.acknowledged.followed_by(submitted, &found.contents)
    }

    fn opened(&mut self, last: u64, term: Option<u64>, line: &str) -> Result<(), String> {
        let start = self.acknowledged.start();
        if start.last_index != last || Some(start.hard_state.term) != term {
            return Err(format!("it found {line:?}, and there was {start:?}"));
        }
        let (seed, round) = self.seed;
        self.rest = Some(Session::new(&self.plan, (seed, round, self.sessions), start).peekable());
        self.sessions += 1;
        self.durable = 0;
        self.phase = Phase::Appending;
        Ok(())
    }

    fn acknowledge_until(&mut self, ticket: u64) -> Result<(), String> {
        let rest = self.rest.as_mut().ok_or("acknowledged before it was opened")?;
        if ticket <= self.durable {
            return Err(format!("{ticket} was acknowledged after {}", self.durable));
        }
        while self.durable < ticket {
            let Some(op): Option<Op> = rest.next() else {
                break;
            };
            self.acknowledged.apply(op);
            self.durable += 1;
            self.count += 1;
        }
        if ticket != u64::MAX && self.durable != ticket {
            return Err(format!("{ticket} was acknowledged and never submitted"));
        }
        Ok(())
    }
}
