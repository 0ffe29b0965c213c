//! The laws of the fold, over histories drawn at random from a small world where everything
//! collides: four names, three channels, few request ids, clocks that jump.

use std::{collections::BTreeMap, format, string::String, vec::Vec};

use proptest::prelude::*;

use crate::{
    AccountId, Action, Body, Command, Genesis, Login, MessageId, Register, Registration, Rejection,
    RequestId, SessionId, State, Target, Window,
    limits::{DAY_US, PAGE_MAX},
    tests::kit::{OWNER_TOKEN, PHC, START_US},
};

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "Bad Name", ""];
const CHANNELS: [&str; 4] = ["general", "ops", "dev", "#"];

/// A command with the stamp that the leader gives it.
type Stamped = (u64, Command);

fn history() -> impl Strategy<Value = Vec<Stamped>> {
    // Accounts first, so that most of what follows has someone to do it.
    let founded: Vec<_> = (0..4).map(|at| Just((START_US, founding(at)))).collect();
    (founded, prop::collection::vec((stamp(), command()), 1..150))
        .prop_map(|(founded, rest)| founded.into_iter().chain(rest).collect())
}

fn founding(at: u8) -> Command {
    let request = RequestId::new(START_US / 1_000, u128::from(at) + 1_000);
    Command::new(request, register(usize::from(at), None, at))
}

fn stamp() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => (0..1_000_000_u64).prop_map(|after_us| START_US + after_us),
        2 => (0..40_u64).prop_map(|days| START_US + days * DAY_US),
        1 => any::<u64>(),
    ]
}

fn request() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        // Never the same twice, for all that matters.
        10 => any::<u128>().prop_map(|random| RequestId::new(START_US / 1_000, random)),
        4 => (0..8_u128).prop_map(|random| RequestId::new(START_US / 1_000, random)),
        2 => (0..40_u64, any::<u128>()).prop_map(|(days, random)| {
            RequestId::new((START_US + days * DAY_US) / 1_000, random)
        }),
        1 => (any::<u64>(), any::<u128>()).prop_map(|(ms, random)| RequestId::new(ms, random)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    (request(), body()).prop_map(|(request, body)| Command::new(request, body))
}

fn register(name: usize, invite: Option<[u8; 32]>, token: u8) -> Body {
    Body::Register(Register {
        name: NAMES[name].into(),
        password_hash: PHC.into(),
        invite,
        token_hash: [token; 32],
    })
}

fn body() -> impl Strategy<Value = Body> {
    let invite = prop::option::of(prop_oneof![Just(OWNER_TOKEN), Just([1; 32])]);
    let registered = (0..NAMES.len(), invite, 0..12_u8)
        .prop_map(|(name, invite, token)| register(name, invite, token));
    let login = (0..6_u64, 0..2_u32, 0..12_u8).prop_map(|(account, password_generation, token)| {
        let account = AccountId(account);
        Body::Login(Login { account, password_generation, token_hash: [token; 32] })
    });
    let act = (0..6_u64, 0..8_u64, any::<bool>(), action()).prop_map(
        |(account, session, own_session, action)| {
            // Mostly the session that the registration opened.
            let session = SessionId(if own_session { account } else { session });
            Body::Act { account: AccountId(account), session, action }
        },
    );
    prop_oneof![1 => registered, 1 => login, 20 => act]
}

fn action() -> impl Strategy<Value = Action> {
    let channel = || (0..CHANNELS.len()).prop_map(|at| String::from(CHANNELS[at]));
    let user = || (0..NAMES.len()).prop_map(|at| String::from(NAMES[at]));
    let target = || prop_oneof![user().prop_map(Target::User), channel().prop_map(Target::Channel)];
    let sent = (
        target(),
        text(),
        prop::option::weighted(0.2, 0..60_u64),
        prop::option::weighted(0.2, request()),
    )
        .prop_map(|(to, text, reply_to, after_request)| Action::Send {
            to,
            text,
            reply_to: reply_to.map(MessageId),
            after_request,
        });
    let registration = prop_oneof![
        Just(Registration::Open),
        Just(Registration::Invite),
        Just(Registration::Closed)
    ];
    prop_oneof![
        12 => sent,
        4 => (target(), prop_oneof![0..30_u64, any::<u64>()])
            .prop_map(|(to, upto)| Action::Mark { to, upto }),
        3 => (channel(), any::<bool>()).prop_map(|(name, private)| Action::CreateChannel {
            name,
            private,
            topic: String::new(),
        }),
        3 => channel().prop_map(|channel| Action::Join { channel }),
        2 => channel().prop_map(|channel| Action::Leave { channel }),
        2 => (channel(), user()).prop_map(|(channel, user)| Action::Invite { channel, user }),
        1 => (0..200_u64).prop_map(|session| Action::Logout { session: SessionId(session) }),
        1 => registration.prop_map(|registration| Action::SetRegistration { registration }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z]{1,9}", 1 => Just(String::new()), 1 => any::<String>()]
}

fn start() -> State {
    State::new(Genesis { owner_token_hash: Some(OWNER_TOKEN) })
}

fn fold(mut state: State, log: &[Stamped]) -> State {
    for (stamp_us, command) in log {
        let before_us = state.time_us();
        state.apply(state.applied() + 1, *stamp_us, command);
        assert!(state.time_us() > before_us, "log time rises");
    }
    state
}

/// All messages of a conversation, page by page.
fn read_all(state: &State, reader: AccountId, item: &crate::InboxItem) -> Vec<crate::Posted> {
    let mut messages = Vec::new();
    loop {
        let after = messages.last().map_or(0, |post: &crate::Posted| post.seq);
        let page = state.history(reader, item.id, Window::After(after), PAGE_MAX).unwrap();
        messages.extend(page.items);
        if !page.more_after {
            return messages;
        }
    }
}

fn everyone(state: &State) -> Vec<AccountId> {
    state.accounts.names().values().copied().collect()
}

/// What does a conversation look like to each of its members, by the log alone?
fn check_conversations(state: &State, log: &[Stamped]) {
    for reader in everyone(state) {
        let mut unread_in_all = 0;
        let mut visible = BTreeMap::new();
        for item in state.inbox(reader, None, PAGE_MAX).unwrap().items {
            let messages = read_all(state, reader, &item);
            let mut unread = 0;
            for (at, post) in messages.iter().enumerate() {
                assert_eq!(post.seq, u64::try_from(at).unwrap() + 1, "seq has no gaps");
                let body = post.body.map(|index| &log[usize::try_from(index).unwrap() - 1].1);
                let view = state.view(reader, post, body).unwrap();
                assert_eq!((view.seq, view.conversation), (post.seq, item.conversation.clone()));
                let own = post.author == reader;
                unread += u64::from(post.seq > item.read_upto && !own);
                visible.insert(post.id, *post);
            }
            assert!(messages.is_sorted_by(|one, next| one.time_us < next.time_us));
            assert_eq!(item.unread, unread, "{} of {reader}", item.conversation);
            unread_in_all += unread;
        }
        assert_eq!(state.unread(reader), unread_in_all);
        for cursor in [0, state.applied() / 2, state.applied()] {
            let missed = state.messages_after(reader, cursor, usize::MAX);
            let expected = visible.range(MessageId(cursor + 1)..).map(|(_, post)| *post);
            assert!(missed.iter().copied().eq(expected), "after {cursor}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_can_be_applied_and_read(log in history()) {
        let state = fold(start(), &log);
        check_conversations(&state, &log);
        prop_assert_eq!(state.applied(), u64::try_from(log.len()).unwrap());
    }

    #[test]
    fn folding_in_parts_is_folding_at_once(log in history(), cut in any::<prop::sample::Index>()) {
        let (head, tail) = log.split_at(cut.index(log.len()));
        let whole = fold(start(), &log);
        let parts = fold(fold(start(), head).clone(), tail);
        prop_assert_eq!(whole.hash(), parts.hash());
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn a_command_applied_again_changes_nothing(log in history()) {
        let mut state = start();
        for (stamp_us, command) in &log {
            let first = state.apply(state.applied() + 1, *stamp_us, command);
            let before = state.clone();
            // At the same moment, so that nothing is forgotten meanwhile.
            let again = state.apply(state.applied() + 1, state.time_us() + 1, command);
            prop_assert_eq!(again.event, None);
            // The microsecond between them may have ended the session or aged the id.
            let is_late = |rejection| {
                matches!(rejection, Rejection::SessionEnded | Rejection::RequestIdExpired)
            };
            match (first.outcome, again.outcome) {
                (Ok(first), Ok(again)) => {
                    prop_assert_eq!(first.answer, again.answer);
                    prop_assert!(again.repeated);
                }
                (_, Err(again)) if is_late(again) => {}
                (first, again) => prop_assert_eq!(first, again),
            }
            prop_assert!(state.conversations == before.conversations, "messages");
            prop_assert!(state.channels == before.channels, "channels");
            // Those of ended sessions may have been swept.
            let kept = state.tokens.iter().all(|(token, to)| before.tokens.get(token) == Some(to));
            prop_assert!(kept, "tokens");
            for token in before.tokens.keys() {
                let now_us = state.time_us();
                prop_assert_eq!(before.session(token, now_us), state.session(token, now_us));
            }
            prop_assert_eq!(state.registration, before.registration);
        }
    }

    #[test]
    fn an_event_is_heard_by_those_who_can_read_it(log in history()) {
        let mut state = start();
        for (stamp_us, command) in &log {
            let index = state.applied() + 1;
            let applied = state.apply(index, *stamp_us, command);
            prop_assert!(applied.event.is_none() || applied.outcome.is_ok());
            let Some(event) = applied.event else { continue };
            prop_assert_eq!(event.index(), index);
            for reader in everyone(&state) {
                let heard = state.sees(reader, &event);
                let sent = matches!(event, crate::Event::Message { .. });
                let place = state.message(reader, MessageId(index));
                let readable =
                    place.is_ok_and(|place| state.view(reader, &place, Some(command)).is_some());
                prop_assert_eq!(heard && sent, readable, "{}", format!("{event:?} for {reader}"));
            }
        }
    }
}
