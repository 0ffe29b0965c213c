//! The log's side of a replica: matching, commit, reads, proposals, and who is who. Who leads is
//! decided by `election`; the core is told.
//!
//! What always holds:
//! - tickets are dense, and everything a message promises is older than the ticket it waits for;
//! - nothing at or below `commit` is ever cut;
//! - only the leader of a term makes entries of it.

use std::collections::BTreeMap;

use election::{
    Electorate, EntryId, HardState, Index, Micros, NodeId, Random, StoreId, Term, Ticket, VoterId,
};

use crate::{
    Boot, ClusterConfig, Effect, Effects, Limits, Member, Message, Now, PeerStatus, Role, Room,
    Status, Timing,
    core::{
        binding::Binding, leader::Leader, log::Log, proposal::Proposals, read::Questions,
        recall::Recall, repair::Repair, ticket::Tickets,
    },
};

mod binding;
mod commit;
mod follower;
mod forward;
mod handover;
mod leader;
mod learner;
mod level;
mod log;
mod members;
mod progress;
mod proposal;
mod read;
mod reading;
mod recall;
pub(crate) mod repair;
mod stamp;
mod standing;
mod ticket;

#[cfg(test)]
pub(crate) use self::handover::{COOL_DOWN, PAUSE};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) me: VoterId,
    /// The newest feature level that this build understands.
    understands: u16,
    pub(crate) timing: Timing,
    limits: Limits,
    pub(crate) log: Log,
    pub(crate) tickets: Tickets,
    pub(crate) commit: Index,
    /// The fold was told of so much.
    shown: Index,
    /// This log equals that of the current term's leader up to here.
    verified: Index,
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    /// Its disk, once it was heard.
    pub(crate) leader_store: Option<StoreId>,
    /// The term in which that was last decided.
    role_term: Term,
    /// The part of a leader, while leading.
    pub(crate) lead: Option<Leader>,
    pub(crate) electorate: Electorate,
    /// The election has not been told of it yet.
    pub(crate) electorate_changed: bool,
    pub(crate) binding: Binding,
    links: BTreeMap<NodeId, Link>,
    proposals: Proposals,
    /// Answers to forwards, to be sent with the appends that they are about.
    answers: Vec<(NodeId, Message)>,
    /// The operation that takes the next own entry in, while it is the last effect of this turn.
    pub(crate) open_append: Option<OpenAppend>,
    questions: Questions,
    repair: Repair,
    recall: Recall,
    /// The newest names of forwards seen from each peer: a copy of a message is not a second request.
    forwards_seen: forward::Seen,
    /// Names for questions to other nodes. They start at a drawn number, so that an answer to this
    /// node's life before fits nothing in this one.
    names: u64,
    fetches: u64,
    pub(crate) room: Room,
    /// The process is to stop.
    pub(crate) leaving: bool,
    /// This node is to lead no more before it is started again.
    pub(crate) draining: bool,
    pub(crate) halted: bool,
}

/// An append to this log that was made in this turn, and may hold more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenAppend {
    entries: usize,
    bytes: usize,
}

impl OpenAppend {
    fn new(first: &wal::Entry) -> Self {
        Self { entries: 1, bytes: log::size_bytes(first) }
    }

    /// Counts one more entry, if there is room for it.
    fn takes(&mut self, entry: &wal::Entry, limits: &Limits) -> bool {
        let (entries, bytes) = (self.entries + 1, self.bytes + log::size_bytes(entry));
        let fits = entries <= limits.append_entries_max && bytes <= limits.append_bytes_max;
        if fits {
            *self = Self { entries, bytes };
        }
        fits
    }
}

/// A link to a peer, as far as it was heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    id: VoterId,
    up: bool,
}

impl Core {
    pub(crate) fn new(boot: Boot) -> Self {
        boot.limits.check();
        let Boot { me, genesis, hard_state, bindings, first, last, term_runs, .. } = boot;
        let mut configs = vec![(Index(0), genesis)];
        configs.extend(boot.configs);
        let log = Log::new(first, last, term_runs, configs, boot.limits.tail_bytes_max)
            .with_faulty(boot.faulty, hard_state.term);
        let electorate = electorate(log.config());
        let commit = Index(first.0 - 1);
        let names = Random::new(boot.seed).next() >> 1;
        Self {
            me,
            understands: boot.level,
            timing: boot.timing,
            limits: boot.limits,
            tickets: Tickets::new(boot.ticket),
            commit,
            shown: commit,
            verified: commit,
            role: Role::Follower,
            term: hard_state.term,
            leader: None,
            leader_store: None,
            role_term: hard_state.term,
            lead: None,
            electorate: electorate.expect("a configuration that was written was checked before"),
            electorate_changed: false,
            binding: Binding::new(me, bindings, boot.joined),
            log,
            links: BTreeMap::new(),
            proposals: Proposals::default(),
            answers: Vec::new(),
            open_append: None,
            questions: Questions::default(),
            repair: Repair::default(),
            recall: Recall::new(names),
            forwards_seen: forward::Seen::default(),
            names,
            fetches: 0,
            room: Room::Enough,
            leaving: false,
            draining: false,
            halted: false,
        }
    }

    /// When something is due here, election aside.
    pub(crate) fn deadline(&self) -> Micros {
        let answer = self.timing.answer;
        let due = [
            self.binding_deadline(),
            self.lead.as_ref().map(Leader::deadline),
            self.proposals.deadline(answer),
            self.questions.deadline(answer),
            self.repair_deadline(),
            self.recall_deadline(),
        ];
        due.into_iter().flatten().min().unwrap_or(Micros(u64::MAX))
    }

    /// Do what is due.
    pub(crate) fn wake(&mut self, now: Now, effects: &mut Effects) {
        let answer = self.timing.answer;
        let lead = self.leader.map(|_| self.term);
        self.proposals.expire(now.monotonic, answer, lead, effects);
        self.questions.expire(now.monotonic, answer, effects);
        self.ask_binding_if_due(now, effects);
        self.heartbeat_if_due(now, effects);
    }

    /// Send what this input made possible, once, after all of it was taken in.
    pub(crate) fn flush(&mut self, now: Now, effects: &mut Effects) {
        for (to, answer) in std::mem::take(&mut self.answers) {
            // Nothing else will ever stand at that place in this term, so it waits for the term alone:
            // the entry may be committed before this disk has it.
            self.send(to, answer, self.tickets.hard_state, effects);
        }
        if self.lead.is_some() {
            self.hand_over_if_wanted(now);
            self.fill_stores(now, effects);
            self.promote_if_ready(now, effects);
            self.raise_level(now, effects);
            self.start_round_if_wanted(now, effects);
            self.send_appends(now, effects);
            self.hand_over_if_ready(now, effects);
        } else {
            self.ask_read(now, effects);
        }
        self.ask_for_repair(now, effects);
    }

    /// The election wrote term and vote.
    pub(crate) fn persist_hard_state(
        &mut self,
        now: Now,
        hard_state: HardState,
        effects: &mut Effects,
    ) {
        assert!(hard_state.term >= self.term, "a term never goes back");
        self.term = hard_state.term;
        let vote = |id: VoterId| wal::Vote { node: id.node.0, store: id.store.0 };
        let voted_for = hard_state.voted_for.map(vote);
        let op = wal::Op::HardState(wal::HardState { term: hard_state.term.0, voted_for });
        self.tickets.hard_state = self.persist(now, op, effects);
    }

    /// The election decided who plays which part.
    pub(crate) fn set_role(
        &mut self,
        now: Now,
        role: Role,
        leader: Option<NodeId>,
        effects: &mut Effects,
    ) {
        if self.term != self.role_term {
            // Within a term there is one leader, and its log only grows: what matched still does.
            self.verified = self.commit;
        }
        if (self.term, leader) != (self.role_term, self.leader) {
            let give_up_at = now.monotonic.plus(self.timing.quorum_silence);
            self.proposals.leader_lost(give_up_at, effects);
            self.questions.fail(effects);
            self.leader_store = None;
        }
        (self.role, self.role_term, self.leader) = (role, self.term, leader);
        effects.push(Effect::Role { role, term: self.term, leader });
        if role != Role::Leader {
            self.stop_leading(effects);
        } else if self.lead.is_none() {
            self.start_leading(now, effects);
        }
    }

    /// Everything up to `ticket` is durable. Says whether the newest hard state is.
    pub(crate) fn durable(&mut self, now: Now, ticket: Ticket, effects: &mut Effects) -> bool {
        self.tickets.durable_up_to(ticket, now.monotonic);
        self.log.durable_up_to(self.tickets.durable);
        self.advance_commit(effects);
        self.tickets.hard_state <= self.tickets.durable
    }

    /// The leader of this node's term, and the link to it is not known to be down.
    fn reachable_leader(&self) -> Option<NodeId> {
        let leader = self.leader.filter(|leader| *leader != self.me.node)?;
        self.links.get(&leader).is_none_or(|link| link.up).then_some(leader)
    }

    pub(crate) fn link_up(&mut self, id: VoterId, effects: &mut Effects) {
        let is_member = self.meet(id, effects);
        if (!self.am_named() || self.is_unknown()) && id.node != self.me.node {
            self.ask_binding(id, effects);
        }
        if !is_member {
            return;
        }
        if let Some(progress) = self.lead.as_mut().and_then(|lead| lead.peers.get_mut(&id.node)) {
            progress.restart();
        }
        if self.leader == Some(id.node) {
            self.proposals.answers_lost(effects);
            self.questions.lost();
        }
    }

    pub(crate) fn link_lost(&mut self, peer: NodeId, effects: &mut Effects) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.up = false;
        }
        if self.log.config().member(peer).is_none() {
            self.links.remove(&peer);
        }
        if self.leader == Some(peer) {
            self.proposals.answers_lost(effects);
            self.questions.fail(effects);
        }
    }

    pub(crate) fn status(&self) -> Status {
        let config = self.log.config();
        let peer = |member: &Member| {
            let progress = self.lead.as_ref().and_then(|lead| lead.peers.get(&member.node));
            PeerStatus {
                node: member.node,
                voter: self.electorate.contains(member.node),
                store: self.identity(member.node).map(|id| id.store),
                connected: self.is_connected(member.node),
                matched: progress.map(|progress| progress.matched),
                heard: progress.and_then(|progress| progress.heard),
                keeps_up_since: progress.and_then(|progress| progress.catching_up.steady_since),
            }
        };
        let members = config.voters.iter().chain(&config.learners);
        let others = members.filter(|member| member.node != self.me.node);
        Status {
            me: self.me,
            role: self.role,
            term: self.term,
            leader: self.leader,
            commit: self.commit,
            last: self.log.last(),
            durable: self.log.durable(),
            faulty: self.log.faulty().list(),
            unread: self.unread(),
            given_up: self.given_up(),
            config: config.clone(),
            config_index: self.log.config_index(),
            level: self.level(),
            bound: self.am_named(),
            draining: self.leaving || self.draining,
            election_timeout: self.timing.election_timeout,
            peers: others.map(peer).collect(),
        }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.log.last()
    }

    fn persist(&mut self, now: Now, op: wal::Op, effects: &mut Effects) -> Ticket {
        let ticket = self.tickets.issue(now.monotonic);
        effects.push(Effect::Persist { ticket, op });
        ticket
    }

    /// Send once `after` is durable; to nobody, when it is not known yet who that is.
    pub(crate) fn send(&self, to: NodeId, message: Message, after: Ticket, effects: &mut Effects) {
        if let Some(to) = self.identity(to) {
            self.send_to(to, message, after, effects);
        }
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// The configuration in force is another one.
    fn config_changed(&mut self, effects: &mut Effects) {
        let config = self.log.config();
        self.electorate = electorate(config).expect("configurations are checked before an append");
        self.electorate_changed = true;
        effects.push(Effect::Config(config.clone()));
        self.meet_members();
    }
}

/// The quorums of a configuration.
pub(crate) fn electorate(config: &ClusterConfig) -> Result<Electorate, election::NotAnElectorate> {
    Electorate::new(config.mode, config.voters.iter().map(|member| member.node).collect())
}
