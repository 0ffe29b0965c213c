//! What an appender does, all drawn from its seed and from what it finds, so that whoever kills it
//! knows every byte that it may have written.

use bytes::Bytes;
use wal::{Entry, EntryKind, HardState, Identity, Op, Options, Vote};

use crate::sim::rng::Rng;

/// Whose log it is.
pub const IDENTITY: Identity = Identity { cluster: 0xc9, node: 9, store: 0x9999 };

/// The largest payload in bytes: it fits the smallest segment.
const PAYLOAD_BYTES_MAX: usize = 8 << 10;
/// Nodes that may be bound.
const NODES: u64 = 9;

/// How one appender works, for all of its sessions.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the log is opened.
    pub options: Options,
    /// Operations submitted and not yet acknowledged, at most.
    pub window: usize,
    /// Appends wait until they are durable.
    pub waits: bool,
    /// Payloads in bytes, at most.
    payload_bytes_max: usize,
    /// Operations of a session, at most.
    session_ops_max: u64,
    /// Sessions (opened, written, closed) until it ends by itself.
    pub sessions: u64,
}

impl Plan {
    /// The plan of this round of this seed.
    #[must_use]
    pub fn draw(seed: u64, round: u64) -> Self {
        let mut rng = rng_of(seed, round, 0);
        // The smallest segments, so that a few milliseconds see several.
        let segment_bytes = *rng.pick(&[64, 64, 128, 256]) << 10;
        let payload_bytes_max = *rng.pick(&[64, 600, PAYLOAD_BYTES_MAX]);
        let options = Options {
            segment_bytes,
            small_segment_bytes: 64 << 10,
            spare_segments: rng.slot(4),
            entry_bytes_max: PAYLOAD_BYTES_MAX,
            batch_bytes_max: *rng.pick(&[4 << 10, 16 << 10, 1 << 20]),
            tail_cache_bytes: *rng.pick(&[0, 4 << 10, 1 << 20]),
            ..Options::default()
        };
        Self {
            options,
            window: *rng.pick(&[1, 4, 64]),
            waits: rng.chance(250),
            payload_bytes_max,
            session_ops_max: 400,
            sessions: 12,
        }
    }
}

/// What a session starts from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Start {
    /// Index of the log's last entry.
    pub last_index: u64,
    /// Its term and vote.
    pub hard_state: HardState,
}

/// The operations between one opening and the next close; their tickets count from 1.
#[derive(Clone, Debug)]
pub struct Session {
    rng: Rng,
    payload_bytes_max: usize,
    left: u64,
    last_index: u64,
    hard_state: HardState,
}

impl Session {
    /// The session with this number, of this plan.
    #[must_use]
    pub fn new(plan: &Plan, (seed, round, number): (u64, u64, u64), start: Start) -> Self {
        let mut rng = rng_of(seed, round, number + 1);
        let left = rng.magnitude(1, plan.session_ops_max);
        let Start { last_index, hard_state } = start;
        Self { rng, payload_bytes_max: plan.payload_bytes_max, left, last_index, hard_state }
    }

    fn draw_hard_state(&mut self) -> Op {
        let old = self.hard_state;
        let vote = Vote { node: self.rng.below(NODES), store: self.rng.next_u128() };
        self.hard_state = match self.rng.below(3) {
            0 if old.voted_for.is_none() => HardState { term: old.term, voted_for: Some(vote) },
            1 => HardState { term: old.term + 1, voted_for: None },
            _ => HardState { term: old.term + 1, voted_for: Some(vote) },
        };
        Op::HardState(self.hard_state)
    }

    fn draw_append(&mut self) -> Op {
        let count = self.rng.below(4);
        let entries = (0..count).map(|_| {
            self.last_index += 1;
            let kind = if self.rng.chance(50) { EntryKind::Config } else { EntryKind::Command };
            let payload = draw_payload(&mut self.rng, self.payload_bytes_max);
            Entry::new(self.last_index, self.hard_state.term, kind, payload)
        });
        Op::Append(entries.collect())
    }
}

impl Iterator for Session {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        self.left = self.left.checked_sub(1)?;
        Some(match self.rng.below(20) {
            0 => self.draw_hard_state(),
            1 => Op::Bind { node: self.rng.below(NODES), store: self.rng.next_u128() },
            2 => {
                self.last_index = self.last_index.saturating_sub(self.rng.below(8));
                Op::TruncateAfter(self.last_index)
            }
            _ => self.draw_append(),
        })
    }
}

fn draw_payload(rng: &mut Rng, bytes_max: usize) -> Bytes {
    let len = rng.slot(bytes_max + 1);
    // Zeros are what a lost sector looks like.
    if rng.chance(100) {
        return vec![0; len].into();
    }
    let mut payload = Vec::with_capacity(len + 7);
    while payload.len() < len {
        payload.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    payload.truncate(len);
    payload.into()
}

fn rng_of(seed: u64, round: u64, part: u64) -> Rng {
    Rng::new(seed.wrapping_mul(1 << 32) ^ round.wrapping_mul(1 << 16) ^ part)
}
