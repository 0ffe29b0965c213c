//! Every parser of bytes from the network, fed with what is nearly right: seeded, so that what is found
//! is found again.

use bytes::{Bytes, BytesMut};
use chat::{Command, RequestId};
use election::{EntryId, Index, NodeId, Random, StoreId, Term, VoterId};
use replication::{
    Message,
    codec::{self, Hello, Packet},
};
use serde_json::json;
use wal::{Entry, EntryKind};

use crate::target::attack;

/// Changes bytes here and there: flips, cuts, repeats, inserts, and numbers at their bounds.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.up_to(3) {
        let length = bytes.len() as u64;
        let at = usize::try_from(random.up_to(length)).unwrap();
        let byte = random.next().to_le_bytes()[0];
        match random.up_to(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
            3 => drop(bytes.drain(at.saturating_sub(3)..at)),
            4 => {
                for target in bytes.iter_mut().skip(at).take(9) {
                    *target = 0xff;
                }
            }
            5 => drop(
                bytes
                    .get_mut(at)
                    .map(|target| *target = [0, 0x7f, 0x80, 0xff][usize::from(byte % 4)]),
            ),
            _ => drop(bytes.get_mut(at).map(|target| *target ^= 1 << (byte % 8))),
        }
    }
}

fn packets() -> Vec<Packet> {
    let id = EntryId { term: Term(3), index: Index(128) };
    let entry = |index, payload: &'static [u8]| {
        Entry::new(index, 3, EntryKind::Command, Bytes::from_static(payload))
    };
    let entries = vec![entry(129, b"hi"), entry(130, b""), entry(131, &[7; 200])];
    let from = VoterId { node: NodeId(4), store: StoreId(1 << 100) };
    vec![
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
}

#[test]
fn mutated_packets_are_refused_or_canonical() {
    let packets = packets();
    let mut random = Random::new(1);
    let (mut read, mut refused) = (0, 0);
    for round in 0..60_000 {
        let mut bytes = codec::encode(&packets[round % packets.len()]).unwrap().to_vec();
        mutate(&mut random, &mut bytes);
        // Half of them with a length that is right again, so that the inside is read.
        if let Some(length) = bytes.len().checked_sub(4).filter(|_| round % 2 == 0) {
            bytes[..4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        }
        let mut stream = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = codec::split(&mut stream) {
            match codec::decode(frame.clone()) {
                Ok(packet) => {
                    assert_eq!(codec::encode(&packet).unwrap(), frame);
                    read += 1;
                }
                Err(_refused) => refused += 1,
            }
        }
    }
    assert!(read > 1000 && refused > 10_000, "{read} read, {refused} refused");
}

#[test]
fn mutated_commands_are_refused_or_canonical() {
    use chat::{AccountId, Action, Body, Login, Register, SessionId, Target};
    let act = |action| Body::Act { account: AccountId(5), session: SessionId(200), action };
    let request = RequestId::new(0x0190_0000_0000, 7);
    let bodies = [
        Body::Register(Register {
            name: "alice".to_owned(),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
            invite: Some([1; 32]),
            token_hash: [2; 32],
        }),
        Body::Login(Login { account: AccountId(5), password_generation: 1, token_hash: [3; 32] }),
        act(Action::Send {
            to: Target::User("bob".to_owned()),
            text: "gr\u{fc}\u{df}e".to_owned(),
            reply_to: None,
            after_request: Some(request),
        }),
        act(Action::Mark { to: Target::Channel("ops".to_owned()), upto: 9 }),
        act(Action::CreateChannel {
            name: "ops".to_owned(),
            private: true,
            topic: "pages".to_owned(),
        }),
    ];
    let mut random = Random::new(2);
    let (mut read, mut refused) = (0, 0);
    for round in 0..60_000 {
        let command = Command::new(request, bodies[round % bodies.len()].clone());
        let mut bytes = command.encode();
        mutate(&mut random, &mut bytes);
        match Command::decode(&bytes) {
            Ok(command) => {
                assert_eq!(command.encode(), bytes);
                read += 1;
            }
            Err(_refused) => refused += 1,
        }
    }
    assert!(read > 1000 && refused > 10_000, "{read} read, {refused} refused");
}

/// Requests that are nearly right, whole: heads and bodies. Never an error of the node's own, never
/// silence where there was a request.
#[tokio::test(flavor = "multi_thread")]
async fn mutated_requests_are_answered_or_cut_off() {
    const ROUNDS: usize = 400;
    attack(async |target| {
        let to = json!({"to": "#general", "text": "gr\u{fc}\u{df}e", "reply_to": null}).to_string();
        let requests = [
            ("POST", "/v1/messages", to),
            ("POST", "/v1/channels", json!({"name": "fuzz", "private": false}).to_string()),
            ("POST", "/v1/channels/general/read", json!({"upto": 1}).to_string()),
            ("POST", "/v1/channels/general/invites", json!({"user": "bob"}).to_string()),
            ("GET", "/v1/channels/general/messages?before=9&limit=3", String::new()),
            ("GET", "/v1/users?match=*a*&after=a&limit=2", String::new()),
        ];
        let mut random = Random::new(3);
        let bytes: Vec<Vec<u8>> = (0..ROUNDS)
            .map(|round| {
                let (method, path, body) = &requests[round % requests.len()];
                let mut body = body.clone().into_bytes();
                if round % 2 == 0 {
                    mutate(&mut random, &mut body);
                }
                let mut head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: \
                     Bearer {}\r\nContent-Length: {}\r\n",
                    target.alice,
                    body.len()
                )
                .into_bytes();
                if round % 2 == 1 {
                    mutate(&mut random, &mut head);
                }
                [&head[..], b"\r\n", &body].concat()
            })
            .collect();
        for some in bytes.chunks(200) {
            let answers = some.iter().map(|bytes| target.raw(bytes));
            for (bytes, answers) in
                some.iter().zip(futures_util::future::join_all(answers).await)
            {
                let shown = String::from_utf8_lossy(bytes);
                if !answers.is_silence() {
                    let status = answers.first().status;
                    assert!((200..500).contains(&status) || status == 503, "{status}: {shown:?}");
                }
            }
        }
    })
    .await;
}
