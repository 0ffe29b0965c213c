//! What happened: a hash over every event, the last of them for a report, and the counters that
//! prove that the interesting things did happen.
//!
//! The hash takes in numbers only, so that it is the same with and without text output.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use election::Micros;

/// How many events a report shows.
const TAIL_EVENTS: usize = 60;

/// One event as numbers: what kind, where, and two details whose meaning is the kind's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) what: &'static str,
    pub(crate) node: u64,
    pub(crate) first: u64,
    pub(crate) second: u64,
}

/// The record of one seed.
#[derive(Debug)]
pub(crate) struct Trace {
    print: bool,
    hash: u64,
    events: u64,
    tail: VecDeque<(Micros, Event)>,
    counters: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub(crate) fn new(seed: u64, print: bool) -> Self {
        let mut trace = Self {
            print,
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            tail: VecDeque::with_capacity(TAIL_EVENTS),
            counters: BTreeMap::new(),
        };
        trace.mix(seed);
        trace
    }

    /// Take an event in.
    #[expect(clippy::print_stdout, reason = "`--trace` shows every event as it happens")]
    pub(crate) fn event(&mut self, at: Micros, event: Event) {
        self.events += 1;
        self.mix(at.0);
        self.mix(hash_bytes(event.what.as_bytes()));
        self.mix(event.node);
        self.mix(event.first);
        self.mix(event.second);
        if self.print {
            println!("{}", line(at, event));
        }
        if self.tail.len() == TAIL_EVENTS {
            self.tail.pop_front();
        }
        self.tail.push_back((at, event));
    }

    /// Show more of an event, for a reader; the hash does not know of it.
    #[expect(clippy::print_stdout, reason = "`--trace` shows every event as it happens")]
    pub(crate) fn detail(&self, what: &dyn fmt::Debug) {
        if self.print {
            println!("{:>18}{what:?}", "");
        }
    }

    /// Something that should happen sometimes has happened.
    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Something that should happen sometimes has happened so many times.
    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        *self.counters.entry(what).or_insert(0) += times;
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }

    /// The last events as text, one a line.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().map(|&(at, event)| line(at, event)).collect()
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}

/// A short fingerprint of bytes (FNV-1a): for traces and comparisons, not for safety.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn line(at: Micros, event: Event) -> String {
    let Event { what, node, first, second } = event;
    format!("{:>10}.{:03} ms  n{node}  {what} {first} {second}", at.0 / 1000, at.0 % 1000)
}
