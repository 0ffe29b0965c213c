//! Consensus and the driver: role, term, log, proposals, peers.

use std::time::Duration;

use election::{NodeId, Term};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use replication::{Lane, Outcome, PeerStatus, Refusal, Role, Status};

use super::{Level, Seconds, bytes, count, counter, level};

/// What consensus and the driver tell.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    roles: Family<RoleLabel, Level>,
    term: Level,
    election_timeout: Seconds,
    commit: Level,
    applied: Level,
    lag: Level,
    durable: Level,
    last: Level,
    elections_started: Counter,
    elections_won: Counter,
    leader_changes: Counter,
    proposals: Family<OutcomeLabel, Counter>,
    proposals_waiting: Level,
    queue_bytes: Level,
    queue_ops: Level,
    messages: Family<LaneLabel, Counter>,
    peers: Peers,
}

#[derive(Clone, Debug, Default)]
struct Peers {
    connected: Family<PeerLabel, Level>,
    round_trip: Family<PeerLabel, Seconds>,
    lag: Family<PeerLabel, Level>,
}

/// How much of what the driver holds waits for something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    /// Bytes in line for the log's writer.
    pub(crate) queue_bytes: usize,
    /// Operations in line for it, and behind the line.
    pub(crate) queue_ops: usize,
    /// Proposals without an outcome.
    pub(crate) proposals: usize,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LaneLabel {
    lane: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerLabel {
    peer: u64,
}

/// What may become of a proposal.
const OUTCOMES: [&str; 8] = [
    "committed",
    "no_leader",
    "busy",
    "disk_full",
    "draining",
    "too_large",
    "no_successor",
    "unknown",
];

impl Core {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let roles = Family::default();
        registry.register("role", "1 for the part that this node plays", roles.clone());
        let proposals: Family<OutcomeLabel, Counter> = Family::default();
        for outcome in OUTCOMES {
            // From nought on, so that the first refusal shows as a rise.
            drop(proposals.get_or_create(&OutcomeLabel { outcome }));
        }
        let help = "Commands of this node's clients that got their outcome, by what it was";
        registry.register("proposals", help, proposals.clone());
        let election_timeout = Seconds::default();
        let help = "How long a leader's silence is borne now, rank and jitter aside";
        registry.register_with_unit(
            "election_timeout",
            help,
            Unit::Seconds,
            election_timeout.clone(),
        );
        let messages = Family::default();
        let help = "Messages handed to the links to other nodes, by lane";
        registry.register("peer_messages", help, messages.clone());
        Self {
            roles,
            term: level(registry, "term", "The newest term known"),
            election_timeout,
            commit: level(registry, "commit_index", "Committed up to this index"),
            applied: level(registry, "applied_index", "Folded up to this index"),
            lag: level(registry, "applied_lag_entries", "Entries committed and not folded"),
            durable: level(registry, "durable_index", "Fsynced here up to this index"),
            last: level(registry, "last_index", "The last index of the log here"),
            elections_started: counter(registry, "elections_started", "Times it asked for votes"),
            elections_won: counter(registry, "elections_won", "Times it became the leader"),
            leader_changes: counter(registry, "leader_changes", "Times another leader was known"),
            proposals,
            proposals_waiting: level(
                registry,
                "proposals_waiting",
                "Commands of this node's clients that wait for their outcome",
            ),
            queue_bytes: bytes(registry, "log_queue", "What waits for the log's writer"),
            queue_ops: level(registry, "log_queue_operations", "What waits for the log's writer"),
            messages,
            peers: Peers::register(registry),
        }
    }

    /// The part played or the leader changed.
    pub(crate) fn role(
        &self,
        before: (Role, Term, Option<NodeId>),
        after: (Role, Term, Option<NodeId>),
    ) {
        let turned = |role: Role| after.0 == role && (before.0 != role || before.1 != after.1);
        if turned(Role::Candidate) {
            self.elections_started.inc();
        }
        if turned(Role::Leader) {
            self.elections_won.inc();
        }
        if after.2.is_some() && (after.2, after.1) != (before.2, before.1) {
            self.leader_changes.inc();
        }
    }

    /// A command got its outcome.
    pub(crate) fn outcome(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Committed(_) => "committed",
            Outcome::NotAccepted(Refusal::NoLeader) => "no_leader",
            Outcome::NotAccepted(Refusal::Busy) => "busy",
            Outcome::NotAccepted(Refusal::NoSpace) => "disk_full",
            Outcome::NotAccepted(Refusal::Draining) => "draining",
            Outcome::NotAccepted(Refusal::TooLarge) => "too_large",
            Outcome::NotAccepted(Refusal::NoSuccessor) => "no_successor",
            Outcome::NotAccepted(
                Refusal::ConfigPending
                | Refusal::AlreadyMember
                | Refusal::NotMember
                | Refusal::LastVoter
                | Refusal::Full
                | Refusal::WouldSplit
                | Refusal::NoQuorum,
            ) => "config_refused",
            Outcome::Unknown => "unknown",
        };
        self.proposals.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A message was handed to the transport.
    pub(crate) fn sent(&self, lane: Lane) {
        let lane = match lane {
            Lane::Control => "control",
            Lane::Log => "log",
            Lane::Bulk => "bulk",
        };
        self.messages.get_or_create(&LaneLabel { lane }).inc();
    }

    /// How things stand now; the driver says it a few times a second.
    pub(crate) fn sample(
        &self,
        status: &Status,
        waiting: Waiting,
        round_trip: impl Fn(NodeId) -> Option<Duration>,
    ) {
        for (name, role) in [
            ("follower", &[Role::Follower][..]),
            ("candidate", &[Role::PreCandidate, Role::Candidate]),
            ("leader", &[Role::Leader]),
            ("learner", &[Role::Learner]),
        ] {
            let is_played = u64::from(role.contains(&status.role));
            self.roles.get_or_create(&RoleLabel { role: name }).set(is_played);
        }
        self.term.set(status.term.0);
        let timeout = Duration::from_micros(status.election_timeout.0);
        self.election_timeout.set(timeout.as_secs_f64());
        self.durable.set(status.durable.0);
        self.last.set(status.last.index.0);
        self.queue_bytes.set(count(waiting.queue_bytes));
        self.queue_ops.set(count(waiting.queue_ops));
        self.proposals_waiting.set(count(waiting.proposals));
        for peer in &status.peers {
            let round_trip = round_trip(peer.node).filter(|_| peer.connected);
            self.peers.sample(peer, status.last.index.0, round_trip);
        }
    }

    /// How far commit and fold are. An index below another is read first, so that the lag is none
    /// that never was.
    pub(crate) fn progress(&self, applied: u64, commit: u64) {
        self.applied.set(applied);
        self.commit.set(commit);
        self.lag.set(commit.saturating_sub(applied));
    }
}

impl Peers {
    fn register(registry: &mut Registry) -> Self {
        let peers = Self::default();
        let help = "1 while the link to the other node is up";
        registry.register("peer_connected", help, peers.connected.clone());
        let help = "Round-trip time to the other node, while the link is up";
        registry.register_with_unit(
            "peer_round_trip",
            help,
            Unit::Seconds,
            peers.round_trip.clone(),
        );
        let help = "Entries that the other node lacks; only the leader knows";
        registry.register("peer_lag_entries", help, peers.lag.clone());
        peers
    }

    /// What is not known is not shown: an old figure would be taken for a new one.
    fn sample(&self, peer: &PeerStatus, last: u64, round_trip: Option<Duration>) {
        let label = PeerLabel { peer: peer.node.0 };
        self.connected.get_or_create(&label).set(u64::from(peer.connected));
        match round_trip {
            Some(span) => drop(self.round_trip.get_or_create(&label).set(span.as_secs_f64())),
            None => drop(self.round_trip.remove(&label)),
        }
        match peer.matched {
            Some(matched) => {
                self.lag.get_or_create(&label).set(last.saturating_sub(matched.0));
            }
            None => drop(self.lag.remove(&label)),
        }
    }
}
