//! The bytes of commands: frozen, canonical, bounded.

use std::{format, string::String, vec, vec::Vec};

use proptest::prelude::*;

use crate::{
    AccountId, Action, Body, Command, CommandV1, DecodeError, Login, MessageId, Register,
    Registration, RequestId, SessionId, Target,
    limits::{COMMAND_BYTES_MAX, TEXT_BYTES_MAX},
    tests::kit::{PHC, check_file, send},
};

/// One of every kind, with every field set to something that shows.
fn samples() -> Vec<(&'static str, Command)> {
    let name = String::from;
    let actions = vec![
        ("logout", Action::Logout { session: SessionId(300) }),
        (
            "create_channel",
            Action::CreateChannel { name: name("ops"), private: true, topic: name("pages") },
        ),
        ("join", Action::Join { channel: name("ops") }),
        ("leave", Action::Leave { channel: name("ops") }),
        ("invite", Action::Invite { channel: name("ops"), user: name("bob") }),
        (
            "send",
            Action::Send {
                to: Target::user("bob"),
                text: name("gr\u{fc}\u{df}e"),
                reply_to: Some(MessageId(70_000)),
                after_request: Some(request(1)),
            },
        ),
        ("send_plain", send("#ops", "x")),
        (
            "send_to_neither",
            Action::Send {
                to: Target::Neither,
                text: name("x"),
                reply_to: None,
                after_request: None,
            },
        ),
        ("mark", Action::Mark { to: Target::channel("ops"), upto: 9 }),
        ("set_registration", Action::SetRegistration { registration: Registration::Invite }),
        ("edit", Action::Edit { message: MessageId(70_000), text: name("gr\u{fc}\u{df}e") }),
        ("delete", Action::Delete { message: MessageId(70_000) }),
        (
            "set_password",
            Action::SetPassword { password_generation: 300, password_hash: PHC.into() },
        ),
        (
            "delete_account",
            Action::DeleteAccount { password_generation: 300, erase_messages: true },
        ),
        ("open_token", Action::OpenToken { token_hash: [4; 32] }),
    ];
    let mut samples = vec![
        (
            "register",
            Body::Register(Register {
                name: name("alice"),
                password_hash: PHC.into(),
                invite: Some([1; 32]),
                token_hash: [2; 32],
            }),
        ),
        (
            "login",
            Body::Login(Login {
                account: AccountId(5),
                password_generation: 1,
                token_hash: [3; 32],
            }),
        ),
    ];
    samples.extend(actions.into_iter().map(|(name, action)| {
        (name, Body::Act { account: AccountId(5), session: SessionId(200), action })
    }));
    samples.into_iter().map(|(name, body)| (name, Command::new(request(2), body))).collect()
}

fn request(random: u128) -> RequestId {
    RequestId::new(0x0190_0000_0000, random)
}

#[test]
fn version_1_is_frozen() {
    let mut golden = String::new();
    for (name, command) in samples() {
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes), Ok(command), "{name}");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        golden += &format!("{name} {hex}\n");
    }
    check_file("commands_v1.txt", &golden);
}

#[test]
fn an_unknown_version_or_kind_asks_for_an_upgrade() {
    let bytes = send_command("x").encode();
    // The version, then sixteen bytes of request id, then the body's kind.
    for at in [0, 17] {
        let mut newer = bytes.clone();
        newer[at] = 9;
        assert_eq!(Command::decode(&newer), Err(DecodeError::UpgradeNeeded), "{at}");
    }
    // Account 5 and session 200 take one and two bytes; then comes the action.
    let mut newer = bytes;
    newer[21] = 99;
    assert_eq!(Command::decode(&newer), Err(DecodeError::UpgradeNeeded));
}

#[test]
fn only_one_encoding_is_a_command() {
    let bytes = send_command("x").encode();
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert_eq!(Command::decode(&trailing), Err(DecodeError::Malformed));
    for end in 0..bytes.len() {
        assert_eq!(Command::decode(&bytes[..end]), Err(DecodeError::Malformed), "{end}");
    }
    // The version as a varint of two bytes.
    let long: Vec<_> = [0x80, 0].into_iter().chain(bytes[1..].iter().copied()).collect();
    assert_eq!(Command::decode(&long), Err(DecodeError::NotCanonical));
    // A request id of version 4.
    let mut wrong = bytes;
    wrong[7] = 0x40;
    assert_eq!(Command::decode(&wrong), Err(DecodeError::Malformed));
}

#[test]
fn the_longest_message_is_a_command_and_a_longer_one_is_not() {
    let longest = send_command(&"x".repeat(TEXT_BYTES_MAX));
    assert_eq!(Command::decode(&longest.encode()), Ok(longest));
    let fit = COMMAND_BYTES_MAX - send_command("").encode().len() - 2;
    for (text_bytes, expected) in
        [(fit, Ok(())), (fit + 1, Err(DecodeError::TooLong { bytes: COMMAND_BYTES_MAX + 1 }))]
    {
        let command = send_command(&"x".repeat(text_bytes));
        assert_eq!(Command::decode(&command.encode()).map(|_| ()), expected);
    }
}

fn send_command(text: &str) -> Command {
    let body =
        Body::Act { account: AccountId(5), session: SessionId(200), action: send("@bob", text) };
    Command::V1(CommandV1 { request: request(7), body })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_read_twice_differently(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(command) = Command::decode(&bytes) {
            prop_assert_eq!(command.encode(), bytes);
        }
    }

    #[test]
    fn damaged_commands_are_refused_or_canonical(
        kind in 0..17_usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = samples()[kind].1.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(command) = Command::decode(&bytes) {
            prop_assert_eq!(command.encode(), bytes);
        }
    }
}
