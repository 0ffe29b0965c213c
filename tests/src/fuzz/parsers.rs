//! Pure decoders. Where an encoding is canonical, what decodes encodes to the same bytes.

use bytes::{Bytes, BytesMut};
use chat::{AccountId, Action, Body, Command, Login, Register, RequestId, SessionId, Target as To};
use election::{EntryId, Index, Mode, NodeId, StoreId, Term, VoterId};
use replication::{
    ClusterConfig, Member, Message,
    codec::{self, Hello, Packet},
};
use wal::{Entry, EntryKind};

use super::Target;

/// What peers send.
pub(super) const WIRE: Target = Target {
    name: "replication_wire",
    run: wire,
    seeds: wire_seeds,
    // A decoded entry takes more than its smallest encoding.
    allocation_max: |len| 64 * len + 4096,
    rounds: 60_000,
};

fn wire(bytes: &[u8]) -> bool {
    let (mut stream, mut is_taken) = (BytesMut::from(bytes), false);
    // A frame that is not all there makes room for itself: that is the receiver's bound and not this one.
    while is_decided(&stream)
        && let Ok(Some(frame)) = codec::split(&mut stream)
    {
        is_taken |= judge_frame(frame);
    }
    // And as the inside of a frame, so that the length needs no luck.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut framed = BytesMut::from(&length.to_le_bytes()[..]);
    framed.extend_from_slice(bytes);
    if let Ok(Some(frame)) = codec::split(&mut framed) {
        is_taken |= judge_frame(frame);
    }
    is_taken
}

fn is_decided(stream: &[u8]) -> bool {
    let length = stream.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    let left = stream.len().saturating_sub(4) as u64;
    u64::from(length) <= left || u64::from(length) > 64 << 20
}

fn judge_frame(frame: Bytes) -> bool {
    let Ok(packet) = codec::decode(frame.clone()) else { return false };
    assert_eq!(codec::encode(&packet).expect("it came in"), frame, "{packet:?}");
    true
}

fn wire_seeds() -> Vec<Vec<u8>> {
    let id = EntryId { term: Term(3), index: Index(128) };
    let entry = |index, payload: &'static [u8]| {
        Entry::new(index, 3, EntryKind::Command, Bytes::from_static(payload))
    };
    let entries = vec![entry(129, b"hi"), entry(130, b""), entry(131, &[7; 60])];
    let from = VoterId { node: NodeId(4), store: StoreId(1 << 100) };
    [
        Packet::Hello(Hello { version_min: 1, version_max: 1, cluster: 7, from, epoch: 9 }),
        Packet::Report(Bytes::from_static(b"a report")),
        Packet::Core(Message::Append { term: Term(4), previous: id, commit: Index(127), entries }),
        Packet::Core(Message::Vote { term: Term(5), last: id, transfer: false }),
        Packet::Core(Message::Conflict { term: Term(5), refused: id, hint: EntryId::default() }),
        Packet::Core(Message::Forward { id: 8, body: Bytes::from_static(b"body") }),
        Packet::Core(Message::Forwarded { id: 8, outcome: Ok(id) }),
        Packet::Core(Message::ReadAnswer { id: 1, index: Some(Index(2)) }),
        Packet::Core(Message::Bound { node: NodeId(4), store: StoreId(1) }),
    ]
    .iter()
    .map(|packet| codec::encode(packet).expect("it is small").to_vec())
    .collect()
}

/// What the log holds for the fold.
pub(super) const COMMAND: Target = Target {
    name: "chat_command",
    run: |bytes| {
        let Ok(command) = Command::decode(bytes) else { return false };
        assert_eq!(command.encode(), bytes, "{command:?}");
        true
    },
    seeds: command_seeds,
    allocation_max: |len| 64 * len + 4096,
    rounds: 60_000,
};

fn command_seeds() -> Vec<Vec<u8>> {
    let request = RequestId::new(0x0190_0000_0000, 7);
    let act = |action| Body::Act { account: AccountId(5), session: SessionId(200), action };
    [
        Body::Register(Register {
            name: "alice".to_owned(),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
            invite: Some([1; 32]),
            token_hash: [2; 32],
        }),
        Body::Login(Login { account: AccountId(5), password_generation: 1, token_hash: [3; 32] }),
        act(Action::Send {
            to: To::User("bob".to_owned()),
            text: "gr\u{fc}\u{df}e".to_owned(),
            reply_to: None,
            after_request: Some(request),
        }),
        act(Action::Mark { to: To::Channel("ops".to_owned()), upto: 9 }),
        act(Action::CreateChannel {
            name: "ops".to_owned(),
            private: true,
            topic: "pages".to_owned(),
        }),
    ]
    .into_iter()
    .map(|body| Command::new(request, body).encode())
    .collect()
}

/// What the log holds for membership.
pub(super) const CLUSTER_CONFIG: Target = Target {
    name: "cluster_config",
    run: |bytes| {
        let Ok(config) = ClusterConfig::decode(bytes) else { return false };
        assert_eq!(config.encode(), bytes, "{config:?}");
        true
    },
    seeds: config_seeds,
    allocation_max: |len| 64 * len + 4096,
    rounds: 20_000,
};

fn config_seeds() -> Vec<Vec<u8>> {
    [1, 3, 5].map(|count| config(count).encode()).to_vec()
}

fn config(voters: u64) -> ClusterConfig {
    let member = |node| Member {
        node: NodeId(node),
        store: (node == 2).then_some(StoreId(7)),
        peer: format!("node-{node}:7410"),
        client: format!("http://node-{node}:7411"),
    };
    ClusterConfig {
        mode: if voters == 1 { Mode::Solo } else { Mode::Majority },
        voters: (1..=voters).map(member).collect(),
        learners: vec![member(voters + 1)],
        known: Vec::new(),
        target_size: u8::try_from(voters).unwrap_or(u8::MAX),
        level: 1,
        predecessor: Index(9),
    }
}

/// Names and ids as clients write them.
pub(super) const NAMES: Target = Target {
    name: "chat_names",
    run: |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return false };
        let (id, to) = (RequestId::parse(text).ok(), To::parse(text).ok());
        if let Some(id) = id {
            let shown = id.to_string();
            assert_eq!(RequestId::parse(&shown).ok(), Some(id), "{shown}");
        }
        if let Some(to) = &to {
            let shown = to.to_string();
            assert_eq!(To::parse(&shown).ok().as_ref(), Some(to), "{shown}");
        }
        id.is_some() || to.is_some()
    },
    seeds: || {
        let request = RequestId::new(0x0190_0000_0000, 7).to_string();
        let texts = [request.as_str(), "@alice", "#general", "#gr\u{fc}n", "\u{c5}NGSTR\u{d6}M"];
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    },
    allocation_max: |len| 64 * len + 4096,
    rounds: 40_000,
};
