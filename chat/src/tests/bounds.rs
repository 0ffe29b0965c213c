//! Every bound, at the bound and one beyond.

use std::{format, string::String, vec::Vec};

use crate::{
    Action, Answer, Kind, MessageId, Rejection,
    limits::{
        self, ACCESS_TOKEN_LIFETIME_US, ACCESS_TOKENS_MAX, CHANNELS_MAX,
        CONVERSATIONS_PER_ACCOUNT_MAX, GLOB_BYTES_MAX, HIDDEN_MAX, MEMBERS_MAX, NAME_BYTES_MAX,
        NAMES_SCANNED_MAX, PAGE_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN,
        PASSWORD_HASH_BYTES_MAX, SESSION_LIFETIME_US, SESSIONS_MAX, STAMP_US_MAX, TEXT_BYTES_MAX,
        TOPIC_BYTES_MAX,
    },
    tests::kit::{PHC, START_US, World, create, join, send},
};

#[test]
fn names() {
    for good in ["a", "0", "a.b_c-d", &"x".repeat(NAME_BYTES_MAX), "ALICE"] {
        assert_eq!(limits::name(good), Ok(good.to_ascii_lowercase()));
    }
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in ["", ".a", "_a", "-a", "a b", "a\u{301}", "\u{e4}", "a/b", "a\n", &long] {
        assert_eq!(limits::name(bad), Err(Rejection::NameInvalid), "{bad:?}");
    }
    // The fold takes names in their folded form only.
    let mut world = World::with(&["alice"]);
    assert_eq!(world.register("Bob").outcome, Err(Rejection::NameInvalid));
    let applied = world.act("alice", create("Ops"));
    assert_eq!(applied.outcome, Err(Rejection::NameInvalid));
}

#[test]
fn texts() {
    let mut world = World::with(&["alice", "bob"]);
    let longest = "x".repeat(TEXT_BYTES_MAX);
    for good in ["x", "a\n\tb", "\u{202e}\u{200b}", "\u{1f44d}", &longest] {
        assert!(world.send("alice", "@bob", good).is_ok(), "{good:?}");
    }
    for (bad, why) in [
        ("", Rejection::TextEmpty),
        (&*(longest + "x"), Rejection::TextTooLong),
        ("\r", Rejection::TextControl),
        ("\0", Rejection::TextControl),
        ("\u{1b}[2J", Rejection::TextControl),
        ("\u{9b}2J", Rejection::TextControl),
        ("\u{7f}", Rejection::TextControl),
    ] {
        assert_eq!(world.send("alice", "@bob", bad), Err(why), "{bad:?}");
    }
}

#[test]
fn topics() {
    let mut world = World::with(&["alice"]);
    let mut try_topic = |name: &str, topic: String| {
        let name = name.into();
        world.act("alice", Action::CreateChannel { name, private: false, topic }).outcome
    };
    try_topic("a", "x".repeat(TOPIC_BYTES_MAX)).unwrap();
    assert_eq!(try_topic("b", "x".repeat(TOPIC_BYTES_MAX + 1)), Err(Rejection::TopicInvalid));
    assert_eq!(try_topic("b", "one\ntwo".into()), Err(Rejection::TopicInvalid));
}

#[test]
fn passwords() {
    for (chars, good) in [
        (PASSWORD_CHARS_MIN, true),
        (PASSWORD_CHARS_MIN - 1, false),
        (PASSWORD_CHARS_MAX, true),
        (PASSWORD_CHARS_MAX + 1, false),
    ] {
        assert_eq!(limits::password(&"\u{fc}".repeat(chars)).is_ok(), good, "{chars}");
    }
    for (phc, good) in [
        (String::from(PHC), true),
        (format!("${}", "x".repeat(PASSWORD_HASH_BYTES_MAX - 1)), true),
        (format!("${}", "x".repeat(PASSWORD_HASH_BYTES_MAX)), false),
        (String::from("clear text"), false),
        (String::from("$a\nb"), false),
        (String::new(), false),
    ] {
        assert_eq!(limits::is_password_hash(&phc), good, "{phc}");
    }
}

#[test]
fn pages_and_patterns() {
    let world = World::with(&["alice"]);
    for (limit, good) in [(0, false), (1, true), (PAGE_MAX, true), (PAGE_MAX + 1, false)] {
        assert_eq!(world.state.accounts("*", None, limit).is_ok(), good, "{limit}");
        assert_eq!(world.state.inbox(world.id("alice"), None, limit).is_ok(), good, "{limit}");
    }
    for (pattern, good) in [
        ("*".repeat(GLOB_BYTES_MAX), true),
        ("*".repeat(GLOB_BYTES_MAX + 1), false),
        (String::new(), false),
        (String::from("[a"), false),
        (String::from("[]"), false),
    ] {
        assert_eq!(world.state.accounts(&pattern, None, 1).is_ok(), good, "{pattern}");
    }
}

#[test]
fn sessions() {
    let mut world = World::with(&["alice"]);
    for _ in 1..SESSIONS_MAX {
        world.login("alice").outcome.unwrap();
    }
    // One more, and the one that ends first gives way.
    let (account, _) = world.people["alice"];
    let before = world.state.sessions(account, 0);
    world.login("alice").outcome.unwrap();
    let after = world.state.sessions(account, 0);
    assert_eq!((before.len(), after.len()), (SESSIONS_MAX, SESSIONS_MAX));
    assert_eq!(before[1..], after[..SESSIONS_MAX - 1]);
    assert_eq!(world.state.tokens.len(), SESSIONS_MAX);
    // All of them end, and leave nothing behind.
    world.clock_us = world.state.time_us() + SESSION_LIFETIME_US;
    world.login("alice").outcome.unwrap();
    assert_eq!(world.state.sessions(account, 0).len(), 1);
    assert_eq!(world.state.tokens.len(), 1);
}

#[test]
fn messages_deleted_for_oneself() {
    let mut world = World::with(&["alice", "bob"]);
    let mut sent = Vec::new();
    for _ in 0..=HIDDEN_MAX {
        world.send("alice", "@bob", "x").unwrap();
        sent.push(MessageId(world.state.applied()));
    }
    let mut delete = |message| world.act("bob", Action::Delete { message }).outcome;
    for &message in &sent[..HIDDEN_MAX] {
        delete(message).unwrap();
    }
    assert_eq!(delete(sent[HIDDEN_MAX]), Err(Rejection::TooManyHidden));
    // What is hidden is so already.
    delete(sent[0]).unwrap();
    assert_eq!(world.state.unread(world.id("bob")), 1);
    assert_eq!(world.state.unread(world.id("alice")), 0);
}

#[test]
fn access_tokens() {
    let mut world = World::with(&["alice"]);
    let (account, session) = world.people["alice"];
    let tokens: Vec<_> = (0..=ACCESS_TOKENS_MAX).map(|_| world.token()).collect();
    for &token_hash in &tokens {
        world.act("alice", Action::OpenToken { token_hash }).outcome.unwrap();
        let (owner, id, _) = world.state.session(&token_hash, 0).unwrap();
        assert_eq!((owner, id), (account, session));
    }
    // The oldest drops; the session's own stays, and it is one session.
    assert_eq!(world.state.session(&tokens[0], 0), None);
    assert!(tokens[1..].iter().all(|token| world.state.session(token, 0).is_some()));
    assert_eq!(world.state.tokens.len(), 1 + ACCESS_TOKENS_MAX);
    assert_eq!(world.state.sessions(account, 0).len(), 1);
}

#[test]
fn an_access_token_ends_after_its_lifetime_or_with_its_session() {
    let mut world = World::with(&["alice"]);
    let token_hash = world.token();
    let opened = world.act("alice", Action::OpenToken { token_hash }).outcome.unwrap();
    let Answer::TokenOpened { expires_us, .. } = opened.answer else { panic!("{opened:?}") };
    assert_eq!(expires_us, world.state.time_us() + ACCESS_TOKEN_LIFETIME_US);
    assert!(world.state.session(&token_hash, expires_us - 1).is_some());
    assert!(world.state.session(&token_hash, expires_us).is_none());

    // A minute before the session's end.
    let end_us = START_US + SESSION_LIFETIME_US;
    world.clock_us = end_us - 60 * limits::SECOND_US;
    let token_hash = world.token();
    let opened = world.act("alice", Action::OpenToken { token_hash }).outcome.unwrap();
    let Answer::TokenOpened { expires_us, .. } = opened.answer else { panic!("{opened:?}") };
    assert!(expires_us.abs_diff(end_us) < 10, "{expires_us} {end_us}");
    assert!(world.state.session(&token_hash, expires_us).is_none());
}

/// Research trap 44: by log time, which all nodes share.
#[test]
fn a_session_ends_after_its_lifetime_to_the_microsecond() {
    let mut world = World::new();
    let (request, token) = (world.request(), world.token());
    let accepted = world.register_as(request, "alice", None, token).outcome.unwrap();
    let Answer::Registered { account, session, expires_us, .. } = accepted.answer else {
        panic!("{accepted:?}")
    };
    assert_eq!(expires_us, world.state.time_us() + SESSION_LIFETIME_US);
    assert!(world.state.session(&token, expires_us - 1).is_some());
    assert!(world.state.session(&token, expires_us).is_none());
    assert!(world.state.is_session(account, session, expires_us - 1));
    assert!(!world.state.is_session(account, session, expires_us));

    let mut later = world.clone();
    later.clock_us = expires_us - 1;
    later.act("alice", create("a")).outcome.unwrap();
    assert_eq!(later.act("alice", create("b")).outcome, Err(Rejection::SessionEnded));
    assert!(later.state.session(&token, 0).is_none());
}

#[test]
fn members_of_a_channel_and_names_scanned() {
    let mut world = World::with(&["alice"]);
    world.act("alice", create("ops"));
    for number in 1..=MEMBERS_MAX {
        let name = format!("u{number:05}");
        world.register(&name);
        let expected = if number < MEMBERS_MAX { None } else { Some(Rejection::ChannelFull) };
        assert_eq!(world.act(&name, join("ops")).outcome.err(), expected, "{name}");
    }
    // Who is in can come again.
    world.act("alice", join("ops")).outcome.unwrap();

    // As many names as may be scanned, and one more: two pages, the first without a match.
    assert_eq!(world.state.accounts.names().len(), NAMES_SCANNED_MAX + 1);
    let page = world.state.accounts("*u10000", None, 1).unwrap();
    assert!(page.items.is_empty());
    let page = world.state.accounts("*u10000", page.next.as_deref(), 1).unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.next, None);
}

#[test]
fn channels_and_conversations() {
    let mut world = World::with(&["alice", "bob"]);
    let mut made = 0;
    while made < CHANNELS_MAX {
        let name = format!("maker{made}");
        world.register(&name);
        for _ in 0..CONVERSATIONS_PER_ACCOUNT_MAX.min(CHANNELS_MAX - made) {
            made += 1;
            assert!(world.act(&name, create(&format!("c{made}"))).outcome.is_ok(), "{made}");
        }
        if made < CHANNELS_MAX {
            for action in [create("more"), send("@alice", "x")] {
                let full = world.act(&name, action).outcome;
                assert_eq!(full, Err(Rejection::TooManyConversations));
            }
        }
    }
    assert_eq!(world.act("alice", create("more")).outcome, Err(Rejection::TooManyChannels));
    // The other side is full as well.
    assert_eq!(world.send("alice", "@maker0", "x"), Err(Rejection::TooManyConversations));
    world.send("alice", "@bob", "x").unwrap();
}

#[test]
fn log_time_never_stops_and_can_always_be_written() {
    let mut world = World::with(&["alice", "bob"]);
    let before_us = world.state.time_us();
    // The leader's clock stands at the beginning of time: log time goes on all the same.
    world.clock_us = 0;
    let request = world.request_at(before_us);
    world.act_as(request, "alice", send("@bob", "x")).outcome.unwrap();
    assert_eq!(world.state.time_us(), before_us + 1);
    // Or at its end.
    world.clock_us = u64::MAX;
    world.act("alice", send("@bob", "x"));
    assert_eq!(world.state.time_us(), STAMP_US_MAX);
    world.act("alice", send("@bob", "x"));
    assert_eq!(world.state.time_us(), STAMP_US_MAX + 1);
}

#[test]
fn every_rejection_explains_itself() {
    // Appended kinds are found by decoding; the first number that is none ends the list.
    let mut count: u8 = 0;
    let mut codes = std::collections::BTreeSet::new();
    while let Ok(rejection) = postcard::from_bytes::<Rejection>(&[count]) {
        count += 1;
        let (code, message, hint) = (rejection.code(), rejection.message(), rejection.hint());
        assert!(codes.insert(code), "{code} is used once");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        assert!(message.len() > 10 && !message.ends_with('.'), "{message}");
        assert!(!hint.is_empty() && !hint.ends_with('.'), "{hint}");
    }
    assert_eq!(count, 40);
    assert_eq!(Rejection::OutOfOrder.kind(), Kind::Conflict);
    let text = Rejection::TextTooLong.message();
    assert!(text.contains(&format!("{TEXT_BYTES_MAX}")), "{text}");
}
