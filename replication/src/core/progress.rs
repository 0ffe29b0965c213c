//! What a leader knows of one other member, and how much it may send to it.
//!
//! ```text
//!           append fits                 conflict, link up, no progress
//!  Probe ────────────────► Stream ────────────────────────────────────► Probe
//!  one append at a time    a window of appends, bounded in number and bytes
//! ```
//!
//! What always holds: `matched < next`; `matched` never goes back within a term, unless the peer itself
//! says that it lost what it had acknowledged.

use std::collections::VecDeque;

use election::{Index, Micros, StoreId};

use super::learner::CatchingUp;
use crate::{FetchId, Fitness, Limits};

#[derive(Debug)]
pub(crate) struct Progress {
    /// Durable there and equal to this log, up to here.
    pub(crate) matched: Index,
    /// What to send next.
    pub(crate) next: Index,
    pub(crate) pace: Pace,
    inflight: VecDeque<Sent>,
    inflight_bytes: usize,
    /// When the window last moved.
    moved: Micros,
    /// Older entries asked from the local log for this peer.
    pub(crate) fetch: Option<FetchId>,
    /// The commit index it was told.
    pub(crate) told: Index,
    /// The newest heartbeat round it answered.
    pub(crate) answered_round: u64,
    /// When it last answered anything.
    pub(crate) heard: Option<Micros>,
    /// Its wall clock less this node's monotonic one, microseconds.
    pub(crate) wall_offset: Option<i64>,
    /// How fit it is to lead, as it said last.
    pub(crate) fitness: Option<Fitness>,
    /// The newest feature level that it understands, as it said last in this term; 0 before that.
    pub(crate) level: u16,
    /// It lost what it had acknowledged up to here, and counts for nothing until it holds that again.
    fence: Index,
    /// The disk that acknowledged an append in this term: so it is the one bound to that number.
    pub(crate) acted: Option<StoreId>,
    /// The disk that the configuration names.
    pub(crate) store: Option<StoreId>,
    /// Of a learner: does it keep up?
    pub(crate) catching_up: CatchingUp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// Finding where the logs meet.
    Probe {
        /// When the one append was sent that may be under way.
        sent: Option<Micros>,
    },
    /// They meet; the window is open.
    Stream,
}

#[derive(Debug)]
struct Sent {
    last: Index,
    bytes: usize,
}

impl Progress {
    /// Of a member about which nothing is known in this term.
    pub(crate) const fn new(next: Index) -> Self {
        Self {
            matched: Index(0),
            next,
            pace: Pace::Probe { sent: None },
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            moved: Micros(0),
            fetch: None,
            told: Index(0),
            answered_round: 0,
            heard: None,
            wall_offset: None,
            fitness: None,
            level: 0,
            fence: Index(0),
            acted: None,
            store: None,
            catching_up: CatchingUp { goal: None, steady_since: None },
        }
    }

    /// Is all this known of that disk? One that the genesis did not name is the one that acted, and one
    /// that is yet to be named has not acted.
    pub(crate) fn is_of(&self, store: Option<StoreId>) -> bool {
        self.store.or(self.acted) == store
    }

    /// May another append go out?
    pub(crate) fn is_open(&self, limits: &Limits) -> bool {
        match self.pace {
            Pace::Probe { sent } => sent.is_none(),
            Pace::Stream => {
                self.inflight.len() < limits.inflight_appends_max
                    && self.inflight_bytes < limits.inflight_bytes_max
            }
        }
    }

    /// Is nothing under way to it?
    pub(crate) fn is_idle(&self) -> bool {
        self.pace == Pace::Stream && self.inflight.is_empty()
    }

    /// An append went out: entries up to `last`.
    pub(crate) fn sent(&mut self, now: Micros, last: Index, bytes: usize) {
        match &mut self.pace {
            Pace::Probe { sent } => *sent = Some(now),
            Pace::Stream => {
                if self.inflight.is_empty() {
                    self.moved = now;
                }
                self.inflight.push_back(Sent { last, bytes });
                self.inflight_bytes += bytes;
                self.next = last.next();
            }
        }
    }

    /// The log there is durable and equal up to `matched`.
    pub(crate) fn appended(&mut self, now: Micros, matched: Index) {
        if self.pace != Pace::Stream && matched.next() >= self.next {
            self.pace = Pace::Stream;
        }
        if matched <= self.matched {
            return;
        }
        self.matched = matched;
        self.next = self.next.max(matched.next());
        self.moved = now;
        while let Some(sent) = self.inflight.pop_front_if(|sent| sent.last <= matched) {
            self.inflight_bytes -= sent.bytes;
        }
    }

    /// Up to where its copy counts.
    pub(crate) fn counts(&self) -> Index {
        if self.matched >= self.fence { self.matched } else { Index(0) }
    }

    /// It acknowledged entries up to `matched`, and its log is sure only up to `end`.
    pub(crate) fn regressed(&mut self, matched: Index, end: Index) {
        self.fence = self.fence.max(matched);
        self.matched = Index(0);
        self.probe(end.next());
    }

    /// Look again for where the logs meet, from `next` on.
    pub(crate) fn probe(&mut self, next: Index) {
        self.next = next.max(self.matched.next());
        self.pace = Pace::Probe { sent: None };
        self.inflight.clear();
        self.inflight_bytes = 0;
        self.fetch = None;
        // What it was told may have been lost as well.
        self.told = self.told.min(self.matched);
    }

    /// Whatever was under way is lost.
    pub(crate) fn restart(&mut self) {
        let next = if self.pace == Pace::Stream { self.matched.next() } else { self.next };
        self.probe(next);
    }

    /// Whatever is under way to a peer that answers otherwise is taken for lost after `span`.
    pub(crate) fn retry(&mut self, now: Micros, span: Micros) {
        let since = match self.pace {
            Pace::Probe { sent } => sent,
            Pace::Stream => (!self.inflight.is_empty()).then_some(self.moved),
        };
        let Some(since) = since else { return };
        let answers = self.heard.is_some_and(|heard| heard >= since);
        if answers && now.since(since) >= span {
            self.restart();
        }
    }

    /// The entries to send are not to be had now: look again after a while.
    pub(crate) fn pause(&mut self, now: Micros) {
        self.probe(self.next);
        self.pace = Pace::Probe { sent: Some(now) };
    }
}
