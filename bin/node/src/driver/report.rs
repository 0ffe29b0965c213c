//! What each node tells the others about itself, and the picture of the cluster made of it.
//!
//! Reports are for people: nothing that is written or committed rests on them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use election::{Index, NodeId, Term, VoterId};
use replication::{ClusterConfig, Member, Mode, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    View,
    apply::{Fold, MARKS_MAX},
    damage::{Judgement, judge},
};
use crate::level;

/// A node counts as reachable for this long after its last report.
const REACHABLE_FOR: Duration = Duration::from_millis(1_000);
/// A node that is no member waits to be admitted for this long after it last knocked.
const KNOCKED_FOR: Duration = Duration::from_secs(5);

/// One node's report of itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    role: ReportedRole,
    term: u64,
    leader: Option<u64>,
    commit: u64,
    applied: u64,
    durable: u64,
    hash: u64,
    version: String,
    draining: bool,
    level: u16,
    /// Entries of its log that it cannot read.
    faulty: u64,
    /// The newest index at which nodes compare their states, and the running hash there.
    mark: (u64, u64),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
enum ReportedRole {
    Follower,
    Candidate,
    Leader,
    Learner,
}

/// The newest report of every node.
#[derive(Debug)]
pub(crate) struct Reports {
    me: NodeId,
    nodes: Mutex<BTreeMap<NodeId, Heard>>,
    /// Who asked to be bound, and when last.
    knocked: Mutex<BTreeMap<NodeId, Instant>>,
}

#[derive(Debug, Default)]
struct Heard {
    voter: Option<VoterId>,
    report: Option<(Report, Instant)>,
    /// The marks that it reported, the newest last.
    marks: VecDeque<(u64, u64)>,
}

/// The cluster as one node sees it: the object of `GET /v1/cluster`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterView {
    /// The cluster's name.
    pub cluster: String,
    /// The leader's number, if one is known.
    pub leader: Option<u64>,
    /// The newest term known.
    pub term: u64,
    /// `majority`, `pair`, `armed` or `solo`.
    pub mode: &'static str,
    /// The feature level: what every node is known to understand.
    pub level: u16,
    /// The maximal sets of voters whose loss at once is survived now.
    pub survives: Vec<Vec<u64>>,
    /// Every node of the configuration.
    pub nodes: Vec<NodeView>,
    /// Nodes that have the cluster's certificate and wait to be admitted.
    pub joiners: Vec<u64>,
}

/// One node of a [`ClusterView`].
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeView {
    /// Its number.
    pub id: u64,
    /// `leader`, `follower`, `candidate`, `learner` or `absent`.
    pub role: &'static str,
    /// Its part in the configuration: `voter`, `learner`, or `known` (rejoins when it returns).
    pub part: &'static str,
    /// Was it asked to lead no more?
    pub draining: bool,
    /// Has it reported within the last second?
    pub reachable: bool,
    /// The newest term it knows.
    pub term: u64,
    /// Its commit index.
    pub commit: u64,
    /// The newest index that its fold has applied.
    pub applied: u64,
    /// The newest index of its log that is fsynced.
    pub durable: u64,
    /// Entries of its log that it cannot read, and repairs from the others.
    pub faulty: u64,
    /// Entries between the cluster's commit index and its fold.
    pub lag: u64,
    /// Its version.
    pub version: String,
    /// The newest feature level that its version understands; 0 while it is absent.
    pub level: u16,
    /// The running hash of its state, in hex, at `hash_index`.
    pub hash: String,
    /// Where the hash was taken.
    pub hash_index: u64,
    /// Its disk, by the number drawn when it was first started, in hex; none while that is not known.
    /// With another disk it is another node: what the old one had promised counts no more.
    pub disk: Option<String>,
    /// Its public address.
    pub client: String,
}

impl Report {
    /// This node's report.
    pub(crate) fn of(view: &View, (durable, draining): (Index, bool), fold: &Fold) -> Self {
        let (applied, hash) = fold.applied_and_hash();
        Self {
            role: match view.role {
                Role::Follower => ReportedRole::Follower,
                Role::PreCandidate | Role::Candidate => ReportedRole::Candidate,
                Role::Leader => ReportedRole::Leader,
                Role::Learner => ReportedRole::Learner,
            },
            term: view.term.0,
            leader: view.leader.map(|node| node.0),
            commit: view.commit.0,
            applied,
            durable: durable.0,
            hash,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            level: level::understood(),
            draining,
            faulty: 0,
            mark: fold.marks().last().copied().unwrap_or_default(),
        }
    }

    /// The same of a node that cannot read so many entries of its log.
    pub(crate) fn lacking(self, faulty: u64) -> Self {
        Self { faulty, ..self }
    }

    /// The report as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        // Plain numbers and a short text always encode.
        postcard::to_allocvec(self).map_or_else(|_error| Bytes::new(), Bytes::from)
    }
}

impl Reports {
    /// No reports yet.
    pub(crate) fn new(me: NodeId) -> Self {
        Self { me, nodes: Mutex::default(), knocked: Mutex::default() }
    }

    /// This node's own report.
    pub(crate) fn own(&self, report: Report) {
        self.nodes().entry(self.me).or_default().report = Some((report, Instant::now()));
    }

    /// Does this node's own report say anything new?
    pub(crate) fn is_news(&self, report: &Report) -> bool {
        let nodes = self.nodes();
        let told = nodes.get(&self.me).and_then(|heard| heard.report.as_ref());
        told.is_none_or(|(told, _)| told != report)
    }

    /// A peer connected under this identity.
    pub(crate) fn connected(&self, voter: VoterId) {
        self.nodes().entry(voter.node).or_default().voter = Some(voter);
    }

    /// The link to a peer was lost: it is not reachable until it reports again.
    pub(crate) fn lost(&self, node: NodeId) {
        if let Some(heard) = self.nodes().get_mut(&node) {
            *heard = Heard::default();
        }
    }

    /// A peer reported. What cannot be read is ignored: a newer version may say more.
    pub(crate) fn heard(&self, node: NodeId, bytes: &[u8]) {
        if let Ok((report, _newer)) = postcard::take_from_bytes::<Report>(bytes) {
            let mut nodes = self.nodes();
            let heard = nodes.entry(node).or_default();
            if report.mark.0 > 0 && heard.marks.back() != Some(&report.mark) {
                heard.marks.push_back(report.mark);
                if heard.marks.len() > MARKS_MAX {
                    heard.marks.pop_front();
                }
            }
            heard.report = Some((report, Instant::now()));
        }
    }

    /// What this node's states are beside those that these voters reported.
    pub(crate) fn judge(&self, own: &[(u64, u64)], voters: &[NodeId]) -> Judgement {
        let nodes = self.nodes();
        let at = |node: NodeId, index: u64| {
            let marks = &nodes.get(&node)?.marks;
            marks.iter().rev().find(|mark| mark.0 == index).map(|mark| mark.1)
        };
        let judgements = own.iter().rev().map(|&(index, hash)| {
            let reported: Vec<u64> = voters
                .iter()
                .filter_map(|node| if *node == self.me { Some(hash) } else { at(*node, index) })
                .collect();
            judge(index, hash, &reported, voters.len())
        });
        judgements.max_by_key(Judgement::severity).unwrap_or(Judgement::Agrees)
    }

    /// A node asked to be bound; it may be none of the cluster yet.
    pub(crate) fn knocked(&self, node: NodeId) {
        let mut knocked = self.knocked.lock().unwrap_or_else(PoisonError::into_inner);
        knocked.retain(|_, when| when.elapsed() < KNOCKED_FOR);
        knocked.insert(node, Instant::now());
    }

    /// Says this node that it leads no more? None: it was not heard.
    pub(crate) fn is_draining(&self, node: NodeId) -> Option<bool> {
        let nodes = self.nodes();
        let heard = nodes.get(&node).and_then(|heard| heard.report.as_ref());
        heard.map(|(report, _)| report.draining)
    }

    /// The peers to report to.
    pub(crate) fn audience(&self) -> Vec<VoterId> {
        self.nodes().values().filter_map(|heard| heard.voter).collect()
    }

    /// The picture of the cluster.
    pub(crate) fn picture(&self, cluster: &str, view: &View) -> ClusterView {
        let nodes = self.nodes();
        let recent = |node: NodeId| {
            let (report, when) = nodes.get(&node)?.report.as_ref()?;
            (node == self.me || when.elapsed() < REACHABLE_FOR).then_some(report)
        };
        let members =
            || view.config.voters.iter().chain(&view.config.learners).chain(&view.config.known);
        let commit = members()
            .filter_map(|member| recent(member.node))
            .map(|report| report.commit)
            .fold(view.commit.0, u64::max);
        let live: Vec<NodeId> = view
            .config
            .voters
            .iter()
            .map(|member| member.node)
            .filter(|node| *node == self.me || recent(*node).is_some())
            .collect();
        ClusterView {
            cluster: cluster.to_owned(),
            leader: view.leader.map(|node| node.0),
            term: view.term.0,
            mode: mode_name(view.config.mode),
            level: view.level,
            survives: survivable_losses(&view.config, &live),
            nodes: members()
                .map(|member| NodeView {
                    part: part(&view.config, member),
                    ..node_view(member, recent(member.node), (view.term, commit))
                })
                .collect(),
            joiners: self.joiners(&view.config),
        }
    }

    fn joiners(&self, config: &ClusterConfig) -> Vec<u64> {
        let knocked = self.knocked.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = knocked.iter().filter(|(_, when)| when.elapsed() < KNOCKED_FOR);
        recent.filter(|(node, _)| config.member(**node).is_none()).map(|(node, _)| node.0).collect()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Heard>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a member does, beside the newest term and commit index known.
fn node_view(member: &Member, report: Option<&Report>, (term, commit): (Term, u64)) -> NodeView {
    let role = match report.map(|report| report.role) {
        None => "absent",
        // Whoever led an older term does not lead, though it may not know yet.
        Some(ReportedRole::Leader) if report.is_some_and(|report| report.term == term.0) => {
            "leader"
        }
        Some(ReportedRole::Follower | ReportedRole::Leader) => "follower",
        Some(ReportedRole::Candidate) => "candidate",
        Some(ReportedRole::Learner) => "learner",
    };
    let applied = report.map_or(0, |report| report.applied);
    NodeView {
        id: member.node.0,
        role,
        part: "voter",
        draining: report.is_some_and(|report| report.draining),
        reachable: report.is_some(),
        term: report.map_or(0, |report| report.term),
        commit: report.map_or(0, |report| report.commit),
        applied,
        durable: report.map_or(0, |report| report.durable),
        faulty: report.map_or(0, |report| report.faulty),
        lag: commit.saturating_sub(applied),
        version: report.map_or_else(String::new, |report| report.version.clone()),
        level: report.map_or(0, |report| report.level),
        hash: report.map_or_else(String::new, |report| format!("{:016x}", report.hash)),
        hash_index: applied,
        disk: member.store.map(|store| format!("{:032x}", store.0)),
        client: member.client.clone(),
    }
}

fn part(config: &ClusterConfig, member: &Member) -> &'static str {
    if config.voters.contains(member) {
        "voter"
    } else if config.learners.contains(member) {
        "learner"
    } else {
        "known"
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Majority => "majority",
        Mode::Pair => "pair",
        Mode::Armed { .. } => "armed",
        Mode::Solo => "solo",
    }
}

/// The maximal sets of live voters that may be lost at once while the rest still elects and commits.
fn survivable_losses(config: &ClusterConfig, live: &[NodeId]) -> Vec<Vec<u64>> {
    let subsets = 1_u32 << live.len().min(16);
    let left = |lost: u32| -> Vec<NodeId> {
        live.iter()
            .enumerate()
            .filter(|(i, _)| lost & (1 << i) == 0)
            .map(|(_, node)| *node)
            .collect()
    };
    let survived: Vec<u32> = (0..subsets).filter(|lost| can_serve(config, &left(*lost))).collect();
    survived
        .iter()
        .filter(|lost| **lost != 0)
        .filter(|lost| !survived.iter().any(|more| more != *lost && more & **lost == **lost))
        .map(|lost| {
            live.iter()
                .enumerate()
                .filter(|(i, _)| lost & (1 << i) != 0)
                .map(|(_, n)| n.0)
                .collect()
        })
        .collect()
}

/// Do these voters elect and commit, at the latest after the step that the mode provides for?
fn can_serve(config: &ClusterConfig, live: &[NodeId]) -> bool {
    match config.mode {
        Mode::Majority => live.len() * 2 > config.voters.len(),
        Mode::Pair | Mode::Solo => live.len() == config.voters.len(),
        Mode::Armed { survivor } => live.contains(&survivor),
    }
}
