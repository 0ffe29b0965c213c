//! The laws of the fold, over histories drawn at random from a small world where everything
//! collides: four names, three channels, few request ids, clocks that jump.

use std::{format, string::String, vec::Vec};

use proptest::prelude::*;

use crate::{
    AccountId, Action, Body, Command, Event, Genesis, Login, MessageId, Register, Registration,
    Rejection, RequestId, SessionId, State, Target,
    limits::DAY_US,
    tests::{
        kit::{OWNER_TOKEN, PHC, START_US, create, join},
        model::Model,
    },
};

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "Bad Name", ""];
const CHANNELS: [&str; 4] = ["general", "ops", "dev", "#"];

/// A command with the stamp that the leader gives it.
type Stamped = (u64, Command);

fn history() -> impl Strategy<Value = Vec<Stamped>> {
    // One jump of the clock ends sessions and ages requests, and most of what follows is refused:
    // so in most histories there is none.
    prop_oneof![3 => history_of(calm().boxed()), 1 => history_of(stamp().boxed())]
}

fn history_of(stamp: BoxedStrategy<u64>) -> impl Strategy<Value = Vec<Stamped>> {
    // Accounts and channels first, so that most of what follows has someone to do it, somewhere.
    let founded: Vec<_> = (0..9).map(|at| Just((START_US, founding(at)))).collect();
    (founded, prop::collection::vec((stamp, command()), 1..150))
        .prop_map(|(founded, rest)| founded.into_iter().chain(rest).collect())
}

fn founding(at: u8) -> Command {
    let request = RequestId::new(START_US / 1_000, u128::from(at) + 1_000);
    let act = |who, action| Body::Act { account: AccountId(who), session: SessionId(who), action };
    let body = match at {
        0..=3 => register(usize::from(at), None, at),
        4 => act(1, create("general")),
        5 => act(2, create("ops")),
        6 => act(2, join("general")),
        7 => act(3, join("general")),
        _ => act(4, join("ops")),
    };
    Command::new(request, body)
}

fn stamp() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => calm(),
        2 => (0..40_u64).prop_map(|days| START_US + days * DAY_US),
        1 => any::<u64>(),
    ]
}

fn calm() -> impl Strategy<Value = u64> {
    (0..1_000_000_u64).prop_map(|after_us| START_US + after_us)
}

fn request() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        // Never the same twice, for all that matters.
        40 => any::<u128>().prop_map(|random| RequestId::new(START_US / 1_000, random)),
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
    let account = prop_oneof![8 => 1..5_u64, 1 => 0..6_u64];
    let act = (account, 0..8_u64, prop::bool::weighted(0.9), action()).prop_map(
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
    let target = || {
        prop_oneof![
            4 => user().prop_map(Target::User),
            4 => channel().prop_map(Target::Channel),
            4 => Just(Target::channel("general")),
        ]
    };
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
        20 => sent,
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
        14 => change(),
    ]
}

/// Of what is there. Two thirds of the entries are no messages, so there are many of these.
fn change() -> impl Strategy<Value = Action> {
    // Some of them again and again.
    let message = || prop_oneof![10..30_u64, 10..90_u64].prop_map(MessageId);
    // A password changed now and then, and the right one named mostly.
    let generation = || prop_oneof![4 => Just(0_u32), 1 => Just(1)];
    prop_oneof![
        12 => (message(), text()).prop_map(|(message, text)| Action::Edit { message, text }),
        16 => message().prop_map(|message| Action::Delete { message }),
        2 => generation().prop_map(|password_generation| Action::SetPassword {
            password_generation,
            password_hash: PHC.into(),
        }),
        1 => (generation(), any::<bool>()).prop_map(|(password_generation, erase_messages)| {
            Action::DeleteAccount { password_generation, erase_messages }
        }),
        3 => (8..24_u8).prop_map(|token| Action::OpenToken { token_hash: [token; 32] }),
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

fn everyone(state: &State) -> Vec<AccountId> {
    state.accounts.names().values().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_can_be_applied_and_read(log in history()) {
        let (mut state, mut model) = (start(), Model::default());
        for (at, (stamp_us, command)) in log.iter().enumerate() {
            let index = state.applied() + 1;
            let applied = state.apply(index, *stamp_us, command);
            model.learn(index, command, applied.outcome);
            // What is readable, for how long, and by whom: often enough to see it while it lasts.
            if at % 16 == 0 {
                model.check(&state);
            }
        }
        model.check(&state);
        prop_assert_eq!(state.applied(), u64::try_from(log.len()).unwrap());
    }

    /// Research trap 45: the same entries give the same state.
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
                let sent = matches!(event, Event::Message { .. });
                let place = state.message(reader, MessageId(index));
                let readable =
                    place.is_ok_and(|place| state.view(reader, &place, Some(command)).is_some());
                prop_assert_eq!(heard && sent, readable, "{}", format!("{event:?} for {reader}"));
                if let Event::Edited { conversation, seq, .. }
                | Event::Deleted { conversation, seq, .. } = event
                {
                    let place = state.posted(reader, conversation, seq).unwrap();
                    let is_member = state.is_member(reader, conversation);
                    if matches!(event, Event::Deleted { .. }) {
                        prop_assert!(!heard || place.body.is_none());
                    } else {
                        prop_assert_eq!(heard, is_member && place.body == Some(index));
                    }
                }
            }
        }
    }
}
