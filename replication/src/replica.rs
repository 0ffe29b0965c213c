//! One voter as one machine: `election` and the log's core composed.
//!
//! It is all that the driver and the simulator know of consensus. The contract is three lines
//! (`Effect::Persist` in ticket order; an effect with `after` waits for `Durable`; an I/O error ends
//! the process), and everything else follows from the inputs alone: no clock, randomness, file,
//! socket, thread or hash order.

use std::collections::BTreeMap;

use election::{
    Election, EntryId, HardState, Index, Micros, NodeId, StoreId, Term, Ticket, VoterId,
};
use wal::FaultyRange;

use crate::{
    ClusterConfig, Effect, Effects, Input, LinkEvent, Message, Now, Role,
    codec::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, PAYLOAD_BYTES_MAX},
    core::{Core, repair::Answer},
};

/// What a node finds in its data directory when it starts.
#[derive(Clone, Debug)]
pub struct Boot {
    /// This node and its disk.
    pub me: VoterId,
    /// The configuration at index 0, as `node init` wrote it.
    pub genesis: ClusterConfig,
    /// Term and vote.
    pub hard_state: HardState,
    /// Which node is which disk, as remembered by `Op::Bind`. A node that finds itself in here is
    /// bound; one that does not is at its first start and asks the others before it votes.
    pub bindings: BTreeMap<NodeId, StoreId>,
    /// Whether this directory came to a cluster that had been founded: it got the genesis from a peer
    /// and holds nothing else of what was before. It has no part in the genesis, whatever its number:
    /// it binds nobody there, nobody binds it, and it waits until a later configuration names it.
    pub joined: bool,
    /// The first entry that the log can still be asked for; 1 in a log that was never cut.
    pub first: Index,
    /// The last entry of the log; term 0 and index 0 when there is none.
    pub last: EntryId,
    /// The first index of each run of entries of one term, from `first` on, ascending.
    pub term_runs: Vec<(Index, Term)>,
    /// The configuration entries in the log, ascending.
    pub configs: Vec<(Index, ClusterConfig)>,
    /// What the log holds and cannot read, as opening it found.
    pub faulty: Vec<FaultyRange>,
    /// The newest durable ticket; the first operation gets the next one.
    pub ticket: Ticket,
    /// Everything that the replica draws follows from it; another one at each start.
    pub seed: u64,
    /// The newest feature level that this build understands.
    pub level: u16,
    /// How long things take.
    pub timing: Timing,
    /// How much there may be of them.
    pub limits: Limits,
}

/// How long things take (research §4 has the figures behind the defaults).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// From one heartbeat to the next.
    pub heartbeat: Micros,
    /// Silence of the leader after which a follower of rank 0 asks for an election; also the span in
    /// which a voter that heard the leader refuses to elect another.
    pub election_timeout: Micros,
    /// Ranks stand for election this much apart.
    pub slot: Micros,
    /// At most this much is added at random.
    pub jitter: Micros,
    /// A leader that for so long has not heard an election quorum steps down.
    pub quorum_silence: Micros,
    /// An append unanswered for so long is probed for again.
    pub append_retry: Micros,
    /// A question to a leader unanswered for so long is given up.
    pub answer: Micros,
    /// A leader whose disk made nothing durable for so long steps down (research trap 32).
    pub disk_stall: Micros,
    /// A learner that has kept up for so long becomes a voter (research trap 25).
    pub promote_after: Micros,
}

/// How much there may be. Sizes count payload and [`crate::ENTRY_OVERHEAD_BYTES`] per entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Payload bytes of one entry, the stamp included.
    pub entry_bytes_max: usize,
    /// Bytes of one append (at least one entry always fits).
    pub append_bytes_max: usize,
    /// Entries of one append.
    pub append_entries_max: usize,
    /// Bytes sent to a peer and not acknowledged.
    pub inflight_bytes_max: usize,
    /// Appends sent to a peer and not acknowledged.
    pub inflight_appends_max: usize,
    /// Bytes of the leader's own entries that wait for commit.
    pub uncommitted_bytes_max: usize,
    /// Proposals of this node's clients that wait for their outcome.
    pub pending_proposals_max: usize,
    /// Reads that wait for a quorum round.
    pub pending_reads_max: usize,
    /// Bytes of recent entries kept in memory; more only while they are not yet durable.
    pub tail_bytes_max: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Micros::from_millis(50),
            election_timeout: Micros::from_millis(150),
            slot: Micros::from_millis(40),
            jitter: Micros::from_millis(30),
            quorum_silence: Micros::from_millis(300),
            append_retry: Micros::from_millis(150),
            answer: Micros::from_millis(500),
            disk_stall: Micros::from_millis(1_000),
            promote_after: Micros::from_millis(2_000),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entry_bytes_max: 64 << 10,
            append_bytes_max: 256 << 10,
            append_entries_max: 1_024,
            inflight_bytes_max: 4 << 20,
            inflight_appends_max: 16,
            uncommitted_bytes_max: 16 << 20,
            pending_proposals_max: 16_384,
            pending_reads_max: 16_384,
            tail_bytes_max: 16 << 20,
        }
    }
}

impl Limits {
    /// Within the bounds of a frame, and none so small that nothing would ever move.
    pub(crate) fn check(&self) {
        assert!(self.append_bytes_max <= APPEND_BYTES_MAX, "an append fits a frame");
        assert!(self.append_entries_max <= APPEND_ENTRIES_MAX, "an append fits a frame");
        assert!(self.entry_bytes_max <= PAYLOAD_BYTES_MAX, "an entry fits a frame");
        let windows = [self.append_entries_max, self.inflight_bytes_max, self.inflight_appends_max];
        assert!(windows.iter().all(|max| *max > 0), "a window lets something through");
    }
}

/// What a replica knows of itself, for pages, health checks and tests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// This node and its disk.
    pub me: VoterId,
    /// The part it plays.
    pub role: Role,
    /// The newest term it has seen.
    pub term: Term,
    /// Whom it follows, if anyone; itself when leading.
    pub leader: Option<NodeId>,
    /// Committed up to here, as far as it knows.
    pub commit: Index,
    /// The last entry of its log.
    pub last: EntryId,
    /// Its log is durable up to here.
    pub durable: Index,
    /// What it holds and cannot read.
    pub faulty: Vec<FaultyRange>,
    /// What of it no voter could give that was asked, and every voter that is linked was.
    pub unread: Vec<Unread>,
    /// From here on entries were given up in this life: they may have been lost here, no voter could read
    /// them, and so none of them was ever committed.
    pub given_up: Option<Index>,
    /// The configuration in force.
    pub config: ClusterConfig,
    /// Where that stands in the log; 0 is the genesis.
    pub config_index: Index,
    /// The feature level of the newest committed configuration.
    pub level: u16,
    /// Whether the cluster knows this disk, so that it may vote.
    pub bound: bool,
    /// Whether it is to lead no more before it is started again.
    pub draining: bool,
    /// How long it bears a leader's silence now, rank and jitter aside.
    pub election_timeout: Micros,
    /// The other members; progress and hearing only at the leader.
    pub peers: Vec<PeerStatus>,
}

/// Entries that this node lost, and no voter could give.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unread {
    /// The first.
    pub first: Index,
    /// The last; none when nobody knows up to where there were any.
    pub last: Option<Index>,
    /// The voters that were asked and cannot read them.
    pub asked: Vec<NodeId>,
}

/// What a replica knows of another member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Its number.
    pub node: NodeId,
    /// Whether it votes; if not, it is a learner.
    pub voter: bool,
    /// Its disk, when known.
    pub store: Option<StoreId>,
    /// Whether the link to it is up.
    pub connected: bool,
    /// Durable and matching up to here; only the leader knows.
    pub matched: Option<Index>,
    /// When it last answered (monotonic); only the leader knows.
    pub heard: Option<Micros>,
    /// Since when a learner keeps up (monotonic): after `Timing::promote_after` of it, it becomes a
    /// voter, if one is wanted. Only the leader knows.
    pub keeps_up_since: Option<Micros>,
}

/// One voter.
#[derive(Debug)]
pub struct Replica {
    core: Core,
    election: Election,
    started: bool,
    /// What the election was told last.
    electable: bool,
}

impl Replica {
    /// Start from what the data directory holds. The first [`Replica::deadline`] is `now`: wake it,
    /// and it says what it wants.
    ///
    /// # Panics
    /// When what was found contradicts itself: the log's owner checks it first.
    #[must_use]
    pub fn new(_now: Now, boot: Boot) -> Self {
        let (me, hard_state, seed) = (boot.me, boot.hard_state, boot.seed);
        let timing = election::Timing {
            election_timeout: boot.timing.election_timeout,
            slot: boot.timing.slot,
            jitter: boot.timing.jitter,
            quorum_silence: boot.timing.quorum_silence,
        };
        let core = Core::new(boot);
        let election = Election::new(me, hard_state, core.electorate.clone(), timing, seed);
        Self { core, election, started: false, electable: false }
    }

    /// Take one input; append what is to be done about it to `effects`, in order.
    ///
    /// After [`Effect::Halt`] nothing has any effect.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Effects) {
        self.handle_all(now, [input], effects);
    }

    /// Take inputs that came together, in their order. What they make possible is sent once, after the
    /// last of them, and what clients propose in a row is one operation of the log: a busy node says
    /// and writes less, and the same.
    ///
    /// After [`Effect::Halt`] nothing has any effect.
    pub fn handle_all(
        &mut self,
        now: Now,
        inputs: impl IntoIterator<Item = Input>,
        effects: &mut Effects,
    ) {
        if !self.started && !self.core.halted {
            self.start(now, effects);
        }
        self.core.open_append = None;
        for input in inputs {
            if self.core.halted {
                return;
            }
            self.sync_election(now, effects);
            self.take(now, input, effects);
        }
        if self.core.halted {
            return;
        }
        self.recall(now, effects);
        self.core.flush(now, effects);
        if self.core.must_step_down(now) {
            self.elect(now, election::Input::StepDown, effects);
        }
        self.sync_election(now, effects);
    }

    /// When to wake it at the latest, on the monotonic clock; `u64::MAX` is never.
    #[must_use]
    pub fn deadline(&self) -> Micros {
        if self.core.halted {
            Micros(u64::MAX)
        } else if self.started {
            self.core.deadline().min(self.election.deadline())
        } else {
            Micros(0)
        }
    }

    /// What it knows now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// The feature level that every leader from now on knows of: what needs a higher one must not be
    /// proposed, to this node or any other.
    #[must_use]
    pub fn level(&self) -> u16 {
        self.core.level()
    }

    fn start(&mut self, now: Now, effects: &mut Effects) {
        self.started = true;
        if self.core.halt_if_too_old(effects) {
            return;
        }
        effects.push(Effect::Config(self.core.log.config().clone()));
        self.core.start_binding(now, effects);
        self.announce_part(now, effects);
    }

    fn take(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match input {
            Input::Wake => {
                self.elect(now, election::Input::Wake, effects);
                self.core.wake(now, effects);
            }
            Input::Message { from, message } => self.message(now, from, message, effects),
            Input::Propose { id, body } => self.core.propose(now, id, body, effects),
            Input::Reconfigure { id, change } => self.core.reconfigure(now, id, change, effects),
            Input::Read { id } => self.core.read(id, effects),
            Input::Durable(ticket) => {
                if self.core.durable(now, ticket, effects) {
                    self.elect(now, election::Input::HardStateDurable, effects);
                }
            }
            Input::Fetched { fetch, entries } => {
                self.core.on_fetched(now, fetch, entries, effects);
            }
            Input::Damaged { ranges } => self.core.damaged(now, &ranges),
            Input::Link { peer: _, event: LinkEvent::Up(id) } => self.core.link_up(id, effects),
            Input::Link { peer, event: LinkEvent::Lost } => {
                self.core.link_lost(peer, effects);
                self.elect(now, election::Input::LinkLost(peer), effects);
            }
            Input::Link { peer, event: LinkEvent::SteppedDown } => {
                self.core.link_lost(peer, effects);
                self.elect(now, election::Input::SteppedDown(peer), effects);
            }
            Input::Space(room) => self.core.room = room,
            Input::Leave => self.core.leave(now),
            Input::Drain { node, undo } => self.core.drain(now, node, undo, effects),
            Input::Pace { rtt, fsync } => {
                self.elect(now, election::Input::Pace { rtt, fsync }, effects);
                let timing = *self.election.timing();
                self.core.timing.election_timeout = timing.election_timeout;
                self.core.timing.quorum_silence = timing.quorum_silence;
            }
        }
    }

    fn message(&mut self, now: Now, from: VoterId, message: Message, effects: &mut Effects) {
        if !self.core.admits(from, &message, effects) {
            return;
        }
        match message {
            Message::PreVote { .. }
            | Message::PreVoteAnswer { .. }
            | Message::Vote { .. }
            | Message::VoteAnswer { .. } => self.ballot(now, from, &message, effects),
            Message::Heartbeat { term, commit, round, matched } => {
                if self.follows(now, from, term, effects) {
                    self.core.on_heartbeat(now, from, (commit, round, matched), effects);
                } else {
                    self.core.answer_heartbeat(now, from, round, effects);
                }
            }
            Message::Append { term, previous, commit, entries } => {
                if self.follows(now, from, term, effects) {
                    self.core.on_append(now, from, (previous, commit, entries), effects);
                } else {
                    self.core.refuse_append(from, previous, EntryId::default(), effects);
                }
            }
            Message::HeartbeatAnswer { term, round, wall, fitness, level } => {
                if self.answers_me(now, from, term, effects) {
                    let said = (round, wall, fitness, level);
                    self.core.on_heartbeat_answer(now, from, said, effects);
                }
            }
            Message::Appended { term, matched } => {
                if self.answers_me(now, from, term, effects) {
                    self.core.on_appended(now, from, matched, effects);
                }
            }
            Message::Conflict { term, refused, hint } => {
                if self.answers_me(now, from, term, effects) {
                    self.core.on_conflict(now, from, refused, hint);
                }
            }
            Message::Forward { id, body } => self.core.on_forward(now, from, (id, body), effects),
            Message::Reconfigure { id, change } => {
                self.core.on_reconfigure(now, from, (id, change), effects);
            }
            Message::Forwarded { id, outcome } => self.core.on_forwarded(id, outcome, effects),
            Message::Read { id } => self.core.on_read(from.node, id, effects),
            Message::ReadAnswer { id, index } => {
                self.core.on_read_answer(from.node, id, index, effects);
            }
            Message::TimeoutNow { term } => self.handed_over(now, from, term, effects),
            Message::Drain { undo } => self.core.drain(now, self.core.me.node, undo, effects),
            Message::Regressed { term, matched, end } => {
                if self.answers_me(now, from, term, effects) {
                    self.core.on_regressed(from, matched, end);
                }
            }
            Message::Mend { .. }
            | Message::Mended { .. }
            | Message::Recall { .. }
            | Message::Recalled { .. } => self.about_damage(now, from, message, effects),
            Message::Bind { joined } => self.core.on_bind(now, from, joined, effects),
            Message::Bound { node, store } => {
                self.core.on_bound(now, from, (node, store), effects);
            }
            Message::Named { store, index } => self.core.on_named(store, index),
            Message::Removed { index } => self.core.on_removed(index, effects),
        }
    }

    /// What is said about logs that cannot be read.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what is about damage is")]
    fn about_damage(&mut self, now: Now, from: VoterId, message: Message, effects: &mut Effects) {
        match message {
            Message::Mend { id, first, last, anchor } => {
                self.core.on_mend(from, id, (first, last, anchor), effects);
            }
            Message::Mended { id, term, end, holds, first: _, entries } => {
                self.core.on_mended(now, from, Answer { id, term, end, holds, entries }, effects);
            }
            Message::Recall { id, term } => {
                let hears = self.election.hears_leader(now.monotonic);
                if !hears {
                    self.elect(now, election::Input::TermSeen(term), effects);
                }
                self.core.on_recall(from, id, hears, effects);
            }
            Message::Recalled { .. } if !self.election.hears_leader(now.monotonic) => {
                self.core.on_recalled(now, from, message, effects);
            }
            _ => {}
        }
    }

    /// Ask about an end that is in doubt while nobody leads; in a newer term if need be.
    fn recall(&mut self, now: Now, effects: &mut Effects) {
        let hears = self.election.hears_leader(now.monotonic);
        if let Some(term) = self.core.recall(now, hears, effects) {
            self.elect(now, election::Input::TermSeen(term), effects);
            self.core.recall(now, hears, effects);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only what is about votes is")]
    fn ballot(&mut self, now: Now, from: VoterId, message: &Message, effects: &mut Effects) {
        let message = match *message {
            Message::PreVote { term, last } => election::Message::PreVote { term, last },
            Message::PreVoteAnswer { term, granted } => {
                election::Message::PreVoteAnswer { term, granted }
            }
            Message::Vote { term, last, transfer } => {
                election::Message::Vote { term, last, transfer }
            }
            Message::VoteAnswer { term, granted } => {
                election::Message::VoteAnswer { term, granted }
            }
            _ => return,
        };
        self.elect(now, election::Input::Message { from, message }, effects);
    }

    fn handed_over(&mut self, now: Now, from: VoterId, term: Term, effects: &mut Effects) {
        if term == self.core.term && self.core.leader == Some(from.node) {
            self.elect(now, election::Input::HandedOver, effects);
        }
    }

    /// A leader of `term` speaks: is it the one of this node's term from now on? One of an older
    /// term is not, nor is anybody when this node leads the term itself.
    fn follows(&mut self, now: Now, leader: VoterId, term: Term, effects: &mut Effects) -> bool {
        self.elect(now, election::Input::LeaderHeard { leader, term }, effects);
        let follows = term == self.core.term && self.core.leader == Some(leader.node);
        if follows {
            self.core.leader_store = Some(leader.store);
        }
        follows
    }

    /// Is this an answer to the leader that this node is, in its term? A higher term is adopted from
    /// any answer.
    fn answers_me(&mut self, now: Now, from: VoterId, term: Term, effects: &mut Effects) -> bool {
        self.elect(now, election::Input::TermSeen(term), effects);
        let mine = term == self.core.term && self.core.lead.is_some();
        if mine {
            self.elect(now, election::Input::Answered { from: from.node }, effects);
        }
        mine
    }

    /// Let the election decide something, and do what it decided.
    fn elect(&mut self, now: Now, input: election::Input, effects: &mut Effects) {
        let mut decided = Vec::new();
        let last = election::Input::Last(self.core.last());
        let floor = election::Input::Floor(self.core.log.possible_last());
        self.election.handle(now.monotonic, last, &mut decided);
        self.election.handle(now.monotonic, floor, &mut decided);
        let asker =
            if let election::Input::Message { from, .. } = &input { Some(*from) } else { None };
        self.election.handle(now.monotonic, input, &mut decided);
        for effect in decided {
            match effect {
                election::Effect::Persist(hard_state) => {
                    self.core.persist_hard_state(now, hard_state, effects);
                }
                election::Effect::Send { to, message } => {
                    let (message, after) = (ballot(message), self.core.tickets.issued);
                    // An answer goes to who asked, whom the configuration may not know yet.
                    match asker.filter(|asker| asker.node == to && message.is_ballot_answer()) {
                        Some(asker) => self.core.send_to(asker, message, after, effects),
                        None => self.core.send(to, message, after, effects),
                    }
                }
                election::Effect::Role { role, term, leader } => {
                    assert_eq!(term, self.core.term, "a term is written before a part is played");
                    self.core.set_role(now, self.role(role), leader, effects);
                }
            }
        }
    }

    /// Tell the election what it has to know: who votes, and whether this node may be elected. A
    /// node that is not bound, that is to lead no more, that cannot read all of its log (trap 13), or
    /// whose disk is stalled (research trap 32) may not.
    fn sync_election(&mut self, now: Now, effects: &mut Effects) {
        if self.core.electorate_changed {
            self.core.electorate_changed = false;
            let electorate = self.core.electorate.clone();
            self.elect(now, election::Input::Electorate(electorate), effects);
        }
        self.announce_part(now, effects);
        let fitness = self.core.fitness(now);
        let electable = self.core.am_voter() && !fitness.draining && !fitness.stalled;
        if electable != self.electable {
            self.electable = electable;
            self.elect(now, election::Input::Electable(electable), effects);
        }
    }

    /// A configuration may make a learner of a follower, and the other way round.
    fn announce_part(&mut self, now: Now, effects: &mut Effects) {
        let role = self.role(self.election.role());
        if role != self.core.role {
            self.core.set_role(now, role, self.election.leader(), effects);
        }
    }

    fn role(&self, role: election::Role) -> Role {
        match role {
            election::Role::Follower if self.core.only_learns() => Role::Learner,
            election::Role::Follower => Role::Follower,
            election::Role::PreCandidate => Role::PreCandidate,
            election::Role::Candidate => Role::Candidate,
            election::Role::Leader => Role::Leader,
        }
    }
}

/// What the election says, as it goes over the wire.
const fn ballot(message: election::Message) -> Message {
    match message {
        election::Message::PreVote { term, last } => Message::PreVote { term, last },
        election::Message::PreVoteAnswer { term, granted } => {
            Message::PreVoteAnswer { term, granted }
        }
        election::Message::Vote { term, last, transfer } => Message::Vote { term, last, transfer },
        election::Message::VoteAnswer { term, granted } => Message::VoteAnswer { term, granted },
    }
}
