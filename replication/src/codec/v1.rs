//! Format 1: the packets as postcard writes them. Frozen: never reorder, drop or change anything
//! here. A message that older nodes need not know is a new variant at the end; anything else is a new
//! format.

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId, StoreId, Term, VoterId};
use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};
use wal::EntryKind;

use super::{
    Hello, WHAT,
    blob::{Blob, List},
    check_bounds,
};
use crate::{Change, DecodeError, Fitness, Message, Refusal, config::MemberV1};

/// Read the packet that fills `body` exactly.
pub(super) fn decode(body: &Bytes) -> Result<super::Packet, DecodeError> {
    let malformed = |source| DecodeError::Malformed { what: WHAT, source };
    let (wire, rest) = postcard::take_from_bytes::<Packet<'_>>(body).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing { what: "packet", bytes: rest.len() });
    }
    // Whatever is not canonical (a padded varint) is longer than it need be.
    let size = postcard::serialize_with_flavor(&wire, Size::default()).map_err(malformed)?;
    if size != body.len() {
        return Err(DecodeError::NotCanonical { what: WHAT });
    }
    let packet = wire.take(body)?;
    check_bounds(&packet)?;
    Ok(packet)
}

#[derive(Deserialize, Serialize)]
pub(super) enum Packet<'a> {
    Hello(HelloV1),
    #[serde(borrow)]
    Core(MessageV1<'a>),
    Report(Blob<'a>),
    GenesisQuestion,
    Genesis(Blob<'a>),
}

#[derive(Deserialize, Serialize)]
pub(super) struct HelloV1 {
    version_min: u16,
    version_max: u16,
    cluster: [u8; 16],
    node: u64,
    store: [u8; 16],
    epoch: u64,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
pub(super) struct IdV1 {
    term: u64,
    index: u64,
}

#[derive(Deserialize, Serialize)]
pub(super) struct EntryV1<'a> {
    index: u64,
    term: u64,
    kind: u8,
    checksum: [u8; 4],
    #[serde(borrow)]
    payload: Blob<'a>,
}

#[derive(Deserialize, Serialize)]
pub(super) enum RefusalV1 {
    NoLeader,
    Busy,
    NoSpace,
    Draining,
    TooLarge,
    NoSuccessor,
    ConfigPending,
    AlreadyMember,
    NotMember,
    LastVoter,
    Full,
    WouldSplit,
    NoQuorum,
}

#[derive(Deserialize, Serialize)]
pub(super) enum ChangeV1 {
    Add(MemberV1),
    Remove(u64),
    Replace(u64, Option<[u8; 16]>),
    Transfer(Option<u64>),
}

#[derive(Deserialize, Serialize)]
pub(super) enum ForwardedV1 {
    At(IdV1),
    Refused(RefusalV1),
}

#[derive(Deserialize, Serialize)]
pub(super) enum MessageV1<'a> {
    PreVote {
        term: u64,
        last: IdV1,
    },
    PreVoteAnswer {
        term: u64,
        granted: bool,
    },
    Vote {
        term: u64,
        last: IdV1,
        transfer: bool,
    },
    VoteAnswer {
        term: u64,
        granted: bool,
    },
    Heartbeat {
        term: u64,
        commit: u64,
        round: u64,
        matched: u64,
    },
    HeartbeatAnswer {
        term: u64,
        round: u64,
        wall: u64,
        fitness: FitnessV1,
        level: u16,
    },
    Append {
        term: u64,
        previous: IdV1,
        commit: u64,
        #[serde(borrow)]
        entries: List<EntryV1<'a>>,
    },
    Appended {
        term: u64,
        matched: u64,
    },
    Conflict {
        term: u64,
        refused: IdV1,
        hint: IdV1,
    },
    Forward {
        id: u64,
        body: Blob<'a>,
    },
    Forwarded {
        id: u64,
        outcome: ForwardedV1,
    },
    Read {
        id: u64,
    },
    ReadAnswer {
        id: u64,
        index: Option<u64>,
    },
    TimeoutNow {
        term: u64,
    },
    Bind {
        joined: bool,
    },
    Bound {
        node: u64,
        store: [u8; 16],
    },
    Drain {
        undo: bool,
    },
    Reconfigure {
        id: u64,
        change: ChangeV1,
    },
    Named {
        store: [u8; 16],
        index: u64,
    },
    Removed {
        index: u64,
    },
    Regressed {
        term: u64,
        matched: u64,
        end: u64,
    },
    Mend {
        id: u64,
        first: u64,
        last: u64,
        anchor: IdV1,
    },
    Mended {
        id: u64,
        term: u64,
        end: Option<u64>,
        holds: bool,
        first: u64,
        #[serde(borrow)]
        entries: List<EntryV1<'a>>,
    },
    Recall {
        id: u64,
        term: u64,
    },
    Recalled {
        id: u64,
        term: u64,
        hears: bool,
        readable: IdV1,
        config_index: u64,
        config: Blob<'a>,
    },
}

#[derive(Deserialize, Serialize)]
pub(super) struct FitnessV1 {
    has_space: bool,
    stalled: bool,
    draining: bool,
}

impl<'a> From<&'a super::Packet> for Packet<'a> {
    fn from(packet: &'a super::Packet) -> Self {
        match packet {
            super::Packet::Hello(hello) => Self::Hello(hello.into()),
            super::Packet::Core(message) => Self::Core(message.into()),
            super::Packet::Report(bytes) => Self::Report(Blob(bytes)),
            super::Packet::GenesisQuestion => Self::GenesisQuestion,
            super::Packet::Genesis(bytes) => Self::Genesis(Blob(bytes)),
        }
    }
}

impl Packet<'_> {
    /// The packet, its byte strings shared with `body`, from which it was read.
    fn take(self, body: &Bytes) -> Result<super::Packet, DecodeError> {
        Ok(match self {
            Self::Hello(hello) => super::Packet::Hello(hello.into()),
            Self::Core(message) => super::Packet::Core(message.take(body)?),
            Self::Report(bytes) => super::Packet::Report(body.slice_ref(bytes.0)),
            Self::GenesisQuestion => super::Packet::GenesisQuestion,
            Self::Genesis(bytes) => super::Packet::Genesis(body.slice_ref(bytes.0)),
        })
    }
}

impl From<&Hello> for HelloV1 {
    fn from(hello: &Hello) -> Self {
        Self {
            version_min: hello.version_min,
            version_max: hello.version_max,
            cluster: hello.cluster.to_be_bytes(),
            node: hello.from.node.0,
            store: hello.from.store.0.to_be_bytes(),
            epoch: hello.epoch,
        }
    }
}

impl From<HelloV1> for Hello {
    fn from(hello: HelloV1) -> Self {
        let store = StoreId(u128::from_be_bytes(hello.store));
        Self {
            version_min: hello.version_min,
            version_max: hello.version_max,
            cluster: u128::from_be_bytes(hello.cluster),
            from: VoterId { node: NodeId(hello.node), store },
            epoch: hello.epoch,
        }
    }
}

impl<'a> From<&'a Message> for MessageV1<'a> {
    fn from(message: &'a Message) -> Self {
        match *message {
            Message::PreVote { term, last } => Self::PreVote { term: term.0, last: last.into() },
            Message::PreVoteAnswer { term, granted } => {
                Self::PreVoteAnswer { term: term.0, granted }
            }
            Message::Vote { term, last, transfer } => {
                Self::Vote { term: term.0, last: last.into(), transfer }
            }
            Message::VoteAnswer { term, granted } => Self::VoteAnswer { term: term.0, granted },
            Message::Heartbeat { term, commit, round, matched } => {
                Self::Heartbeat { term: term.0, commit: commit.0, round, matched: matched.0 }
            }
            Message::HeartbeatAnswer { term, round, wall, fitness, level } => {
                let (wall, fitness) = (wall.0, fitness.into());
                Self::HeartbeatAnswer { term: term.0, round, wall, fitness, level }
            }
            Message::Append { term, previous, commit, ref entries } => {
                let entries = List(entries.iter().map(EntryV1::from).collect());
                let (previous, commit) = (previous.into(), commit.0);
                Self::Append { term: term.0, previous, commit, entries }
            }
            Message::Appended { term, matched } => {
                Self::Appended { term: term.0, matched: matched.0 }
            }
            Message::Conflict { term, refused, hint } => {
                Self::Conflict { term: term.0, refused: refused.into(), hint: hint.into() }
            }
            Message::Forward { id, ref body } => Self::Forward { id, body: Blob(body) },
            Message::Reconfigure { id, ref change } => {
                Self::Reconfigure { id, change: change.into() }
            }
            Message::Forwarded { id, outcome } => Self::Forwarded { id, outcome: outcome.into() },
            Message::Read { id } => Self::Read { id },
            Message::ReadAnswer { id, index } => {
                Self::ReadAnswer { id, index: index.map(|index| index.0) }
            }
            Message::TimeoutNow { term } => Self::TimeoutNow { term: term.0 },
            Message::Drain { undo } => Self::Drain { undo },
            Message::Bind { joined } => Self::Bind { joined },
            Message::Bound { node, store } => {
                Self::Bound { node: node.0, store: store.0.to_be_bytes() }
            }
            Message::Named { store, index } => {
                Self::Named { store: store.0.to_be_bytes(), index: index.0 }
            }
            Message::Removed { index } => Self::Removed { index: index.0 },
            Message::Regressed { term, matched, end } => {
                Self::Regressed { term: term.0, matched: matched.0, end: end.0 }
            }
            Message::Mend { id, first, last, anchor } => {
                Self::Mend { id, first: first.0, last: last.0, anchor: anchor.into() }
            }
            Message::Mended { id, term, end, holds, first, ref entries } => {
                let entries = List(entries.iter().map(EntryV1::from).collect());
                let (end, first) = (end.map(|end| end.0), first.0);
                Self::Mended { id, term: term.0, end, holds, first, entries }
            }
            Message::Recall { id, term } => Self::Recall { id, term: term.0 },
            Message::Recalled { id, term, hears, readable, config_index, ref config } => {
                let (term, config_index) = (term.0, config_index.0);
                let (readable, config) = (readable.into(), Blob(config));
                Self::Recalled { id, term, hears, readable, config_index, config }
            }
        }
    }
}

impl MessageV1<'_> {
    fn take(self, body: &Bytes) -> Result<Message, DecodeError> {
        Ok(match self {
            Self::PreVote { term, last } => {
                Message::PreVote { term: Term(term), last: last.into() }
            }
            Self::PreVoteAnswer { term, granted } => {
                Message::PreVoteAnswer { term: Term(term), granted }
            }
            Self::Vote { term, last, transfer } => {
                Message::Vote { term: Term(term), last: last.into(), transfer }
            }
            Self::VoteAnswer { term, granted } => Message::VoteAnswer { term: Term(term), granted },
            Self::Heartbeat { term, commit, round, matched } => {
                let (commit, matched) = (Index(commit), Index(matched));
                Message::Heartbeat { term: Term(term), commit, round, matched }
            }
            Self::HeartbeatAnswer { term, round, wall, fitness, level } => {
                let (wall, fitness) = (Micros(wall), fitness.into());
                Message::HeartbeatAnswer { term: Term(term), round, wall, fitness, level }
            }
            Self::Append { term, previous, commit, entries } => {
                let (previous, commit) = (EntryId::from(previous), Index(commit));
                let entries = take_entries(entries, previous.index, body)?;
                Message::Append { term: Term(term), previous, commit, entries }
            }
            Self::Appended { term, matched } => {
                Message::Appended { term: Term(term), matched: Index(matched) }
            }
            Self::Conflict { term, refused, hint } => {
                Message::Conflict { term: Term(term), refused: refused.into(), hint: hint.into() }
            }
            Self::Forward { id, body: bytes } => {
                Message::Forward { id, body: body.slice_ref(bytes.0) }
            }
            Self::Forwarded { id, outcome } => Message::Forwarded { id, outcome: outcome.into() },
            Self::Read { id } => Message::Read { id },
            Self::ReadAnswer { id, index } => Message::ReadAnswer { id, index: index.map(Index) },
            Self::TimeoutNow { term } => Message::TimeoutNow { term: Term(term) },
            Self::Drain { undo } => Message::Drain { undo },
            Self::Bind { joined } => Message::Bind { joined },
            Self::Bound { node, store } => {
                let store = StoreId(u128::from_be_bytes(store));
                Message::Bound { node: NodeId(node), store }
            }
            Self::Reconfigure { id, change } => Message::Reconfigure { id, change: change.into() },
            Self::Named { store, index } => {
                let store = StoreId(u128::from_be_bytes(store));
                Message::Named { store, index: Index(index) }
            }
            Self::Removed { index } => Message::Removed { index: Index(index) },
            Self::Regressed { term, matched, end } => {
                Message::Regressed { term: Term(term), matched: Index(matched), end: Index(end) }
            }
            Self::Mend { id, first, last, anchor } => {
                let (first, last) = (Index(first), Index(last));
                Message::Mend { id, first, last, anchor: anchor.into() }
            }
            Self::Mended { id, term, end, holds, first, entries } => {
                let before = first.checked_sub(1).map(Index);
                let before = before.ok_or(DecodeError::Invalid { what: "an index" })?;
                let (first, entries) = (before.next(), take_entries(entries, before, body)?);
                Message::Mended { id, term: Term(term), end: end.map(Index), holds, first, entries }
            }
            Self::Recall { id, term } => Message::Recall { id, term: Term(term) },
            Self::Recalled { id, term, hears, readable, config_index, config } => {
                let (term, config_index) = (Term(term), Index(config_index));
                let (readable, config) = (readable.into(), body.slice_ref(config.0));
                Message::Recalled { id, term, hears, readable, config_index, config }
            }
        })
    }
}

/// The entries behind `previous`: dense, of a known kind, and intact.
fn take_entries(
    entries: List<EntryV1<'_>>,
    previous: Index,
    body: &Bytes,
) -> Result<Vec<wal::Entry>, DecodeError> {
    let mut index = previous.0;
    let take = |entry: EntryV1<'_>| {
        let dense = index.checked_add(1).filter(|next| *next == entry.index);
        index = dense.ok_or(DecodeError::Invalid { what: "the index of an entry" })?;
        let kind = EntryKind::from_u8(entry.kind)
            .ok_or(DecodeError::Invalid { what: "the kind of an entry" })?;
        let entry = wal::Entry {
            index,
            term: entry.term,
            kind,
            checksum: u32::from_le_bytes(entry.checksum),
            payload: body.slice_ref(entry.payload.0),
        };
        if entry.is_intact() { Ok(entry) } else { Err(DecodeError::Damaged { index }) }
    };
    entries.0.into_iter().map(take).collect()
}

impl<'a> From<&'a wal::Entry> for EntryV1<'a> {
    fn from(entry: &'a wal::Entry) -> Self {
        Self {
            index: entry.index,
            term: entry.term,
            kind: entry.kind as u8,
            checksum: entry.checksum.to_le_bytes(),
            payload: Blob(&entry.payload),
        }
    }
}

impl From<Fitness> for FitnessV1 {
    fn from(Fitness { has_space, stalled, draining }: Fitness) -> Self {
        Self { has_space, stalled, draining }
    }
}

impl From<FitnessV1> for Fitness {
    fn from(FitnessV1 { has_space, stalled, draining }: FitnessV1) -> Self {
        Self { has_space, stalled, draining }
    }
}

impl From<EntryId> for IdV1 {
    fn from(id: EntryId) -> Self {
        Self { term: id.term.0, index: id.index.0 }
    }
}

impl From<IdV1> for EntryId {
    fn from(id: IdV1) -> Self {
        Self { term: Term(id.term), index: Index(id.index) }
    }
}

impl From<&Change> for ChangeV1 {
    fn from(change: &Change) -> Self {
        match change {
            Change::Add(member) => Self::Add(member.into()),
            Change::Remove(node) => Self::Remove(node.0),
            Change::Replace(node, lost) => {
                Self::Replace(node.0, lost.map(|store| store.0.to_be_bytes()))
            }
            Change::Transfer(to) => Self::Transfer(to.map(|node| node.0)),
        }
    }
}

impl From<ChangeV1> for Change {
    fn from(change: ChangeV1) -> Self {
        match change {
            ChangeV1::Add(member) => Self::Add(member.into()),
            ChangeV1::Remove(node) => Self::Remove(NodeId(node)),
            ChangeV1::Replace(node, lost) => {
                let lost = lost.map(|store| StoreId(u128::from_be_bytes(store)));
                Self::Replace(NodeId(node), lost)
            }
            ChangeV1::Transfer(to) => Self::Transfer(to.map(NodeId)),
        }
    }
}

impl From<Result<EntryId, Refusal>> for ForwardedV1 {
    fn from(outcome: Result<EntryId, Refusal>) -> Self {
        match outcome {
            Ok(id) => Self::At(id.into()),
            Err(refusal) => Self::Refused(refusal.into()),
        }
    }
}

impl From<ForwardedV1> for Result<EntryId, Refusal> {
    fn from(outcome: ForwardedV1) -> Self {
        match outcome {
            ForwardedV1::At(id) => Ok(id.into()),
            ForwardedV1::Refused(refusal) => Err(refusal.into()),
        }
    }
}

impl From<Refusal> for RefusalV1 {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoLeader => Self::NoLeader,
            Refusal::Busy => Self::Busy,
            Refusal::NoSpace => Self::NoSpace,
            Refusal::Draining => Self::Draining,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::NoSuccessor => Self::NoSuccessor,
            Refusal::ConfigPending => Self::ConfigPending,
            Refusal::AlreadyMember => Self::AlreadyMember,
            Refusal::NotMember => Self::NotMember,
            Refusal::LastVoter => Self::LastVoter,
            Refusal::Full => Self::Full,
            Refusal::WouldSplit => Self::WouldSplit,
            Refusal::NoQuorum => Self::NoQuorum,
        }
    }
}

impl From<RefusalV1> for Refusal {
    fn from(refusal: RefusalV1) -> Self {
        match refusal {
            RefusalV1::NoLeader => Self::NoLeader,
            RefusalV1::Busy => Self::Busy,
            RefusalV1::NoSpace => Self::NoSpace,
            RefusalV1::Draining => Self::Draining,
            RefusalV1::TooLarge => Self::TooLarge,
            RefusalV1::NoSuccessor => Self::NoSuccessor,
            RefusalV1::ConfigPending => Self::ConfigPending,
            RefusalV1::AlreadyMember => Self::AlreadyMember,
            RefusalV1::NotMember => Self::NotMember,
            RefusalV1::LastVoter => Self::LastVoter,
            RefusalV1::Full => Self::Full,
            RefusalV1::WouldSplit => Self::WouldSplit,
            RefusalV1::NoQuorum => Self::NoQuorum,
        }
    }
}
